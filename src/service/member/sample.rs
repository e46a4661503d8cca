//! A state to plan on, for unit tests: the tenant `acme` with a member of each kind. Knows no store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use doorward_engine::api_key::{ApiKey, Scopes};
use doorward_engine::change::Change;
use doorward_engine::contact::Email;
use doorward_engine::firewall::Firewall;
use doorward_engine::id::{KeyId, MemberId, Name, PlanKey, Revision, SectionKey, Slug, TenantId, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::member::Member;
use doorward_engine::role::Role;
use doorward_engine::status::{MemberStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use doorward_engine::tenant::Tenant;

use crate::caller::{Caller, Identity};
use crate::service::authority::{self, TenantAdmin};
use crate::service::draft::Draft;
use crate::service::{Error, Operation};
use crate::store::state::Usage;
use crate::store::{InForce, Planned, State};

pub(crate) const NOW: Instant = Instant::from_micros(1_772_366_400_000_000);

pub(crate) fn id(text: &str) -> MemberId {
    MemberId::parse(text).unwrap()
}

pub(crate) fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

pub(crate) fn section(text: &str) -> SectionKey {
    SectionKey::parse(text).unwrap()
}

pub(crate) fn member(name: &str, role: Role, status: MemberStatus) -> Member {
    Member {
        id: id(name),
        user_id: (status != MemberStatus::Pending).then(|| user(&format!("u-{name}"))),
        email: Some(Email::parse(&format!("{name}@example.com")).unwrap()),
        display_name: None,
        role,
        status,
        sections: BTreeMap::new(),
        created_at: NOW,
        invitation_expires_at: (status == MemberStatus::Pending).then(|| NOW.plus_seconds(60)),
        person_version: 1,
        revision: Revision(3),
    }
}

pub(crate) fn tenant() -> Tenant {
    Tenant {
        id: TenantId::parse("acme").unwrap(),
        slug: Slug::parse("acme").unwrap(),
        name: Name::parse("Acme").unwrap(),
        status: TenantStatus::Active,
        plan: PlanKey::parse("standard").unwrap(),
        subscription: Subscription::of(SubscriptionState::Active),
        switches: BTreeSet::new(),
        defaults: BTreeMap::new(),
        firewall: Firewall::default(),
        created_at: NOW,
        revision: Revision(1),
    }
}

pub(crate) fn key(name: &str, creator: &str) -> ApiKey {
    ApiKey {
        id: KeyId::parse(name).unwrap(),
        name: Name::parse(name).unwrap(),
        scopes: Scopes::default(),
        created_by: Some(id(creator)),
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
        revision: Revision(4),
    }
}

/// `acme` with the ACTIVE ADMIN `ada`, who acts, and the USERs `ben` (ACTIVE), `dan` (DISABLED) and `pia` (PENDING).
pub(crate) fn state() -> State {
    let ada = member("ada", Role::Admin, MemberStatus::Active);
    let members = [
        ada.clone(),
        member("ben", Role::User, MemberStatus::Active),
        member("dan", Role::User, MemberStatus::Disabled),
        member("pia", Role::User, MemberStatus::Pending),
    ];
    let document = with_limits("");
    State {
        now: NOW,
        revision: Revision(7),
        in_force: in_force(&document),
        tenant: Some(tenant()),
        actor: Some(ada),
        members: members.into_iter().map(|member| (member.id.clone(), member)).collect(),
        users: BTreeMap::new(),
        emails: BTreeMap::new(),
        active_admins: 1,
        seats: 4,
        resources: BTreeMap::new(),
        resource_count: 0,
        grants: BTreeMap::new(),
        invitation: None,
        invitations: Vec::new(),
        keys: BTreeMap::new(),
        live_keys: 0,
        usage: Usage::default(),
        credentials: BTreeMap::new(),
    }
}

/// The shipped catalogue, its first plan with these lines more.
pub(crate) fn with_limits(lines: &str) -> String {
    crate::catalogue::SHIPPED.replace("name = \"Standard\"\n", &format!("name = \"Standard\"\n{lines}\n"))
}

pub(crate) fn in_force(document: &str) -> Arc<InForce> {
    let catalogue = crate::catalogue::parse(document).unwrap();
    Arc::new(InForce { version: 1, digest: String::new(), document: document.to_owned(), catalogue })
}

pub(crate) fn lapse(state: &mut State) {
    state.tenant.as_mut().unwrap().subscription.state = SubscriptionState::Expired;
}

pub(crate) fn caller(actor: Option<&str>) -> Caller {
    Caller { identity: Identity::Operator, actor: actor.map(user), peer: None, trace_id: None }
}

/// Plans as the state's actor.
pub(crate) fn plan<A>(
    state: &State,
    plan: impl FnOnce(&TenantAdmin, &mut Draft<'_>) -> Result<A, Error>,
) -> Result<Planned<A>, Error> {
    plan_as(&caller(Some("u-ada")), state, None, plan)
}

/// Plans as the operator.
pub(crate) fn plan_as_operator<A>(
    state: &State,
    plan: impl FnOnce(&TenantAdmin, &mut Draft<'_>) -> Result<A, Error>,
) -> Result<Planned<A>, Error> {
    plan_as(&caller(None), state, None, plan)
}

pub(crate) fn plan_as<A>(
    caller: &Caller,
    state: &State,
    expected: Option<u64>,
    plan: impl FnOnce(&TenantAdmin, &mut Draft<'_>) -> Result<A, Error>,
) -> Result<Planned<A>, Error> {
    let operation = Operation::DisableMember;
    let found = authority::Found {
        id: &state.tenant.as_ref().unwrap().id,
        tenant: state.tenant.as_ref(),
        actor: state.actor.as_ref(),
        key: caller.key().and_then(|key| state.keys.get(key)),
        now: state.now,
    };
    let admin = authority::admin(caller, operation, &found).unwrap();
    let mut draft = Draft::over(state, expected.map(Revision));
    let answer = plan(&admin, &mut draft)?;
    draft.finish(operation, answer)
}

/// What the changes are of, in order.
pub(crate) fn kinds(changes: &[Change]) -> Vec<&'static str> {
    let kind = |change: &Change| match change {
        Change::Tenant { .. } => "tenant",
        Change::Member { .. } => "member",
        Change::Erasure { .. } => "erasure",
        Change::Invitation { .. } => "invitation",
        Change::Resource { .. } => "resource",
        Change::Grant { .. } => "grant",
        Change::ApiKey { .. } => "key",
        Change::ServiceCredential { .. } => "credential",
        Change::Catalogue { .. } => "catalogue",
    };
    changes.iter().map(kind).collect()
}

pub(crate) fn reason<A>(result: Result<Planned<A>, Error>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(Error::Precondition(reason)) => format!("{reason:?}"),
        Err(Error::NotFound(thing) | Error::NotFoundAt { thing, .. }) => format!("no {thing:?}"),
        Err(Error::AlreadyExists(taken)) => format!("{taken:?} taken"),
        Err(Error::LimitReached { limit, used, .. }) => format!("{used} of {limit}"),
        Err(other) => other.to_string(),
    }
}

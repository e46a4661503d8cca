//! Who may call what: the table of scopes and callers, row by row, without a database.

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_engine::api_key::Scopes;
use doorward_engine::credential::ServiceCredential;
use doorward_engine::id::{CredentialId, Name, Revision};

use super::*;
use crate::caller::TenantKey;
use crate::service::member::sample::{NOW, key, state, user};

const RESOURCES: [&str; 6] = [
    "RegisterResource",
    "BatchRegisterResources",
    "UpdateResource",
    "ActivateResource",
    "DeactivateResource",
    "DeleteResource",
];
const IDENTITY: [&str; 3] = ["AcceptInvitation", "ActivateMember", "UpdateMember"];
const CHECKS: [&str; 3] = ["CheckAccess", "BatchCheckAccess", "StreamCheckAccess"];
const PLATFORM: [&str; 14] = [
    "CreateTenant",
    "ListTenants",
    "SuspendTenant",
    "ResumeTenant",
    "SetSubscription",
    "RenewSubscription",
    "SetComplimentary",
    "SetPlan",
    "GetCatalogue",
    "ApplyCatalogue",
    "CreateServiceCredential",
    "ListServiceCredentials",
    "RotateServiceCredential",
    "RevokeServiceCredential",
];

fn service(scopes: &[ServiceScope], tenants: &[&str]) -> Identity {
    Identity::Service(Arc::new(ServiceCredential {
        id: CredentialId::parse("gateway").unwrap(),
        name: Name::parse("Gateway").unwrap(),
        scopes: scopes.iter().copied().collect(),
        tenants: tenants.iter().map(|id| TenantId::parse(id).unwrap()).collect(),
        secrets: Vec::new(),
        created_at: NOW,
        revoked_at: None,
        revision: Revision(1),
    }))
}

fn api_key(admin: bool) -> ApiKey {
    ApiKey { scopes: Scopes { admin, ..Scopes::default() }, ..key("k_1", "ada") }
}

fn calling(identity: Identity, actor: Option<&str>) -> Caller {
    Caller { identity, actor: actor.map(user), peer: None, trace_id: None }
}

/// The operations of an existing tenant that a caller may begin, by name.
fn permitted(caller: &Caller) -> BTreeSet<&'static str> {
    let permitted = |operation: &&Operation| permits(caller, **operation).is_ok();
    Operation::ALL.iter().filter(permitted).map(|operation| operation.name()).collect()
}

fn names<const N: usize>(names: [&'static str; N]) -> BTreeSet<&'static str> {
    names.into()
}

/// Everything but what is the operator's alone.
fn tenants_own() -> BTreeSet<&'static str> {
    let all: BTreeSet<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
    &all - &names(PLATFORM)
}

#[test]
fn each_scope_opens_its_own_operations_and_no_other() {
    let by = |scope| permitted(&calling(service(&[scope], &[]), None));
    assert_eq!(by(ServiceScope::Check), names(CHECKS));
    assert_eq!(by(ServiceScope::Resources), names(RESOURCES));
    assert_eq!(by(ServiceScope::Identity), names(IDENTITY));
    assert_eq!(by(ServiceScope::Operator).len(), Operation::ALL.len());
    assert_eq!(by(ServiceScope::Admin), BTreeSet::new());
    let reads = by(ServiceScope::Read);
    let is_question =
        |name: &&&str| ["Get", "List", "Explain", "Watch"].iter().any(|verb| name.starts_with(verb));
    let expected: BTreeSet<_> = tenants_own().iter().filter(is_question).copied().collect();
    assert_eq!(reads, expected);
}

#[test]
fn a_service_that_acts_names_an_admin() {
    let admin = || service(&[ServiceScope::Admin], &[]);
    assert!(matches!(permits(&calling(admin(), None), Operation::SetGrants), Err(Error::ActorRequired)));
    assert!(matches!(permits(&calling(admin(), None), Operation::SetPlan), Err(Error::PermissionDenied)));
    assert_eq!(permitted(&calling(admin(), Some("u-ada"))), tenants_own());
    let other = service(&[ServiceScope::Check, ServiceScope::Read], &[]);
    assert_eq!(
        permitted(&calling(other, Some("u-ada"))),
        BTreeSet::new(),
        "only one with scope `admin` acts"
    );
}

#[test]
fn a_key_does_what_an_admin_may_but_three_things() {
    let found = TenantKey { tenant: TenantId::parse("acme").unwrap(), key: api_key(true) };
    let caller = calling(Identity::Key(Arc::new(found)), None);
    assert_eq!(permitted(&caller), &tenants_own() - &names(["DeleteTenant", "CreateApiKey"]));
}

#[test]
fn a_person_and_an_acting_operator_are_who_they_are_in_the_tenant() {
    for identity in [Identity::Person, Identity::Operator] {
        assert_eq!(permitted(&calling(identity, Some("u-ada"))), tenants_own());
    }
    assert_eq!(permitted(&calling(Identity::Person, None)), BTreeSet::new());
}

/// Mints for an operation of ada's tenant, as `caller`.
fn minted(
    caller: &Caller,
    operation: Operation,
    alter: impl FnOnce(&mut crate::store::State),
) -> Result<TenantAdmin, Error> {
    let mut state = state();
    let id = state.tenant.as_ref().unwrap().id.clone();
    alter(&mut state);
    admin(
        caller,
        operation,
        &Found {
            id: &id,
            tenant: state.tenant.as_ref(),
            actor: state.actor.as_ref(),
            key: caller.key().and_then(|key| state.keys.get(key)),
            now: state.now,
        },
    )
}

fn is_denied<T>(minted: Result<T, Error>) -> bool {
    matches!(minted, Err(Error::PermissionDenied))
}

#[test]
fn another_tenant_is_denied_whether_or_not_it_is_there() {
    let own = state().tenant.unwrap().id;
    let callers = [
        calling(service(&[ServiceScope::Read], &["other"]), None),
        calling(service(&[ServiceScope::Admin], &["other"]), Some("u-ada")),
        calling(service(&[ServiceScope::Operator], &["other"]), None),
        calling(
            Identity::Key(Arc::new(TenantKey {
                tenant: TenantId::parse("other").unwrap(),
                key: api_key(true),
            })),
            None,
        ),
    ];
    for caller in callers {
        let operation = Operation::GetTenant;
        assert!(is_denied(minted(&caller, operation, |state| drop(
            state.keys.insert(api_key(true).id, api_key(true))
        ))));
        assert!(is_denied(minted(&caller, operation, |state| state.tenant = None)));
        assert!(is_denied(enters(&caller, operation, &own)));
        assert!(!by_standing(&caller, operation, &own));
    }
    let limited = calling(service(&[ServiceScope::Operator], &[own.as_str()]), None);
    assert!(operator(&limited, Operation::SuspendTenant, Some(&own)).is_ok());
    assert!(
        is_denied(operator(&limited, Operation::CreateTenant, None)),
        "what is the platform's is beyond it"
    );
}

#[test]
fn an_actor_counts_as_an_active_admin_only() {
    let caller = calling(service(&[ServiceScope::Admin], &[]), Some("u-ada"));
    let with = |alter: fn(&mut Member)| {
        minted(&caller, Operation::SetGrants, |state| alter(state.actor.as_mut().unwrap()))
    };
    assert!(with(|_| {}).is_ok());
    assert!(is_denied(with(|actor| actor.role = Role::User)));
    for status in [MemberStatus::Pending, MemberStatus::Disabled, MemberStatus::Deleted] {
        let mut state = state();
        state.actor.as_mut().unwrap().status = status;
        assert!(is_denied(minted(&caller, Operation::SetGrants, |found| *found = state)));
    }
    assert!(is_denied(minted(&caller, Operation::SetGrants, |state| state.actor = None)));
}

#[test]
fn a_key_counts_as_it_is_under_the_lock() {
    let found = TenantKey { tenant: state().tenant.unwrap().id, key: api_key(true) };
    let caller = calling(Identity::Key(Arc::new(found)), None);
    let with = |key: Option<ApiKey>| {
        minted(&caller, Operation::SetGrants, |state| state.keys.extend(key.map(|key| (key.id.clone(), key))))
    };
    let admin = with(Some(api_key(true))).unwrap();
    assert!(admin.member().is_none() && is_denied(admin.may_make_admin()));
    assert!(is_denied(with(None)));
    assert!(is_denied(with(Some(api_key(false)))));
    assert!(is_denied(with(Some(ApiKey { revoked_at: Some(NOW), ..api_key(true) }))));
    assert!(is_denied(with(Some(ApiKey { expires_at: Some(NOW), ..api_key(true) }))));
}

#[test]
fn a_service_never_speaks_for_a_user_who_is_no_admin() {
    let found = |actor: Member, caller: &Caller| {
        let state = state();
        let tenant = state.tenant.as_ref();
        let id = &tenant.unwrap().id;
        concerned(
            caller,
            Operation::UpdateMember,
            &Found { id, tenant, actor: Some(&actor), key: None, now: NOW },
        )
    };
    let ben = || Member { role: Role::User, ..state().actor.unwrap() };
    let service = calling(service(&[ServiceScope::Admin], &[]), Some("u-ada"));
    assert!(is_denied(found(ben(), &service)));
    let person = calling(Identity::Person, Some("u-ada"));
    let oneself = found(ben(), &person).unwrap();
    assert!(oneself.speaks_of(&ben().id).is_ok());
    assert!(is_denied(oneself.speaks_of(&MemberId::parse("somebody").unwrap())));
    let disabled = Member { status: MemberStatus::Disabled, ..ben() };
    assert!(is_denied(found(disabled, &person)));
}

//! Samples for the tests of this folder: a tenant with one member, of whom something else is true at each revision.

use std::sync::{Arc, LazyLock};

use doorward_engine::catalogue::{SectionSet, SwitchSet};
use doorward_engine::id::{MemberId, Revision, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::role::Role;
use doorward_engine::snapshot::{MemberFacts, PackedGrants, Profile, TenantFacts};
use doorward_engine::status::{MemberStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};

use crate::catalogue;
use crate::store::{Ask, Epoch, Freshness, InForce, Snapshot, SubjectFacts, SubjectRef, Tier};

pub(super) const EPOCH: Epoch = Epoch([7; 16]);

static CATALOGUE: LazyLock<Arc<InForce>> = LazyLock::new(|| {
    let document = catalogue::SHIPPED.to_owned();
    let catalogue = catalogue::parse(&document).unwrap();
    Arc::new(InForce { version: 1, digest: catalogue::digest(&document), document, catalogue })
});
/// What is true at a revision: both parts change at once, so that an answer of two revisions shows.
pub(super) fn truth(revision: Revision) -> (TenantStatus, MemberStatus) {
    if revision.0.is_multiple_of(2) {
        (TenantStatus::Active, MemberStatus::Active)
    } else {
        (TenantStatus::Suspended, MemberStatus::Disabled)
    }
}

/// What a load finds at a revision.
pub(super) fn snapshot(ask: &Ask, revision: Revision) -> Snapshot {
    let (tenant, member) = truth(revision);
    let tenant = TenantFacts {
        status: tenant,
        subscription: Subscription::of(SubscriptionState::Active),
        plan_sections: SectionSet::EMPTY,
        switches: SwitchSet::EMPTY,
        defaults: Default::default(),
        firewall: Default::default(),
    };
    let member = Profile {
        toggles: Default::default(),
        role: Role::User,
        status: member,
        email_domain: None,
        id: member_id(),
    };
    let member =
        (ask.subject != SubjectRef::Nobody).then(|| MemberFacts::of(member, &PackedGrants::default()));
    Snapshot {
        in_force: Arc::clone(&CATALOGUE),
        tenant: Some(Arc::new(tenant)),
        subject: SubjectFacts::Member(member),
        resources: Vec::new(),
        revision,
        epoch: EPOCH,
        now: Instant::from_micros(0),
        tier: Tier::Store,
        degraded: false,
    }
}

pub(super) fn member_id() -> MemberId {
    MemberId::parse("m").unwrap()
}

pub(super) fn ask() -> Ask {
    Ask {
        tenant: TenantId::parse("acme").unwrap(),
        subject: SubjectRef::Member(member_id()),
        resources: Vec::new(),
        freshness: Freshness::MinimizeLatency,
    }
}

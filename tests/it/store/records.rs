//! Records for tests, each valid and small; what matters to a test it changes itself.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::api_key::{ApiKey, ResourceScope, Scopes, SectionPath};
use doorward_engine::change::Change;
use doorward_engine::contact::{Country, Domain, Email};
use doorward_engine::firewall::{CountryRule, DomainRule, Firewall, ListMode, OnMissing};
use doorward_engine::id::{
    ActionKey, KeyId, MemberId, Name, PlanKey, ResourceId, ResourceRef, Revision, SectionKey, Slug,
    SwitchKey, TenantId, TypeKey, UserId,
};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Invitation, Member, Origin, SecretHash, SectionValue};
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::status::{InvitationStatus, MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use doorward_engine::tenant::Tenant;

use super::NOW;

pub(super) fn tenant_id(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub(super) fn member_id(id: &str) -> MemberId {
    MemberId::parse(id).unwrap()
}

pub(super) fn user_id(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub(super) fn key_id(id: &str) -> KeyId {
    KeyId::parse(id).unwrap()
}

pub(super) fn email(address: &str) -> Email {
    Email::parse(address).unwrap()
}

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(super) fn section(key: &str) -> SectionKey {
    SectionKey::parse(key).unwrap()
}

pub(super) fn kind(key: &str) -> TypeKey {
    TypeKey::parse(key).unwrap()
}

pub(super) fn agent(id: &str) -> ResourceRef {
    ResourceRef { kind: kind("agent"), id: ResourceId::parse(id).unwrap() }
}

/// A tenant whose slug is its id in lower case.
pub(crate) fn tenant(id: &str) -> Tenant {
    Tenant {
        id: tenant_id(id),
        slug: Slug::parse(&id.to_ascii_lowercase()).unwrap(),
        name: name(id),
        status: TenantStatus::Active,
        plan: PlanKey::parse("standard").unwrap(),
        subscription: Subscription {
            trial_end: Some(NOW.plus_seconds(14 * 86_400)),
            ..Subscription::of(SubscriptionState::Trialing)
        },
        switches: BTreeSet::new(),
        defaults: BTreeMap::new(),
        firewall: Firewall::default(),
        created_at: NOW,
        revision: Revision(1),
    }
}

/// The same tenant with a value in every column.
pub(super) fn full_tenant(id: &str) -> Tenant {
    Tenant {
        name: name("Größe % _ \\ \"it's\""),
        status: TenantStatus::Suspended,
        subscription: Subscription {
            state: SubscriptionState::PendingRenewal,
            complimentary: true,
            trial_end: Some(Instant::MIN),
            period_end: Some(NOW),
            grace_end: Some(NOW.plus_seconds(1)),
            access_until: Some(Instant::MAX),
        },
        switches: [SwitchKey::parse("agentguard").unwrap()].into(),
        defaults: [(section("traces"), true), (section("logs"), false)].into(),
        firewall: Firewall {
            country: Some(CountryRule {
                mode: ListMode::AllowList,
                countries: [Country::parse("IN").unwrap()].into(),
                on_missing: OnMissing::Deny,
            }),
            domain: Some(DomainRule {
                mode: ListMode::BlockList,
                domains: [Domain::parse("evil.example").unwrap()].into(),
            }),
        },
        ..tenant(id)
    }
}

/// An ACTIVE ADMIN whose user id is the member id.
pub(super) fn member(id: &str) -> Member {
    Member {
        id: member_id(id),
        user_id: Some(user_id(id)),
        email: Some(email(&format!("{id}@example.com"))),
        display_name: None,
        role: Role::Admin,
        status: MemberStatus::Active,
        sections: BTreeMap::new(),
        created_at: NOW,
        invitation_expires_at: None,
        person_version: 1,
        revision: Revision(1),
    }
}

/// An ACTIVE USER with two section values.
pub(super) fn user(id: &str) -> Member {
    Member { role: Role::User, sections: sections(&[("traces", true), ("logs", false)]), ..member(id) }
}

/// A PENDING USER.
pub(super) fn pending(id: &str) -> Member {
    let expires = Some(NOW.plus_seconds(72 * 3_600));
    Member { user_id: None, status: MemberStatus::Pending, invitation_expires_at: expires, ..user(id) }
}

/// Values that come from the defaults.
pub(super) fn sections(values: &[(&str, bool)]) -> BTreeMap<SectionKey, SectionValue> {
    let value = |on| SectionValue { on, origin: Origin::Default };
    values.iter().map(|(key, on)| (section(key), value(*on))).collect()
}

pub(super) fn invitation(member: &str, token: u8) -> Invitation {
    Invitation {
        token: SecretHash([token; 32]),
        member: member_id(member),
        expires_at: NOW.plus_seconds(72 * 3_600),
        status: InvitationStatus::Live,
    }
}

pub(super) fn resource(id: &str) -> Resource {
    Resource {
        reference: agent(id),
        name: name(id),
        tags: BTreeMap::new(),
        status: ResourceStatus::Active,
        created_at: NOW,
        revision: Revision(1),
    }
}

pub(super) fn api_key(id: &str, created_by: Option<&str>) -> ApiKey {
    ApiKey {
        id: key_id(id),
        name: name(id),
        scopes: Scopes {
            admin: true,
            sections: [SectionPath::parse("settings.api_keys").unwrap()].into(),
            resources: vec![ResourceScope {
                kind: kind("agent"),
                action: ActionKey::parse("chat").unwrap(),
                ids: Some([ResourceId::parse("a1").unwrap()].into()),
            }],
        },
        created_by: created_by.map(member_id),
        created_at: NOW,
        expires_at: Some(NOW.plus_seconds(60)),
        revoked_at: None,
        revision: Revision(1),
    }
}

pub(super) fn new_member(member: Member) -> Change {
    Change::Member { before: None, after: member }
}

pub(super) fn new_resource(id: &str) -> Change {
    Change::Resource { before: None, after: resource(id) }
}

pub(super) fn new_grant(member: &str, resource: &str, expires_at: Option<Instant>) -> Change {
    let after = Some(Grant { expires_at });
    Change::Grant { member: member_id(member), resource: agent(resource), before: None, after }
}

pub(super) fn new_key(key: ApiKey) -> Change {
    Change::ApiKey { before: None, after: key, secret: Some(SecretHash([7; 32])) }
}

pub(super) fn new_invitation(member: &str, token: u8) -> Change {
    Change::Invitation { before: None, after: invitation(member, token) }
}

//! Rows to the engine's records and back: the one place that knows how a record is written in columns.

pub(super) mod read;

use std::collections::BTreeMap;

use doorward_engine::api_key::ApiKey;
use doorward_engine::contact::Email;
use doorward_engine::id::{
    KeyId, MemberId, Name, PlanKey, ResourceId, ResourceRef, Revision, SectionKey, Slug, TenantId, TypeKey,
    UserId,
};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Invitation, Member, Origin, SecretHash, SectionValue};
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::status::{InvitationStatus, MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use doorward_engine::tenant::Tenant;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::entity::{
    api_key, invitation, member, member_person, member_section, resource, resource_grant, tenant,
};
use super::{StoreError, corrupt};

/// Where a value was read: its table, and the key of its row. The value itself may be personal, and is not told.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) table: &'static str,
    pub(super) key: &'a str,
}

impl At<'_> {
    pub(super) fn wrong(self, column: &str) -> StoreError {
        corrupt(&format!("{}.{column} of", self.table), self.key)
    }

    pub(super) fn parse<T, E>(
        self,
        column: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, StoreError> {
        parse(text).map_err(|_| self.wrong(column))
    }

    fn optional<T, E>(
        self,
        column: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| self.parse(column, text, parse)).transpose()
    }

    fn named<T>(
        self,
        column: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(text).ok_or_else(|| self.wrong(column))
    }

    pub(super) fn json<T: DeserializeOwned>(self, column: &str, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|_| self.wrong(column))
    }

    pub(super) fn revision(self, rev: i64) -> Result<Revision, StoreError> {
        u64::try_from(rev).map(Revision).map_err(|_| self.wrong("changed_rev"))
    }

    pub(super) fn hash(self, column: &str, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
        bytes.try_into().map_err(|_| self.wrong(column))
    }
}

pub(super) fn instant(micros: Option<i64>) -> Option<Instant> {
    micros.map(Instant::from_micros)
}

fn micros(instant: Option<Instant>) -> Option<i64> {
    instant.map(Instant::micros)
}

/// A value in its JSON form.
pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Corrupt(format!("cannot be written as JSON: {error}")))
}

pub(super) fn tenant(row: &tenant::Model) -> Result<Tenant, StoreError> {
    let at = At { table: "tenant", key: &row.tenant_id };
    Ok(Tenant {
        id: at.parse("tenant_id", &row.tenant_id, TenantId::parse)?,
        slug: at.parse("slug", &row.slug, Slug::parse)?,
        name: at.parse("name", &row.name, Name::parse)?,
        status: at.named("status", &row.status, TenantStatus::parse)?,
        plan: at.parse("plan", &row.plan, PlanKey::parse)?,
        subscription: Subscription {
            state: at.named("subscription_state", &row.subscription_state, SubscriptionState::parse)?,
            complimentary: row.complimentary,
            trial_end: instant(row.trial_end_us),
            period_end: instant(row.period_end_us),
            grace_end: instant(row.grace_end_us),
            access_until: instant(row.access_until_us),
        },
        switches: at.json("switches", &row.switches)?,
        defaults: at.json("section_defaults", &row.section_defaults)?,
        firewall: at.json("firewall", &row.firewall)?,
        created_at: Instant::from_micros(row.created_us),
        revision: at.revision(row.changed_rev)?,
    })
}

pub(super) fn tenant_row(tenant: &Tenant, rev: i64) -> Result<tenant::Model, StoreError> {
    Ok(tenant::Model {
        tenant_id: tenant.id.to_string(),
        slug: tenant.slug.to_string(),
        name: tenant.name.to_string(),
        status: tenant.status.name().to_owned(),
        plan: tenant.plan.to_string(),
        subscription_state: tenant.subscription.state.name().to_owned(),
        complimentary: tenant.subscription.complimentary,
        trial_end_us: micros(tenant.subscription.trial_end),
        period_end_us: micros(tenant.subscription.period_end),
        grace_end_us: micros(tenant.subscription.grace_end),
        access_until_us: micros(tenant.subscription.access_until),
        switches: json(&tenant.switches)?,
        section_defaults: json(&tenant.defaults)?,
        firewall: json(&tenant.firewall)?,
        created_us: tenant.created_at.micros(),
        changed_rev: rev,
    })
}

/// A member; `sections` is a JSON array of `[section, is_on, origin]`.
pub(super) fn member(row: &member::Model, sections: &str) -> Result<Member, StoreError> {
    let at = At { table: "member", key: &row.member_id };
    Ok(Member {
        id: at.parse("member_id", &row.member_id, MemberId::parse)?,
        user_id: at.optional("user_id", row.user_id.as_deref(), UserId::parse)?,
        email: at.optional("email", given(&row.email), Email::parse)?,
        display_name: at.optional("display_name", row.display_name.as_deref(), Name::parse)?,
        role: at.named("role", &row.role, Role::parse)?,
        status: at.named("status", &row.status, MemberStatus::parse)?,
        sections: member_sections(&row.member_id, sections)?,
        created_at: Instant::from_micros(row.created_us),
        invitation_expires_at: instant(row.invitation_expires_us),
        person_version: u32::try_from(row.person_version).map_err(|_| at.wrong("person_version"))?,
        revision: at.revision(row.changed_rev)?,
    })
}

fn member_sections(member: &str, sections: &str) -> Result<BTreeMap<SectionKey, SectionValue>, StoreError> {
    let at = At { table: "member_section", key: member };
    let rows: Vec<(String, Value, String)> = at.json("section", sections)?;
    let value = |(section, is_on, origin): (String, Value, String)| {
        // SQLite has no booleans.
        let on =
            is_on.as_bool().or(is_on.as_i64().map(|number| number != 0)).ok_or_else(|| at.wrong("is_on"))?;
        let origin = at.named("origin", &origin, parse_origin)?;
        Ok((at.parse("section", &section, SectionKey::parse)?, SectionValue { on, origin }))
    };
    rows.into_iter().map(value).collect()
}

const fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Default => "DEFAULT",
        Origin::Set => "SET",
    }
}

fn parse_origin(name: &str) -> Option<Origin> {
    [Origin::Default, Origin::Set].into_iter().find(|origin| origin_name(*origin) == name)
}

/// An erased address is stored as an empty text.
fn given(email: &str) -> Option<&str> {
    Some(email).filter(|email| !email.is_empty())
}

fn email_text(member: &Member) -> String {
    member.email.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// How a person's version is written.
pub(super) fn person_version(member: &Member) -> i32 {
    i32::try_from(member.person_version).unwrap_or(i32::MAX)
}

pub(super) fn member_row(tenant: &str, member: &Member, rev: i64) -> member::Model {
    member::Model {
        tenant_id: tenant.to_owned(),
        member_id: member.id.to_string(),
        user_id: member.user_id.as_ref().map(ToString::to_string),
        email: email_text(member),
        email_key: member.email.as_ref().map(Email::key).unwrap_or_default(),
        display_name: member.display_name.as_ref().map(ToString::to_string),
        role: member.role.name().to_owned(),
        status: member.status.name().to_owned(),
        created_us: member.created_at.micros(),
        invitation_expires_us: micros(member.invitation_expires_at),
        person_version: person_version(member),
        changed_rev: rev,
    }
}

pub(super) fn person_row(tenant: &str, member: &Member) -> member_person::Model {
    member_person::Model {
        tenant_id: tenant.to_owned(),
        member_id: member.id.to_string(),
        version: person_version(member),
        email: email_text(member),
        display_name: member.display_name.as_ref().map(ToString::to_string),
        user_id: member.user_id.as_ref().map(ToString::to_string),
    }
}

pub(super) fn section_row(
    tenant: &str,
    member: &MemberId,
    section: &SectionKey,
    value: SectionValue,
    rev: i64,
) -> member_section::Model {
    member_section::Model {
        tenant_id: tenant.to_owned(),
        member_id: member.to_string(),
        section: section.to_string(),
        is_on: value.on,
        origin: origin_name(value.origin).to_owned(),
        changed_rev: rev,
    }
}

pub(super) fn invitation(row: &invitation::Model) -> Result<Invitation, StoreError> {
    let at = At { table: "invitation", key: &row.member_id };
    Ok(Invitation {
        token: SecretHash(at.hash("token_hash", &row.token_hash)?),
        member: at.parse("member_id", &row.member_id, MemberId::parse)?,
        expires_at: Instant::from_micros(row.expires_us),
        status: at.named("status", &row.status, InvitationStatus::parse)?,
    })
}

pub(super) fn invitation_row(tenant: &str, invitation: &Invitation) -> invitation::Model {
    invitation::Model {
        tenant_id: tenant.to_owned(),
        token_hash: invitation.token.0.to_vec(),
        member_id: invitation.member.to_string(),
        expires_us: invitation.expires_at.micros(),
        status: invitation.status.name().to_owned(),
    }
}

fn reference(at: At<'_>, kind: &str, id: &str) -> Result<ResourceRef, StoreError> {
    Ok(ResourceRef {
        kind: at.parse("resource_type", kind, TypeKey::parse)?,
        id: at.parse("resource_id", id, ResourceId::parse)?,
    })
}

pub(super) fn resource(row: &resource::Model) -> Result<Resource, StoreError> {
    let at = At { table: "resource", key: &row.resource_id };
    Ok(Resource {
        reference: reference(at, &row.resource_type, &row.resource_id)?,
        name: at.parse("name", &row.name, Name::parse)?,
        tags: at.json("tags", &row.tags)?,
        status: at.named("status", &row.status, ResourceStatus::parse)?,
        created_at: Instant::from_micros(row.created_us),
        revision: at.revision(row.changed_rev)?,
    })
}

pub(super) fn resource_row(
    tenant: &str,
    resource: &Resource,
    rev: i64,
) -> Result<resource::Model, StoreError> {
    Ok(resource::Model {
        tenant_id: tenant.to_owned(),
        resource_type: resource.reference.kind.to_string(),
        resource_id: resource.reference.id.to_string(),
        name: resource.name.to_string(),
        tags: json(&resource.tags)?,
        status: resource.status.name().to_owned(),
        created_us: resource.created_at.micros(),
        changed_rev: rev,
    })
}

pub(super) fn grant(row: &resource_grant::Model) -> Result<((MemberId, ResourceRef), Grant), StoreError> {
    let at = At { table: "resource_grant", key: &row.member_id };
    let member = at.parse("member_id", &row.member_id, MemberId::parse)?;
    let resource = reference(at, &row.resource_type, &row.resource_id)?;
    Ok(((member, resource), Grant { expires_at: instant(row.expires_us) }))
}

/// Grants of one member; `grants` is a JSON array of `[resource_type, resource_id, expires_us]`.
pub(super) fn grants(member: &MemberId, grants: &str) -> Result<Vec<(ResourceRef, Grant)>, StoreError> {
    let at = At { table: "resource_grant", key: member.as_str() };
    let rows: Vec<(String, String, Option<i64>)> = at.json("resource_id", grants)?;
    let grant = |(kind, id, expires): (String, String, Option<i64>)| {
        Ok((reference(at, &kind, &id)?, Grant { expires_at: instant(expires) }))
    };
    rows.into_iter().map(grant).collect()
}

pub(super) fn grant_row(
    tenant: &str,
    member: &MemberId,
    resource: &ResourceRef,
    grant: Grant,
    rev: i64,
) -> resource_grant::Model {
    resource_grant::Model {
        tenant_id: tenant.to_owned(),
        member_id: member.to_string(),
        resource_type: resource.kind.to_string(),
        resource_id: resource.id.to_string(),
        expires_us: micros(grant.expires_at),
        changed_rev: rev,
    }
}

pub(super) fn api_key(row: &api_key::Model) -> Result<ApiKey, StoreError> {
    let at = At { table: "api_key", key: &row.key_id };
    Ok(ApiKey {
        id: at.parse("key_id", &row.key_id, KeyId::parse)?,
        name: at.parse("name", &row.name, Name::parse)?,
        scopes: at.json("scopes", &row.scopes)?,
        created_by: at.optional("created_by", row.created_by.as_deref(), MemberId::parse)?,
        created_at: Instant::from_micros(row.created_us),
        expires_at: instant(row.expires_us),
        revoked_at: instant(row.revoked_us),
        revision: at.revision(row.changed_rev)?,
    })
}

/// A key's row; where `secret` is none, the stored one is to be left alone.
pub(super) fn api_key_row(
    tenant: &str,
    key: &ApiKey,
    secret: Option<SecretHash>,
    rev: i64,
) -> Result<api_key::Model, StoreError> {
    Ok(api_key::Model {
        tenant_id: tenant.to_owned(),
        key_id: key.id.to_string(),
        name: key.name.to_string(),
        secret_hash: secret.map(|secret| secret.0.to_vec()).unwrap_or_default(),
        scopes: json(&key.scopes)?,
        created_by: key.created_by.as_ref().map(ToString::to_string),
        created_us: key.created_at.micros(),
        expires_us: micros(key.expires_at),
        revoked_us: micros(key.revoked_at),
        changed_rev: rev,
    })
}

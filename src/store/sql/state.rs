//! Gathers what a plan needs under the tenant's lock, each kind of thing in one statement; decides nothing.

mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use doorward_engine::api_key::ApiKey;
use doorward_engine::credential::ServiceCredential;
use doorward_engine::id::{CredentialId, KeyId, MemberId, ResourceRef, Revision, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Invitation, Member, SecretHash};
use doorward_engine::resource::Resource;
use doorward_engine::status::InvitationStatus;
use doorward_engine::tenant::Tenant;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult};

use super::entity::{invitation, resource_grant, tenant};
use super::rows::read::{Rest, api_keys, columns, count, list, listed, members, resources_named};
use super::rows::{self, At};
use super::{Dialect, Inner, StoreError, catalogue, credential};
use crate::store::state::Usage;
use crate::store::{InForce, Needs, State};

/// What one statement after the lock tells: the clock, the catalogue in force, and what is to be counted.
pub(super) struct Moment {
    pub(super) now: Instant,
    in_force: Arc<InForce>,
    active_admins: u64,
    seats: u64,
    resource_count: u64,
}

const ACTIVE_ADMINS: &str =
    "SELECT count(*) FROM member WHERE tenant_id = $1 AND status = 'ACTIVE' AND role = 'ADMIN'";
pub(super) const SEATS: &str = "SELECT count(*) FROM member WHERE tenant_id = $1 AND status <> 'DELETED'";
const RESOURCES: &str =
    "SELECT count(*) FROM resource WHERE tenant_id = $1 AND resource_type = $2 AND status <> 'DELETED'";
/// Stands for a count that nobody needs.
const NO_COUNT: &str = "SELECT CAST(0 AS BIGINT)";

pub(super) async fn moment(
    inner: &Inner,
    transaction: &DatabaseTransaction,
    tenant: &str,
    needs: &Needs,
) -> Result<Moment, StoreError> {
    let either = |needed, count| if needed { count } else { NO_COUNT };
    let sql = format!(
        "SELECT {} AS now_us, (SELECT max(version) FROM catalogue) AS version, ({}) AS active_admins, \
         ({}) AS seats, ({}) AS resources",
        inner.dialect.now_micros(),
        either(needs.active_admins, ACTIVE_ADMINS),
        either(needs.seats, SEATS),
        either(needs.resources_of.is_some(), RESOURCES),
    );
    let kind = needs.resources_of.as_ref().map_or("", |kind| kind.as_str());
    let row = transaction.query_one_raw(inner.dialect.statement(sql, [tenant.into(), kind.into()])).await?;
    let row = row.ok_or_else(|| StoreError::Unavailable("the database told no time".to_owned()))?;
    let version: Option<i64> = row.try_get("", "version")?;
    Ok(Moment {
        now: inner.now(row.try_get("", "now_us")?),
        in_force: catalogue::at_version(inner, transaction, version).await?,
        active_admins: count(&row, "active_admins")?,
        seats: count(&row, "seats")?,
        resource_count: count(&row, "resources")?,
    })
}

/// What is read, and through what.
pub(super) struct Gatherer<'a> {
    pub(super) transaction: &'a DatabaseTransaction,
    pub(super) dialect: Dialect,
    pub(super) tenant: &'a str,
    pub(super) actor: Option<&'a UserId>,
    pub(super) needs: &'a Needs,
}

/// Which members were found by something else than their id.
#[derive(Default)]
struct Found {
    actor: Option<MemberId>,
    users: BTreeMap<UserId, MemberId>,
    emails: BTreeMap<String, MemberId>,
    /// All of them but the actor.
    wanted: BTreeSet<MemberId>,
}

impl Gatherer<'_> {
    pub(super) async fn state(&self, moment: Moment, revision: Revision) -> Result<State, StoreError> {
        let invitation = self.invitation().await?;
        let mut found = self.found().await?;
        found.wanted.extend(self.needs.members.iter().cloned());
        found.wanted.extend(invitation.as_ref().map(|invitation| invitation.member.clone()));
        let mut members = self.members(&found).await?;
        let actor = found.actor.and_then(|id| members.get(&id)).cloned();
        members.retain(|id, _| found.wanted.contains(id));
        Ok(State {
            now: moment.now,
            revision,
            in_force: moment.in_force,
            tenant: self.tenant().await?,
            actor,
            members,
            users: found.users,
            emails: found.emails,
            active_admins: moment.active_admins,
            seats: moment.seats,
            resources: self.resources().await?,
            resource_count: moment.resource_count,
            grants: self.grants().await?,
            invitation,
            invitations: self.invitations().await?,
            keys: self.keys().await?,
            live_keys: self.live_keys(moment.now).await?,
            usage: self.usage().await?,
            credentials: self.credentials().await?,
        })
    }

    async fn tenant(&self) -> Result<Option<Tenant>, StoreError> {
        let row = tenant::Entity::find_by_id(self.tenant).one(self.transaction).await?;
        row.as_ref().map(rows::tenant).transpose()
    }

    async fn invitation(&self) -> Result<Option<Invitation>, StoreError> {
        let Some(SecretHash(token)) = self.needs.invitation else {
            return Ok(None);
        };
        let key = (self.tenant.to_owned(), token.to_vec());
        let row = invitation::Entity::find_by_id(key).one(self.transaction).await?;
        row.as_ref().map(rows::invitation).transpose()
    }

    /// Finds members by user id, address and role, in one statement with an arm for each that is needed.
    async fn found(&self) -> Result<Found, StoreError> {
        let users = self.needs.users.iter().chain(self.actor).map(|user| [user.as_str()]);
        let emails: Vec<String> = self.needs.emails.iter().map(|email| email.key()).collect();
        let arms = [
            (users.clone().next().is_some(), by_user(self.dialect)),
            (!emails.is_empty(), by_email(self.dialect)),
            (self.needs.every_user, EVERY_USER.to_owned()),
        ];
        let arms: Vec<String> = arms.into_iter().filter_map(|(needed, arm)| needed.then_some(arm)).collect();
        if arms.is_empty() {
            return Ok(Found::default());
        }
        let sql = arms.join(" UNION ALL ");
        let values = [self.tenant.into(), list(users), list(emails.iter().map(|key| [key.as_str()]))];
        let rows = self.transaction.query_all_raw(self.dialect.statement(sql, values)).await?;
        let mut found = Found::default();
        for row in rows {
            let by: String = row.try_get("", "found_by")?;
            self.note(&mut found, &by, row.try_get("", "found_key")?, row.try_get("", "member_id")?)?;
        }
        Ok(found)
    }

    fn note(&self, found: &mut Found, by: &str, key: String, member: String) -> Result<(), StoreError> {
        let at = At { table: "member", key: &member };
        let id = at.parse("member_id", &member, MemberId::parse)?;
        if by == "user" {
            let user = at.parse("user_id", &key, UserId::parse)?;
            if self.actor == Some(&user) {
                found.actor = Some(id.clone());
            }
            if !self.needs.users.contains(&user) {
                return Ok(());
            }
            found.users.insert(user, id.clone());
        } else if by == "email" {
            found.emails.insert(key, id.clone());
        }
        found.wanted.insert(id);
        Ok(())
    }

    async fn members(&self, found: &Found) -> Result<BTreeMap<MemberId, Member>, StoreError> {
        let ids: BTreeSet<&str> = found.wanted.iter().chain(&found.actor).map(MemberId::as_str).collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let from =
            format!("{} JOIN member m ON m.member_id = listed.a WHERE m.tenant_id = $1", self.listed());
        let rest = Rest::of(self.tenant, &from).value(list(ids.into_iter().map(|id| [id])));
        let members = members(self.dialect, self.transaction, rest).await?;
        Ok(members.into_iter().map(|member| (member.id.clone(), member)).collect())
    }

    async fn resources(&self) -> Result<BTreeMap<ResourceRef, Resource>, StoreError> {
        let wanted = &self.needs.resources;
        let found = resources_named(self.dialect, self.transaction, self.tenant, wanted).await?;
        Ok(found.into_iter().map(|resource| (resource.reference.clone(), resource)).collect())
    }

    async fn grants(&self) -> Result<BTreeMap<(MemberId, ResourceRef), Grant>, StoreError> {
        let keys = self.needs.grants.iter();
        let keys = list(keys.map(|(member, on)| [member.as_str(), on.kind.as_str(), on.id.as_str()]));
        let members = list(self.needs.grants_of.iter().map(|member| [member.as_str()]));
        let named = "g.member_id = listed.a AND g.resource_type = listed.b AND g.resource_id = listed.c";
        let mut grants = BTreeMap::new();
        for (needed, on, keys) in [
            (!self.needs.grants.is_empty(), named, keys),
            (!self.needs.grants_of.is_empty(), "g.member_id = listed.a", members),
        ] {
            if needed {
                let from = format!("{} JOIN resource_grant g ON {on} WHERE g.tenant_id = $1", self.listed());
                let rest = Rest::of(self.tenant, &from).value(keys);
                let columns = columns::<resource_grant::Entity>("g");
                for row in rest.select(self.dialect, self.transaction, &columns).await? {
                    grants.extend([rows::grant(&resource_grant::Model::from_query_result(&row, "")?)?]);
                }
            }
        }
        Ok(grants)
    }

    async fn invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        if self.needs.invitations_of.is_empty() {
            return Ok(Vec::new());
        }
        let from =
            format!("{} JOIN invitation i ON i.member_id = listed.a WHERE i.tenant_id = $1", self.listed());
        let members = list(self.needs.invitations_of.iter().map(|member| [member.as_str()]));
        let rest = Rest::of(self.tenant, &from).value(members);
        let rest = rest.with("AND i.status = {}", InvitationStatus::Live.name());
        let columns = columns::<invitation::Entity>("i");
        let found = rest.select(self.dialect, self.transaction, &columns).await?;
        found.iter().map(|row| rows::invitation(&invitation::Model::from_query_result(row, "")?)).collect()
    }

    async fn keys(&self) -> Result<BTreeMap<KeyId, ApiKey>, StoreError> {
        let named = list(self.needs.keys.iter().map(|key| [key.as_str()]));
        let members = list(self.needs.keys_of.iter().map(|member| [member.as_str()]));
        let mut keys = BTreeMap::new();
        for (needed, on, list) in [
            (!self.needs.keys.is_empty(), "k.key_id = listed.a", named),
            (!self.needs.keys_of.is_empty(), "k.created_by = listed.a AND k.revoked_us IS NULL", members),
        ] {
            if needed {
                let from = format!("{} JOIN api_key k ON {on} WHERE k.tenant_id = $1", self.listed());
                let found =
                    api_keys(self.dialect, self.transaction, Rest::of(self.tenant, &from).value(list))
                        .await?;
                keys.extend(found.into_iter().map(|key| (key.id.clone(), key)));
            }
        }
        Ok(keys)
    }

    async fn live_keys(&self, now: Instant) -> Result<u64, StoreError> {
        if !self.needs.live_keys {
            return Ok(0);
        }
        let rest = Rest::of(self.tenant, "api_key WHERE tenant_id = $1 AND revoked_us IS NULL")
            .with("AND (expires_us IS NULL OR expires_us > {})", now.micros());
        let found = rest.select(self.dialect, self.transaction, "count(*) AS live").await?;
        found.first().map_or(Ok(0), |row| count(row, "live"))
    }

    async fn usage(&self) -> Result<Usage, StoreError> {
        if self.needs.usage {
            usage::read(self.dialect, self.transaction).await
        } else {
            Ok(Usage::default())
        }
    }

    async fn credentials(&self) -> Result<BTreeMap<CredentialId, ServiceCredential>, StoreError> {
        let found = credential::named(self.dialect, self.transaction, &self.needs.credentials).await?;
        Ok(found.into_iter().map(|credential| (credential.id.clone(), credential)).collect())
    }

    /// The list that is always the second parameter.
    fn listed(&self) -> String {
        listed(self.dialect, "$2")
    }
}

fn by_user(dialect: Dialect) -> String {
    format!(
        "SELECT 'user' AS found_by, u.user_id AS found_key, u.member_id AS member_id \
         FROM {} JOIN tenant_user u ON u.user_id = listed.a WHERE u.tenant_id = $1 AND u.member_id IS NOT NULL",
        listed(dialect, "$2")
    )
}

fn by_email(dialect: Dialect) -> String {
    format!(
        "SELECT 'email' AS found_by, m.email_key AS found_key, m.member_id AS member_id \
         FROM {} JOIN member m ON m.email_key = listed.a WHERE m.tenant_id = $1 AND m.status <> 'DELETED'",
        listed(dialect, "$3")
    )
}

const EVERY_USER: &str = "SELECT 'role' AS found_by, m.member_id AS found_key, m.member_id AS member_id \
     FROM member m WHERE m.tenant_id = $1 AND m.role = 'USER' AND m.status <> 'DELETED'";

//! The rows of a scenario file as records: what a row leaves out gets an unremarkable value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use doorward_engine::api_key::{ApiKey, ResourceScope, Scopes, SectionPath};
use doorward_engine::contact::{Country, Domain, Email};
use doorward_engine::firewall::{CountryRule, DomainRule, Firewall, ListMode, OnMissing};
use doorward_engine::id::{
    ActionKey, KeyId, MemberId, Name, PlanKey, ResourceId, ResourceRef, Revision, SectionKey, Slug,
    SwitchKey, TenantId, TypeKey, UserId,
};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Member, Origin, SectionValue};
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use doorward_engine::tenant::Tenant;
use serde::Deserialize;
use toml::value::{Date, Datetime, Offset, Time};

use crate::support::world::{Key, Seat, Workspace};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantRow {
    id: String,
    status: Option<TenantStatus>,
    plan: Option<String>,
    subscription: Option<SubscriptionRow>,
    #[serde(default)]
    switches: Vec<String>,
    #[serde(default)]
    defaults: BTreeMap<String, bool>,
    #[serde(default)]
    firewall: FirewallRow,
    #[serde(default, rename = "member")]
    members: Vec<MemberRow>,
    #[serde(default, rename = "resource")]
    resources: Vec<ResourceRow>,
    #[serde(default, rename = "key")]
    keys: Vec<KeyRow>,
}

impl TenantRow {
    pub(super) fn workspace(self) -> Result<Workspace, String> {
        let tenant = Tenant {
            id: TenantId::parse(&self.id).map_err(text)?,
            slug: Slug::parse(&self.id).map_err(text)?,
            name: Name::parse(&self.id).map_err(text)?,
            status: self.status.unwrap_or(TenantStatus::Active),
            plan: PlanKey::parse(self.plan.as_deref().unwrap_or("standard")).map_err(text)?,
            subscription: self.subscription.unwrap_or_default().subscription()?,
            switches: parsed(&self.switches, SwitchKey::parse)?,
            defaults: self
                .defaults
                .iter()
                .map(|(key, &on)| Ok((SectionKey::parse(key).map_err(text)?, on)))
                .collect::<Result<_, String>>()?,
            firewall: self.firewall.firewall()?,
            created_at: long_ago(),
            revision: Revision(1),
        };
        Ok(Workspace {
            tenant,
            seats: self.members.into_iter().map(MemberRow::seat).collect::<Result<_, _>>()?,
            resources: self.resources.into_iter().map(ResourceRow::resource).collect::<Result<_, _>>()?,
            keys: self.keys.into_iter().map(KeyRow::key).collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscriptionRow {
    state: Option<SubscriptionState>,
    #[serde(default)]
    complimentary: bool,
    trial_end: Option<Datetime>,
    period_end: Option<Datetime>,
    grace_end: Option<Datetime>,
    access_until: Option<Datetime>,
}

impl SubscriptionRow {
    fn subscription(self) -> Result<Subscription, String> {
        Ok(Subscription {
            state: self.state.unwrap_or(SubscriptionState::Active),
            complimentary: self.complimentary,
            trial_end: self.trial_end.map(instant).transpose()?,
            period_end: self.period_end.map(instant).transpose()?,
            grace_end: self.grace_end.map(instant).transpose()?,
            access_until: self.access_until.map(instant).transpose()?,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirewallRow {
    country: Option<ListRow>,
    domain: Option<ListRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRow {
    mode: ListMode,
    list: Vec<String>,
    on_missing: Option<OnMissing>,
}

impl FirewallRow {
    fn firewall(self) -> Result<Firewall, String> {
        let country = self.country.map(|row| {
            let countries = parsed(&row.list, Country::parse)?;
            Ok::<_, String>(CountryRule {
                mode: row.mode,
                countries,
                on_missing: row.on_missing.unwrap_or_default(),
            })
        });
        let domain = self.domain.map(|row| match row.on_missing {
            None => Ok(DomainRule { mode: row.mode, domains: parsed(&row.list, Domain::parse)? }),
            Some(_) => Err("a domain rule has no on_missing".to_owned()),
        });
        Ok(Firewall { country: country.transpose()?, domain: domain.transpose()? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberRow {
    id: String,
    role: Option<Role>,
    status: Option<MemberStatus>,
    user_id: Option<String>,
    email: Option<String>,
    #[serde(default)]
    sections: BTreeMap<String, bool>,
    #[serde(default)]
    grants: BTreeMap<String, GrantRow>,
}

/// `true`, or the instant from which on the grant is absent.
#[derive(Deserialize)]
#[serde(untagged)]
enum GrantRow {
    Until(Datetime),
    Granted(bool),
}

impl MemberRow {
    fn seat(self) -> Result<Seat, String> {
        let status = self.status.unwrap_or(MemberStatus::Active);
        let has_user = matches!(status, MemberStatus::Active | MemberStatus::Disabled);
        let user_id = self.user_id.or_else(|| has_user.then(|| format!("u-{}", self.id)));
        let email = self.email.unwrap_or_else(|| format!("{}@example.com", self.id));
        let value = |on| SectionValue { on, origin: Origin::Set };
        let member = Member {
            id: MemberId::parse(&self.id).map_err(text)?,
            user_id: user_id.as_deref().map(UserId::parse).transpose().map_err(text)?,
            email: Some(Email::parse(&email).map_err(text)?),
            display_name: None,
            role: self.role.unwrap_or(Role::User),
            status,
            sections: self
                .sections
                .iter()
                .map(|(key, &on)| Ok((SectionKey::parse(key).map_err(text)?, value(on))))
                .collect::<Result<_, String>>()?,
            created_at: long_ago(),
            invitation_expires_at: (status == MemberStatus::Pending).then_some(Instant::MAX),
            person_version: 1,
            revision: Revision(1),
        };
        let grants = self.grants.into_iter().map(|(resource, row)| Ok((reference(&resource)?, row.grant()?)));
        Ok(Seat { member, grants: grants.collect::<Result<_, String>>()? })
    }
}

impl GrantRow {
    fn grant(self) -> Result<Grant, String> {
        match self {
            Self::Granted(true) => Ok(Grant { expires_at: None }),
            Self::Granted(false) => Err("a grant that is off is an absent one: leave it out".to_owned()),
            Self::Until(end) => Ok(Grant { expires_at: Some(instant(end)?) }),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceRow {
    id: String,
    status: Option<ResourceStatus>,
}

impl ResourceRow {
    fn resource(self) -> Result<Resource, String> {
        let reference = reference(&self.id)?;
        Ok(Resource {
            name: Name::parse(reference.id.as_str()).map_err(text)?,
            reference,
            tags: BTreeMap::new(),
            status: self.status.unwrap_or(ResourceStatus::Active),
            created_at: long_ago(),
            revision: Revision(1),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRow {
    id: String,
    /// `traces`, `settings.profile`, `agent:chat` or `agent:chat/a1`.
    scopes: Vec<String>,
    expires_at: Option<Datetime>,
    revoked_at: Option<Datetime>,
}

impl KeyRow {
    fn key(self) -> Result<Key, String> {
        let mut scopes = Scopes::default();
        for scope in &self.scopes {
            match scope.split_once(':') {
                None => {
                    scopes.sections.insert(SectionPath::parse(scope).map_err(text)?);
                }
                Some((kind, action)) => scopes.resources.push(resource_scope(kind, action)?),
            }
        }
        let key = ApiKey {
            id: KeyId::parse(&self.id).map_err(text)?,
            name: Name::parse(&self.id).map_err(text)?,
            scopes,
            created_by: None,
            created_at: long_ago(),
            expires_at: self.expires_at.map(instant).transpose()?,
            revoked_at: self.revoked_at.map(instant).transpose()?,
            revision: Revision(1),
        };
        Ok(Key { key, secret: secret_of(&self.id) })
    }
}

fn resource_scope(kind: &str, action: &str) -> Result<ResourceScope, String> {
    let (action, id) = action.split_once('/').map_or((action, None), |(action, id)| (action, Some(id)));
    let ids = id.map(|id| Ok::<_, String>(BTreeSet::from([ResourceId::parse(id).map_err(text)?])));
    Ok(ResourceScope {
        kind: TypeKey::parse(kind).map_err(text)?,
        action: ActionKey::parse(action).map_err(text)?,
        ids: ids.transpose()?,
    })
}

/// The secret of a key in a scenario: 43 letters and digits, as long as a real one.
pub(crate) fn secret_of(id: &str) -> String {
    let letters: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{letters:x<43}")
}

fn reference(resource: &str) -> Result<ResourceRef, String> {
    let (kind, id) = resource.split_once('/').ok_or_else(|| format!("`{resource}`: expected type/id"))?;
    Ok(ResourceRef { kind: TypeKey::parse(kind).map_err(text)?, id: ResourceId::parse(id).map_err(text)? })
}

fn parsed<T: Ord, E: Display>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<BTreeSet<T>, String> {
    texts.iter().map(|value| parse(value).map_err(text)).collect()
}

pub(super) fn text(error: impl Display) -> String {
    error.to_string()
}

fn long_ago() -> Instant {
    Instant::from_micros(1_700_000_000_000_000)
}

/// The instant of a TOML date-time, which must be in UTC.
pub(super) fn instant(at: Datetime) -> Result<Instant, String> {
    let Datetime { date: Some(date), time: Some(time), offset: Some(Offset::Z) } = at else {
        return Err(format!("`{at}`: expected a date and time in UTC, as in 2026-03-01T12:00:00Z"));
    };
    let Time { hour, minute, second, nanosecond } = time;
    let second = i64::from(second.unwrap_or(0));
    let seconds = days(date) * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + second;
    Ok(Instant::from_micros(seconds * 1_000_000 + i64::from(nanosecond.unwrap_or(0)) / 1000))
}

/// Days from 1970-01-01, for years from 1970 on: counted, not clever.
fn days(date: Date) -> i64 {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let year = i64::from(date.year);
    let years: i64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: i64 = lengths.iter().take(usize::from(date.month) - 1).sum();
    years + months + i64::from(date.day) - 1
}

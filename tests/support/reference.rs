//! The rules once more, straight from the page: slow, naive, on strings. reason for length: it is read on one page.
//!
//! It reads records and calls nothing of the engine that decides anything: if both agree, two people have read the rules alike.

use std::collections::BTreeSet;

use doorward_engine::catalogue::{ActionDocument, Document, SectionDocument, SectionKind};
use doorward_engine::firewall::{ListMode, OnMissing};
use doorward_engine::instant::Instant;
use doorward_engine::member::Member;
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::subscription::SubscriptionState;
use doorward_engine::tenant::Tenant;

use super::world::{Ask, Key, Seat, Who, Workspace, World};

/// What the page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) reason: &'static str,
    pub(crate) hide: bool,
    pub(crate) valid_until: Option<Instant>,
}

/// Answers a question, or names the field that is a caller's mistake.
pub(crate) fn answer(world: &World, ask: &Ask) -> Result<Answer, &'static str> {
    let now = answer_at(world, ask, world.now)?;
    let mut valid_until = None;
    for instant in instants(world, ask) {
        if instant > world.now && answer_at(world, ask, instant)? != now {
            valid_until = Some(instant);
            break;
        }
    }
    Ok(Answer { reason: now.0, hide: now.1, valid_until })
}

/// Every instant that the tenant's records name, in order.
fn instants(world: &World, ask: &Ask) -> BTreeSet<Instant> {
    let mut instants: Vec<Option<Instant>> = Vec::new();
    let Some(workspace) = world.workspace(&ask.tenant) else {
        return BTreeSet::new();
    };
    let subscription = &workspace.tenant.subscription;
    instants.extend([
        subscription.trial_end,
        subscription.period_end,
        subscription.grace_end,
        subscription.access_until,
    ]);
    for seat in &workspace.seats {
        instants.extend(seat.grants.values().map(|grant| grant.expires_at));
    }
    for key in &workspace.keys {
        instants.extend([key.key.expires_at, key.key.revoked_at]);
    }
    instants.into_iter().flatten().collect()
}

fn answer_at(world: &World, ask: &Ask, now: Instant) -> Result<(&'static str, bool), &'static str> {
    let first = ask.id.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = ask.id.chars().all(|c| c.is_ascii_alphanumeric() || "._:@|-".contains(c));
    if !first || !rest || ask.id.len() > 128 {
        return Err("resource.id");
    }
    let action = if ask.kind == "section" {
        if ask.action != "view" {
            return Err("action");
        }
        None
    } else {
        let Some(kind) = world.catalogue.types.iter().find(|kind| kind.key == ask.kind) else {
            return Err("resource.type");
        };
        let Some(action) = kind.actions.iter().find(|action| action.key == ask.action) else {
            return Err("action");
        };
        Some(action)
    };
    let Some(workspace) = world.workspace(&ask.tenant) else {
        return Ok(("TENANT_NOT_FOUND", false));
    };
    let here = Here { catalogue: &world.catalogue, workspace, tenant: &workspace.tenant, ask, now };
    let reason = here.reason(action);
    let hide = action.is_some() && !ALLOW.contains(&reason) && here.hide();
    Ok((reason, hide))
}

const ALLOW: [&str; 7] = [
    "ROLE_ADMIN",
    "SECTION_GRANTED",
    "SECTION_DEFAULT_ALLOWED",
    "SECTION_ALWAYS_OPEN",
    "SYSTEM_SECTION",
    "RESOURCE_GRANTED",
    "KEY_SCOPE",
];

#[derive(Clone, Copy)]
struct Here<'a> {
    catalogue: &'a Document,
    workspace: &'a Workspace,
    tenant: &'a Tenant,
    ask: &'a Ask,
    now: Instant,
}

impl<'a> Here<'a> {
    fn reason(self, action: Option<&ActionDocument>) -> &'static str {
        match self.tenant.status {
            TenantStatus::Deleted => return "TENANT_DELETED",
            TenantStatus::Suspended => return "TENANT_SUSPENDED",
            TenantStatus::Active => {}
        }
        if let Who::Key { .. } = &self.ask.subject {
            return self.key_reason(action);
        }
        let Some(seat) = self.seat() else {
            return "NOT_A_MEMBER";
        };
        match seat.member.status {
            MemberStatus::Deleted => return "NOT_A_MEMBER",
            MemberStatus::Pending => return "MEMBER_PENDING",
            MemberStatus::Disabled => return "MEMBER_DISABLED",
            MemberStatus::Active => {}
        }
        if let Some(denial) = self.gate(action) {
            return denial;
        }
        match action {
            None => self.member_section(&seat.member, &self.ask.id),
            Some(action) => self.member_resource(seat, action),
        }
    }

    /// Rules 7 to 11.
    fn gate(self, action: Option<&ActionDocument>) -> Option<&'static str> {
        let section = match action {
            None => self.section(self.ask.id.split('.').next()?),
            Some(action) => action.section.as_ref().and_then(|key| self.section(key)),
        };
        let system = section.is_some_and(|section| section.kind == SectionKind::System);
        if (system && action.is_none()) || self.tenant.subscription.complimentary {
            return None;
        }
        if !self.subscription_passes() {
            let cancelled = self.tenant.subscription.state == SubscriptionState::Cancelled;
            return Some(if cancelled { "SUBSCRIPTION_CANCELLED" } else { "SUBSCRIPTION_EXPIRED" });
        }
        match section {
            Some(section) if !system && !self.plan_has(&section.key) => Some("FEATURE_NOT_IN_PLAN"),
            _ => None,
        }
    }

    fn subscription_passes(self) -> bool {
        let subscription = &self.tenant.subscription;
        let until = |end: Option<Instant>| match end {
            Some(end) => self.now < end,
            None => false,
        };
        match subscription.state {
            SubscriptionState::Trialing => until(subscription.trial_end),
            SubscriptionState::Active => {
                subscription.period_end.is_none()
                    || until(subscription.period_end)
                    || until(subscription.grace_end)
            }
            SubscriptionState::PendingRenewal => until(subscription.grace_end),
            SubscriptionState::Cancelled => until(subscription.access_until),
            SubscriptionState::Expired => false,
        }
    }

    fn plan_has(self, section: &str) -> bool {
        let plan = self.catalogue.plans.iter().find(|plan| plan.key == self.tenant.plan.as_str());
        match plan {
            None => false,
            Some(plan) => match &plan.sections {
                None => true,
                Some(sections) => sections.iter().any(|key| key == section),
            },
        }
    }

    fn section(self, key: &str) -> Option<&'a SectionDocument> {
        self.catalogue.sections.iter().find(|section| section.key == key)
    }

    /// The section and, where the id has a dot, whether the part needs an ADMIN; none: unknown.
    fn path(self, id: &str) -> Option<(&'a SectionDocument, Option<bool>)> {
        match id.split_once('.') {
            None => Some((self.section(id)?, None)),
            Some((section, part)) => {
                let section = self.section(section)?;
                let part = section.parts.iter().find(|known| known.key == part)?;
                Some((section, Some(part.role == Role::Admin)))
            }
        }
    }

    fn switched_off(self, section: &SectionDocument) -> bool {
        match &section.switch {
            None => false,
            Some(switch) => !self.tenant.switches.contains(switch.as_str()),
        }
    }

    /// Rules 12 to 18.
    fn member_section(self, member: &Member, id: &str) -> &'static str {
        let Some((section, part)) = self.path(id) else {
            return "SECTION_UNKNOWN";
        };
        if self.switched_off(section) {
            return "FEATURE_DISABLED";
        }
        if part == Some(true) && member.role == Role::User {
            return "ADMIN_REQUIRED";
        }
        if section.kind == SectionKind::System {
            return "SYSTEM_SECTION";
        }
        if member.role == Role::Admin {
            return "ROLE_ADMIN";
        }
        if section.kind == SectionKind::AdminOnly {
            return "SECTION_ADMIN_ONLY";
        }
        if section.kind == SectionKind::Always {
            return "SECTION_ALWAYS_OPEN";
        }
        if let Some(value) = member.sections.get(section.key.as_str()) {
            return if value.on { "SECTION_GRANTED" } else { "SECTION_DISABLED" };
        }
        let default = match self.tenant.defaults.get(section.key.as_str()) {
            Some(on) => *on,
            None => section.default == Some(true),
        };
        if default { "SECTION_DEFAULT_ALLOWED" } else { "SECTION_DEFAULT_DENIED" }
    }

    /// Rules 20 to 26.
    fn member_resource(self, seat: &Seat, action: &ActionDocument) -> &'static str {
        let user = seat.member.role == Role::User;
        let Some(resource) = self.resource() else {
            return "RESOURCE_NOT_FOUND";
        };
        if action.admin_only && user {
            return "ADMIN_REQUIRED";
        }
        if let Some(section) = &action.section {
            let reason = self.member_section(&seat.member, section);
            if !ALLOW.contains(&reason) {
                return reason;
            }
        }
        if user && !self.has_grant(seat) {
            return "NOT_GRANTED";
        }
        if action.blocked_while_inactive && resource.status == ResourceStatus::Inactive {
            return "RESOURCE_INACTIVE";
        }
        if let Some(denial) = self.firewall(action, Some(&seat.member)) {
            return denial;
        }
        if user { "RESOURCE_GRANTED" } else { "ROLE_ADMIN" }
    }

    fn resource(self) -> Option<&'a Resource> {
        let resource = self.workspace.resource(&self.ask.kind, &self.ask.id)?;
        (resource.status != ResourceStatus::Deleted).then_some(resource)
    }

    fn has_grant(self, seat: &Seat) -> bool {
        let grant = seat.grants.iter().find(|(resource, _)| {
            resource.kind.as_str() == self.ask.kind && resource.id.as_str() == self.ask.id
        });
        match grant {
            None => false,
            Some((_, grant)) => match grant.expires_at {
                None => true,
                Some(end) => self.now < end,
            },
        }
    }

    /// Rule 25.
    fn firewall(self, action: &ActionDocument, member: Option<&Member>) -> Option<&'static str> {
        let off = match &self.catalogue.firewall_switch {
            None => false,
            Some(switch) => !self.tenant.switches.contains(switch.as_str()),
        };
        if !action.firewall || off {
            return None;
        }
        if let Some(rule) = &self.tenant.firewall.country {
            let passes = match &self.ask.country {
                None => rule.on_missing != OnMissing::Deny,
                Some(country) => {
                    let listed = rule.countries.iter().any(|known| known.as_str() == country);
                    (rule.mode == ListMode::AllowList) == listed
                }
            };
            if !passes {
                return Some("FIREWALL_COUNTRY");
            }
        }
        if let (Some(rule), Some(member)) = (&self.tenant.firewall.domain, member) {
            let invited = member.email.as_ref().unwrap().as_str().split('@').next_back().unwrap_or_default();
            let domain = self.ask.email_domain.as_deref().unwrap_or(invited);
            let listed = rule.domains.iter().any(|known| known.as_str() == domain);
            if (rule.mode == ListMode::AllowList) != listed {
                return Some("FIREWALL_DOMAIN");
            }
        }
        None
    }

    /// Rule 27.
    fn key_reason(self, action: Option<&ActionDocument>) -> &'static str {
        let Some(key) = self.key() else {
            return "KEY_INVALID";
        };
        let expired = key.key.expires_at.is_some_and(|end| self.now >= end);
        if key.key.revoked_at.is_some() || expired {
            return "KEY_INVALID";
        }
        if let Some(denial) = self.gate(action) {
            return denial;
        }
        match action {
            None => self.key_section(key),
            Some(action) => self.key_resource(key, action),
        }
    }

    fn key_section(self, key: &Key) -> &'static str {
        let Some((section, part)) = self.path(&self.ask.id) else {
            return "SECTION_UNKNOWN";
        };
        if self.switched_off(section) {
            return "FEATURE_DISABLED";
        }
        let names = |path: &str| key.key.scopes.sections.iter().any(|scope| scope.to_string() == path);
        let named = names(&self.ask.id) || (part == Some(false) && names(&section.key));
        if named { "KEY_SCOPE" } else { "KEY_SCOPE_MISSING" }
    }

    fn key_resource(self, key: &Key, action: &ActionDocument) -> &'static str {
        let Some(resource) = self.resource() else {
            return "RESOURCE_NOT_FOUND";
        };
        if let Some(section) = action.section.as_ref().and_then(|section| self.section(section))
            && self.switched_off(section)
        {
            return "FEATURE_DISABLED";
        }
        if !self.has_scope(key) {
            return "KEY_SCOPE_MISSING";
        }
        if action.blocked_while_inactive && resource.status == ResourceStatus::Inactive {
            return "RESOURCE_INACTIVE";
        }
        self.firewall(action, None).unwrap_or("KEY_SCOPE")
    }

    fn has_scope(self, key: &Key) -> bool {
        key.key.scopes.resources.iter().any(|scope| {
            scope.kind.as_str() == self.ask.kind
                && scope.action.as_str() == self.ask.action
                && match &scope.ids {
                    None => true,
                    Some(ids) => ids.iter().any(|id| id.as_str() == self.ask.id),
                }
        })
    }

    /// Whether a denial on a resource should look like "not found".
    fn hide(self) -> bool {
        if let Who::Key { .. } = &self.ask.subject {
            return self.key().is_some_and(|key| !self.has_scope(key));
        }
        let Some(seat) = self.seat() else {
            return false;
        };
        seat.member.status != MemberStatus::Deleted
            && seat.member.role == Role::User
            && !(self.resource().is_some() && self.has_grant(seat))
    }

    fn seat(self) -> Option<&'a Seat> {
        match &self.ask.subject {
            Who::User(id) => self.workspace.seat_of_user(id),
            Who::Member(id) => self.workspace.seat(id),
            Who::Key { .. } => None,
        }
    }

    fn key(self) -> Option<&'a Key> {
        match &self.ask.subject {
            Who::Key { id, secret } => self.workspace.key(id, secret),
            Who::User(_) | Who::Member(_) => None,
        }
    }
}

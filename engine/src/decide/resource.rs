//! Rules 20 to 26 and 29, and those of rule 27 that are about resources.

use super::witness::Within;
use super::{Case, Note, Witness, firewall, section};
use crate::catalogue::Action;
use crate::instant::Instant;
use crate::question::PartAsked;
use crate::reason::Reason;
use crate::role::Role;
use crate::rule::Rule;
use crate::snapshot::{MemberFacts, ResourceFacts, TenantFacts};
use crate::status::ResourceStatus;

/// A member asks for an action on a resource.
pub(super) fn for_member<W: Witness>(
    case: &Case<'_>,
    tenant: &TenantFacts,
    member: &MemberFacts,
    now: Instant,
    w: &mut W,
) -> Result<Reason, Reason> {
    let (action, resource) = known(case, w)?;
    admin_action(action, member, w)?;
    action_section(case, tenant, member, action, w)?;
    granted(case, member, now, w)?;
    active(action, resource, w)?;
    firewall::pass(case, tenant, action, Some(member), w)?;
    let reason = match member.role {
        Role::Admin => Reason::RoleAdmin,
        Role::User => Reason::ResourceGranted,
    };
    let note = || Note::of("every rule has passed").with("role", member.role.name());
    Ok(w.decided(Rule::ResourceAllowed, reason, note))
}

/// An API key asks for an action on a resource.
pub(super) fn for_key<W: Witness>(
    case: &Case<'_>,
    tenant: &TenantFacts,
    w: &mut W,
) -> Result<Reason, Reason> {
    let (action, resource) = known(case, w)?;
    if action.section.is_some() {
        section::available(case, tenant, PartAsked::None, w)?;
    }
    let note = |verb: &str| Note::of(format!("the key's scopes {verb} `{}` on this resource", action.key));
    if !case.scoped {
        return Err(w.decided(Rule::ApiKey, Reason::KeyScopeMissing, || note("do not name")));
    }
    active(action, resource, w)?;
    firewall::pass(case, tenant, action, None, w)?;
    Ok(w.decided(Rule::ApiKey, Reason::KeyScope, || note("name")))
}

/// Rule 20. An action that another catalogue minted is one on nothing.
fn known<'a, W: Witness>(case: &Case<'a>, w: &mut W) -> Result<(&'a Action, &'a ResourceFacts), Reason> {
    let (true, Some(action), Some(resource)) = (case.resource_exists(), case.action, case.facts.resource)
    else {
        let note = || {
            Note::of("the tenant has no such resource; another tenant's would get the same answer (rule 4)")
        };
        return Err(w.decided(Rule::ResourceKnown, Reason::ResourceNotFound, note));
    };
    w.passed(Rule::ResourceKnown, || Note::of("the resource exists").with("status", resource.status.name()));
    Ok((action, resource))
}

/// Rule 21.
fn admin_action<W: Witness>(action: &Action, member: &MemberFacts, w: &mut W) -> Result<(), Reason> {
    if !action.admin_only {
        w.skipped(Rule::AdminAction, || Note::of(format!("`{}` needs no ADMIN", action.key)));
        return Ok(());
    }
    let note = || Note::of(format!("`{}` needs an ADMIN", action.key)).with("role", member.role.name());
    if member.role == Role::User {
        return Err(w.decided(Rule::AdminAction, Reason::AdminRequired, note));
    }
    w.passed(Rule::AdminAction, note);
    Ok(())
}

/// Rule 22.
fn action_section<W: Witness>(
    case: &Case<'_>,
    tenant: &TenantFacts,
    member: &MemberFacts,
    action: &Action,
    w: &mut W,
) -> Result<(), Reason> {
    if action.section.is_none() {
        w.skipped(Rule::ActionSection, || Note::of(format!("`{}` needs no section", action.key)));
        return Ok(());
    }
    w.passed(Rule::ActionSection, || {
        let key = case.section.map_or("", |(_, section)| section.key.as_str());
        Note::of(format!("`{}` needs the section `{key}`: rules 12 to 18 look at it", action.key))
            .with("section", key)
    });
    section::for_member(case, tenant, member, PartAsked::None, &mut Within(w)).map(drop)
}

/// Rules 23 and 29.
fn granted<W: Witness>(case: &Case<'_>, member: &MemberFacts, now: Instant, w: &mut W) -> Result<(), Reason> {
    if member.role == Role::Admin {
        w.skipped(Rule::Granted, || Note::of("an ADMIN needs no grant"));
        return Ok(());
    }
    if let Some(end) = case.grant.and_then(|grant| grant.expires_at) {
        w.passed(Rule::GrantExpiry, || {
            let finding =
                if now < end { "the grant has not expired" } else { "the grant has expired: it is absent" };
            Note::of(finding).with("expires_at", end).with("now", now)
        });
    }
    if !case.granted(now) {
        let note = || Note::of("the member has no grant on the resource").with("member", &member.id);
        return Err(w.decided(Rule::Granted, Reason::NotGranted, note));
    }
    w.passed(Rule::Granted, || Note::of("the member has a grant on the resource").with("member", &member.id));
    Ok(())
}

/// Rule 24. It comes after 23, so that who has no grant learns nothing.
fn active<W: Witness>(action: &Action, resource: &ResourceFacts, w: &mut W) -> Result<(), Reason> {
    if !action.blocked_while_inactive {
        w.skipped(Rule::ResourceActive, || {
            Note::of(format!("`{}` works on an INACTIVE resource", action.key))
        });
        return Ok(());
    }
    let status = resource.status.name();
    let note = || Note::of(format!("the resource is {status}")).with("status", status);
    if resource.status == ResourceStatus::Inactive {
        return Err(w.decided(Rule::ResourceActive, Reason::ResourceInactive, note));
    }
    w.passed(Rule::ResourceActive, note);
    Ok(())
}

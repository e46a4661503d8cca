//! Rules 1 to 11, and whether an API key is valid: what is asked before anything about sections and resources.

use super::{Case, Note, Witness};
use crate::catalogue::SectionKind;
use crate::instant::Instant;
use crate::reason::Reason;
use crate::rule::Rule;
use crate::snapshot::{KeyFacts, MemberFacts, TenantFacts};
use crate::status::{MemberStatus, TenantStatus};
use crate::subscription::{Subscription, SubscriptionState};

/// Rules 1 and 2.
pub(super) fn tenant<'a, W: Witness>(case: &Case<'a>, w: &mut W) -> Result<&'a TenantFacts, Reason> {
    let Some(tenant) = case.facts.tenant else {
        let note = || Note::of("there is no tenant of that id");
        return Err(w.decided(Rule::TenantExists, Reason::TenantNotFound, note));
    };
    let status =
        || Note::of(format!("the tenant is {}", tenant.status.name())).with("status", tenant.status.name());
    match tenant.status {
        TenantStatus::Deleted => Err(w.decided(Rule::TenantExists, Reason::TenantDeleted, status)),
        TenantStatus::Suspended => {
            w.passed(Rule::TenantExists, || Note::of("the tenant exists"));
            Err(w.decided(Rule::TenantOpen, Reason::TenantSuspended, status))
        }
        TenantStatus::Active => {
            w.passed(Rule::TenantExists, || Note::of("the tenant exists"));
            w.passed(Rule::TenantOpen, status);
            Ok(tenant)
        }
    }
}

/// Rules 3, 5 and 6.
pub(super) fn member<'a, W: Witness>(
    member: Option<&'a MemberFacts>,
    w: &mut W,
) -> Result<&'a MemberFacts, Reason> {
    let Some(member) = member.filter(|member| member.status != MemberStatus::Deleted) else {
        let note = || Note::of("the subject is no member of the tenant, or one no more");
        return Err(w.decided(Rule::Membership, Reason::NotAMember, note));
    };
    let status =
        || Note::of(format!("the member is {}", member.status.name())).with("status", member.status.name());
    w.passed(Rule::Membership, || {
        Note::of(format!("the subject is a member: {}", member.role.name()))
            .with("member", &member.id)
            .with("role", member.role.name())
    });
    if member.status == MemberStatus::Pending {
        return Err(w.decided(Rule::MemberAccepted, Reason::MemberPending, status));
    }
    w.passed(Rule::MemberAccepted, || Note::of("the invitation was accepted"));
    if member.status == MemberStatus::Disabled {
        return Err(w.decided(Rule::MemberEnabled, Reason::MemberDisabled, status));
    }
    w.passed(Rule::MemberEnabled, status);
    Ok(member)
}

/// Rule 27: whether the key is valid.
pub(super) fn key<'a, W: Witness>(
    key: Option<&'a KeyFacts>,
    now: Instant,
    w: &mut W,
) -> Result<&'a KeyFacts, Reason> {
    let Some(key) = key else {
        let note = || Note::of("the tenant has no such API key, or the secret is wrong");
        return Err(w.decided(Rule::ApiKey, Reason::KeyInvalid, note));
    };
    if let Some(revoked_at) = key.revoked_at {
        let note = || Note::of("the API key was revoked").with("key", &key.id).with("revoked_at", revoked_at);
        return Err(w.decided(Rule::ApiKey, Reason::KeyInvalid, note));
    }
    if let Some(end) = key.expires_at.filter(|&end| now >= end) {
        let note = || Note::of("the API key has expired").with("key", &key.id).with("expires_at", end);
        return Err(w.decided(Rule::ApiKey, Reason::KeyInvalid, note));
    }
    w.passed(Rule::ApiKey, || {
        Note::of("the API key is valid").with("key", &key.id).with_some("expires_at", key.expires_at)
    });
    Ok(key)
}

/// Rules 7 to 11.
pub(super) fn subscription<W: Witness>(
    case: &Case<'_>,
    tenant: &TenantFacts,
    now: Instant,
    w: &mut W,
) -> Result<(), Reason> {
    if case.asks_for_section() && case.section.is_some_and(|(_, section)| section.kind == SectionKind::System)
    {
        w.skipped(Rule::SystemSkipsGate, || Note::of("a SYSTEM section: rules 8 to 11 are skipped"));
        return Ok(());
    }
    let subscription = &tenant.subscription;
    if subscription.complimentary {
        w.passed(Rule::Complimentary, || Note::of("the tenant is complimentary: rules 9 to 11 are skipped"));
        return Ok(());
    }
    w.passed(Rule::Complimentary, || Note::of("the tenant is not complimentary"));
    let note = || described(subscription, now);
    if !subscription.is_open(now) {
        w.passed(Rule::SubscriptionOpen, || Note::of("the subscription is not open"));
        let cancelled = subscription.state == SubscriptionState::Cancelled;
        let reason = if cancelled { Reason::SubscriptionCancelled } else { Reason::SubscriptionExpired };
        return Err(w.decided(Rule::SubscriptionLapsed, reason, note));
    }
    w.passed(Rule::SubscriptionOpen, note);
    in_plan(case, tenant, w)
}

fn described(subscription: &Subscription, now: Instant) -> Note {
    let in_force = subscription.in_force(now).name();
    Note::of(format!("the subscription is {in_force}"))
        .with("stored_state", subscription.state.name())
        .with_some("trial_end", subscription.trial_end)
        .with_some("period_end", subscription.period_end)
        .with_some("grace_end", subscription.grace_end)
        .with_some("access_until", subscription.access_until)
        .with("now", now)
}

/// Rule 11.
fn in_plan<W: Witness>(case: &Case<'_>, tenant: &TenantFacts, w: &mut W) -> Result<(), Reason> {
    let Some((index, section)) = case.section else {
        w.skipped(Rule::InPlan, || Note::of("no section of the catalogue is asked for or needed"));
        return Ok(());
    };
    if section.kind == SectionKind::System {
        w.skipped(Rule::InPlan, || {
            Note::of(format!("`{}` is a SYSTEM section: every plan has it", section.key))
        });
        return Ok(());
    }
    let note =
        |verb: &str| Note::of(format!("`{}` is {verb} the plan", section.key)).with("section", &section.key);
    if !tenant.plan_sections.contains(index) {
        return Err(w.decided(Rule::InPlan, Reason::FeatureNotInPlan, || note("not in")));
    }
    w.passed(Rule::InPlan, || note("in"));
    Ok(())
}

//! Rule 25: the tenant's firewall, for the actions that the catalogue puts behind it.

use super::{Case, Note, Witness};
use crate::catalogue::Action;
use crate::contact::{Country, Domain};
use crate::firewall::{CountryRule, DomainRule, OnMissing};
use crate::reason::Reason;
use crate::rule::Rule;
use crate::snapshot::{MemberFacts, TenantFacts};

/// Both rules must pass, the country's first. An API key (no member) has no domain: that rule is skipped.
pub(super) fn pass<W: Witness>(
    case: &Case<'_>,
    tenant: &TenantFacts,
    action: &Action,
    member: Option<&MemberFacts>,
    w: &mut W,
) -> Result<(), Reason> {
    if !action.firewall {
        w.skipped(Rule::Firewall, || Note::of(format!("the firewall does not apply to `{}`", action.key)));
        return Ok(());
    }
    let switch = case.facts.catalogue.firewall_switch();
    if switch.is_some_and(|switch| !tenant.switches.contains(switch)) {
        w.skipped(Rule::Firewall, || Note::of("the firewall's feature switch is off"));
        return Ok(());
    }
    country(tenant.firewall.country.as_ref(), case.question.country, w)?;
    match member {
        Some(member) => domain(tenant.firewall.domain.as_ref(), case.question.email_domain, member, w),
        None => {
            w.skipped(Rule::Firewall, || Note::of("an API key has no email domain"));
            Ok(())
        }
    }
}

fn country<W: Witness>(
    rule: Option<&CountryRule>,
    country: Option<Country>,
    w: &mut W,
) -> Result<(), Reason> {
    let Some(rule) = rule else {
        w.skipped(Rule::Firewall, || Note::of("the tenant has no country rule"));
        return Ok(());
    };
    let passes = match country {
        Some(country) => rule.mode.passes(rule.countries.contains(&country)),
        None => rule.on_missing == OnMissing::Skip,
    };
    let note = || {
        let verb = if passes { "lets the question pass" } else { "stops the question" };
        Note::of(format!("the country rule {verb}"))
            .with("mode", rule.mode.name())
            .with("country", country.map_or_else(|| "not given".to_owned(), |country| country.to_string()))
    };
    if !passes {
        return Err(w.decided(Rule::Firewall, Reason::FirewallCountry, note));
    }
    w.passed(Rule::Firewall, note);
    Ok(())
}

fn domain<W: Witness>(
    rule: Option<&DomainRule>,
    given: Option<&Domain>,
    member: &MemberFacts,
    w: &mut W,
) -> Result<(), Reason> {
    let Some(rule) = rule else {
        w.skipped(Rule::Firewall, || Note::of("the tenant has no domain rule"));
        return Ok(());
    };
    let domain = given.or(member.email_domain.as_ref());
    let passes = domain.is_some_and(|domain| rule.mode.passes(rule.domains.contains(domain)));
    let note = || {
        let verb = if passes { "lets the question pass" } else { "stops the question" };
        let source = if given.is_some() { "the question" } else { "the invitation" };
        Note::of(format!("the domain rule {verb}"))
            .with("mode", rule.mode.name())
            .with("domain", domain.map_or_else(|| "not known".to_owned(), ToString::to_string))
            .with("domain_of", source)
    };
    if !passes {
        return Err(w.decided(Rule::Firewall, Reason::FirewallDomain, note));
    }
    w.passed(Rule::Firewall, note);
    Ok(())
}

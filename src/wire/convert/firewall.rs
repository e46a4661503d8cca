//! Feature switches and firewall rules on the wire: countries and domains are normalised here.

use std::collections::BTreeSet;

use doorward_engine::contact::Country;
use doorward_engine::firewall::{CountryRule, DomainRule, ListMode, OnMissing};
use doorward_engine::id::{IdError, SwitchKey, TenantId};

use super::tenant::changed;
use super::{Context, Fields, answer, parse_domain};
use crate::proto;
use crate::proto::set_firewall_rule_request::Rule;
use crate::service::firewall::{FirewallRule, RuleKind};
use crate::service::{Backend, Error};

pub(in crate::wire) async fn set_feature_switch<B: Backend>(
    context: Context<B>,
    request: proto::SetFeatureSwitchRequest,
) -> Result<proto::SetFeatureSwitchResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let switch = fields.parse("switch", &request.switch, SwitchKey::parse);
    let (control, id, switch) = fields.all((control, id, switch))?;
    let call = context.call(control);
    let done = context.service.set_feature_switch(call, id, switch, request.enabled).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(SetFeatureSwitchResponse { tenant }, tail))
}

pub(in crate::wire) async fn set_firewall_rule<B: Backend>(
    context: Context<B>,
    request: proto::SetFirewallRuleRequest,
) -> Result<proto::SetFirewallRuleResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let rule = rule(&mut fields, request.rule);
    let (control, id, rule) = fields.all((control, id, rule))?;
    let done = context.service.set_firewall_rule(context.call(control), id, rule).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(SetFirewallRuleResponse { tenant }, tail))
}

pub(in crate::wire) async fn delete_firewall_rule<B: Backend>(
    context: Context<B>,
    request: proto::DeleteFirewallRuleRequest,
) -> Result<proto::DeleteFirewallRuleResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let kind = fields.choice("kind", request.kind, "COUNTRY or DOMAIN");
    let kind = kind.and_then(|kind| match kind {
        proto::FirewallRuleKind::Unspecified => None,
        proto::FirewallRuleKind::Country => Some(RuleKind::Country),
        proto::FirewallRuleKind::Domain => Some(RuleKind::Domain),
    });
    let (control, id, kind) = fields.all((control, id, kind))?;
    let done = context.service.delete_firewall_rule(context.call(control), id, kind).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(DeleteFirewallRuleResponse { tenant }, tail))
}

fn rule(fields: &mut Fields, rule: Option<Rule>) -> Option<FirewallRule> {
    match rule {
        Some(Rule::Country(rule)) => country_rule(fields, rule).map(FirewallRule::Country),
        Some(Rule::Domain(rule)) => domain_rule(fields, rule).map(FirewallRule::Domain),
        None => {
            fields.wrong("rule", "is missing: expected one of `country`, `domain`");
            None
        }
    }
}

fn country_rule(fields: &mut Fields, rule: proto::CountryRule) -> Option<CountryRule> {
    let mode = mode(fields, "country.mode", rule.mode);
    let on_missing = match proto::OnMissing::try_from(rule.on_missing) {
        Ok(proto::OnMissing::Unspecified | proto::OnMissing::Skip) => Some(OnMissing::Skip),
        Ok(proto::OnMissing::Deny) => Some(OnMissing::Deny),
        Err(_) => {
            fields.wrong("country.on_missing", "has no value of its enum: expected SKIP or DENY");
            None
        }
    };
    let countries = listed(fields, "country.countries", rule.countries, assigned);
    Some(CountryRule { mode: mode?, countries: countries?, on_missing: on_missing? })
}

fn domain_rule(fields: &mut Fields, rule: proto::DomainRule) -> Option<DomainRule> {
    let mode = mode(fields, "domain.mode", rule.mode);
    let domains = listed(fields, "domain.domains", rule.domains, parse_domain);
    Some(DomainRule { mode: mode?, domains: domains? })
}

fn mode(fields: &mut Fields, field: &str, mode: i32) -> Option<ListMode> {
    match fields.choice(field, mode, "ALLOW_LIST or BLOCK_LIST")? {
        proto::FirewallMode::Unspecified => None,
        proto::FirewallMode::AllowList => Some(ListMode::AllowList),
        proto::FirewallMode::BlockList => Some(ListMode::BlockList),
    }
}

/// A country that ISO has given the letters to: a rule for another would never be hit, and was not meant so.
fn assigned(text: &str) -> Result<Country, IdError> {
    let country = Country::parse(text)?;
    let error = IdError { kind: "country", allowed: "an assigned code of ISO 3166-1 alpha-2, as in DE" };
    if country.is_assigned() { Ok(country) } else { Err(error) }
}

/// What is named twice in two forms is named twice.
fn listed<T: Ord>(
    fields: &mut Fields,
    field: &str,
    texts: Vec<String>,
    parse: impl Fn(&str) -> Result<T, IdError>,
) -> Option<BTreeSet<T>> {
    let texts = fields.list(field, texts)?;
    fields.each_once(field, &texts, |fields, path, text| fields.parse(path, text, &parse))
}

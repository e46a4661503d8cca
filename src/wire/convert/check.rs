//! Questions and their answers.

use std::fmt::Display;

use doorward_engine::contact::{Country, Domain};
use doorward_engine::decide::Decision;
use doorward_engine::explain::{Outcome, Step};
use doorward_engine::id::{KeyId, MemberId, ResourceId, TenantId, UserId};
use doorward_engine::reason::Reason;

use super::{Context, Fields, parse_domain, seen_by, timestamp};
use crate::keys::Keys;
use crate::proto;
use crate::proto::consistency::Requirement;
use crate::proto::subject::Kind;
use crate::resolver::Presented;
use crate::service::check::{Checked, Inquiry, Item};
use crate::service::{Backend, Error, api_key};
use crate::store::Freshness;
use crate::telemetry::{Metrics, trace};

/// What a subject may be named by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// As in a check: an API key is presented with its secret.
    Check,
    /// As in an explanation or a list: also by an API key's public id.
    Screen,
}

/// What the questions share, of a request.
macro_rules! asked {
    ($request:ident) => {
        Asked {
            tenant: $request.tenant_id,
            subject: $request.subject,
            context: $request.context,
            consistency: $request.consistency,
        }
    };
}

pub(in crate::wire) async fn check_access<B: Backend>(
    context: Context<B>,
    request: proto::CheckAccessRequest,
) -> Result<proto::CheckAccessResponse, Error> {
    let (inquiry, item) = question(&context.keys, request)?;
    let checked = context.service.check_access(&context.caller, &inquiry, &item).await?;
    let token = context.revision_token(inquiry.tenant.as_str(), checked.revision);
    Ok(decided(&context.metrics, &checked, token))
}

/// A question, in domain words.
///
/// # Errors
/// INVALID_ARGUMENT with every field that is wrong.
pub(in crate::wire) fn question(
    keys: &Keys,
    request: proto::CheckAccessRequest,
) -> Result<(Inquiry, Item), Error> {
    let mut fields = Fields::default();
    let item = fields.item("", request.action, request.resource);
    let inquiry = fields.inquiry(keys, Naming::Check, asked!(request));
    fields.all((inquiry, item))
}

/// What was decided, in the wire's words; it is counted.
pub(in crate::wire) fn decided(
    metrics: &Metrics,
    checked: &Checked<Decision>,
    revision_token: String,
) -> proto::CheckAccessResponse {
    metrics.check(checked.answer.reason, checked.tier.name());
    told(checked, revision_token)
}

/// What was decided and is counted elsewhere.
pub(in crate::wire) fn told(
    checked: &Checked<Decision>,
    revision_token: String,
) -> proto::CheckAccessResponse {
    let decision = &checked.answer;
    trace::decided(decision.allowed(), decision.reason.name(), checked.tier.name());
    proto::CheckAccessResponse {
        allowed: decision.allowed(),
        reason: reason(decision.reason).into(),
        hide: decision.hide,
        revision_token,
        valid_until: decision.valid_until.map(timestamp),
        degraded: checked.degraded,
    }
}

pub(in crate::wire) async fn batch_check_access<B: Backend>(
    context: Context<B>,
    request: proto::BatchCheckAccessRequest,
) -> Result<proto::BatchCheckAccessResponse, Error> {
    let mut fields = Fields::default();
    let items = fields.list("checks", request.checks).and_then(|checks| {
        let items: Vec<_> = checks
            .into_iter()
            .enumerate()
            .map(|(at, check)| fields.item(format_args!("checks[{at}]."), check.action, check.resource))
            .collect();
        items.into_iter().collect::<Option<Vec<_>>>()
    });
    let inquiry = fields.inquiry(&context.keys, Naming::Check, asked!(request));
    let (inquiry, items) = fields.all((inquiry, items))?;
    let tenant = inquiry.tenant.clone();
    let checked = context.service.batch_check_access(&context.caller, inquiry, items).await?;
    let tier = checked.tier.name();
    context.metrics.checks(checked.answer.iter().map(|decision| decision.reason), tier);
    trace::decided_many(checked.answer.len(), tier);
    Ok(proto::BatchCheckAccessResponse {
        results: checked.answer.iter().map(result).collect(),
        revision_token: context.revision_token(tenant.as_str(), checked.revision),
        degraded: checked.degraded,
    })
}

pub(in crate::wire) async fn explain_access<B: Backend>(
    context: Context<B>,
    request: proto::ExplainAccessRequest,
) -> Result<proto::ExplainAccessResponse, Error> {
    let mut fields = Fields::default();
    let item = fields.item("", request.action, request.resource);
    let inquiry = fields.inquiry(&context.keys, Naming::Screen, asked!(request));
    let (inquiry, item) = fields.all((inquiry, item))?;
    let tenant = inquiry.tenant.clone();
    let checked = context.service.explain_access(&context.caller, inquiry, item).await?;
    let explanation = checked.answer;
    let decision = explanation.decision;
    trace::decided(decision.allowed(), decision.reason.name(), checked.tier.name());
    Ok(proto::ExplainAccessResponse {
        allowed: decision.allowed(),
        reason: reason(decision.reason).into(),
        hide: decision.hide,
        revision_token: context.revision_token(tenant.as_str(), checked.revision),
        valid_until: decision.valid_until.map(timestamp),
        degraded: checked.degraded,
        steps: explanation.steps.into_iter().map(step).collect(),
    })
}

fn result(decision: &Decision) -> proto::CheckResult {
    proto::CheckResult {
        allowed: decision.allowed(),
        reason: reason(decision.reason).into(),
        hide: decision.hide,
        valid_until: decision.valid_until.map(timestamp),
    }
}

fn step(step: Step) -> proto::RuleStep {
    let outcome = match step.outcome {
        Outcome::Passed => proto::RuleOutcome::Passed,
        Outcome::Skipped => proto::RuleOutcome::Skipped,
        Outcome::Decided(_) => proto::RuleOutcome::Decided,
    };
    proto::RuleStep {
        rule: i32::from(step.rule.number()),
        name: step.rule.name().to_owned(),
        outcome: outcome.into(),
        finding: step.finding,
        facts: step.facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

/// What the questions share, as the wire says it.
pub(super) struct Asked {
    pub(super) tenant: String,
    pub(super) subject: Option<proto::Subject>,
    pub(super) context: Option<proto::Context>,
    pub(super) consistency: Option<proto::Consistency>,
}

impl Fields {
    fn item(&mut self, at: impl Display, action: String, resource: Option<proto::Resource>) -> Option<Item> {
        if action.is_empty() {
            self.wrong(format_args!("{at}action"), "is missing: expected an action of the resource's type");
        }
        let reference = self.reference(format_args!("{at}resource"), resource);
        reference
            .filter(|_| !action.is_empty())
            .map(|(kind, id): (String, ResourceId)| Item::new(action, kind, id))
    }

    pub(super) fn inquiry(&mut self, keys: &Keys, naming: Naming, asked: Asked) -> Option<Inquiry> {
        let tenant = self.own("tenant_id", asked.tenant, TenantId::own);
        let subject = self.subject(naming, asked.subject);
        let origin = self.origin(asked.context);
        let tenant = tenant?;
        let freshness = self.freshness(keys, &tenant, asked.consistency)?;
        let (country, email_domain) = origin?;
        Some(Inquiry { tenant, subject: subject?, country, email_domain, freshness })
    }

    /// The subject of a question.
    pub(super) fn subject(&mut self, naming: Naming, subject: Option<proto::Subject>) -> Option<Presented> {
        let kind = subject.and_then(|subject| subject.kind);
        match kind {
            Some(Kind::UserId(id)) => self.own("subject.user_id", id, UserId::own).map(Presented::User),
            Some(Kind::MemberId(id)) => {
                self.own("subject.member_id", id, MemberId::own).map(Presented::Member)
            }
            Some(Kind::ApiKey(secret)) => self.presented_key(&secret),
            Some(Kind::ApiKeyId(id)) if naming == Naming::Screen => {
                self.parse("subject.api_key_id", &id, KeyId::parse).map(Presented::KeyId)
            }
            Some(Kind::ApiKeyId(_)) => {
                self.wrong("subject.api_key_id", "is for explanations and lists: a check takes `api_key`");
                None
            }
            None => {
                self.wrong("subject", "is missing: expected one of user_id, member_id, api_key");
                None
            }
        }
    }

    /// The secret is never repeated. One that no key of ours can have is still no key's: KEY_INVALID, if it can be
    /// looked up at all.
    fn presented_key(&mut self, secret: &str) -> Option<Presented> {
        let presented = api_key::parse_presented(secret);
        if presented.is_none() {
            self.wrong("subject.api_key", "is no API key: expected `dwk_<id>_<secret>`");
        }
        presented.map(|(id, secret)| Presented::Key(id, secret))
    }

    pub(super) fn origin(
        &mut self,
        context: Option<proto::Context>,
    ) -> Option<(Option<Country>, Option<Domain>)> {
        let context = context.unwrap_or_default();
        let country = self.optional("context.country", &context.country, Country::parse);
        let domain = self.optional("context.email_domain", &context.email_domain, parse_domain);
        Some((country?, domain?))
    }

    fn freshness(
        &mut self,
        keys: &Keys,
        tenant: &TenantId,
        consistency: Option<proto::Consistency>,
    ) -> Option<Freshness> {
        match consistency.and_then(|consistency| consistency.requirement) {
            None | Some(Requirement::MinimizeLatency(_)) => Some(Freshness::MinimizeLatency),
            Some(Requirement::FullyConsistent(_)) => Some(Freshness::Fully),
            Some(Requirement::AtLeastAsFresh(token)) => {
                let seen = seen_by(keys, tenant, &token);
                if seen.is_none() {
                    self.wrong("consistency.at_least_as_fresh", "is no `revision_token` of this tenant");
                }
                seen.map(Freshness::AtLeast)
            }
        }
    }
}

/// The reason as the wire names it.
pub(super) const fn reason(reason: Reason) -> proto::Reason {
    match reason {
        Reason::RoleAdmin => proto::Reason::RoleAdmin,
        Reason::SectionGranted => proto::Reason::SectionGranted,
        Reason::SectionDefaultAllowed => proto::Reason::SectionDefaultAllowed,
        Reason::SectionAlwaysOpen => proto::Reason::SectionAlwaysOpen,
        Reason::SystemSection => proto::Reason::SystemSection,
        Reason::ResourceGranted => proto::Reason::ResourceGranted,
        Reason::KeyScope => proto::Reason::KeyScope,
        Reason::TenantNotFound => proto::Reason::TenantNotFound,
        Reason::TenantDeleted => proto::Reason::TenantDeleted,
        Reason::TenantSuspended => proto::Reason::TenantSuspended,
        Reason::NotAMember => proto::Reason::NotAMember,
        Reason::MemberPending => proto::Reason::MemberPending,
        Reason::MemberDisabled => proto::Reason::MemberDisabled,
        Reason::SubscriptionExpired => proto::Reason::SubscriptionExpired,
        Reason::SubscriptionCancelled => proto::Reason::SubscriptionCancelled,
        Reason::FeatureNotInPlan => proto::Reason::FeatureNotInPlan,
        Reason::SectionUnknown => proto::Reason::SectionUnknown,
        Reason::FeatureDisabled => proto::Reason::FeatureDisabled,
        Reason::AdminRequired => proto::Reason::AdminRequired,
        Reason::SectionAdminOnly => proto::Reason::SectionAdminOnly,
        Reason::SectionDisabled => proto::Reason::SectionDisabled,
        Reason::SectionDefaultDenied => proto::Reason::SectionDefaultDenied,
        Reason::ResourceNotFound => proto::Reason::ResourceNotFound,
        Reason::NotGranted => proto::Reason::NotGranted,
        Reason::ResourceInactive => proto::Reason::ResourceInactive,
        Reason::FirewallCountry => proto::Reason::FirewallCountry,
        Reason::FirewallDomain => proto::Reason::FirewallDomain,
        Reason::KeyInvalid => proto::Reason::KeyInvalid,
        Reason::KeyScopeMissing => proto::Reason::KeyScopeMissing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_name_on_the_wire() {
        for &known in Reason::ALL {
            assert_eq!(reason(known).as_str_name(), format!("REASON_{}", known.name()));
        }
    }
}

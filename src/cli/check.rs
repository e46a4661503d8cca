//! `check` and `explain`: one question to a running service.

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::client::{self, Connection};
use super::output::{self, Format};
use super::{Exit, Failure};
use crate::proto::{
    CheckAccessRequest, Context, ExplainAccessRequest, Reason, Resource, RuleOutcome, RuleStep, Subject,
    subject,
};

/// What is asked.
#[derive(Args, Clone, Debug)]
struct Question {
    /// The tenant's id.
    #[arg(long)]
    tenant: String,
    /// What they want to do: `view` for a section, else an action of the resource's type.
    #[arg(long)]
    action: String,
    /// `section`, or a resource type.
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// The section, `section.part`, or the resource's id.
    #[arg(long)]
    id: String,
    /// The country that the request comes from, as two letters.
    #[arg(long)]
    country: Option<String>,
    /// The domain of the person's email address.
    #[arg(long)]
    email_domain: Option<String>,
}

/// Who wants to.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct Who {
    /// A person, by their id at the identity provider.
    #[arg(long)]
    user: Option<String>,
    /// A member, by their id in the tenant.
    #[arg(long)]
    member: Option<String>,
    /// An API key, by its secret.
    #[arg(long)]
    key: Option<SecretString>,
}

/// Who wants to; keys also by their id.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct WhoExplained {
    /// A person, by their id at the identity provider.
    #[arg(long)]
    user: Option<String>,
    /// A member, by their id in the tenant.
    #[arg(long)]
    member: Option<String>,
    /// An API key, by its secret.
    #[arg(long)]
    key: Option<SecretString>,
    /// An API key, by its public id.
    #[arg(long)]
    key_id: Option<String>,
}

/// Arguments of `check`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    question: Question,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    who: WhoExplained,
    #[command(flatten)]
    question: Question,
    #[command(flatten)]
    connection: Connection,
}

/// An answer, whichever call gave it.
struct Answer {
    allowed: bool,
    reason: Reason,
    hide: bool,
    revision_token: String,
    valid_until: Option<prost_types::Timestamp>,
    degraded: bool,
}

/// Asks.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let Who { user, member, key } = arguments.who.clone();
    let (resource, context) = arguments.question.parts();
    let request = CheckAccessRequest {
        tenant_id: arguments.question.tenant.clone(),
        subject: subject_of(user, member, key, None),
        action: arguments.question.action.clone(),
        resource,
        context,
        consistency: None,
    };
    let answer = arguments.connection.run(async |mut client| {
        let response = client.check_access(request).await.map_err(|status| client::refused(&status))?;
        let response = response.into_inner();
        Ok(Answer {
            allowed: response.allowed,
            reason: response.reason(),
            hide: response.hide,
            revision_token: response.revision_token,
            valid_until: response.valid_until,
            degraded: response.degraded,
        })
    })?;
    match arguments.connection.output {
        Format::Text => output::line(&answer.line()),
        Format::Json => output::line(&Value::Object(answer.object()).to_string()),
    }
    Ok(answer.exit())
}

/// Asks, and shows the way to the answer.
pub(super) fn run_explain(arguments: &ExplainArguments) -> Result<Exit, Failure> {
    let WhoExplained { user, member, key, key_id } = arguments.who.clone();
    let (resource, context) = arguments.question.parts();
    let request = ExplainAccessRequest {
        tenant_id: arguments.question.tenant.clone(),
        subject: subject_of(user, member, key, key_id),
        action: arguments.question.action.clone(),
        resource,
        context,
        consistency: None,
    };
    let (answer, steps) = arguments.connection.run(async |mut client| {
        let response = client.explain_access(request).await.map_err(|status| client::refused(&status))?;
        let response = response.into_inner();
        let answer = Answer {
            allowed: response.allowed,
            reason: response.reason(),
            hide: response.hide,
            revision_token: response.revision_token,
            valid_until: response.valid_until,
            degraded: false,
        };
        Ok((answer, response.steps))
    })?;
    match arguments.connection.output {
        Format::Text => {
            output::line(&answer.line());
            steps.iter().for_each(|step| output::line(&step_line(step)));
        }
        Format::Json => {
            let mut object = answer.object();
            object.insert("steps".to_owned(), steps.iter().map(step_object).collect());
            output::line(&Value::Object(object).to_string());
        }
    }
    Ok(answer.exit())
}

fn subject_of(
    user: Option<String>,
    member: Option<String>,
    key: Option<SecretString>,
    key_id: Option<String>,
) -> Option<Subject> {
    let user = user.map(subject::Kind::UserId);
    let member = || member.map(subject::Kind::MemberId);
    let key = || key.map(|key| subject::Kind::ApiKey(key.expose_secret().to_owned()));
    let key_id = || key_id.map(subject::Kind::ApiKeyId);
    Some(Subject { kind: user.or_else(member).or_else(key).or_else(key_id) })
}

impl Question {
    fn parts(&self) -> (Option<Resource>, Option<Context>) {
        let resource = Resource { r#type: self.kind.clone(), id: self.id.clone() };
        let context = Context {
            country: self.country.clone().unwrap_or_default(),
            email_domain: self.email_domain.clone().unwrap_or_default(),
        };
        (Some(resource), Some(context))
    }
}

impl Answer {
    const fn exit(&self) -> Exit {
        if self.allowed { Exit::Done } else { Exit::No }
    }

    fn reason(&self) -> &'static str {
        let name = self.reason.as_str_name();
        name.strip_prefix("REASON_").unwrap_or(name)
    }

    /// `allowed ROLE_ADMIN`, `denied NOT_GRANTED hide`.
    fn line(&self) -> String {
        let decision = if self.allowed { "allowed" } else { "denied" };
        let hide = if self.hide { " hide" } else { "" };
        let degraded = if self.degraded { " degraded" } else { "" };
        format!("{decision} {}{hide}{degraded}", self.reason())
    }

    fn object(&self) -> Map<String, Value> {
        let valid_until = self.valid_until.as_ref().map(ToString::to_string);
        let fields = [
            ("allowed", json!(self.allowed)),
            ("reason", json!(self.reason())),
            ("hide", json!(self.hide)),
            ("valid_until", json!(valid_until)),
            ("revision_token", json!(self.revision_token)),
            ("degraded", json!(self.degraded)),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn outcome(step: &RuleStep) -> String {
    let name = step.outcome().as_str_name();
    name.strip_prefix("RULE_OUTCOME_").unwrap_or(name).to_lowercase()
}

/// ` 17 stored value          decided  …`
fn step_line(step: &RuleStep) -> String {
    let sign = if step.outcome() == RuleOutcome::Decided { ">" } else { " " };
    format!("{sign}{:>3} {:<28} {:<8} {}", step.rule, step.name, outcome(step), step.finding)
}

fn step_object(step: &RuleStep) -> Value {
    json!({
        "rule": step.rule,
        "name": step.name,
        "outcome": outcome(step),
        "finding": step.finding,
        "facts": step.facts,
    })
}

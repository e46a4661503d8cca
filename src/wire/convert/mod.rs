//! Between the wire's words and the domain's: every field is parsed once, and every mistake is named at once.

pub(super) mod api_key;
pub(super) mod audit;
pub(super) mod catalogue;
pub(super) mod check;
pub(super) mod credential;
mod fields;
pub(super) mod firewall;
pub(super) mod grant;
pub(super) mod invitation;
pub(super) mod list;
pub(super) mod member;
mod page;
pub(super) mod resource;
pub(super) mod section;
pub(super) mod subscription;
pub(super) mod tenant;

use std::sync::Arc;

use doorward_engine::contact::{Domain, Email};
use doorward_engine::id::{IdError, Revision, TenantId};
use doorward_engine::instant::Instant;

pub(super) use self::fields::{Fields, Mutation};
pub(super) use self::page::PageFilter;
use crate::caller::Caller;
use crate::keys::{Keys, Purpose};
use crate::service::{Backend, Call, Control, Done, Operation, Service};
use crate::store::{Effect, Epoch, Seen};
use crate::telemetry::{Metrics, Outcome};

/// What a handler has beside its request.
pub(in crate::wire) struct Context<B: Backend> {
    pub(in crate::wire) service: Arc<Service<B>>,
    pub(in crate::wire) caller: Caller,
    pub(in crate::wire) operation: Operation,
    pub(in crate::wire) keys: Keys,
    pub(in crate::wire) metrics: Arc<Metrics>,
}

/// The common end of every mutation's answer.
pub(in crate::wire) struct Tail {
    pub(in crate::wire) revision: u64,
    pub(in crate::wire) revision_token: String,
    pub(in crate::wire) enforced: bool,
    pub(in crate::wire) replayed: bool,
}

/// Builds a mutation's answer: its own fields, and the common end.
macro_rules! answer {
    ($message:ident { $($own:tt)* }, $tail:expr) => {{
        let tail = $tail;
        crate::proto::$message {
            revision: tail.revision,
            revision_token: tail.revision_token,
            enforced: tail.enforced,
            replayed: tail.replayed,
            $($own)*
        }
    }};
}
pub(in crate::wire) use answer;

impl<B: Backend> Context<B> {
    /// The call that a mutation's service method takes.
    pub(in crate::wire) fn call(&self, control: Control) -> Call {
        Call { caller: self.caller.clone(), control }
    }

    /// The common end of a mutation's answer. `scope` is the tenant's id, or the platform's.
    pub(in crate::wire) fn tail<A>(&self, scope: &str, done: &Done<A>) -> Tail {
        self.metrics.mutation(self.operation.name(), outcome(done.effect));
        if done.effect == Effect::Applied {
            let (operation, caller, revision) = (self.operation.name(), self.caller.name(), done.revision.0);
            let caller = &*caller;
            tracing::info!(target: "doorward::audit", tenant = scope, operation, caller, revision, "audit");
        }
        Tail {
            revision: done.revision.0,
            revision_token: self.revision_token(scope, done.revision),
            enforced: done.enforced,
            replayed: done.replayed(),
        }
    }

    /// A token that says how fresh an answer is.
    pub(in crate::wire) fn revision_token(&self, scope: &str, revision: Revision) -> String {
        let epoch = self.service.epoch();
        let payload = [&revision.0.to_be_bytes(), &epoch.0[..], scope.as_bytes()].concat();
        self.keys.sign(Purpose::Revision, &payload)
    }
}

const fn outcome(effect: Effect) -> Outcome {
    match effect {
        Effect::Applied => Outcome::Applied,
        Effect::Unchanged => Outcome::Unchanged,
        Effect::Validated => Outcome::Validated,
        Effect::Replayed => Outcome::Replayed,
    }
}

/// What the holder of a token of ours has seen of this tenant.
pub(in crate::wire) fn seen_by(keys: &Keys, tenant: &TenantId, token: &str) -> Option<Seen> {
    let payload = keys.check(Purpose::Revision, token)?;
    let (revision, rest) = payload.split_first_chunk::<8>()?;
    let (epoch, scope) = rest.split_first_chunk::<16>()?;
    let seen = Seen { epoch: Epoch(*epoch), revision: Revision(u64::from_be_bytes(*revision)) };
    (scope == tenant.as_str().as_bytes()).then_some(seen)
}

/// A domain in its ASCII form: lower-case, punycode, without a final dot.
pub(in crate::wire) fn parse_domain(text: &str) -> Result<Domain, IdError> {
    let ascii = idna::domain_to_ascii(text.strip_suffix('.').unwrap_or(text)).unwrap_or_default();
    Domain::parse(&ascii)
}

/// An address whose domain may be given in any form.
pub(in crate::wire) fn parse_email(text: &str) -> Result<Email, IdError> {
    match text.rsplit_once('@') {
        Some((local, domain)) => {
            let ascii = idna::domain_to_ascii(domain).unwrap_or_default();
            Email::parse(&format!("{local}@{ascii}"))
        }
        None => Email::parse(text),
    }
}

/// An instant as the wire says it.
pub(in crate::wire) fn timestamp(instant: Instant) -> prost_types::Timestamp {
    let (seconds, micros) = (instant.micros().div_euclid(1_000_000), instant.micros().rem_euclid(1_000_000));
    prost_types::Timestamp { seconds, nanos: i32::try_from(micros * 1_000).unwrap_or_default() }
}

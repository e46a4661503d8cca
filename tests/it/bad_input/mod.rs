//! What bad input gets, row by row of the table in SECURITY.md, over real gRPC: a code, a reason, the fields. Nothing is
//! lost, the server lives, and the text tells what to do.

mod bytes;
mod credentials;
mod fields;
mod lists;
mod outage;
mod pages;
mod resets;
mod states;
pub(crate) mod walk;

use futures::future::join_all;
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::Server;
use crate::matrix::wire::{Answer, Caller};
use crate::matrix::{OWN, furnish, requests};
use crate::raw::operator;
use crate::store::tables::Tables;

/// What no text of an error may hold: words of the database, of libraries, of hosts.
const NOT_OURS: [&str; 16] = [
    "select ",
    "insert ",
    "update \"",
    "delete from",
    "sqlx",
    "sqlite",
    "postgres",
    "prost",
    "tonic",
    "hyper",
    "serde",
    "panicked",
    "127.0.0.1",
    "localhost",
    "unwrap",
    "h2 ",
];
/// The longest that a violation may be, and a status's text and details: with all of them clients that take 8 KiB of
/// trailers take the answer.
const VIOLATION_BYTES_MAX: usize = 410;
const TEXT_BYTES_MAX: usize = 1_100;
const DETAILS_BYTES_MAX: usize = 3_500;
const AT_ONCE: usize = 32;

/// A call, and what it gets.
struct Case {
    method: MethodDescriptor,
    what: String,
    message: Vec<u8>,
    code: Code,
    reason: &'static str,
    /// The field that is named, and whether it is the only one.
    field: Option<(String, bool)>,
}

impl Case {
    /// A request of which one field cannot be understood.
    fn invalid(method: &MethodDescriptor, what: String, request: &DynamicMessage, field: &str) -> Self {
        Self {
            method: method.clone(),
            what,
            message: request.encode_to_vec(),
            code: Code::InvalidArgument,
            reason: "INVALID_FIELD",
            field: Some((field.to_owned(), true)),
        }
    }

    /// Others may be named beside it.
    fn among_others(mut self, is_among: bool) -> Self {
        self.field = self.field.map(|(field, _)| (field, !is_among));
        self
    }

    fn because(self, reason: &'static str) -> Self {
        Self { reason, ..self }
    }

    /// A request that is served.
    fn good(method: &MethodDescriptor, what: String, request: &DynamicMessage) -> Self {
        let code = Code::Ok;
        Self { code, reason: "", field: None, ..Self::invalid(method, what, request, "") }
    }

    /// Bytes that are no message.
    fn malformed(method: &MethodDescriptor, what: String, message: Vec<u8>) -> Self {
        let (code, reason) = (Code::InvalidArgument, "MALFORMED_MESSAGE");
        Self { method: method.clone(), what, message, code, reason, field: None }
    }

    fn fault(&self, answer: &Answer) -> Option<String> {
        let status = Status::with_details(answer.code, &answer.text, answer.details.clone().into());
        let named = named(&status);
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        let is_named = self.field.as_ref().is_none_or(|(field, alone)| {
            named.iter().any(|found| found == field) && (!alone || named.iter().all(|found| found == field))
        });
        let as_expected = (answer.code, reason.as_str()) == (self.code, self.reason) && is_named;
        let problem = if as_expected { untaught(&status)? } else { format!("{reason} {named:?}") };
        let (code, text) = (answer.code, &answer.text);
        Some(format!(
            "{} / {}: {code:?} {problem} ({text:.300}); expected {:?} {} {:?}",
            self.method.name(),
            self.what,
            self.code,
            self.reason,
            self.field
        ))
    }
}

fn named(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|details| details.field_violations);
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}

/// How a status breaks the rules of texts: too long, silent, or in words that are not ours.
fn untaught(status: &Status) -> Option<String> {
    if status.code() == Code::Ok {
        return None;
    }
    let details =
        status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    let mut texts = vec![status.message().to_owned()];
    for violation in details {
        if violation.field.is_empty() || violation.description.is_empty() {
            return Some("a violation that says nothing".to_owned());
        }
        if violation.description.len() > VIOLATION_BYTES_MAX {
            return Some(format!("a violation of {} bytes", violation.description.len()));
        }
        texts.push(violation.description);
    }
    if status.message().len() > TEXT_BYTES_MAX || status.details().len() > DETAILS_BYTES_MAX {
        return Some(format!("{} and {} bytes", status.message().len(), status.details().len()));
    }
    let text = texts.join("\n").to_lowercase();
    NOT_OURS.into_iter().find(|word| text.contains(word)).map(|word| format!("says `{word}`"))
}

/// A server with the tenants `acme` and `beta`, and what was called for.
struct Bench<'s> {
    server: &'s Server,
    caller: Caller,
    tables: Tables,
    before: Vec<String>,
    faults: Vec<String>,
    calls: usize,
}

impl<'s> Bench<'s> {
    async fn over(server: &'s Server) -> Self {
        furnish(server, "acme").await;
        furnish(server, "beta").await;
        Self::furnished(server).await
    }

    async fn furnished(server: &'s Server) -> Self {
        let (caller, tables) = (Caller::over(server.channel()), Tables::at(&server.url).await);
        let before = [tables.of_tenant("acme").await, tables.of_tenant("beta").await].concat();
        Self { server, caller, tables, before, faults: Vec::new(), calls: 0 }
    }

    async fn answer(&self, case: &Case) -> Answer {
        self.caller.call(&case.method, case.message.clone(), &[operator()]).await
    }

    async fn all(&mut self, cases: impl IntoIterator<Item = Case>) {
        let cases: Vec<_> = cases.into_iter().collect();
        for chunk in cases.chunks(AT_ONCE) {
            let answers = join_all(chunk.iter().map(|case| self.answer(case))).await;
            let faults = chunk.iter().zip(&answers).filter_map(|(case, answer)| case.fault(answer));
            self.faults.extend(faults);
            self.calls += chunk.len();
        }
    }

    /// Nothing is lost, the server lives, and every answer was as expected.
    async fn end(self, calls_min: usize) {
        let faults = &self.faults;
        assert!(faults.is_empty(), "{} of {} calls:\n{}", faults.len(), self.calls, faults.join("\n"));
        assert!(self.calls >= calls_min, "{} calls", self.calls);
        let after = [self.tables.of_tenant("acme").await, self.tables.of_tenant("beta").await].concat();
        assert_eq!(after, self.before);
        assert_eq!(self.server.section("acme", "acme-owner", "traces").await, "ROLE_ADMIN");
    }
}

/// Every RPC that is no stream, with a good request of it that writes nothing.
fn good() -> Vec<(MethodDescriptor, DynamicMessage)> {
    let unary = |method: &MethodDescriptor| !method.is_client_streaming() && !method.is_server_streaming();
    let request = |method: MethodDescriptor| {
        let request = requests::request(&method.input(), OWN, true);
        (method, request)
    };
    crate::matrix::methods().into_iter().filter(unary).map(request).collect()
}

//! `audit verify`: recomputes a chain of audit records from what the service answers, and names its first break.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{self, Client, Connection};
use super::output::{self, Format};
use super::{Exit, Failure};
use crate::proto::{AuditChange, AuditEvent, ListAuditEventsRequest};
use crate::store::act::PLATFORM;
use crate::store::audit::{self, Link};
use crate::store::chain::{Break, Chain, Place};

/// How many records are asked for at once.
const PAGE_SIZE: i32 = 500;
/// One record of a mutation of very many members is larger than a client usually takes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What to do with the history.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Recompute a chain of records. Exits with 0 (whole), 3 (broken) or 1 (could not be read).
    Verify(Arguments),
}

/// Arguments of `audit verify`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    scope: Scope,
    /// A head's hash that was printed before and kept elsewhere, in hexadecimal: one of the records must have it.
    #[arg(long, value_name = "HASH", value_parser = parse_hash)]
    expect_head: Option<Hash>,
    #[command(flatten)]
    connection: Connection,
}

/// Whose chain.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct Scope {
    /// A tenant's, by its id.
    #[arg(long)]
    tenant: Option<String>,
    /// The platform's own.
    #[arg(long)]
    platform: bool,
}

/// A hash as an argument.
#[derive(Clone, Copy, Debug)]
struct Hash([u8; 32]);

/// Verifies.
pub(super) fn run(command: &Command) -> Result<Exit, Failure> {
    let Command::Verify(arguments) = command;
    let tenant = arguments.scope.tenant.clone().unwrap_or_default();
    let mut chain = Chain::new(arguments.expect_head.map(|Hash(hash)| hash));
    let broken = arguments.connection.run(async |client| walk(client, &tenant, &mut chain).await)?;
    match arguments.connection.output {
        Format::Json => output::line(&as_json(&tenant, &chain, broken.as_ref()).to_string()),
        Format::Text => tell(&chain, broken.as_ref()),
    }
    Ok(if broken.is_none() { Exit::Done } else { Exit::No })
}

/// Takes every page; none: the chain is whole.
async fn walk(client: Client, tenant: &str, chain: &mut Chain) -> Result<Option<Break>, Failure> {
    let mut client = client.max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut request = ListAuditEventsRequest {
        tenant_id: tenant.to_owned(),
        page_size: PAGE_SIZE,
        ..ListAuditEventsRequest::default()
    };
    loop {
        let answer = client.list_audit_events(request.clone()).await;
        let page = answer.map_err(|status| client::refused(&status))?.into_inner();
        chain.expect(page.head_revision, hash(&page.head_hash)?);
        for event in &page.events {
            if let Err(broken) = take(chain, event)? {
                return Ok(Some(broken));
            }
        }
        if page.next_page_token.is_empty() {
            return Ok(chain.finish().err());
        }
        request.page_token = page.next_page_token;
    }
}

fn take(chain: &mut Chain, event: &AuditEvent) -> Result<Result<(), Break>, Failure> {
    let place =
        Place { revision: event.revision, prev_hash: hash(&event.prev_hash)?, hash: hash(&event.hash)? };
    let parts = audit::parts_text(&event.parts);
    let changes = audit::changes_text(&Value::Array(event.changes.iter().map(change).collect()));
    let given = |text: &'_ str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (actor, request_id) = (given(&event.actor), given(&event.request_id));
    let (peer, trace_id) = (given(&event.peer), given(&event.trace_id));
    let link = Link {
        tenant: if event.tenant_id.is_empty() { PLATFORM } else { &event.tenant_id },
        revision: event.revision,
        at_micros: micros(event),
        operation: &event.operation,
        caller: &event.caller,
        actor: actor.as_deref(),
        request_id: request_id.as_deref(),
        peer: peer.as_deref(),
        trace_id: trace_id.as_deref(),
        parts: &parts,
        changes: &changes,
    };
    Ok(chain.next(place, |revision| audit::hash(&place.prev_hash, &Link { revision, ..link })))
}

fn micros(event: &AuditEvent) -> i64 {
    let Some(time) = event.time else { return i64::MIN };
    time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos / 1_000))
}

/// The change as it was stored. What is no JSON is left as a text, and so fits no hash.
fn change(change: &AuditChange) -> Value {
    let record = |json: &str| match json {
        "" => Value::Null,
        json => serde_json::from_str(json).unwrap_or_else(|_| Value::from(json)),
    };
    json!({
        "kind": change.kind,
        "id": change.id,
        "before": record(&change.before),
        "after": record(&change.after),
    })
}

fn hash(bytes: &[u8]) -> Result<[u8; 32], Failure> {
    let wrong =
        || Failure("the service answered no hashes: it is of another version than this command".to_owned());
    bytes.try_into().map_err(|_| wrong())
}

fn parse_hash(text: &str) -> Result<Hash, String> {
    let allowed = || "64 hexadecimal digits, as `audit verify` prints the head".to_owned();
    let digits = text.as_bytes().chunks_exact(2).map(|pair| {
        let pair =
            std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes = digits.collect::<Option<Vec<_>>>().filter(|_| text.len() == 64).ok_or_else(allowed)?;
    bytes.try_into().map(Hash).map_err(|_| allowed())
}

fn hex(hash: [u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tell(chain: &Chain, broken: Option<&Break>) {
    match broken {
        Some(broken) => output::line(&format!("broken at {broken}")),
        None => {
            output::line(&format!("whole: {} records", chain.len()));
            output::line(&format!("head={}", hex(chain.hash())));
            if let Some(revision) = chain.anchored_at() {
                output::line(&format!("the expected head is revision {revision}"));
            }
        }
    }
}

fn as_json(tenant: &str, chain: &Chain, broken: Option<&Break>) -> Value {
    json!({
        "tenant": Some(tenant).filter(|tenant| !tenant.is_empty()),
        "whole": broken.is_none(),
        "verified": chain.len(),
        "head_hash": hex(chain.hash()),
        "expected_head_revision": chain.anchored_at(),
        "broken": broken.map(|broken| json!({
            "revision": broken.revision,
            "fault": broken.fault.name(),
            "what": broken.to_string(),
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(parse_hash(&text).map(|Hash(hash)| hex(hash)), Ok(text.clone()));
        for wrong in ["", "00", &text[1..], &format!("{text}0"), &"+f".repeat(32), &"é".repeat(32)] {
            assert!(parse_hash(wrong).is_err(), "{wrong}");
        }
    }
}

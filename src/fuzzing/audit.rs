//! What fuzzing does with the log's rows: a row is verified by what it says, however its JSON was laid out, and by
//! nothing else.

use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use serde_json::Value;

use crate::store::audit::{Link, NO_HASH, hash, parts_text, verify};
use crate::store::directory::LogRow;

const TENANT: &str = "acme";

/// The changes of a row, in JSON.
pub fn audit(bytes: &[u8]) {
    let Ok(changes) = serde_json::from_slice::<Value>(bytes) else { return };
    // No record of ours has a fraction in it, and JSON does not keep every one of them.
    if has_fraction(&changes) {
        return;
    }
    let row = row(changes);
    assert!(verify(&row, TENANT));
    let text = row.changes.to_string();
    let read = serde_json::from_str(&text).unwrap_or_default();
    assert!(verify(&LogRow { changes: read, ..row.clone() }, TENANT), "as it is stored and read: {text}");
    assert!(!verify(&row, "acm"));
    assert!(!verify(
        &LogRow { operation: "SetGrantso".to_owned(), caller: "perator".to_owned(), ..row.clone() },
        TENANT
    ));
    let nested = Value::Array(vec![row.changes.clone()]);
    assert!(!verify(&LogRow { changes: nested, ..row.clone() }, TENANT));
    assert!(!verify(&LogRow { prev_hash: [1; 32], ..row }, TENANT));
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        _ => false,
    }
}

fn row(changes: Value) -> LogRow {
    let mut row = LogRow {
        revision: Revision(3),
        at: Instant::from_micros(5),
        operation: "SetGrants".to_owned(),
        caller: "operator".to_owned(),
        actor: Some("m1".to_owned()),
        request_id: None,
        peer: Some(String::new()),
        trace_id: None,
        parts: vec!["member:m1".to_owned()],
        changes,
        prev_hash: NO_HASH,
        hash: NO_HASH,
    };
    row.hash = hash(
        &row.prev_hash,
        &Link {
            tenant: TENANT,
            revision: row.revision.0,
            at_micros: row.at.micros(),
            operation: &row.operation,
            caller: &row.caller,
            actor: row.actor.as_deref(),
            request_id: row.request_id.as_deref(),
            peer: row.peer.as_deref(),
            trace_id: row.trace_id.as_deref(),
            parts: &parts_text(&row.parts),
            changes: &written(&row.changes),
        },
    );
    row
}

/// A second writer of canonical JSON: objects by their keys, nothing between.
fn written(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields = fields
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), written(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(written).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

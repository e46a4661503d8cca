//! Promises of `audit verify`: whatever was altered past the service is named, and nothing else is.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward::proto;
use doorward::store::audit::{self, Link};
use serde_json::Value;

use super::{acme, events, list, rename, text};
use crate::binary::{self, Said};
use crate::harness::{Server, TOKEN, on_both};
use crate::store::tables::Tables;

fn command(server: &Server, arguments: &[&str]) -> Command {
    let address = format!("http://{}", server.running.grpc);
    let all = [&["audit", "verify"], arguments].concat();
    binary::doorward(&all, &[("DOORWARD_ADDRESS", &address), ("DOORWARD_TOKEN", TOKEN)])
}

fn said(server: &Server, arguments: &[&str]) -> Said {
    binary::finish(binary::spawn(&mut command(server, arguments)))
}

/// The exit code and the answer.
pub(super) fn verified(server: &Server, arguments: &[&str]) -> (Option<i32>, Value) {
    let said = said(server, &[arguments, &["--output", "json"]].concat());
    let answer = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    (said.code, answer)
}

/// Asserts that a chain is whole; answers how many records it has.
#[track_caller]
pub(super) fn whole(server: &Server, tenant: &str) -> u64 {
    let (code, answer) = verified(server, &["--tenant", tenant]);
    assert_eq!(
        (code, &answer["whole"], &answer["broken"]),
        (Some(0), &Value::Bool(true), &Value::Null),
        "{answer}"
    );
    answer["verified"].as_u64().unwrap()
}

/// The first break: its revision and fault.
#[track_caller]
fn broken(server: &Server) -> (u64, String) {
    let (code, answer) = verified(server, &["--tenant", "acme"]);
    assert_eq!((code, &answer["whole"]), (Some(3), &Value::Bool(false)), "{answer}");
    let broken = &answer["broken"];
    (broken["revision"].as_u64().unwrap(), broken["fault"].as_str().unwrap().to_owned())
}

/// Alters the log, tells what is found, and puts it back.
async fn altered(server: &Server, tables: &Tables, alter: &[String]) -> (u64, String) {
    for sql in alter {
        tables.execute(sql).await;
    }
    let found = broken(server);
    for sql in ["DELETE FROM change_log", "INSERT INTO change_log SELECT * FROM kept"] {
        tables.execute(sql).await;
    }
    whole(server, "acme");
    found
}

fn bytes(tables: &Tables, hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    if tables.is_sqlite() { format!("X'{hex}'") } else { format!("'\\x{hex}'") }
}

async fn kept(server: &Server) -> Tables {
    acme(server).await;
    let tables = Tables::at(&server.url).await;
    tables.execute("CREATE TABLE kept AS SELECT * FROM change_log").await;
    assert_eq!(whole(server, "acme"), 6);
    tables
}

on_both!(a_changed_value_in_any_column_is_found_and_named, |server| {
    let tables = kept(server).await;
    let other = bytes(&tables, &[7; 32]);
    let cases = [
        ("at_us", "at_us + 1", "changed"),
        ("operation", "'EnableMember'", "changed"),
        ("caller", "'service:x'", "changed"),
        ("actor", "'ben'", "changed"),
        ("actor", "NULL", "changed"),
        ("request_id", "'r'", "changed"),
        ("peer", "NULL", "changed"),
        ("peer", "'127.0.0.1:1'", "changed"),
        ("trace_id", "'t'", "changed"),
        ("parts", "'[\"member:ben\",\"tenant\"]'", "changed"),
        ("parts", "'[]'", "changed"),
        ("changes", "replace(changes, 'SET', 'DEFAULT')", "changed"),
        ("changes", "'[]'", "changed"),
        ("prev_hash", other.as_str(), "changed"),
        ("hash", other.as_str(), "changed"),
    ];
    for (column, value, fault) in cases {
        let alter = format!("UPDATE change_log SET {column} = {value} WHERE tenant_id = 'acme' AND rev = 4");
        assert_eq!(altered(server, &tables, &[alter]).await, (4, text(fault)), "{column} = {value}");
    }
});

on_both!(rows_that_are_missing_swapped_or_replaced_are_found_and_named, |server| {
    let tables = kept(server).await;
    let gone = |which: &str| format!("DELETE FROM change_log WHERE tenant_id = 'acme' AND {which}");
    assert_eq!(altered(server, &tables, &[gone("rev = 3")]).await, (3, text("missing")));
    assert_eq!(altered(server, &tables, &[gone("rev IN (3, 4)")]).await, (3, text("missing")));
    assert_eq!(altered(server, &tables, &[gone("rev = 6")]).await, (6, text("tail")));
    assert_eq!(altered(server, &tables, &[gone("rev = 1")]).await, (1, text("beginning")));
    assert_eq!(altered(server, &tables, &[gone("rev > 0")]).await, (1, text("tail")));
    let moved = |from: u64, to: u64| {
        format!("UPDATE change_log SET rev = {to} WHERE tenant_id = 'acme' AND rev = {from}")
    };
    let swap = [moved(3, 99), moved(4, 3), moved(99, 4)];
    assert_eq!(altered(server, &tables, &swap).await, (3, text("moved")));
    // One that is hashed anew fits itself, and not the row after it.
    let rehash = async |at: usize| {
        let event = events(server, list()).await.remove(at);
        let hash = hashed(&event, "EnableMember");
        format!(
            "UPDATE change_log SET operation = 'EnableMember', hash = {} WHERE tenant_id = 'acme' AND rev = {}",
            bytes(&tables, &hash),
            event.revision
        )
    };
    assert_eq!(altered(server, &tables, &[rehash(3).await]).await, (5, text("link")));
    assert_eq!(altered(server, &tables, &[rehash(5).await]).await, (6, text("head")));
    let said = said(server, &["--tenant", "acme"]);
    assert!(said.stdout.starts_with("whole: 6 records\nhead="), "{said:?}");
});

/// The hash of an event under another operation.
fn hashed(event: &proto::AuditEvent, operation: &str) -> [u8; 32] {
    let record = |json: &str| serde_json::from_str::<Value>(json).unwrap_or_default();
    let change = |change: &proto::AuditChange| {
        serde_json::json!({
            "kind": change.kind,
            "id": change.id,
            "before": record(&change.before),
            "after": record(&change.after),
        })
    };
    let changes = Value::from(event.changes.iter().map(change).collect::<Vec<_>>());
    let time = event.time.unwrap();
    let given = |text: &'static str| Some(text).filter(|text| !text.is_empty());
    let leak = |text: &str| given(Box::leak(text.to_owned().into_boxed_str()));
    let link = Link {
        tenant: "acme",
        revision: event.revision,
        at_micros: time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000,
        operation,
        caller: &event.caller,
        actor: leak(&event.actor),
        request_id: leak(&event.request_id),
        peer: leak(&event.peer),
        trace_id: leak(&event.trace_id),
        parts: &audit::parts_text(&event.parts),
        changes: &audit::changes_text(&changes),
    };
    let before: [u8; 32] = event.prev_hash.clone().try_into().unwrap();
    assert_eq!(audit::hash(&before, &Link { operation: &event.operation, ..link }).to_vec(), event.hash);
    audit::hash(&before, &link)
}

on_both!(a_head_that_was_kept_elsewhere_must_be_in_the_chain, |server| {
    acme(server).await;
    let head = verified(server, &["--tenant", "acme"]).1["head_hash"].as_str().unwrap().to_owned();
    server.operator().update_member(rename("ben", "Another")).await.unwrap();
    let (code, answer) = verified(server, &["--tenant", "acme", "--expect-head", &head]);
    assert_eq!((code, answer["expected_head_revision"].as_u64()), (Some(0), Some(6)));
    let (code, answer) = verified(server, &["--tenant", "acme", "--expect-head", &"0a".repeat(32)]);
    assert_eq!((code, answer["broken"]["fault"].as_str()), (Some(3), Some("anchor")));
    assert_eq!(said(server, &["--tenant", "acme", "--expect-head", "0a"]).code, Some(1));
});

on_both!(the_platforms_chain_is_verified_and_an_unknown_tenant_is_an_error, |server| {
    let (code, answer) = verified(server, &["--platform"]);
    assert_eq!((code, answer["verified"].as_u64()), (Some(0), Some(0)));
    let document = text(doorward_engine::catalogue::SHIPPED) + "\n# another\n";
    let apply = proto::ApplyCatalogueRequest { document, ..Default::default() };
    server.operator().apply_catalogue(apply).await.unwrap();
    let (code, answer) = verified(server, &["--platform"]);
    assert_eq!((code, answer["verified"].as_u64()), (Some(0), Some(1)));
    let unknown = said(server, &["--tenant", "nowhere"]);
    assert_eq!(unknown.code, Some(1));
    assert_eq!(said(server, &[]).code, Some(1));
    assert_eq!(said(server, &["--tenant", "acme", "--platform"]).code, Some(1));
});

on_both!(writers_at_work_are_no_break, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let at_work = AtomicUsize::new(4);
    let writer = async |user: usize| {
        let mut client = server.another_connection().await;
        for turn in 0..150 {
            let wait = proto::Wait::Committed.into();
            let request = rename("ben", &format!("Ben {user} {turn}"));
            client.update_member(proto::UpdateMemberRequest { wait, ..request }).await.unwrap();
        }
        at_work.fetch_sub(1, Ordering::SeqCst);
    };
    let verifier = async {
        let mut looks = 0;
        while at_work.load(Ordering::SeqCst) > 0 {
            let mut command = command(server, &["--tenant", "acme"]);
            let said = tokio::task::spawn_blocking(move || binary::finish(binary::spawn(&mut command)));
            let said = said.await.unwrap();
            assert_eq!(said.code, Some(0), "{said:?}");
            looks += 1;
        }
        looks
    };
    let (looks, ..) = tokio::join!(verifier, writer(0), writer(1), writer(2), writer(3));
    assert!(looks > 1, "{looks}");
    assert_eq!(whole(server, "acme"), 603);
});

//! Calls in a trace: which are recorded, under whose span, and what the log and the history say of them.

use std::collections::BTreeSet;

use tempfile::tempdir;
use tokio::runtime::Runtime;

use super::collector::{Collector, Manner, Seen};
use super::traced::{SPAN, Traced, trace};
use crate::transport::certificates::{Authority, Folder};

/// `traceparent` of a test's trace.
fn parent(number: u8, flags: &str) -> String {
    format!("00-{}-{SPAN}-{flags}", trace(number))
}

fn of_trace(spans: &[Seen], number: u8) -> Vec<&Seen> {
    spans.iter().filter(|span| span.trace == trace(number)).collect()
}

fn rpc<'s>(spans: &[&'s Seen]) -> &'s Seen {
    let calls: Vec<_> = spans.iter().filter(|span| span.kind == "server").collect();
    assert_eq!(calls.len(), 1, "{spans:?}");
    calls[0]
}

#[test]
fn a_recorded_call_is_a_span_under_its_callers_and_what_it_asks_for_is_under_it() {
    let (runtime, files) = (Runtime::new().unwrap(), tempdir().unwrap());
    let (url, log) = (format!("sqlite://{}/d.db", files.path().display()), files.path().join("log"));
    let collector = runtime.block_on(Collector::start(Manner::Takes, None));
    let endpoint = collector.url();
    let settings = [("DOORWARD_TELEMETRY__OTLP_ENDPOINT", &*endpoint), ("DOORWARD_LOG__FORMAT", "json")];
    let logged = runtime.block_on(async {
        let traced = Traced::start(&url, &settings, &log).await;
        traced.create_tenant("acme", Some(&parent(1, "01"))).await;
        traced.check("acme", "acme-owner", Some(&parent(2, "01"))).await.unwrap();
        traced.check("acme", "acme-owner", Some(&parent(3, "01"))).await.unwrap();
        traced.check("nobody", "acme-owner", Some(&parent(4, "01"))).await.unwrap();
        traced.check("acme", "", Some(&parent(5, "01"))).await.unwrap_err();
        // Not recorded: in a trace that is not, in none, and in what is no trace.
        traced.suspend_tenant("acme", Some(&parent(6, "00"))).await;
        traced.check("acme", "acme-owner", None).await.unwrap();
        traced.check("acme", "acme-owner", Some("00-beef-01")).await.unwrap();
        let logged = traced.logged_traces("acme").await;
        traced.server.stop();
        logged
    });
    let spans = collector.spans();
    let traces: BTreeSet<_> = spans.iter().map(|span| span.trace.clone()).collect();
    assert_eq!(traces, (1..=5).map(trace).collect(), "{spans:?}");
    for number in 1..=5 {
        let of_trace = of_trace(&spans, number);
        let call = rpc(&of_trace);
        assert_eq!((call.parent.as_str(), call.is_error), (SPAN, false), "{call:?}");
        let ids: BTreeSet<_> = of_trace.iter().map(|span| &span.id).collect();
        assert!(of_trace.iter().all(|span| span.id == call.id || ids.contains(&span.parent)), "{of_trace:?}");
    }
    let asked = of_trace(&spans, 2);
    let (call, statement) = (rpc(&asked), asked.iter().find(|span| span.name == "sqlite snapshot"));
    assert_eq!(call.name, "doorward.v1.AccessService/CheckAccess");
    assert_eq!(statement.unwrap().parent, call.id);
    let said = |span: &Seen, name: &str| span.attributes.get(name).cloned().unwrap_or_default();
    let told = |number| {
        let of_trace = of_trace(&spans, number);
        let names = ["doorward.tenant", "doorward.decision", "doorward.reason", "doorward.tier"];
        let call = rpc(&of_trace);
        (names.map(|name| said(call, name)).join(" "), said(call, "rpc.grpc.status_code"))
    };
    assert_eq!(told(2), ("acme allowed ROLE_ADMIN store".to_owned(), "0".to_owned()));
    assert_eq!(told(3), ("acme allowed ROLE_ADMIN near".to_owned(), "0".to_owned()));
    assert_eq!(of_trace(&spans, 3).len(), 1, "nothing was asked of the database");
    assert_eq!(told(4), (" denied TENANT_NOT_FOUND store".to_owned(), "0".to_owned()));
    assert_eq!(told(5), ("   ".to_owned(), "3".to_owned()));
    assert_eq!(logged, [trace(1), trace(6)]);
    let (created, lines) = (rpc(&of_trace(&spans, 1)).id.clone(), std::fs::read_to_string(&log).unwrap());
    let line = |operation: &str| {
        let found = lines.lines().find(|line| line.contains("doorward::audit") && line.contains(operation));
        let line: serde_json::Value = serde_json::from_str(found.expect(&lines)).unwrap();
        ["trace_id", "span_id"].map(|name| line[name].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(line("CreateTenant"), [trace(1), created]);
    assert_eq!(line("SuspendTenant"), [trace(6), SPAN.to_owned()], "its caller's");
}

#[test]
fn a_call_without_a_trace_begins_one_as_often_as_the_ratio_says_and_over_tls() {
    let (runtime, files) = (Runtime::new().unwrap(), tempdir().unwrap());
    let (url, log) = (format!("sqlite://{}/d.db", files.path().display()), files.path().join("log"));
    let (authority, folder) = (Authority::new("collectors"), Folder::new());
    let collector = runtime.block_on(Collector::start(Manner::Takes, Some(authority.server())));
    let ca_file = folder.write("ca.pem", &authority.pem()).display().to_string();
    let endpoint = format!("https://localhost:{}", collector.port);
    let settings = [
        ("DOORWARD_TELEMETRY__OTLP_ENDPOINT", &*endpoint),
        ("DOORWARD_TELEMETRY__OTLP_CA_FILE", &*ca_file),
        ("DOORWARD_TELEMETRY__TRACE_RATIO", "1"),
    ];
    let logged = runtime.block_on(async {
        let traced = Traced::start(&url, &settings, &log).await;
        traced.create_tenant("acme", None).await;
        traced.check("acme", "acme-owner", Some(&parent(7, "00"))).await.unwrap();
        let logged = traced.logged_traces("acme").await;
        // Without waiting for the end.
        traced.call_until("doorward_spans_total{outcome=\"exported\"}", async |_| ()).await;
        traced.server.stop();
        logged
    });
    let spans = collector.spans();
    let created = spans.iter().find(|span| span.name.ends_with("/CreateTenant")).unwrap();
    assert_eq!((logged, created.parent.as_str()), (vec![created.trace.clone()], ""));
    assert!(!spans.iter().any(|span| span.name.ends_with("/CheckAccess")), "its caller does not record it");
    let lines = std::fs::read_to_string(&log).unwrap();
    let ids = format!(" trace_id={} span_id={}", created.trace, created.id);
    assert!(lines.lines().any(|line| line.contains("doorward::audit") && line.ends_with(&ids)), "{lines}");
    let senders = collector.senders();
    let sender = senders.first().unwrap();
    assert_eq!((senders.len(), sender["service.name"].as_str()), (1, "doorward"));
    assert_eq!(sender["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(sender["service.instance.id"].len(), 36);
}

//! A collector that is down, refuses or hangs: calls are answered as ever, what is lost is counted, and the end comes.

use std::time::Duration;

use tempfile::tempdir;
use tokio::runtime::Runtime;

use super::collector::{Collector, Manner};
use super::traced::Traced;

/// Where nobody listens, and no test will.
const NOBODY: &str = "http://127.0.0.1:1";
const FAILED: &str = "doorward_spans_total{outcome=\"failed\"}";
const DROPPED: &str = "doorward_spans_total{outcome=\"dropped\"}";
/// How long the binary may take to stop: far less than a collector that hangs does.
const END_MAX: Duration = Duration::from_secs(20);

/// Checks at such a collector until each series counts, and then at the end.
fn promise(manner: Option<Manner>, settings: &[(&str, &str)], series: &[&str]) {
    let (runtime, files) = (Runtime::new().unwrap(), tempdir().unwrap());
    let (url, log) = (format!("sqlite://{}/d.db", files.path().display()), files.path().join("log"));
    let collector = manner.map(|manner| runtime.block_on(Collector::start(manner, None)));
    let endpoint = collector.as_ref().map_or(NOBODY.to_owned(), Collector::url);
    let mut all = vec![
        ("DOORWARD_TELEMETRY__OTLP_ENDPOINT", endpoint.as_str()),
        ("DOORWARD_TELEMETRY__TRACE_RATIO", "1"),
    ];
    all.extend(settings);
    runtime.block_on(async {
        let traced = Traced::start(&url, &all, &log).await;
        traced.create_tenant("acme", None).await;
        let check = async |traced: &Traced| {
            let answer = traced.check("acme", "acme-owner", None).await.unwrap();
            assert!(answer.allowed, "{answer:?}");
        };
        for series in series {
            traced.call_until(series, check).await;
        }
        check(&traced).await;
        assert_eq!(traced.counted("doorward_spans_total{outcome=\"exported\"}"), 0.0);
        let (status, took) = traced.server.stop();
        assert!(status.success() && took < END_MAX, "{status} after {took:?}");
    });
    let lines = std::fs::read_to_string(&log).unwrap();
    let told = lines.lines().filter(|line| line.contains("takes no spans")).count();
    assert_eq!(told, 1, "once, not for each batch: {lines}");
}

#[test]
fn a_collector_that_is_down_or_refuses_holds_up_nothing() {
    promise(None, &[], &[FAILED]);
    promise(Some(Manner::Refuses), &[], &[FAILED]);
}

#[test]
fn a_collector_that_hangs_holds_up_nothing_and_what_finds_no_room_is_dropped() {
    let settings = [("DOORWARD_TELEMETRY__TRACE_QUEUE", "2"), ("DOORWARD_TELEMETRY__OTLP_TIMEOUT_MS", "500")];
    promise(Some(Manner::Hangs), &settings, &[DROPPED, FAILED]);
}

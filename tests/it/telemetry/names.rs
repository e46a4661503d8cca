//! docs/telemetry.md against what is exported, both ways: names, types, labels and their values; spans and attributes.

use std::collections::{BTreeMap, BTreeSet};

use tempfile::tempdir;
use tokio::runtime::Runtime;

use super::collector::{Collector, Manner, Seen};
use super::traced::{SPAN, Traced, trace};
use crate::postgres;
use crate::redis::Redis;

const DOCS: &str = include_str!("../../../docs/telemetry.md");

/// What is between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of the table under a heading, without its head.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCS.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// A metric: its type, and its labels with the values that they may have; none given: any.
type Metrics = BTreeMap<String, (String, BTreeMap<String, BTreeSet<String>>)>;

fn documented() -> Metrics {
    let mut metrics = Metrics::new();
    for row in rows("Metrics") {
        let labels: BTreeMap<_, _> = row[2]
            .split_inclusive(')')
            .flat_map(|part| {
                let (names, values) = part.split_once('(').unwrap_or((part, ""));
                let (names, values) = (quoted(names), quoted(values));
                let last = names.len().saturating_sub(1);
                let with_values = move |(at, name): (usize, &str)| {
                    let values = values.iter().filter(|_| at == last).map(|value| (*value).to_owned());
                    (name.to_owned(), values.collect())
                };
                names.into_iter().enumerate().map(with_values).collect::<Vec<_>>()
            })
            .collect();
        for name in quoted(row[0]) {
            metrics.insert(name.to_owned(), (row[1].to_owned(), labels.clone()));
        }
    }
    metrics
}

/// The name of a metric by that of its type's line.
fn shown(name: &str, kind: &str) -> String {
    match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    }
}

fn scraped(text: &str) -> Metrics {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut metrics: Metrics =
        types.map(|(name, kind)| (shown(name, kind), (kind.to_owned(), BTreeMap::new()))).collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known = of_histogram.filter(|name| metrics.contains_key(*name)).unwrap_or(name).to_owned();
        let (_, seen) = metrics.get_mut(&known).unwrap_or_else(|| panic!("{line} has no type"));
        let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
        for (label, value) in labels.map(|label| label.split_once("=\"").unwrap()) {
            if label != "le" {
                let value = value.trim_end_matches('"').to_owned();
                seen.entry(label.to_owned()).or_default().insert(value);
            }
        }
    }
    metrics
}

#[track_caller]
fn assert_metrics_are_as_documented(text: &str) {
    let (documented, scraped) = (documented(), scraped(text));
    let names = |metrics: &Metrics| metrics.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&scraped), names(&documented), "exported, and listed in docs/telemetry.md");
    for (name, (kind, labels)) in &scraped {
        let (documented_kind, allowed) = &documented[name];
        assert_eq!(kind, documented_kind, "{name}");
        let names = |labels: &BTreeMap<String, _>| labels.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(labels), names(allowed), "the labels of {name}");
        for (label, values) in labels.iter().filter(|(label, _)| !allowed[*label].is_empty()) {
            assert!(values.is_subset(&allowed[label]), "{name}: {label} is one of {values:?}");
        }
    }
}

/// A span's name in the documentation, `<…>` being anything.
fn is_called(name: &str, documented: &str) -> bool {
    match documented.split_once('<') {
        Some((start, _)) => name.starts_with(start) && name.len() > start.len(),
        None => name == documented,
    }
}

#[track_caller]
fn assert_spans_are_as_documented(spans: &[Seen]) {
    let mut undocumented: BTreeSet<String> =
        spans.iter().map(|span| format!("{} ({})", span.name, span.kind)).collect();
    for row in rows("Traces") {
        let listed: BTreeSet<_> = quoted(row[2]).into_iter().map(str::to_owned).collect();
        for name in quoted(row[0]) {
            let called: Vec<_> =
                spans.iter().filter(|span| is_called(&span.name, name) && span.kind == row[1]).collect();
            let seen: BTreeSet<_> = called.iter().flat_map(|span| span.attributes.keys().cloned()).collect();
            assert!(!called.is_empty(), "`{name}` ({}) is listed, and never seen: {undocumented:?}", row[1]);
            assert_eq!(seen, listed, "the attributes of `{name}`");
            undocumented
                .retain(|span| !called.iter().any(|it| *span == format!("{} ({})", it.name, it.kind)));
        }
    }
    assert!(undocumented.is_empty(), "exported, and not listed: {undocumented:?}");
}

#[test]
fn the_documentation_lists_what_is_exported_and_nothing_else() {
    let (runtime, files) = (Runtime::new().unwrap(), tempdir().unwrap());
    let collector = runtime.block_on(Collector::start(Manner::Takes, None));
    let (redis, database) = (Redis::start(""), postgres::fresh_database());
    runtime.block_on(doorward::store::sql::migrate(&database)).unwrap();
    let file = format!("sqlite://{}/d.db", files.path().display());
    let (endpoint, log) = (collector.url(), files.path().join("log"));
    let to_collector = ("DOORWARD_TELEMETRY__OTLP_ENDPOINT", endpoint.as_str());
    let metrics = runtime.block_on(async {
        let redis = redis.url();
        let traced = Traced::start(&database, &[to_collector, ("DOORWARD_REDIS__URL", &redis)], &log).await;
        let parent = format!("00-{}-{SPAN}-01", trace(1));
        let parent = Some(parent.as_str());
        traced.create_tenant("acme", parent).await;
        // Nobody of these is known yet, so that Redis is asked once it is there.
        let asked = std::cell::Cell::new(0);
        let check = async |traced: &Traced| {
            asked.set(asked.get() + 1);
            traced.check("acme", &format!("user-{}", asked.get()), parent).await.unwrap();
        };
        traced.call_until("doorward_far_total{outcome=\"miss\"}", check).await;
        traced.batch("acme", "acme-owner", parent).await;
        traced.suspend_tenant("acme", parent).await;
        let metrics = traced.metrics();
        traced.server.stop();
        let traced = Traced::start(&file, &[to_collector], &log).await;
        traced.check("acme", "nobody", parent).await.unwrap();
        traced.server.stop();
        metrics
    });
    assert_metrics_are_as_documented(&metrics);
    assert_spans_are_as_documented(&collector.spans());
}

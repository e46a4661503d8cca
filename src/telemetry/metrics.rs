//! Counts and durations, as Prometheus reads them. Every label comes from a closed set: no caller can add a series.

use doorward_engine::reason::Reason;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::admission::Admissions;
use super::audit::Audit;
use super::caches::Caches;
use super::connections::Connections;
use super::durations::Durations;
use super::outcomes::Outcomes;
use super::people::People;
use super::pools::Pools;
use super::reloads::Reloads;
use super::spans::Spans;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where the facts of a decision may come from.
const TIERS: [&str; 3] = ["near", "far", "store"];

/// How a mutation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It changed something.
    Applied,
    /// All was as it asked for.
    Unchanged,
    /// It was a dry run.
    Validated,
    /// It answered an earlier request again.
    Replayed,
    /// It was refused.
    Refused,
    /// It failed, and may or may not have been applied.
    Failed,
}

impl Outcome {
    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Validated => "validated",
            Self::Replayed => "replayed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.name(), encoder)
    }
}

/// What became of a fact asked of, or given to, the cache that replicas share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FarOutcome {
    /// It was there.
    Hit,
    /// It was not there.
    Miss,
    /// The cache did not answer in time.
    Timeout,
    /// The cache could not be reached, or answered with an error.
    Error,
    /// The cache was not asked: its breaker is open, or too many ask already.
    Open,
    /// What was there is not ours, of something else, or cannot be read.
    Rejected,
    /// It was not stored: too many wait to be stored, or it is too large.
    Dropped,
}

impl FarOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] =
        [Self::Hit, Self::Miss, Self::Timeout, Self::Error, Self::Open, Self::Rejected, Self::Dropped];

    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Open => "open",
            Self::Rejected => "rejected",
            Self::Dropped => "dropped",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    decision: &'static str,
    reason: &'static str,
    tier: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MutationLabels {
    operation: &'static str,
    outcome: Outcome,
}

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// A counter for each reason, in their order, and each tier: a check takes no lock.
    checks: Vec<(&'static str, Vec<Counter>)>,
    mutations: Family<MutationLabels, Counter>,
    far: Outcomes<{ FarOutcome::ALL.len() }>,
    /// How long calls took.
    pub durations: Durations,
    /// Those of what is taken on.
    pub admissions: Admissions,
    /// Those of the caches.
    pub caches: Caches,
    /// Those of people's tokens.
    pub people: People,
    /// Those of the gRPC port.
    pub connections: Connections,
    /// Those of the history.
    pub audit: Audit,
    /// Those of settings that are read again.
    pub reloads: Reloads,
    /// Those of the database's connections.
    pub pools: Pools,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that have counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::beside(&Spans::default())
    }

    /// The same, beside spans that are counted already.
    #[must_use]
    pub fn beside(spans: &Spans) -> Self {
        let mut registry = Registry::default();
        spans.register(&mut registry);
        let (durations, pools) = (Durations::default(), Pools::default());
        registry.register_collector(Box::new(durations.clone()));
        registry.register_collector(Box::new(pools.clone()));
        let checks = Family::<CheckLabels, Counter>::default();
        registry.register(
            "doorward_checks",
            "Decisions, by reason and by where their facts came from",
            checks.clone(),
        );
        let mutations = Family::default();
        registry.register("doorward_mutations", "Mutations, by how they ended", mutations.clone());
        let far = Outcomes::of("outcome", FarOutcome::ALL.map(FarOutcome::name));
        let help = "Facts in the cache that replicas share, by outcome";
        let far = far.registered(&mut registry, "doorward_far", help);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("doorward_build", "What was built", version);
        let of_tier = |tier| {
            let counters =
                Reason::ALL.iter().map(|&reason| checks.get_or_create_owned(&labels(reason, tier)));
            (tier, counters.collect())
        };
        let checks = TIERS.map(of_tier).into();
        let admissions = Admissions::registered(&mut registry);
        let caches = Caches::registered(&mut registry);
        let people = People::registered(&mut registry);
        let connections = Connections::registered(&mut registry);
        let audit = Audit::registered(&mut registry);
        let reloads = Reloads::registered(&mut registry);
        Self {
            registry,
            durations,
            checks,
            mutations,
            far,
            admissions,
            caches,
            people,
            connections,
            audit,
            reloads,
            pools,
        }
    }

    /// A question was decided, with facts of a tier.
    pub fn check(&self, reason: Reason, tier: &'static str) {
        if let Some(counter) = self.of_tier(tier).get(reason as usize) {
            counter.inc();
        }
    }

    /// The counters of decisions with facts of a tier, by their reasons.
    fn of_tier(&self, tier: &'static str) -> &[Counter] {
        self.checks.iter().find(|(name, _)| *name == tier).map_or(&[], |(_, counters)| counters)
    }

    /// Many questions were decided, with facts of a tier: each counter is touched once.
    pub fn checks(&self, reasons: impl Iterator<Item = Reason>, tier: &'static str) {
        let mut counts = [0_u64; Reason::ALL.len()];
        for reason in reasons {
            if let Some(count) = counts.get_mut(reason as usize) {
                *count += 1;
            }
        }
        for (counter, count) in self.of_tier(tier).iter().zip(counts) {
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    /// A mutation has ended.
    pub fn mutation(&self, operation: &'static str, outcome: Outcome) {
        self.mutations.get_or_create(&MutationLabels { operation, outcome }).inc();
    }

    /// So many facts fared so in the cache that replicas share.
    pub fn far(&self, outcome: FarOutcome, count: u64) {
        self.far.add(outcome as usize, count);
    }

    /// All of them, as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Text in memory takes everything; a scraper would not read half of it.
            Err(std::fmt::Error) => String::new(),
        }
    }
}

fn labels(reason: Reason, tier: &'static str) -> CheckLabels {
    let decision = if reason.allows() { "allowed" } else { "denied" };
    CheckLabels { decision, reason: reason.name(), tier }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Called;

    #[test]
    fn what_happened_is_counted_under_the_names_that_dashboards_use() {
        let metrics = Metrics::new();
        let called = Called { rpc: "CheckAccess", kind: "unary", code: "OK" };
        metrics.durations.of(called).observe(Duration::from_micros(150));
        metrics.check(Reason::RoleAdmin, "near");
        metrics.check(Reason::NotGranted, "store");
        metrics.check(Reason::NotGranted, "store");
        metrics.mutation("SetGrants", Outcome::Applied);
        let text = metrics.encode();
        for line in [
            r#"rpc_server_call_duration_seconds_bucket{le="0.0001",rpc="CheckAccess",code="OK"} 0"#,
            r#"rpc_server_call_duration_seconds_bucket{le="0.00025",rpc="CheckAccess",code="OK"} 1"#,
            r#"rpc_server_call_duration_seconds_count{rpc="CheckAccess",code="OK"} 1"#,
            r#"doorward_checks_total{decision="allowed",reason="ROLE_ADMIN",tier="near"} 1"#,
            r#"doorward_checks_total{decision="denied",reason="NOT_GRANTED",tier="store"} 2"#,
            r#"doorward_mutations_total{operation="SetGrants",outcome="applied"} 1"#,
            concat!(r#"doorward_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn each_outcome_of_the_far_cache_has_its_own_counter() {
        for outcome in FarOutcome::ALL {
            let metrics = Metrics::new();
            metrics.far(outcome, 3);
            let counted = metrics.encode();
            let of_far = counted.lines().filter(|line| line.starts_with("doorward_far_total"));
            let expected = format!("doorward_far_total{{outcome=\"{}\"}} 3", outcome.name());
            let counted: Vec<_> = of_far.filter(|line| !line.ends_with(" 0")).collect();
            assert_eq!(counted, [expected]);
        }
    }

    #[test]
    fn every_reason_is_there_from_the_start() {
        let text = Metrics::new().encode();
        for &reason in Reason::ALL {
            assert!(text.contains(&format!("reason=\"{reason}\",tier=\"far\"}} 0")), "{reason}");
        }
    }

    #[test]
    fn each_reason_has_its_own_counter() {
        for &reason in Reason::ALL {
            let metrics = Metrics::new();
            metrics.check(reason, "far");
            let counted = format!("reason=\"{reason}\",tier=\"far\"}} 1");
            assert!(metrics.encode().contains(&counted), "{reason}");
            metrics.checks([reason, Reason::NotAMember, reason].into_iter(), "far");
            let counted = if reason == Reason::NotAMember { 4 } else { 3 };
            let counted = format!("reason=\"{reason}\",tier=\"far\"}} {counted}\n");
            assert!(metrics.encode().contains(&counted), "{reason}");
        }
    }
}

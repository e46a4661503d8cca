//! Metrics of the caches: what they hold, how recent the feed is, how long changes take to be known everywhere.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::outcomes::{DONE_OR_FAILED, Outcomes};

/// Upper bounds of the time until a change is known everywhere, in seconds: from a hint's to a long lease's.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0];

/// How a look at the feed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// It told what there was.
    Done,
    /// The database did not answer.
    Failed,
}

/// What came of deciding a cached answer again, from the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfCheck {
    /// The same.
    Same,
    /// The tenant had moved on: there was nothing to compare.
    Moved,
    /// The database did not answer in time.
    Unavailable,
    /// Another decision: the promise is broken.
    Mismatch,
}

impl SelfCheck {
    const ALL: [Self; 4] = [Self::Same, Self::Moved, Self::Unavailable, Self::Mismatch];

    const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Moved => "moved",
            Self::Unavailable => "unavailable",
            Self::Mismatch => "mismatch",
        }
    }
}

/// The metrics of the caches.
#[derive(Debug)]
pub struct Caches {
    polls: Outcomes<2>,
    loads: Counter,
    far_questions: Counter,
    resets: Counter,
    feed_age: Gauge<f64, AtomicU64>,
    near_bytes: Gauge,
    near_facts: Gauge,
    views: Gauge,
    enforcement: Histogram,
    suspended: Counter,
    self_checks: Outcomes<{ SelfCheck::ALL.len() }>,
    mismatches: Counter,
}

impl Caches {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let polls = Outcomes::of("outcome", DONE_OR_FAILED);
        let self_checks = Outcomes::of("outcome", SelfCheck::ALL.map(SelfCheck::name));
        let help = "Cached answers decided again from the database, by what came of it";
        let caches = Self {
            polls: polls.registered(registry, "doorward_feed_polls", "Looks at the feed, by how they ended"),
            loads: Counter::default(),
            far_questions: Counter::default(),
            resets: Counter::default(),
            feed_age: Gauge::default(),
            near_bytes: Gauge::default(),
            near_facts: Gauge::default(),
            views: Gauge::default(),
            enforcement: Histogram::new(BUCKETS),
            suspended: Counter::default(),
            self_checks: self_checks.registered(registry, "doorward_self_checks", help),
            mismatches: Counter::default(),
        };
        caches.register(registry);
        caches
    }

    fn register(&self, registry: &mut Registry) {
        let loads = "Loads from the database: one answers all who want the same at once";
        registry.register("doorward_loads", loads, self.loads.clone());
        let questions = "Questions to Redis for the facts of a check: each is one way there and back";
        registry.register("doorward_far_questions", questions, self.far_questions.clone());
        let resets = "Times that all cached facts were dropped, and the replica registered anew";
        registry.register("doorward_cache_resets", resets, self.resets.clone());
        let age = "The age of the newest look at the feed; cached facts are used while it is below the lease";
        registry.register_with_unit("doorward_feed_age", age, Unit::Seconds, self.feed_age.clone());
        registry.register_with_unit(
            "doorward_near",
            "Facts in memory, in bytes",
            Unit::Bytes,
            self.near_bytes.clone(),
        );
        registry.register("doorward_near_facts", "Facts in memory", self.near_facts.clone());
        registry.register("doorward_views", "Tenants with facts in memory", self.views.clone());
        let enforcement = "From a mutation's commit until no check on any replica could miss it";
        registry.register_with_unit(
            "doorward_enforcement",
            enforcement,
            Unit::Seconds,
            self.enforcement.clone(),
        );
        let suspended = "Replicas that this one found dead";
        registry.register("doorward_replicas_suspended", suspended, self.suspended.clone());
        let mismatches = "Cached answers that the database contradicted: always 0, or a bug";
        registry.register("doorward_decision_mismatch", mismatches, self.mismatches.clone());
    }

    /// A look at the feed has ended.
    pub fn poll(&self, outcome: PollOutcome) {
        self.polls.inc(outcome as usize);
    }

    /// The database is asked for a question's facts.
    pub fn load(&self) {
        self.loads.inc();
    }

    /// Redis is asked for facts.
    pub fn far_question(&self) {
        self.far_questions.inc();
    }

    /// Everything was dropped.
    pub fn reset(&self) {
        self.resets.inc();
    }

    /// What the memory holds, and the feed's age.
    pub fn hold(&self, bytes: u64, facts: u64, views: u64, feed_age: Option<Duration>) {
        let level = |level: u64| i64::try_from(level).unwrap_or(i64::MAX);
        self.near_bytes.set(level(bytes));
        self.near_facts.set(level(facts));
        self.views.set(level(views));
        self.feed_age.set(feed_age.map_or(f64::INFINITY, |age| age.as_secs_f64()));
    }

    /// A mutation was known everywhere, or its wait was over.
    pub fn enforcement(&self, took: Duration) {
        self.enforcement.observe(took.as_secs_f64());
    }

    /// Replicas were found dead.
    pub fn suspended(&self, count: u64) {
        self.suspended.inc_by(count);
    }

    /// A cached answer was decided again.
    pub fn self_check(&self, outcome: SelfCheck) {
        self.self_checks.inc(outcome as usize);
        if outcome == SelfCheck::Mismatch {
            self.mismatches.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caches_are_seen_under_the_names_that_docs_give() {
        let mut registry = Registry::default();
        let caches = Caches::registered(&mut registry);
        caches.poll(PollOutcome::Failed);
        caches.reset();
        caches.load();
        caches.hold(10, 2, 1, Some(Duration::from_millis(250)));
        caches.enforcement(Duration::from_millis(2));
        caches.suspended(3);
        SelfCheck::ALL.into_iter().for_each(|outcome| caches.self_check(outcome));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"doorward_feed_polls_total{outcome="done"} 0"#,
            r#"doorward_feed_polls_total{outcome="failed"} 1"#,
            "doorward_cache_resets_total 1",
            "doorward_loads_total 1",
            "doorward_feed_age_seconds 0.25",
            "doorward_near_bytes 10",
            "doorward_near_facts 2",
            "doorward_views 1",
            r#"doorward_enforcement_seconds_bucket{le="0.0025"} 1"#,
            "doorward_replicas_suspended_total 3",
            r#"doorward_self_checks_total{outcome="same"} 1"#,
            r#"doorward_self_checks_total{outcome="moved"} 1"#,
            r#"doorward_self_checks_total{outcome="unavailable"} 1"#,
            r#"doorward_self_checks_total{outcome="mismatch"} 1"#,
            "doorward_decision_mismatch_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}

//! Metrics of the history: denied calls that were sampled, and who watches changes.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::outcomes::Outcomes;

/// What became of the record of a denied call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialOutcome {
    /// It was written.
    Written,
    /// There were many: it is not in the sample.
    Sampled,
    /// It was lost: the queue was full, or the database away.
    Dropped,
}

impl DenialOutcome {
    const ALL: [Self; 3] = [Self::Written, Self::Sampled, Self::Dropped];

    const fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Sampled => "sampled",
            Self::Dropped => "dropped",
        }
    }
}

/// The metrics of the history.
#[derive(Debug)]
pub struct Audit {
    denials: Outcomes<{ DenialOutcome::ALL.len() }>,
    watchers: Gauge,
}

impl Audit {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let help = "Denied admin calls, by what became of their record";
        let denials = Outcomes::of("outcome", DenialOutcome::ALL.map(DenialOutcome::name));
        let denials = denials.registered(registry, "doorward_denials", help);
        let audit = Self { denials, watchers: Gauge::default() };
        registry.register("doorward_watchers", "Open streams of changes", audit.watchers.clone());
        audit
    }

    /// So many records of denied calls fared so.
    pub fn denials(&self, outcome: DenialOutcome, count: u64) {
        self.denials.add(outcome as usize, count);
    }

    /// Somebody watches.
    pub fn watcher_came(&self) {
        self.watchers.inc();
    }

    /// Somebody watches no more.
    pub fn watcher_went(&self) {
        self.watchers.dec();
    }
}

//! Metrics of the history: denied calls that were sampled, and who watches changes.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// The metrics of the history.
#[derive(Debug)]
pub struct Audit {
    /// A counter for each outcome, in their order.
    denials: [Counter; DenialOutcome::ALL.len()],
    watchers: Gauge,
}

impl Audit {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let denials = Family::<OutcomeLabels, Counter>::default();
        registry.register(
            "doorward_denials",
            "Denied admin calls, by what became of their record",
            denials.clone(),
        );
        let of =
            |outcome: DenialOutcome| denials.get_or_create_owned(&OutcomeLabels { outcome: outcome.name() });
        let audit = Self { denials: DenialOutcome::ALL.map(of), watchers: Gauge::default() };
        registry.register("doorward_watchers", "Open streams of changes", audit.watchers.clone());
        audit
    }

    /// So many records of denied calls fared so.
    pub fn denials(&self, outcome: DenialOutcome, count: u64) {
        if let Some(counter) = self.denials.get(outcome as usize) {
            counter.inc_by(count);
        }
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

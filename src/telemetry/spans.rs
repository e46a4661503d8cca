//! Metrics of traces: what became of the spans of calls that are recorded.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanOutcome {
    /// The receiver has taken it.
    Exported,
    /// It found no room in the queue.
    Dropped,
    /// The receiver could not be reached, refused it, or did not answer in time.
    Failed,
}

impl SpanOutcome {
    const ALL: [Self; 3] = [Self::Exported, Self::Dropped, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// The counts of spans. A clone is the same ones: they begin with the log, before there are metrics.
#[derive(Clone, Debug)]
pub struct Spans {
    family: Family<OutcomeLabels, Counter>,
    /// A counter for each outcome, in their order.
    counters: [Counter; SpanOutcome::ALL.len()],
}

impl Default for Spans {
    fn default() -> Self {
        let family = Family::<OutcomeLabels, Counter>::default();
        let of =
            |outcome: SpanOutcome| family.get_or_create_owned(&OutcomeLabels { outcome: outcome.name() });
        Self { counters: SpanOutcome::ALL.map(of), family }
    }
}

impl Spans {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Spans of calls that were recorded, by what became of them";
        registry.register("doorward_spans", help, self.family.clone());
    }

    /// So many spans fared so.
    pub(super) fn add(&self, outcome: SpanOutcome, count: usize) {
        if let Some(counter) = self.counters.get(outcome as usize) {
            counter.inc_by(count as u64);
        }
    }
}

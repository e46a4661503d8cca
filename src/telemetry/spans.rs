//! Metrics of traces: what became of the spans of calls that are recorded.

use prometheus_client::registry::Registry;

use super::outcomes::Outcomes;

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

/// The counts of spans. A clone is the same ones: they begin with the log, before there are metrics.
#[derive(Clone, Debug)]
pub struct Spans(Outcomes<{ SpanOutcome::ALL.len() }>);

impl Default for Spans {
    fn default() -> Self {
        Self(Outcomes::of("outcome", SpanOutcome::ALL.map(SpanOutcome::name)))
    }
}

impl Spans {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Spans of calls that were recorded, by what became of them";
        self.0.clone().registered(registry, "doorward_spans", help);
    }

    /// So many spans fared so.
    pub(super) fn add(&self, outcome: SpanOutcome, count: usize) {
        self.0.add(outcome as usize, count as u64);
    }
}

//! Metrics of settings that are read again while the service runs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// How reading them again went.
#[derive(Debug)]
pub struct Reloads {
    done: Counter,
    failed: Counter,
}

impl Reloads {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let family = Family::<OutcomeLabels, Counter>::default();
        let help = "Times that the settings were read again, by whether they could be used";
        registry.register("doorward_settings_reloads", help, family.clone());
        let of = |outcome| family.get_or_create_owned(&OutcomeLabels { outcome });
        Self { done: of("done"), failed: of("failed") }
    }

    /// They were read again, and taken or not.
    pub fn count(&self, is_done: bool) {
        if is_done { &self.done } else { &self.failed }.inc();
    }
}

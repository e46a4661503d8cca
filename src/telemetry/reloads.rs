//! Metrics of settings that are read again while the service runs.

use prometheus_client::registry::Registry;

use super::outcomes::{DONE_OR_FAILED, Outcomes, place};

/// How reading them again went.
#[derive(Debug)]
pub struct Reloads(Outcomes<2>);

impl Reloads {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let help = "Times that the settings were read again, by whether they could be used";
        let outcomes = Outcomes::of("outcome", DONE_OR_FAILED);
        Self(outcomes.registered(registry, "doorward_settings_reloads", help))
    }

    /// They were read again, and taken or not.
    pub fn count(&self, is_done: bool) {
        self.0.inc(place(is_done));
    }
}

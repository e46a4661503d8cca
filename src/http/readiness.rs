//! Whether traffic should come here, and if not, why.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// Ready, or not for a reason. Shared by whoever knows and whoever is asked.
#[derive(Debug)]
pub struct Readiness {
    reason: ArcSwapOption<String>,
}

impl Readiness {
    /// Not ready yet.
    #[must_use]
    pub fn starting() -> Self {
        Self { reason: ArcSwapOption::from_pointee("starting".to_owned()) }
    }

    /// Not ready, or no more: why, in a few words that may be seen by anyone who may ask.
    pub fn set(&self, reason: impl Into<String>) {
        self.reason.store(Some(Arc::new(reason.into())));
    }

    /// Ready.
    pub fn ready(&self) {
        self.reason.store(None);
    }

    /// Why not; none: ready.
    #[must_use]
    pub fn reason(&self) -> Option<Arc<String>> {
        self.reason.load_full()
    }
}

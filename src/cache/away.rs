//! When the database was found to be away: where a degraded answer is at hand, it is not asked again for a while.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock::{Moment, Steady};

/// How long loads are not tried after one has failed, where a degraded answer is at hand.
pub(super) const AWAY: Duration = Duration::from_secs(1);

/// When a load has failed last.
#[derive(Debug, Default)]
pub(super) struct Away(ArcSwapOption<Moment>);

impl Away {
    pub(super) fn mark(&self, steady: &Steady) {
        self.0.store(Some(Arc::new(steady.now())));
    }

    pub(super) fn is(&self, steady: &Steady) -> bool {
        self.0.load().as_deref().is_some_and(|failed| steady.now().since(*failed) < AWAY)
    }
}

//! A worker's breath: who turns calls away looks at its sockets a little later. It knows how many were turned away, and no call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::telemetry::Metrics;

/// How long a breath is. Whoever is refused is told to come back in a tenth of a second, and an answer from memory may
/// be so much later while others are refused.
const BREATH: Duration = Duration::from_millis(1);
/// How long a deep one is, where more than so many were turned away since the last: in a flood, one call of each connection
/// comes in a millisecond, and so each would still be read and answered by itself.
const DEEP_BREATH: Duration = Duration::from_millis(3);
const DEEP_ABOVE: u64 = 12;

/// Lets calls gather while there is no room for them: what comes during a breath is read in one go, and answered in one
/// write. Refusals that come one by one would each wake the worker, on a core that the answers need.
pub(super) struct Breather {
    metrics: Arc<Metrics>,
    /// How many had been turned away at the last breath that was due.
    seen: AtomicU64,
}

impl Breather {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let seen = AtomicU64::new(metrics.admissions.overloaded());
        Self { metrics, seen }
    }

    /// To be called when a worker has nothing to do and is about to wait.
    pub(super) fn breathe(&self) {
        if let Some(breath) = self.due() {
            thread::sleep(breath);
        }
    }

    /// How long a breath is due, by the calls that were turned away since the last time.
    fn due(&self) -> Option<Duration> {
        let turned_away = self.metrics.admissions.overloaded();
        match turned_away.wrapping_sub(self.seen.swap(turned_away, Ordering::Relaxed)) {
            0 => None,
            1..=DEEP_ABOVE => Some(BREATH),
            _ => Some(DEEP_BREATH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Class, Decline};

    #[test]
    fn a_breath_is_due_once_after_calls_that_found_no_room_and_after_no_others() {
        let metrics = Arc::new(Metrics::new());
        metrics.admissions.refused(Class::Checks, Decline::Overloaded);
        let breather = Breather::new(Arc::clone(&metrics));
        assert_eq!(breather.due(), None, "that was before");
        for class in Class::ALL {
            for (count, breath) in [(1, BREATH), (DEEP_ABOVE, BREATH), (DEEP_ABOVE + 1, DEEP_BREATH)] {
                (0..count).for_each(|_| metrics.admissions.refused(class, Decline::Overloaded));
                assert_eq!(breather.due(), Some(breath), "{class:?}, {count}");
                assert_eq!(breather.due(), None, "{class:?}, once");
            }
        }
        metrics.admissions.refused(Class::Checks, Decline::RateLimited);
        metrics.admissions.refused(Class::Checks, Decline::Deadline);
        assert_eq!(breather.due(), None, "room there was");
    }
}

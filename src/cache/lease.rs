//! The lease: how recent the feed is, and so for how long what it left may be answered from.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use doorward_engine::instant::Instant;

use super::slip::{Slip, slips};
use crate::clock::{Clock, Moment, Steady};
use crate::store::Epoch;

/// A poll that has been applied: everything committed before it was sent is known here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    /// Read before the poll was sent.
    pub(super) at: Moment,
    pub(super) epoch: Epoch,
    /// The database's clock, at the poll.
    pub(super) now: Instant,
}

/// What a cached answer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Pass.
    Open,
    /// Pass, degraded, if the database cannot be reached.
    Degraded,
    /// Not pass.
    Shut,
}

#[derive(Debug)]
pub(super) struct Lease {
    /// None: it never ends.
    length: Option<Duration>,
    stale: Duration,
    pub(super) steady: Steady,
    clock: Clock,
    fresh: ArcSwapOption<Fresh>,
}

impl Lease {
    pub(super) fn new(length: Option<Duration>, stale: Duration, steady: Steady, clock: Clock) -> Self {
        Self { length, stale, steady, clock, fresh: ArcSwapOption::empty() }
    }

    /// To be read before a lookup, and given to the gate after it.
    pub(super) fn read(&self) -> Option<Fresh> {
        // A copy: who else reads it would wait for the count of an `Arc`.
        self.fresh.load().as_deref().copied()
    }

    /// To be called when everything before `fresh` has been applied.
    pub(super) fn publish(&self, fresh: Fresh) {
        self.fresh.store(Some(Arc::new(fresh)));
    }

    /// No check that begins from now on uses a cache.
    pub(super) fn revoke(&self) {
        self.fresh.store(None);
    }

    /// Just before answering from a cache, with the `fresh` that was read before the lookup. Of the same look at the
    /// clock is the database's time now: what it said last, and the time since.
    pub(super) fn gate(&self, fresh: &Fresh) -> (Gate, Instant) {
        let moment = self.steady.now();
        let since = i64::try_from(moment.steady_since(fresh.at).as_micros()).unwrap_or(0);
        (self.gate_at(fresh, moment), self.clock.from_database(fresh.now.micros().saturating_add(since)))
    }

    fn gate_at(&self, fresh: &Fresh, moment: Moment) -> Gate {
        if slips(Slip::NoGate) {
            return Gate::Open;
        }
        let newest = slips(Slip::NewerFresh).then(|| self.read()).flatten();
        let age = moment.since(newest.as_ref().unwrap_or(fresh).at);
        match self.length {
            Some(length) if age >= length.saturating_add(self.stale) => Gate::Shut,
            Some(length) if age >= length => Gate::Degraded,
            _ => Gate::Open,
        }
    }

    /// How old the newest applied poll is; none: there is none.
    pub(super) fn age(&self) -> Option<Duration> {
        self.read().map(|fresh| self.steady.now().since(fresh.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(length: Option<u64>, stale: u64) -> (Lease, Steady) {
        let steady = Steady::manual();
        let ms = Duration::from_millis;
        (Lease::new(length.map(ms), ms(stale), steady.clone(), Clock::real()), steady)
    }

    fn fresh(lease: &Lease) -> Fresh {
        Fresh { at: lease.steady.now(), epoch: Epoch::default(), now: Instant::from_micros(1_000) }
    }

    #[test]
    fn the_gate_shuts_when_the_lease_of_that_same_poll_has_ended() {
        let (lease, steady) = lease(Some(100), 0);
        let first = fresh(&lease);
        steady.advance(Duration::from_millis(99));
        assert_eq!(lease.gate(&first).0, Gate::Open);
        lease.publish(fresh(&lease));
        steady.advance(Duration::from_millis(1));
        assert_eq!(lease.gate(&first).0, Gate::Shut, "a newer poll does not help");
        assert_eq!(lease.gate(&lease.read().unwrap()).0, Gate::Open);
    }

    #[test]
    fn after_the_lease_an_answer_may_be_degraded_for_as_long_as_the_operator_allows() {
        let (lease, steady) = lease(Some(100), 50);
        let fresh = fresh(&lease);
        steady.advance(Duration::from_millis(149));
        assert_eq!(lease.gate(&fresh).0, Gate::Degraded);
        steady.advance(Duration::from_millis(1));
        assert_eq!(lease.gate(&fresh).0, Gate::Shut);
    }

    #[test]
    fn a_lease_without_a_length_never_ends_and_a_revoked_one_is_not_there() {
        let (lease, steady) = lease(None, 0);
        lease.publish(fresh(&lease));
        let read = lease.read().unwrap();
        steady.advance(Duration::from_secs(1 << 30));
        assert_eq!(lease.gate(&read).0, Gate::Open);
        lease.revoke();
        assert!(lease.read().is_none());
    }

    #[test]
    fn the_databases_clock_goes_on_between_polls_and_never_runs_back() {
        let (lease, steady) = lease(Some(100), 0);
        let fresh = fresh(&lease);
        steady.advance(Duration::from_micros(250));
        assert_eq!(lease.gate(&fresh).1, Instant::from_micros(1_250));
        let earlier = Fresh { now: Instant::from_micros(10), ..fresh };
        assert_eq!(lease.gate(&earlier).1, Instant::from_micros(1_250));
    }
}

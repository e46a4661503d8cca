//! The follower: keeps a replica's memory up with the feed, and tells the registry how far it is.
//!
//! The order of its steps is what the promise hangs on: registered before the first look, the clock read before each
//! look, what it tells applied before the lease is renewed, and acknowledged last.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::far::Far;
use super::lease::Fresh;
use super::memory::{Gauges, Memory};
use super::slip::{Slip, pause, slips};
use crate::clock;
use crate::store::feed::{Feed, Poll, Position, Registration, ReplicaId};
use crate::store::{Epoch, StoreError};
use crate::telemetry::{Metrics, PollOutcome};

/// How long the end of a replica waits for its row to be deleted: other replicas find out anyway.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two attempts to register.
const RETRY: Duration = Duration::from_millis(200);

/// A follower's periods.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two looks where nothing hints at a change; give or take a tenth.
    pub poll: Duration,
    /// What the replica says of its lease.
    pub lease: Duration,
    /// What it says of the time after it.
    pub stale: Duration,
}

/// A replica's end of the feed.
#[derive(Debug)]
pub struct Follower<F> {
    feed: F,
    memory: Arc<Memory>,
    far: Option<Far>,
    timing: Timing,
    metrics: Arc<Metrics>,
}

/// Why a replica begins anew.
#[derive(Debug)]
pub(super) enum Lost {
    /// It is to end.
    Stopped,
    /// Its row is gone, or the database is another one: nothing that it remembers counts.
    Place(&'static str),
}

/// Where a registered replica is.
pub(super) struct Place {
    id: ReplicaId,
    epoch: Option<Epoch>,
    since: Option<Position>,
    /// Applied, and not acknowledged yet.
    owed: bool,
}

impl Place {
    pub(super) fn of(id: ReplicaId) -> Self {
        Self { id, epoch: None, since: None, owed: false }
    }
}

impl<F: Feed> Follower<F> {
    /// A follower of a feed; it does nothing until it runs.
    pub fn new(
        feed: F,
        memory: Arc<Memory>,
        far: Option<Far>,
        timing: Timing,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { feed, memory, far, timing, metrics }
    }

    /// Follows until the stop; then the replica uses no cache any more, and its row is deleted.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let Some(id) = self.register(&stop).await else { return };
            let lost = self.follow(&id, &stop).await;
            self.memory.forget();
            if timeout(LEAVE_TIMEOUT, self.feed.leave(&id)).await.is_err() {
                tracing::debug!("the replica's row was not deleted");
            }
            match lost {
                Lost::Stopped => return,
                Lost::Place(why) => {
                    self.metrics.caches.reset();
                    tracing::warn!(why, "all cached facts were dropped");
                }
            }
        }
    }

    /// Registers under a fresh id, however long it takes; none: stopped.
    async fn register(&self, stop: &CancellationToken) -> Option<ReplicaId> {
        loop {
            let id = ReplicaId(clock::unique_id());
            let Timing { lease, stale, .. } = self.timing;
            let registered = self.feed.register(Registration { id: id.clone(), lease, stale });
            let outcome = tokio::select! {
                outcome = registered => outcome,
                () = stop.cancelled() => return None,
            };
            match outcome {
                Ok(()) => return Some(id),
                Err(error) => tracing::debug!(%error, "the replica is not registered yet"),
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    async fn follow(&self, id: &ReplicaId, stop: &CancellationToken) -> Lost {
        let mut place = Place::of(id.clone());
        loop {
            self.tell();
            let looked = tokio::select! {
                looked = self.look(&mut place) => looked,
                () = stop.cancelled() => return Lost::Stopped,
            };
            match looked {
                Ok(None) => self.metrics.caches.poll(PollOutcome::Done),
                Ok(Some(lost)) => return lost,
                Err(error) => {
                    self.metrics.caches.poll(PollOutcome::Failed);
                    tracing::debug!(%error, "the feed was not looked at");
                }
            }
            self.tell();
            if let Some(lost) = self.rest(stop).await {
                return lost;
            }
        }
    }

    /// What is held, and how recent the feed is.
    fn tell(&self) {
        let Gauges { bytes, facts, views, feed_age } = self.memory.gauges();
        self.metrics.caches.hold(bytes, facts, views, feed_age);
    }

    /// Until the next look is due.
    async fn rest(&self, stop: &CancellationToken) -> Option<Lost> {
        let far = async {
            match &self.far {
                Some(far) => far.hinted().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = sleep(clock::jittered(self.timing.poll)) => None,
            () = self.memory.poked() => None,
            () = self.feed.hinted() => None,
            () = far => None,
            () = self.memory.doubted() => Some(Lost::Place("a tenant's revision ran backwards")),
            () = stop.cancelled() => Some(Lost::Stopped),
        }
    }

    pub(super) async fn look(&self, place: &mut Place) -> Result<Option<Lost>, StoreError> {
        let before = self.memory.lease.steady.now();
        let poll = self.feed.poll(&place.id, place.since.as_ref()).await?;
        if !poll.stands {
            return Ok(Some(Lost::Place("the registry does not count on this replica any more")));
        }
        if place.epoch.is_some_and(|epoch| epoch != poll.epoch) {
            return Ok(Some(Lost::Place("the database was restarted, restored or replaced")));
        }
        let at = if slips(Slip::FreshFromReply) { self.memory.lease.steady.now() } else { before };
        self.apply(place, &poll);
        pause().await;
        self.memory.publish(Fresh { at, epoch: poll.epoch, now: poll.now });
        if place.owed {
            self.feed.acknowledge(&place.id, &poll.position).await?;
            place.owed = false;
        }
        Ok(None)
    }

    /// What is applied is owed an acknowledgement. A look that finds nothing is owed none: nobody can wait for it.
    fn apply(&self, place: &mut Place, poll: &Poll) {
        if place.since.is_none() {
            self.memory.begin(poll.epoch);
        } else {
            self.memory.apply(poll.changes.as_deref());
        }
        let told = poll.changes.as_ref().is_none_or(|changes| !changes.is_empty());
        place.owed |= place.since.is_none() || told;
        place.epoch = Some(poll.epoch);
        place.since = Some(poll.position.clone());
    }
}

//! The provider's keys as they are known now, and when they are fetched again: in the background, and where a token names a
//! key that they do not have. It knows no token.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::Algorithm;
use super::jwks::KeySet;
use super::source::{FETCH_MAX, Failure, Source};
use crate::clock::{Moment, Steady};
use crate::telemetry::{KeyFetch, Metrics};

/// From one fetch to the next, ten percent more or less.
const EVERY: Duration = Duration::from_mins(10);
/// The same after a fetch that failed.
const RETRY: Duration = Duration::from_secs(30);
/// Keys are fetched for an unknown one at most so often.
const ASKED_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether a fetch is due; the time itself is that of [`Steady`].
const TICK: Duration = Duration::from_millis(500);

/// Keys that were fetched.
pub(super) struct Known {
    pub(super) keys: KeySet,
    /// Another for every document that differs from the one before.
    pub(super) generation: u64,
    document: [u8; 32],
    fetched_at: Moment,
}

/// The keys, and whoever waits for them.
pub(super) struct Keys {
    known: ArcSwapOption<Known>,
    asking: Mutex<Asking>,
    asked: Notify,
    /// Counts fetches that have ended.
    ended: watch::Sender<u64>,
    steady: Steady,
    metrics: Arc<Metrics>,
    algorithms: Vec<Algorithm>,
}

#[derive(Default)]
struct Asking {
    /// A fetch is under way, or is about to begin.
    is_fetching: bool,
    /// When one was last asked for.
    asked_at: Option<Moment>,
}

impl Keys {
    /// No keys yet; the first fetch counts as under way.
    pub(super) fn new(steady: Steady, metrics: Arc<Metrics>, algorithms: Vec<Algorithm>) -> Self {
        metrics.people.keys_age(None);
        Self {
            known: ArcSwapOption::empty(),
            asking: Mutex::new(Asking { is_fetching: true, asked_at: None }),
            asked: Notify::new(),
            ended: watch::Sender::new(0),
            steady,
            metrics,
            algorithms,
        }
    }

    /// The keys; none: they have never been fetched.
    pub(super) fn known(&self) -> Option<Arc<Known>> {
        self.known.load_full()
    }

    /// Waits for keys that may be newer: for the fetch under way, or for one that begins now; not at all where one was
    /// asked for less than 30 s ago.
    pub(super) async fn ask(&self) {
        let ended = {
            let mut asking = self.asking();
            if !asking.is_fetching {
                let now = self.steady.now();
                if asking.asked_at.is_some_and(|at| now.since(at) < ASKED_EVERY) {
                    return;
                }
                *asking = Asking { is_fetching: true, asked_at: Some(now) };
                self.asked.notify_one();
            }
            // Under the lock: the fetch cannot have ended yet.
            self.ended.subscribe()
        };
        let mut ended = ended;
        // Whether it ended or took too long, the caller looks at what there is.
        let _ = tokio::time::timeout(FETCH_MAX, ended.changed()).await;
    }

    /// Fetches when it is due and when it is asked for, for ever.
    pub(super) async fn keep(&self, source: &Source) {
        let mut due = Due { since: self.steady.now(), after: Duration::ZERO };
        loop {
            self.show_age();
            if !self.begins(&due) {
                // Asked or not, the next look says what is to be done.
                let _ = tokio::time::timeout(TICK, self.asked.notified()).await;
                continue;
            }
            let outcome = source.fetch().await.and_then(|document| self.take(&document));
            let after = if outcome.is_ok() { EVERY } else { RETRY };
            self.tell(&outcome);
            due = Due { since: self.steady.now(), after: jittered(after) };
            let mut asking = self.asking();
            asking.is_fetching = false;
            self.ended.send_modify(|ended| *ended = ended.wrapping_add(1));
        }
    }

    /// Whether a fetch begins now.
    fn begins(&self, due: &Due) -> bool {
        let is_due = self.steady.now().since(due.since) >= due.after;
        let mut asking = self.asking();
        asking.is_fetching |= is_due;
        asking.is_fetching
    }

    /// Takes a document in place of the one before.
    fn take(&self, document: &[u8]) -> Result<usize, Failure> {
        let keys = KeySet::parse(document, &self.algorithms).map_err(Failure::malformed)?;
        let (count, document) = (keys.len(), blake3::hash(document).into());
        let before = self.known();
        let generation = match &before {
            Some(before) if before.document == document => before.generation,
            Some(before) => before.generation.wrapping_add(1),
            None => 0,
        };
        let fetched_at = self.steady.now();
        self.known.store(Some(Arc::new(Known { keys, generation, document, fetched_at })));
        Ok(count)
    }

    fn tell(&self, outcome: &Result<usize, Failure>) {
        match outcome {
            Ok(0) => {
                tracing::warn!("the provider of people's tokens has no key that auth.oidc_algorithms allows")
            }
            Ok(count) => tracing::debug!(count, "the keys of people's tokens were fetched"),
            Err(Failure { outcome, cause }) => {
                let outcome = outcome.name();
                tracing::warn!(outcome, cause, "the keys of people's tokens could not be fetched");
            }
        }
        self.metrics
            .people
            .fetch(outcome.as_ref().map_or_else(|failure| failure.outcome, |_| KeyFetch::Done));
        self.show_age();
    }

    fn show_age(&self) {
        let now = self.steady.now();
        self.metrics.people.keys_age(self.known().map(|known| now.since(known.fetched_at)));
    }

    /// What it guards is whole between any two statements.
    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the next fetch is.
struct Due {
    since: Moment,
    after: Duration,
}

/// Ten percent more or less, so that replicas do not ask all at once.
fn jittered(period: Duration) -> Duration {
    let mut random = [0; 4];
    // Without randomness all ask at once, which is no harm.
    let _ = getrandom::fill(&mut random);
    let share = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
    period.mul_f64(0.9 + 0.2 * share)
}

//! The watch: how mutations learn that nobody can miss them. One statement asks for all that wait.
//!
//! A mutation is known everywhere when each replica in the registry has acknowledged it, or when the lease of each that
//! has not must have ended. A replica that does not acknowledge is found dead in two steps: suspended, so that its next
//! look at the feed ends its lease, and a lease later taken out.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::slip::{Slip, slips};
use crate::clock::Stopwatch;
use crate::store::Registry;
use crate::store::feed::{Lagging, Mark, ReplicaId, Standing};
use crate::telemetry::Metrics;

/// Between two looks at the registry: none as long as hints may do it, a short one, and a long one when a poll or the
/// lease must.
const PAUSES: [(u32, Duration); 3] =
    [(8, Duration::ZERO), (24, Duration::from_millis(1)), (u32::MAX, Duration::from_millis(10))];
/// How long a look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// A clock here and a clock there do not run at quite the same speed.
const CLOCK_RATE: f64 = 1.01;
const CLOCK_SLACK: Duration = Duration::from_millis(20);

/// How long after something began a lease that was granted before it must have ended.
pub(super) fn ended_after(lease: Duration) -> Duration {
    lease.mul_f64(CLOCK_RATE) + CLOCK_SLACK
}

/// What a mutation's wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// No check that begins now misses it.
    Everywhere,
    /// Some replica may still answer without it, or nobody could be asked.
    Perhaps,
}

/// The mutations that wait, and what looks after them.
#[derive(Debug)]
pub(super) struct Watch {
    arrived: Mutex<Vec<Waiting>>,
    bell: Notify,
    /// The longest lease that a replica may have, for when the registry cannot be read.
    lease: Duration,
    suspend: Duration,
}

#[derive(Debug)]
struct Waiting {
    mark: Mark,
    /// Since the commit's reply.
    since: Stopwatch,
    /// The longest lease of those who lag, as far as it is known.
    bound: Option<Duration>,
    answer: oneshot::Sender<Known>,
}

/// Replicas on their way out.
#[derive(Default)]
struct Dying {
    /// Since when they are seen to stand where they do.
    seen: HashMap<ReplicaId, (Standing, Stopwatch)>,
    /// What they have not acknowledged, to find them by when no mutation waits any more.
    mark: Option<Mark>,
}

impl Dying {
    fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Since when a replica is seen to stand where it does.
    fn since(&mut self, id: &ReplicaId, standing: Standing) -> Stopwatch {
        let seen = self.seen.entry(id.clone()).or_insert_with(|| (standing, Stopwatch::start()));
        if seen.0 != standing {
            *seen = (standing, Stopwatch::start());
        }
        seen.1
    }
}

impl Watch {
    pub(super) fn new(lease: Duration, suspend: Duration) -> Self {
        Self { arrived: Mutex::default(), bell: Notify::new(), lease, suspend }
    }

    /// Waits until a committed mark is known everywhere.
    pub(super) async fn wait(&self, mark: Mark, since: Stopwatch) -> Known {
        let (answer, known) = oneshot::channel();
        let waiting = Waiting { mark, since, bound: None, answer };
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
        self.bell.notify_one();
        known.await.unwrap_or(Known::Perhaps)
    }

    /// Looks after those who wait, until the stop.
    pub(super) async fn run<R: Registry>(&self, registry: R, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut waiting = Vec::new();
        let mut dying = Dying::default();
        let mut looks = 0;
        loop {
            waiting.append(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner));
            if waiting.is_empty() && dying.is_empty() {
                looks = 0;
                tokio::select! {
                    () = self.bell.notified() => continue,
                    () = stop.cancelled() => return,
                }
            }
            waiting = self.look(&registry, &metrics, waiting, &mut dying).await;
            looks += 1;
            tokio::select! {
                () = pause(looks) => {}
                () = self.bell.notified() => looks = 0,
                () = stop.cancelled() => return,
            }
        }
    }

    /// One look at the registry, for all who wait and for the dying.
    async fn look<R: Registry>(
        &self,
        registry: &R,
        metrics: &Metrics,
        waiting: Vec<Waiting>,
        dying: &mut Dying,
    ) -> Vec<Waiting> {
        let marks = waiting.iter().map(|waiting| waiting.mark.clone()).chain(dying.mark.clone()).collect();
        let Ok(Ok(lagging)) = timeout(LOOK_TIMEOUT, registry.behind(marks)).await else {
            return self.in_the_dark(waiting);
        };
        let (mut all, mut overdue) = (HashMap::new(), HashSet::new());
        let mut last_overdue = None;
        for (at, lagging) in lagging.iter().enumerate() {
            let waiting = waiting.get(at);
            let is_overdue = waiting.is_some_and(|waiting| self.is_overdue(lagging, waiting.since.elapsed()));
            if let (true, Some(waiting)) = (is_overdue, waiting) {
                last_overdue = Some(waiting.mark.clone());
                overdue.extend(lagging.iter().map(|lagging| lagging.id.clone()));
            }
            all.extend(lagging.iter().map(|lagging| (lagging.id.clone(), lagging.clone())));
        }
        dying.mark = last_overdue.or(dying.mark.take());
        let waiting = still_waiting(waiting, &lagging);
        bury(registry, metrics, all, &overdue, dying).await;
        waiting
    }

    /// Whether those who lag are to be found dead: after so long, or when their leases were all that was left to wait for.
    fn is_overdue(&self, lagging: &[Lagging], since: Duration) -> bool {
        since >= self.suspend || granted(lagging).is_some_and(|lease| since >= ended_after(lease))
    }

    /// The registry cannot be read: who is there is not known, and nothing can be promised.
    fn in_the_dark(&self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        let has_ended = |waiting: &Waiting| {
            let lease = waiting.bound.unwrap_or(self.lease);
            (waiting.since.elapsed() >= ended_after(lease)).then_some(Known::Perhaps)
        };
        answered(waiting, |_, waiting| has_ended(waiting))
    }
}

/// Takes the dead out, step by step: who is overdue is suspended, who was suspended a lease ago is taken out.
async fn bury<R: Registry>(
    registry: &R,
    metrics: &Metrics,
    lagging: HashMap<ReplicaId, Lagging>,
    overdue: &HashSet<ReplicaId>,
    dying: &mut Dying,
) {
    dying.seen.retain(|id, _| lagging.contains_key(id));
    let (mut suspend, mut expire, mut forget) = (Vec::new(), Vec::new(), Vec::new());
    for Lagging { id, lease, stale, standing } in lagging.into_values() {
        match standing {
            Standing::Member if overdue.contains(&id) => suspend.push(id),
            Standing::Member => {}
            Standing::Suspended if dying.since(&id, standing).elapsed() >= ended_after(lease) => {
                expire.push(id)
            }
            Standing::Expired if dying.since(&id, standing).elapsed() >= ended_after(stale) => {
                forget.push(id)
            }
            Standing::Suspended | Standing::Expired => {}
        }
    }
    metrics.caches.suspended(suspend.len() as u64);
    // What fails now is tried again at the next look.
    if !suspend.is_empty() && registry.suspend(suspend.clone()).await.is_ok() {
        if slips(Slip::OneStepEviction) {
            expire.append(&mut suspend);
        }
        // They are looked for until they are gone, though nobody may wait by then.
        for id in suspend {
            dying.since(&id, Standing::Suspended);
        }
    }
    if !expire.is_empty() {
        let _ = registry.expire(expire).await;
    }
    if !forget.is_empty() {
        let _ = registry.forget(forget).await;
    }
}

/// Before the next look, after so many.
async fn pause(looks: u32) {
    let length =
        PAUSES.iter().find(|(until, _)| looks <= *until).map_or(Duration::ZERO, |(_, length)| *length);
    // A sleep, however short, lasts a millisecond or more.
    if !length.is_zero() {
        sleep(length).await;
    }
}

/// Answers those who need not wait any more; `lagging` is in the order of `waiting`.
fn still_waiting(waiting: Vec<Waiting>, lagging: &[Vec<Lagging>]) -> Vec<Waiting> {
    answered(waiting, |at, waiting| {
        let lagging = lagging.get(at)?;
        waiting.bound = granted(lagging);
        judge(lagging, waiting.since.elapsed())
    })
}

/// The longest lease among those who may still answer by one.
fn granted(lagging: &[Lagging]) -> Option<Duration> {
    let may = lagging.iter().filter(|lagging| lagging.standing != Standing::Expired);
    may.map(|lagging| lagging.lease).max()
}

/// None: wait on.
pub(super) fn judge(lagging: &[Lagging], since: Duration) -> Option<Known> {
    let has_ended = granted(lagging).is_none_or(|lease| since >= ended_after(lease));
    let may_be_stale = lagging.iter().any(|lagging| !lagging.stale.is_zero());
    has_ended.then_some(if may_be_stale { Known::Perhaps } else { Known::Everywhere })
}

fn answered(
    waiting: Vec<Waiting>,
    mut judge: impl FnMut(usize, &mut Waiting) -> Option<Known>,
) -> Vec<Waiting> {
    let mut still = Vec::new();
    for (at, mut waiting) in waiting.into_iter().enumerate() {
        match judge(at, &mut waiting) {
            // Who has gone needs no answer.
            Some(known) => drop(waiting.answer.send(known)),
            None => still.push(waiting),
        }
    }
    still
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(3);

    fn lagging(stale: u64, standing: Standing) -> Lagging {
        Lagging { id: ReplicaId("r".to_owned()), lease: LEASE, stale: Duration::from_secs(stale), standing }
    }

    #[test]
    fn all_have_acknowledged_or_their_leases_have_ended_with_something_to_spare() {
        assert_eq!(judge(&[], Duration::ZERO), Some(Known::Everywhere));
        let one = [lagging(0, Standing::Member)];
        assert_eq!(judge(&one, LEASE), None);
        assert_eq!(judge(&one, Duration::from_millis(3_049)), None);
        assert_eq!(judge(&one, Duration::from_millis(3_050)), Some(Known::Everywhere));
        assert_eq!(judge(&[lagging(0, Standing::Suspended)], LEASE), None, "its lease may still run");
    }

    #[test]
    fn who_does_not_acknowledge_is_found_dead_also_where_the_lease_is_shorter_than_that_takes() {
        let ms = Duration::from_millis;
        let one = [lagging(0, Standing::Member)];
        let soon = Watch::new(LEASE, ms(1_000));
        assert_eq!([999, 1_000].map(|since| soon.is_overdue(&one, ms(since))), [false, true]);
        let late = Watch::new(LEASE, ms(60_000));
        assert_eq!([3_049, 3_050].map(|since| late.is_overdue(&one, ms(since))), [false, true]);
    }

    #[test]
    fn who_may_answer_degraded_leaves_it_open() {
        assert_eq!(judge(&[lagging(60, Standing::Expired)], Duration::ZERO), Some(Known::Perhaps));
        let both = [lagging(60, Standing::Expired), lagging(0, Standing::Member)];
        assert_eq!(judge(&both, LEASE), None);
        assert_eq!(judge(&both, ended_after(LEASE)), Some(Known::Perhaps));
    }

    #[test]
    fn without_the_registry_the_longest_known_lease_is_waited_for_and_nothing_is_promised() {
        let watch = Watch::new(Duration::ZERO, LEASE);
        let (answer, mut known) = oneshot::channel();
        let mark = Mark { scope: "acme".to_owned(), revision: doorward_engine::id::Revision(1) };
        let waiting = Waiting { mark, since: Stopwatch::start(), bound: Some(LEASE), answer };
        let still = watch.in_the_dark(vec![waiting]);
        assert_eq!(still.len(), 1, "a replica that was seen to lag may have its lease");
        std::thread::sleep(CLOCK_SLACK);
        let unknown = still.into_iter().map(|waiting| Waiting { bound: None, ..waiting }).collect();
        assert!(watch.in_the_dark(unknown).is_empty());
        assert_eq!(known.try_recv(), Ok(Known::Perhaps));
    }
}

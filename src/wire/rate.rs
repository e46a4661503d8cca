//! How often one caller may call in one tenant: token buckets. It does not know whether the tenant is there, or theirs.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use doorward_engine::id::{CredentialId, KeyId, TenantId, UserId};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::guard::class;
use crate::caller::{Caller, Identity};
use crate::clock::{Moment, Steady};
use crate::service::{Error, Operation};
use crate::settings::Limits;
use crate::telemetry::Class;

/// After how many calls the buckets that are full again are forgotten. Between two such times no more can be added.
const TENDED_EVERY: u64 = 8192;
/// With more buckets in use than these, a caller has one for all tenants until there are fewer.
const BUCKETS_MAX: usize = 100_000;
/// How many more attempts to accept than in a second may come at once.
const ACCEPTS_AT_ONCE: u32 = 5;

/// The buckets of all callers.
#[derive(Debug)]
pub struct Rates {
    calls: ArcSwapOption<Buckets>,
    checks: ArcSwapOption<Buckets>,
    accepts: ArcSwapOption<Buckets>,
    clock: Steady,
}

impl Rates {
    /// Full buckets.
    #[must_use]
    pub fn new(limits: &Limits, clock: &Steady) -> Self {
        let [calls, checks, accepts] = Default::default();
        let rates = Self { calls, checks, accepts, clock: clock.clone() };
        rates.limit(limits);
        rates
    }

    /// Other limits from now on. The buckets of one that has changed are full again.
    pub fn limit(&self, limits: &Limits) {
        for (slot, per_second, at_once) in [
            (&self.calls, limits.tenant_calls_per_s, 1),
            (&self.checks, limits.tenant_checks_per_s, 1),
            (&self.accepts, limits.accepts_per_s, ACCEPTS_AT_ONCE),
        ] {
            if slot.load().as_ref().map_or(0, |buckets| buckets.per_second) != per_second {
                let per_second = NonZeroU32::new(per_second);
                let buckets = per_second.map(|number| Buckets::new(number, at_once, self.clock.clone()));
                slot.store(buckets.map(Arc::new));
            }
        }
    }

    /// Takes what a call weighs out of its bucket. `tenant` is what the caller wrote: it may be anything.
    ///
    /// # Errors
    /// RATE_LIMITED, and when to come back.
    pub(super) fn take(
        &self,
        operation: Operation,
        caller: &Caller,
        tenant: &str,
        weight: usize,
    ) -> Result<(), Error> {
        let buckets = match (operation, class(operation)) {
            (Operation::AcceptInvitation, _) => &self.accepts,
            // A question on a stream is a check, in whatever class the stream is.
            (Operation::StreamCheckAccess, _) | (_, Class::Checks) => &self.checks,
            (_, Class::Reads | Class::Writes) => &self.calls,
            (_, Class::Streams | Class::Health | Class::HealthWatch) => return Ok(()),
        };
        buckets.load().as_ref().map_or(Ok(()), |buckets| buckets.take(&whose(caller), tenant, weight))
    }
}

/// Whom a bucket belongs to: the actor is part of it where it is the person who calls, and not where a service names one.
fn whose(caller: &Caller) -> Whose<'_> {
    match &caller.identity {
        Identity::Operator => Whose::Operator,
        Identity::Service(service) => Whose::Service(&service.id),
        Identity::Person => Whose::Person(caller.actor.as_ref()),
        Identity::Key(found) => Whose::Key(&found.tenant, &found.key.id),
    }
}

#[derive(Hash)]
enum Whose<'c> {
    Operator,
    Service(&'c CredentialId),
    Person(Option<&'c UserId>),
    Key(&'c TenantId, &'c KeyId),
}

type Limiter = RateLimiter<u64, DashMapStateStore<u64>, Ticks, NoOpMiddleware<Duration>>;

/// A bucket for each caller and tenant. Keys are hashes with a seed of this process: nobody can choose to share one.
struct Buckets {
    limiter: Limiter,
    quota: Quota,
    per_second: u32,
    seed: RandomState,
    taken: AtomicU64,
    crowded: AtomicBool,
    buckets_max: usize,
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").field("quota", &self.quota).finish_non_exhaustive()
    }
}

impl Buckets {
    fn new(per_second: NonZeroU32, at_once: u32, clock: Steady) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(at_once.saturating_sub(1)));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            limiter: RateLimiter::new(quota, DashMapStateStore::default(), Ticks::of(clock)),
            quota,
            per_second: per_second.get(),
            seed: RandomState::new(),
            taken: AtomicU64::new(0),
            crowded: AtomicBool::new(false),
            buckets_max: BUCKETS_MAX,
        }
    }

    fn take(&self, caller: &impl Hash, tenant: &str, weight: usize) -> Result<(), Error> {
        if self.taken.fetch_add(1, Ordering::Relaxed) % TENDED_EVERY == TENDED_EVERY - 1 {
            self.tend();
        }
        let tenant = if self.crowded.load(Ordering::Relaxed) { None } else { Some(tenant) };
        let key = self.seed.hash_one((caller, tenant));
        // What weighs more than a bucket holds takes a whole one: it could never be paid otherwise.
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).min(self.quota.burst_size().get());
        let Some(weight) = NonZeroU32::new(weight) else { return Ok(()) };
        match self.limiter.check_key_n(&key, weight) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(self.limited(until.wait_time_from(self.limiter.clock().now()))),
            Err(_) => Err(self.limited(Duration::from_secs(1))),
        }
    }

    const fn limited(&self, retry: Duration) -> Error {
        Error::RateLimited { per_second: self.per_second, retry }
    }

    /// Forgets the buckets that are full, which are as good as new ones.
    fn tend(&self) {
        self.limiter.retain_recent();
        self.crowded.store(self.limiter.len() > self.buckets_max, Ordering::Relaxed);
    }
}

/// The time since the buckets were made.
#[derive(Clone, Debug)]
struct Ticks {
    clock: Steady,
    origin: Moment,
}

impl Ticks {
    fn of(clock: Steady) -> Self {
        let origin = clock.now();
        Self { clock, origin }
    }
}

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.clock.now().steady_since(self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(per_second: u32, at_once: u32) -> (Buckets, Steady) {
        let clock = Steady::manual();
        (Buckets::new(NonZeroU32::new(per_second).unwrap(), at_once, clock.clone()), clock)
    }

    fn taken(buckets: &Buckets, caller: &str, tenant: &str) -> usize {
        (0..10_000).take_while(|_| buckets.take(&caller, tenant, 1).is_ok()).count()
    }

    #[test]
    fn a_bucket_is_refilled_by_the_clock_alone() {
        let (buckets, clock) = buckets(10, 1);
        assert_eq!(taken(&buckets, "service:a", "acme"), 10);
        clock.advance(Duration::from_millis(300));
        assert_eq!(taken(&buckets, "service:a", "acme"), 3);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(taken(&buckets, "service:a", "acme"), 10);
    }

    #[test]
    fn accepts_may_come_five_seconds_worth_at_once() {
        let (buckets, clock) = buckets(10, ACCEPTS_AT_ONCE);
        assert_eq!(taken(&buckets, "a", "acme"), 50);
        clock.advance(Duration::from_secs(1));
        assert_eq!(taken(&buckets, "a", "acme"), 10);
    }

    #[test]
    fn whoever_is_refused_is_told_when_it_will_do() {
        let (buckets, clock) = buckets(2, 1);
        assert_eq!(taken(&buckets, "a", "acme"), 2);
        let Err(Error::RateLimited { per_second: 2, retry }) = buckets.take(&"a", "acme", 1) else {
            panic!()
        };
        clock.advance(retry - Duration::from_millis(1));
        assert!(buckets.take(&"a", "acme", 1).is_err());
        clock.advance(Duration::from_millis(1));
        assert!(buckets.take(&"a", "acme", 1).is_ok());
    }

    #[test]
    fn a_stranger_drains_only_their_own_bucket() {
        let (buckets, _) = buckets(5, 1);
        assert_eq!(taken(&buckets, "stranger", "acme"), 5);
        assert_eq!(taken(&buckets, "owner", "acme"), 5);
        assert_eq!(taken(&buckets, "stranger", "globex"), 5);
    }

    #[test]
    fn a_batch_weighs_what_it_holds_and_at_most_a_whole_bucket() {
        let (buckets, clock) = buckets(100, 1);
        assert!(buckets.take(&"a", "acme", 60).is_ok());
        assert!(buckets.take(&"a", "acme", 60).is_err());
        assert!(buckets.take(&"a", "acme", 40).is_ok());
        clock.advance(Duration::from_secs(1));
        assert!(buckets.take(&"a", "acme", 1000).is_ok());
        assert!(buckets.take(&"a", "acme", 1).is_err());
    }

    #[test]
    fn idle_buckets_are_forgotten_and_a_crowd_is_one_bucket_a_caller() {
        let (mut buckets, clock) = buckets(1, 1);
        buckets.buckets_max = 1000;
        for tenant in 1..TENDED_EVERY {
            buckets.take(&"a", &tenant.to_string(), 1).unwrap();
        }
        assert_eq!(buckets.limiter.len() as u64, TENDED_EVERY - 1);
        // Too many are in use: there is one for all of the caller's tenants.
        assert_eq!(taken(&buckets, "a", "x"), 1);
        assert_eq!(taken(&buckets, "a", "y"), 0);
        assert_eq!(taken(&buckets, "b", "x"), 1);
        clock.advance(Duration::from_secs(10));
        buckets.tend();
        assert_eq!(buckets.limiter.len(), 0);
        assert_eq!((taken(&buckets, "a", "x"), taken(&buckets, "a", "y")), (1, 1));
    }

    #[test]
    fn zero_is_no_limit_and_each_kind_has_its_own() {
        let limits =
            Limits { tenant_calls_per_s: 1, tenant_checks_per_s: 0, accepts_per_s: 1, ..Limits::default() };
        let rates = Rates::new(&limits, &Steady::manual());
        let caller = Caller { identity: Identity::Operator, actor: None, peer: None, trace_id: None };
        let take = |operation| rates.take(operation, &caller, "acme", 1).is_ok();
        assert!((0..100).all(|_| take(Operation::CheckAccess)));
        assert!(take(Operation::SetGrants) && !take(Operation::GetMember) && !take(Operation::SetGrants));
        assert!((0..5).all(|_| take(Operation::AcceptInvitation)) && !take(Operation::AcceptInvitation));
    }
}

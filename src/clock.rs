//! Time, as a value that is passed down: the only module that reads a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorward_engine::instant::Instant;
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// A fresh id, later ones sorting after earlier ones: a UUIDv7.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
pub fn unique_id() -> String {
    Uuid::now_v7().to_string()
}

/// A period, give or take a tenth, so that many who keep it do not all act at once.
#[must_use]
pub fn jittered(period: Duration) -> Duration {
    let mut random = [0];
    // Without random bytes the period is as good.
    let _ = getrandom::fill(&mut random);
    period.mul_f64(0.9 + f64::from(random[0]) / 255.0 * 0.2)
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// How long since it began.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// The instant so long after it began, for a timer; none: later than there are instants.
    #[must_use]
    pub fn after(self, time: Duration) -> Option<std::time::Instant> {
        self.0.checked_add(time)
    }
}

/// Counts on while the machine sleeps, where the system has such a clock.
#[cfg(target_os = "linux")]
const STEADY: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const STEADY: ClockId = ClockId::Monotonic;

/// A clock for ages: what matters is never to find something younger than it is.
#[derive(Clone, Debug, Default)]
pub struct Steady {
    manual: Option<Arc<AtomicI64>>,
}

/// A moment of [`Steady`].
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    steady: Duration,
    /// The wall clock: it may jump, and a jump ahead counts as time that has passed.
    wall: Duration,
}

impl Steady {
    /// The system's clocks.
    #[must_use]
    pub fn real() -> Self {
        Self::default()
    }

    /// A clock that stands until it is [`Steady::advance`]d: for tests.
    #[must_use]
    pub fn manual() -> Self {
        Self { manual: Some(Arc::default()) }
    }

    /// Lets time pass on a manual clock; a real one does not listen.
    pub fn advance(&self, by: Duration) {
        if let Some(manual) = &self.manual {
            manual.fetch_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        if let Some(manual) = &self.manual {
            let steady = Duration::from_nanos(manual.load(Ordering::SeqCst).unsigned_abs());
            return Moment { steady, wall: steady };
        }
        let read = |id| Duration::try_from(clock_gettime(id)).unwrap_or(Duration::ZERO);
        Moment { steady: read(STEADY), wall: read(ClockId::Realtime) }
    }
}

impl Moment {
    /// How long after an earlier moment this is: the larger of what the two clocks say.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.steady_since(earlier).max(self.wall.saturating_sub(earlier.wall))
    }

    /// The same by the clock that does not jump.
    #[must_use]
    pub fn steady_since(self, earlier: Self) -> Duration {
        self.steady.saturating_sub(earlier.steady)
    }
}

/// Where `now` comes from (rule 28).
#[derive(Clone, Debug)]
pub struct Clock {
    manual: Option<Arc<AtomicI64>>,
    /// The latest instant given: time never runs back.
    latest: Arc<AtomicI64>,
}

impl Clock {
    /// The database's clock on Postgres, the system's on SQLite.
    #[must_use]
    pub fn real() -> Self {
        Self { manual: None, latest: Arc::new(AtomicI64::new(i64::MIN)) }
    }

    /// A clock that stands until it is [`Clock::set`]: for tests.
    #[must_use]
    pub fn manual(now: Instant) -> Self {
        Self { manual: Some(Arc::new(AtomicI64::new(now.micros()))), ..Self::real() }
    }

    /// Sets a manual clock; a real one does not listen.
    pub fn set(&self, now: Instant) {
        if let Some(manual) = &self.manual {
            manual.store(now.micros(), Ordering::SeqCst);
        }
    }

    /// Now, by the system's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now(&self) -> Instant {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.from_database(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// Now, by what the database's clock said a moment ago, in microseconds since the epoch.
    #[must_use]
    pub fn from_database(&self, micros: i64) -> Instant {
        let micros = match &self.manual {
            Some(manual) => return Instant::from_micros(manual.load(Ordering::SeqCst)),
            None => micros.max(self.latest.fetch_max(micros, Ordering::SeqCst)),
        };
        Instant::from_micros(micros)
    }
}

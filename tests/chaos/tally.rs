//! What was counted in a phase: questions, answers, mutations, violations; and how they are summed up.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tonic::{Code, Status};

use crate::judge::Fault;

/// How many violations are described; all are counted.
const DESCRIBED_MAX: usize = 20;

/// A counter.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of a phase.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) mutations: Count,
    pub(crate) replayed: Count,
    pub(crate) unenforced: Count,
    pub(crate) retries: Count,
    pub(crate) allowed: Count,
    pub(crate) denied: Count,
    pub(crate) unavailable: Count,
    pub(crate) stale_allows: Count,
    pub(crate) stale_denials: Count,
    pub(crate) lost: Count,
    pub(crate) holes: Count,
    pub(crate) mismatches: Count,
    /// Within the window after the healing in which checks must succeed.
    pub(crate) healed_good: Count,
    pub(crate) healed_bad: Count,
    healed: Mutex<Option<Instant>>,
    /// Answers that were no answers, by who was asked for what and the code.
    codes: Mutex<BTreeMap<String, u64>>,
    /// What must not happen at all, in words.
    failures: Mutex<Vec<String>>,
    latencies: Mutex<Vec<Duration>>,
    first_stale_allow: Mutex<Option<(Instant, String)>>,
}

impl Tally {
    /// A decision came on a question of then.
    pub(crate) fn decided(&self, allowed: bool, asked: Instant) {
        if allowed { &self.allowed } else { &self.denied }.add(1);
        if self.is_healed(asked) {
            self.healed_good.add(1);
        }
    }

    /// No decision came.
    pub(crate) fn undecided(&self, status: &Status, asked: Instant) {
        self.unavailable.add(1);
        if self.is_healed(asked) {
            self.healed_bad.add(1);
            self.code("check, healed", status);
        }
        self.code("check", status);
    }

    /// Checks that are asked from now on must succeed.
    pub(crate) fn heal(&self) {
        *self.healed.lock().unwrap() = Some(Instant::now());
    }

    fn is_healed(&self, asked: Instant) -> bool {
        self.healed.lock().unwrap().is_some_and(|healed| asked >= healed)
    }

    /// An error came back. What a broken world cannot explain is a failure.
    pub(crate) fn code(&self, who: &str, status: &Status) {
        let code = status.code();
        let message: String = status.message().chars().take(40).collect();
        *self.codes.lock().unwrap().entry(format!("{who}: {code:?} ({message})")).or_default() += 1;
        let explained = [
            Code::Unavailable,
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Unknown,
            Code::Aborted,
            Code::ResourceExhausted,
        ];
        if !explained.contains(&code) && !is_broken_connection(status) {
            self.fail(format!("{who}: an error that no fault explains: {code:?}: {}", status.message()));
        }
    }

    /// An answer was wrong.
    pub(crate) fn violation(&self, fault: Fault, text: String) {
        match fault {
            Fault::StaleAllow => &self.stale_allows,
            Fault::StaleDenial => &self.stale_denials,
        }
        .add(1);
        self.fail(text.clone());
        if fault == Fault::StaleAllow {
            self.first_stale_allow.lock().unwrap().get_or_insert((Instant::now(), text));
        }
    }

    /// Something that must not happen.
    pub(crate) fn fail(&self, text: String) {
        let mut failures = self.failures.lock().unwrap();
        if failures.len() < DESCRIBED_MAX && !failures.contains(&text) {
            failures.push(text);
        }
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    pub(crate) fn codes(&self) -> BTreeMap<String, u64> {
        self.codes.lock().unwrap().clone()
    }

    /// How many answers were wrong.
    pub(crate) fn violations(&self) -> u64 {
        self.stale_allows.get() + self.stale_denials.get()
    }

    /// When access that had been removed was first allowed, and how.
    pub(crate) fn first_stale_allow(&self) -> Option<(Instant, String)> {
        self.first_stale_allow.lock().unwrap().clone()
    }

    /// How many questions were asked.
    pub(crate) fn checks(&self) -> u64 {
        self.allowed.get() + self.denied.get() + self.unavailable.get()
    }

    /// How long a mutation took that was sent then; those are kept that nothing disturbed.
    pub(crate) fn took(&self, sent: Instant) {
        if self.is_healed(sent) {
            self.latencies.lock().unwrap().push(sent.elapsed());
        }
    }

    pub(crate) fn latencies(&self) -> Spread {
        Spread::of(self.latencies.lock().unwrap().clone())
    }

    /// The share of checks that succeeded after the healing, in percent; `None` where none were measured.
    pub(crate) fn success(&self) -> Option<f64> {
        let (good, bad) = (as_float(self.healed_good.get()), as_float(self.healed_bad.get()));
        (good + bad > 0.0).then(|| 100.0 * good / (good + bad))
    }
}

fn is_broken_connection(status: &Status) -> bool {
    std::error::Error::source(status).is_some() || status.message().contains("h2 protocol error")
}

fn as_float(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

/// How durations are spread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Spread {
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |per_cent: usize| {
            let rank = (durations.len() * per_cent).div_ceil(100).max(1);
            durations.get(rank - 1).copied().unwrap_or_default()
        };
        Self { count: durations.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let (p50, p99, max) = (milliseconds(self.p50), milliseconds(self.p99), milliseconds(self.max));
        write!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms of {}", self.count)
    }
}

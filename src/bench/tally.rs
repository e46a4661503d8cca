//! What became of calls: how many, how long each took, what went wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::call::{Call, Rpc};

/// The longest latency that is told apart from longer ones.
const LATENCY_MAX: Duration = Duration::from_secs(120);
/// How many different errors are told apart.
const ERRORS_MAX: usize = 20;

/// Latencies, to three digits.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Option<Histogram<u64>>);

impl Default for Latencies {
    fn default() -> Self {
        let longest = u64::try_from(LATENCY_MAX.as_nanos()).unwrap_or(u64::MAX);
        // These bounds are good ones.
        Self(Histogram::new_with_bounds(1, longest, 3).ok())
    }
}

impl Latencies {
    pub(super) fn record(&mut self, latency: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1));
        }
    }

    fn add(&mut self, other: &Self) {
        if let (Some(mine), Some(other)) = (&mut self.0, &other.0) {
            // Both have the same bounds.
            let _ = mine.add(other);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// How long such a part of the calls took at most, in microseconds; none: there was none.
    pub(super) fn micros_at(&self, part: f64) -> Option<f64> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(histogram.value_at_quantile(part) as f64 / 1_000.0)
    }
}

/// All that is known of a run of calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Of the calls that were answered.
    pub(super) latencies: BTreeMap<Rpc, Latencies>,
    /// Questions that were answered.
    pub(super) checks: u64,
    /// What went wrong, and how often.
    pub(super) errors: BTreeMap<String, u64>,
    /// Due, and not sent: too many were outstanding.
    pub(super) unsent: u64,
    /// How much later than due calls were sent, in an open loop.
    pub(super) lateness: Latencies,
    /// From the first call to the end of the last one.
    pub(super) time: Duration,
}

impl Tally {
    /// A call has ended.
    pub(super) fn ended(&mut self, call: &Call, latency: Duration, answer: Result<(), String>) {
        match answer {
            Ok(()) => {
                self.latencies.entry(call.rpc).or_default().record(latency);
                self.checks += u64::from(call.checks);
            }
            Err(error) => self.failed(error, 1),
        }
    }

    /// So many calls went wrong in one way.
    pub(super) fn failed(&mut self, error: String, count: u64) {
        if count == 0 {
            return;
        }
        let is_known = self.errors.contains_key(&error) || self.errors.len() < ERRORS_MAX;
        let error = if is_known { error } else { "other errors".to_owned() };
        *self.errors.entry(error).or_default() += count;
    }

    /// Puts those of another thread to these.
    pub(super) fn add(&mut self, other: &Self) {
        for (rpc, latencies) in &other.latencies {
            self.latencies.entry(*rpc).or_default().add(latencies);
        }
        other.errors.iter().for_each(|(error, count)| self.failed(error.clone(), *count));
        self.lateness.add(&other.lateness);
        self.checks += other.checks;
        self.unsent += other.unsent;
        self.time = self.time.max(other.time);
    }

    /// Calls that were answered.
    pub(super) fn calls(&self) -> u64 {
        self.latencies.values().map(Latencies::count).sum()
    }

    pub(super) fn failures(&self) -> u64 {
        self.errors.values().sum()
    }
}

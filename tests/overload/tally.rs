//! What became of the calls of a phase: how many of which end, and how long they took from the instant they were due.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// How the door and the loads say that there is no room.
pub(crate) const OVERLOADED: &str = "UNAVAILABLE OVERLOADED";
/// How a call ended that was answered.
pub(crate) const OK: &str = "OK";
/// The length of a window of the timeline.
pub(crate) const WINDOW: Duration = Duration::from_millis(500);

/// Latencies, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(3).unwrap())
    }
}

impl Latencies {
    fn record(&mut self, latency: Duration) {
        self.0.record(u64::try_from(latency.as_micros()).unwrap()).unwrap();
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// How long so many in a thousand took at the most; none where there were none.
    pub(crate) fn at(&self, thousandths: u32) -> Option<Duration> {
        let value = || Duration::from_micros(self.0.value_at_quantile(f64::from(thousandths) / 1000.0));
        (!self.0.is_empty()).then(value)
    }
}

/// The calls that were due within a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Of those that were answered.
    pub(crate) latencies: Latencies,
    /// How many were not.
    pub(crate) unanswered: u64,
}

/// The calls of a phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Answered within the callers' patience.
    pub(crate) good: u64,
    /// All ends, by the code and the reason.
    pub(crate) ends: BTreeMap<String, Latencies>,
    /// Never sent: as many calls were outstanding as the load bears.
    pub(crate) unsent: u64,
    /// How much later than due they were sent.
    pub(crate) lags: Latencies,
    pub(crate) windows: Vec<Window>,
    pub(crate) seconds: f64,
}

impl Tally {
    /// A call is sent, so late.
    pub(crate) fn sent(&mut self, lag: Duration) {
        self.lags.record(lag);
    }

    /// A call ended; it was due so long after the beginning.
    pub(crate) fn ended(&mut self, due: Duration, end: &str, latency: Duration, patience: Duration) {
        let at = usize::try_from(due.as_millis() / WINDOW.as_millis()).unwrap();
        if self.windows.len() <= at {
            self.windows.resize_with(at + 1, Window::default);
        }
        let is_good = end == OK && latency <= patience;
        self.good += u64::from(is_good);
        if is_good {
            self.windows[at].latencies.record(latency);
        } else {
            self.windows[at].unanswered += 1;
        }
        if !self.ends.contains_key(end) {
            self.ends.insert(end.to_owned(), Latencies::default());
        }
        self.ends.get_mut(end).unwrap().record(latency);
    }

    /// Puts the calls of another thread to these.
    pub(crate) fn add(&mut self, other: &Self) {
        self.good += other.good;
        self.unsent += other.unsent;
        self.lags.0.add(&other.lags.0).unwrap();
        for (end, latencies) in &other.ends {
            self.ends.entry(end.clone()).or_default().0.add(&latencies.0).unwrap();
        }
        let windows = self.windows.len().max(other.windows.len());
        self.windows.resize_with(windows, Window::default);
        for (window, more) in self.windows.iter_mut().zip(&other.windows) {
            window.latencies.0.add(&more.latencies.0).unwrap();
            window.unanswered += more.unanswered;
        }
        self.seconds = self.seconds.max(other.seconds);
    }

    /// How many ended like this.
    pub(crate) fn count(&self, end: &str) -> u64 {
        self.ends.get(end).map_or(0, Latencies::count)
    }

    /// How many ended in another way than with an answer or a refusal.
    pub(crate) fn failed(&self) -> u64 {
        let failed = self.ends.iter().filter(|(end, _)| !matches!(end.as_str(), OK | OVERLOADED));
        failed.map(|(_, latencies)| latencies.count()).sum()
    }

    /// All that were due.
    pub(crate) fn due(&self) -> u64 {
        self.ends.values().map(Latencies::count).sum::<u64>() + self.unsent
    }

    /// Good answers in a second.
    pub(crate) fn goodput(&self) -> f64 {
        rate(self.good, self.seconds)
    }

    /// How long so many in a thousand of those that ended like this took.
    pub(crate) fn at(&self, end: &str, thousandths: u32) -> Option<Duration> {
        self.ends.get(end).and_then(|latencies| latencies.at(thousandths))
    }

    /// The ends with their numbers, for people.
    pub(crate) fn told(&self) -> String {
        let ends = self.ends.iter().map(|(end, latencies)| format!("{end} {}", latencies.count()));
        ends.collect::<Vec<_>>().join(", ")
    }
}

/// So many in a second.
pub(crate) fn rate(count: u64, seconds: f64) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from) / seconds.max(0.001)
}

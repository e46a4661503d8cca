//! Figures: what a run of calls comes down to, and the median of several runs. It knows arithmetic.

use std::collections::BTreeMap;

use serde::Serialize;

use super::call::Rpc;
use super::tally::{Latencies, Tally};
use super::usage::Usage;

/// What a run comes down to. Times are in microseconds; CPU is the server's, by the process and the system for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) seconds: f64,
    /// Calls that were answered.
    pub(super) calls: u64,
    pub(super) calls_per_s: f64,
    pub(super) checks_per_s: f64,
    pub(super) latency: Quantiles,
    /// Of the writes among the calls; those above are of the questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) writes: Option<Writes>,
    /// Nothing where the server's process is not known.
    pub(super) cpu_us_per_check: Option<f64>,
    pub(super) cpu_us_per_call: Option<f64>,
    /// How many processors the server kept busy.
    pub(super) cpu_cores: Option<f64>,
    /// At the end.
    pub(super) rss_bytes: Option<u64>,
    /// In an open loop: how much later than due calls were sent, at the 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) late_us_p99: Option<f64>,
    /// Due, and not sent: too many were outstanding.
    pub(super) unsent: u64,
    pub(super) failed: u64,
    pub(super) errors: BTreeMap<String, u64>,
}

/// How long calls took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50_us: f64,
    pub(super) p90_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
}

/// The writes among other calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Writes {
    pub(super) calls: u64,
    pub(super) calls_per_s: f64,
    pub(super) latency: Quantiles,
}

impl Quantiles {
    pub(super) fn of(latencies: &Latencies) -> Self {
        let at = |part| latencies.micros_at(part).unwrap_or(0.0);
        Self { p50_us: at(0.5), p90_us: at(0.9), p99_us: at(0.99), p999_us: at(0.999), max_us: at(1.0) }
    }

    fn median(all: &[Self]) -> Self {
        let at = |field: fn(&Self) -> f64| median(all.iter().map(field));
        Self {
            p50_us: at(|one| one.p50_us),
            p90_us: at(|one| one.p90_us),
            p99_us: at(|one| one.p99_us),
            p999_us: at(|one| one.p999_us),
            max_us: at(|one| one.max_us),
        }
    }
}

impl Figures {
    /// Of what became of calls, and what the server had used before and after.
    pub(super) fn of(tally: &Tally, used: Option<(Usage, Usage)>) -> Self {
        let seconds = tally.time.as_secs_f64();
        let per_s = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let asked = tally.latencies.iter().filter(|(rpc, _)| **rpc != Rpc::Write);
        let asked = asked.map(|(_, latencies)| latencies).next().or_else(|| tally.latencies.values().next());
        let write = tally.latencies.get(&Rpc::Write).filter(|_| tally.latencies.len() > 1);
        let micros =
            used.map(|(before, after)| after.processor.saturating_sub(before.processor).as_secs_f64() * 1e6);
        let each = |count: u64| micros.filter(|_| count > 0).map(|micros| micros / count as f64);
        Self {
            seconds,
            calls: tally.calls(),
            calls_per_s: per_s(tally.calls()),
            checks_per_s: per_s(tally.checks),
            latency: asked.map(Quantiles::of).unwrap_or_default(),
            writes: write.map(|write| Writes {
                calls: write.count(),
                calls_per_s: per_s(write.count()),
                latency: Quantiles::of(write),
            }),
            cpu_us_per_check: each(tally.checks),
            cpu_us_per_call: each(tally.calls()),
            cpu_cores: micros.filter(|_| seconds > 0.0).map(|micros| micros / 1e6 / seconds),
            rss_bytes: used.map(|(_, after)| after.rss_bytes),
            late_us_p99: tally.lateness.micros_at(0.99),
            unsent: tally.unsent,
            failed: tally.failures(),
            errors: tally.errors.clone(),
        }
    }

    /// The median of each figure; what went wrong is the sum.
    pub(super) fn median(rounds: &[Self]) -> Self {
        let at = |field: fn(&Self) -> f64| median(rounds.iter().map(field));
        let known = |field: fn(&Self) -> Option<f64>| {
            let all: Vec<_> = rounds.iter().filter_map(field).collect();
            (!all.is_empty()).then(|| median(all.into_iter()))
        };
        let latencies: Vec<_> = rounds.iter().map(|round| round.latency).collect();
        let writes: Vec<_> = rounds.iter().filter_map(|round| round.writes).collect();
        let mut errors = BTreeMap::new();
        for (error, count) in rounds.iter().flat_map(|round| &round.errors) {
            *errors.entry(error.clone()).or_default() += count;
        }
        Self {
            seconds: at(|round| round.seconds),
            calls: at(|round| round.calls as f64) as u64,
            calls_per_s: at(|round| round.calls_per_s),
            checks_per_s: at(|round| round.checks_per_s),
            latency: Quantiles::median(&latencies),
            writes: (!writes.is_empty()).then(|| Writes::median(&writes)),
            cpu_us_per_check: known(|round| round.cpu_us_per_check),
            cpu_us_per_call: known(|round| round.cpu_us_per_call),
            cpu_cores: known(|round| round.cpu_cores),
            rss_bytes: known(|round| round.rss_bytes.map(|bytes| bytes as f64)).map(|bytes| bytes as u64),
            late_us_p99: known(|round| round.late_us_p99),
            unsent: rounds.iter().map(|round| round.unsent).sum(),
            failed: rounds.iter().map(|round| round.failed).sum(),
            errors,
        }
    }
}

impl Writes {
    fn median(all: &[Self]) -> Self {
        let latencies: Vec<_> = all.iter().map(|one| one.latency).collect();
        Self {
            calls: median(all.iter().map(|one| one.calls as f64)) as u64,
            calls_per_s: median(all.iter().map(|one| one.calls_per_s)),
            latency: Quantiles::median(&latencies),
        }
    }
}

/// Of an even number the mean of the two in the middle; 0 of none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (high, low) = (values.len() / 2, values.len().saturating_sub(1) / 2);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    f64::midpoint(at(low), at(high))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::call::Call;
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0].into_iter()), 3.0);
        assert_eq!(median(std::iter::empty()), 0.0);
    }

    #[test]
    fn what_the_server_used_is_shared_out_over_the_checks() {
        let mut tally = Tally { time: Duration::from_secs(2), ..Tally::default() };
        let call = Call { checks: 10, ..Call::floor() };
        (0..100).for_each(|_| tally.ended(&call, Duration::from_millis(1), Ok(())));
        tally.ended(&call, Duration::from_secs(9), Err("refused".to_owned()));
        let usage = |millis| Usage { processor: Duration::from_millis(millis), rss_bytes: millis };
        let figures = Figures::of(&tally, Some((usage(500), usage(1_500))));
        assert_eq!((figures.calls, figures.failed, figures.rss_bytes), (100, 1, Some(1_500)));
        assert_eq!((figures.cpu_us_per_call, figures.cpu_us_per_check), (Some(10_000.0), Some(1_000.0)));
        assert_eq!((figures.cpu_cores, figures.checks_per_s), (Some(0.5), 500.0));
        assert!((990.0..1_010.0).contains(&figures.latency.p99_us), "{:?}", figures.latency);
        assert_eq!(Figures::of(&tally, None).cpu_us_per_check, None);
    }

    #[test]
    fn rounds_are_put_together_figure_by_figure() {
        let round = |calls, cpu, error: &str| Figures {
            calls,
            cpu_us_per_check: Some(cpu),
            failed: 1,
            errors: BTreeMap::from([(error.to_owned(), 1)]),
            ..Figures::default()
        };
        let median = Figures::median(&[round(3, 1.0, "a"), round(1, 3.0, "a"), round(2, 2.0, "b")]);
        assert_eq!((median.calls, median.cpu_us_per_check, median.failed), (2, Some(2.0), 3));
        assert_eq!(median.errors, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
    }
}

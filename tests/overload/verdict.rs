//! The targets, and whether a workload met them. What the load itself could not do is no verdict on the server.

use std::time::Duration;

use crate::phase::Outcome;
use crate::tally::{OVERLOADED, Tally};
use crate::world::Kind;

const MEGABYTE: u64 = 1024 * 1024;
/// How much the server's memory may grow under a flood to be flat.
const GROWTH_MAX: u64 = 32 * MEGABYTE;
const REFUSAL_P99: Duration = Duration::from_millis(5);
const RECOVERY: Duration = Duration::from_secs(5);
/// Of the calls that were due, the most that the load may have failed to send, in thousandths.
const UNSENT_MAX: u64 = 10;

/// Whether a target was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Met,
    Missed,
    /// The load was late, or nothing was measured.
    Open,
}

impl Judgement {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Open => "not judged",
        }
    }

    fn of(is_met: bool) -> Self {
        if is_met { Self::Met } else { Self::Missed }
    }
}

/// A target, what was measured, and whether that is enough.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) target: String,
    pub(crate) measured: String,
    pub(crate) judgement: Judgement,
}

impl Verdict {
    fn new(target: impl Into<String>, measured: String, judgement: Judgement) -> Self {
        Self { target: target.into(), measured, judgement }
    }
}

/// All of a workload.
pub(crate) fn all(outcome: &Outcome) -> Vec<Verdict> {
    let mut verdicts = vec![goodput(outcome, 2.0, 0.9), refusals(outcome)];
    verdicts.push(memory(outcome));
    verdicts.extend([goodput(outcome, 10.0, 0.7), recovery(outcome), failures(outcome)]);
    verdicts.extend(bulkhead(outcome));
    verdicts.push(sent(outcome));
    verdicts
}

fn goodput(outcome: &Outcome, factor: f64, least: f64) -> Verdict {
    let share = outcome.share(factor);
    let target = format!("goodput at {factor:.0}× at least {least} of the capacity");
    Verdict::new(target, format!("{share:.2}"), Judgement::of(share >= least))
}

fn refusals(outcome: &Outcome) -> Verdict {
    let flood = &outcome.phase(2.0).flood;
    let (p99, lag) = (flood.at(OVERLOADED, 990), flood.lags.at(990));
    // A load that is late itself cannot tell how late the server is.
    let judgement = match (p99, lag) {
        (Some(p99), _) if p99 <= REFUSAL_P99 => Judgement::Met,
        (Some(_), Some(lag)) if lag <= REFUSAL_P99 => Judgement::Missed,
        _ => Judgement::Open,
    };
    let measured = format!("{} (of these late in being sent: {})", ms(p99), ms(lag));
    Verdict::new("refusals at 2× within 5 ms at p99", measured, judgement)
}

fn memory(outcome: &Outcome) -> Verdict {
    let before = outcome.phase(1.0).usage.memory;
    let growth = |factor| outcome.phase(factor).usage.memory.saturating_sub(before);
    let is_met = growth(2.0) <= GROWTH_MAX && growth(10.0) <= GROWTH_MAX;
    let judgement = if before == 0 { Judgement::Open } else { Judgement::of(is_met) };
    let measured = format!(
        "{} MB at 1×, {} more at 2×, {} more at 10×",
        before / MEGABYTE,
        growth(2.0) / MEGABYTE,
        growth(10.0) / MEGABYTE
    );
    Verdict::new(
        format!("memory flat: at most {} MB more than at 1×", GROWTH_MAX / MEGABYTE),
        measured,
        judgement,
    )
}

fn recovery(outcome: &Outcome) -> Verdict {
    let after = outcome.recovered_after();
    let measured = after.map_or("not while it was watched".to_owned(), |after| {
        format!("within {:.1} s", after.as_secs_f64())
    });
    let judgement = Judgement::of(after.is_some_and(|after| after <= RECOVERY));
    Verdict::new("half the load as before within 5 s of the end of 10×", measured, judgement)
}

fn failures(outcome: &Outcome) -> Verdict {
    let failed: u64 = outcome.phases.iter().map(|phase| phase.flood.failed()).sum();
    Verdict::new("no end but an answer or a refusal", format!("{failed} others"), Judgement::of(failed == 0))
}

/// Cached checks go on while something else is flooded.
fn bulkhead(outcome: &Outcome) -> Option<Verdict> {
    if outcome.workload.kind == Kind::Cached {
        return None;
    }
    let unanswered = |tally: &Tally| tally.due() - tally.good;
    let lost: u64 = outcome.phases.iter().map(|phase| unanswered(&phase.cached)).sum();
    let p99 = |factor| outcome.phase(factor).cached.at(crate::tally::OK, 990);
    let measured = format!("{lost} were not; p99 {} in peace, {} at 10×", ms(p99(0.0)), ms(p99(10.0)));
    Some(Verdict::new("cached checks meanwhile all answered", measured, Judgement::of(lost == 0)))
}

fn sent(outcome: &Outcome) -> Verdict {
    let flood = &outcome.phase(10.0).flood;
    let is_met = flood.unsent * 1000 <= flood.due() * UNSENT_MAX;
    let measured = format!("{} of {} not; p99 {} late", flood.unsent, flood.due(), ms(flood.lags.at(990)));
    let judgement = if is_met { Judgement::Met } else { Judgement::Open };
    Verdict::new("the load sent what was due at 10×", measured, judgement)
}

/// Milliseconds, for people.
pub(crate) fn ms(time: Option<Duration>) -> String {
    time.map_or("–".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
}

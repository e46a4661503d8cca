//! The release before and this one side by side on one database, with nothing broken: no answer may be stale or missing.

use std::time::Duration;

use crate::arguments::Arguments;
use crate::lab::{Lab, Tuning};
use crate::load::Plan;
use crate::phase::{Course, Outcome, Run};
use crate::report;
use crate::runs::judge;

const SECONDS: u64 = 20;

/// Replica 0 is of the other binary. It migrates and serves first; this build migrates while it does.
pub(crate) async fn run(arguments: &Arguments) -> bool {
    let measured = Duration::from_secs(arguments.seconds.unwrap_or(SECONDS));
    let tuning = Tuning { direct: true, before: arguments.from.clone(), ..Tuning::default() };
    let run = Run::start(Lab::start(tuning).await, arguments.seed).await;
    let course = Course { lanes: Vec::new(), faults: Duration::ZERO, measured, until_violation: false };
    // A caller's limit of calls in a tenant is as it is shipped: the probes would add nothing to the checkers but load.
    let plan = Plan { probes: 0, ..Plan::default() };
    let outcome = run.go_through(&course, plan, arguments.seed).await;
    nothing_failed(&outcome);
    let good = judge(&outcome);
    report::print(&outcome);
    let tally = &outcome.tally;
    println!(
        "upgrade: {} answers and {} mutations, stale {}, failed {}",
        tally.allowed.get() + tally.denied.get(),
        tally.mutations.get(),
        tally.violations(),
        tally.unavailable.get() + tally.retries.get()
    );
    good
}

/// With nothing broken, every call has its answer at the first try.
fn nothing_failed(outcome: &Outcome) {
    let tally = &outcome.tally;
    if tally.unavailable.get() > 0 {
        tally.fail(format!("{} checks were not answered", tally.unavailable.get()));
    }
    if tally.retries.get() > 0 {
        tally.fail(format!("{} mutations had to be sent again", tally.retries.get()));
    }
    if tally.unenforced.get() > 0 {
        tally.fail(format!("{} mutations were not enforced", tally.unenforced.get()));
    }
}

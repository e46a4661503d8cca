//! The runs: smoke, mutants and their controls, the soak; each prints what it saw and says whether it was good.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::arguments::{Arguments, Command};
use crate::lab::{HAS_CACHES, Lab, Tuning};
use crate::latency;
use crate::load::Plan;
use crate::mutant::{self, Mutant};
use crate::phase::{Course, Outcome, RECOVERY, Run};
use crate::report;
use crate::{schedule, upgrade};

const SMOKE_SECONDS: u64 = 120;
/// A mutant that has not been found by then is not found.
const MUTANT_SECONDS: u64 = 240;
const MEASURED: Duration = Duration::from_secs(12);
/// A phase of the soak has faults for so long.
const SOAK_FAULTS: Duration = Duration::from_secs(38);
/// The longest pause of a check between lookup and gate, in the runs where nothing is broken.
pub(crate) const STALL_MS: u64 = 900;

/// Does what was asked for.
pub(crate) async fn run(arguments: &Arguments) -> bool {
    let seed = arguments.seed;
    match &arguments.command {
        Command::All => {
            let smoke = smoke(seed, arguments.seconds.unwrap_or(SMOKE_SECONDS)).await;
            let all: Vec<_> = mutant::ALL.iter().collect();
            mutants(&all, seed).await && smoke
        }
        Command::Smoke => smoke(seed, arguments.seconds.unwrap_or(SMOKE_SECONDS)).await,
        Command::Mutants(some) => mutants(some, seed).await,
        Command::Controls(some) => controls(some, seed, arguments.seconds.unwrap_or(MUTANT_SECONDS)).await,
        Command::Soak => soak(arguments).await,
        Command::Upgrade => upgrade::run(arguments).await,
        Command::Latency => {
            latency::measure_all(seed).await;
            true
        }
        Command::Help => true,
    }
}

/// Whether a phase was as it must be; what was not is among its failures.
pub(crate) fn judge(outcome: &Outcome) -> bool {
    let tally = &outcome.tally;
    if let Some(success) = tally.success().filter(|success| *success < 99.9) {
        tally.fail(format!("only {success:.3} % of checks succeeded after the healing"));
    }
    if tally.mismatches.get() > 0 {
        tally.fail(format!(
            "{} answers from caches were decided otherwise by Postgres",
            tally.mismatches.get()
        ));
    }
    if tally.mutations.get() == 0 || tally.allowed.get() == 0 || tally.denied.get() == 0 {
        tally.fail("there was no load".to_owned());
    }
    tally.failures().is_empty()
}

async fn smoke(seed: u64, seconds: u64) -> bool {
    let faults = Duration::from_secs(seconds).saturating_sub(RECOVERY + MEASURED).max(Duration::from_secs(5));
    println!(
        "\nsmoke: {} s of faults, then {} s of healing",
        faults.as_secs(),
        (RECOVERY + MEASURED).as_secs()
    );
    let lab = Lab::start(Tuning { stall_ms: STALL_MS, ..Tuning::default() }).await;
    let run = Run::start(lab, seed).await;
    let outcome = run.go_through(&random_course(seed, faults), Plan::default(), seed).await;
    let good = judge(&outcome);
    report::print(&outcome);
    good
}

fn random_course(seed: u64, faults: Duration) -> Course {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5c4e);
    let milliseconds = u64::try_from(faults.as_millis()).unwrap();
    Course {
        lanes: schedule::random(&mut rng, milliseconds),
        faults,
        measured: MEASURED,
        until_violation: false,
    }
}

async fn mutants(some: &[&Mutant], seed: u64) -> bool {
    if !HAS_CACHES {
        println!("\nthis build has no caches, and so no rules to break");
        return true;
    }
    let mut good = true;
    for mutant in some {
        let course = mutant_course(mutant, seed, MUTANT_SECONDS, true);
        let lab = Lab::start(mutant.tuning(true)).await;
        let run = Run::start(lab, seed).await;
        let outcome = run.go_through(&course, mutant.plan(), seed).await;
        let found = outcome.tally.first_stale_allow().is_some();
        report::print_mutant(mutant, found, &outcome);
        good &= found;
    }
    good
}

async fn controls(some: &[&Mutant], seed: u64, seconds: u64) -> bool {
    let mut good = true;
    for mutant in some {
        println!("\ncontrol of {}: {}", mutant.name, mutant.shows);
        let course = mutant_course(mutant, seed, seconds, false);
        let lab = Lab::start(mutant.tuning(false)).await;
        let run = Run::start(lab, seed).await;
        let outcome = run.go_through(&course, mutant.plan(), seed).await;
        good &= judge(&outcome);
        report::print(&outcome);
    }
    good
}

fn mutant_course(mutant: &Mutant, seed: u64, seconds: u64, until_violation: bool) -> Course {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5c4e);
    Course {
        lanes: mutant.lanes(&mut rng, seconds * 1_000),
        faults: Duration::from_secs(seconds),
        measured: Duration::ZERO,
        until_violation,
    }
}

async fn soak(arguments: &Arguments) -> bool {
    let end = Instant::now() + Duration::from_secs(arguments.minutes * 60);
    let lab = Lab::start(Tuning { stall_ms: STALL_MS, ..Tuning::default() }).await;
    let run = Run::start(lab, arguments.seed).await;
    let mut phases = Vec::new();
    let mut good = true;
    for seed in arguments.seed.. {
        println!("\nphase {} (seed {seed})", phases.len() + 1);
        let outcome = run.go_through(&random_course(seed, SOAK_FAULTS), Plan::default(), seed).await;
        good &= judge(&outcome);
        report::print(&outcome);
        phases.push(outcome);
        if Instant::now() >= end {
            break;
        }
    }
    drop(run);
    let latencies = latency::measure_all(arguments.seed).await;
    if let Some(path) = &arguments.report {
        std::fs::write(path, report::markdown(arguments, &phases, &latencies)).unwrap();
        println!("\nthe report is in {}", path.display());
    }
    good
}

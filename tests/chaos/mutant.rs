//! Mutants: for each rule of the protocol that can be broken on purpose, the faults that make the breach visible.
//!
//! Each schedule is legal: the unbroken protocol goes through it without a stale answer (`control` proves it).

use std::ops::Range;

use rand::Rng;
use rand::rngs::StdRng;

use crate::fault::{Fault, Trouble};
use crate::lab::{Service, Tuning};
use crate::load::Plan;
use crate::schedule::{Lane, Step};

/// A broken rule, and how it is found.
#[derive(Debug)]
pub(crate) struct Mutant {
    /// As `DOORWARD_TEST__SLIP` has it.
    pub(crate) name: &'static str,
    /// How it shows.
    pub(crate) shows: &'static str,
    tuning: fn() -> Tuning,
    plan: fn() -> Plan,
    lanes: fn(&mut StdRng, u64) -> Vec<Lane>,
}

pub(crate) const ALL: &[Mutant] = &[
    Mutant {
        name: "no_wait",
        shows: "no hint reaches anyone: until its next poll, another replica answers from what it has",
        tuning: || Tuning { poll_ms: 250, ..Tuning::default() },
        plan: Plan::default,
        lanes: |_, end| vec![vec![step(0, end, Fault::HintsMuted)]],
    },
    Mutant {
        name: "no_gate",
        shows: "a replica's feed is black-holed for several leases while others write",
        tuning: Tuning::default,
        plan: || others_write(500..1_500),
        lanes: |rng, end| vec![repeat(rng, end, 2_500..4_000, 1_000..1_500, feed(Trouble::Hole))],
    },
    Mutant {
        name: "newer_fresh",
        shows: "a replica is stopped for more than a lease; then checks pause before their gate while its feed catches up",
        tuning: || Tuning { stall_ms: 800, suspend_ms: NEVER, ..Tuning::default() },
        plan: || Plan { probes: 40, ..others_write(900..1_500) },
        lanes: |rng, end| {
            let slow = step(0, end, feed(Trouble::DelayDown(100)));
            vec![vec![slow], repeat(rng, end, 1_000..1_500, 700..1_100, Fault::Pause(LONELY))]
        },
    },
    Mutant {
        name: "fresh_from_reply",
        shows: "what the feed says arrives so late that each answer is nearly a lease old, and the next is on its way",
        tuning: || Tuning { suspend_ms: NEVER, ..Tuning::default() },
        plan: || others_write(1_000..2_000),
        lanes: |rng, end| vec![repeat(rng, end, 8_000..12_000, 500..1_000, feed(Trouble::DelayDown(450)))],
    },
    Mutant {
        name: "far_unchecked",
        shows: "the writer's deletions do not reach Redis, which goes on giving what is outdated",
        tuning: Tuning::default,
        plan: || Plan { written: vec![0], ..Plan::default() },
        lanes: |_, end| vec![vec![step(0, end, Fault::Link(0, Service::Redis, Trouble::Hole))]],
    },
    Mutant {
        name: "one_step_eviction",
        shows: "a replica's polls are late on their way, so that it seems dead while its lease still runs",
        tuning: || Tuning { suspend_ms: 100, ..Tuning::default() },
        plan: || others_write(200..500),
        lanes: |rng, end| vec![repeat(rng, end, 600..900, 1_500..2_500, feed(Trouble::DelayUp(400)))],
    },
];

/// The replica that is in trouble.
const LONELY: usize = 2;
/// Longer than any mutation waits.
const NEVER: u64 = 60_000;

/// The others write, now and then, and the one in trouble is asked. Whatever is loaded freshens what is cached, so that
/// there is little to find where much is written: facts that are newer than the feed are not used, whoever has them.
fn others_write(every_ms: Range<u64>) -> Plan {
    Plan {
        writers_per_tenant: 1,
        checkers_per_replica: 8,
        written: vec![0, 1],
        asked: vec![LONELY],
        off_ms: every_ms.clone(),
        on_ms: every_ms,
        mixed: false,
        probes: 4,
        ..Plan::default()
    }
}

impl Mutant {
    /// The settings; with the broken rule or, as a control, without.
    pub(crate) fn tuning(&self, broken: bool) -> Tuning {
        Tuning { slip: broken.then_some(self.name), ..(self.tuning)() }
    }

    pub(crate) fn plan(&self) -> Plan {
        (self.plan)()
    }

    pub(crate) fn lanes(&self, rng: &mut StdRng, end_ms: u64) -> Vec<Lane> {
        (self.lanes)(rng, end_ms)
    }
}

fn step(from_ms: u64, to_ms: u64, fault: Fault) -> Step {
    Step { from_ms, to_ms, fault }
}

fn feed(trouble: Trouble) -> Fault {
    Fault::Link(LONELY, Service::Feed, trouble)
}

/// The same fault again and again: for how long, and the gap before each.
fn repeat(rng: &mut StdRng, end_ms: u64, lasts: Range<u64>, gap: Range<u64>, fault: Fault) -> Lane {
    let mut lane = Vec::new();
    let mut from_ms = 1_500;
    while from_ms < end_ms {
        let to_ms = from_ms + rng.random_range(lasts.clone());
        lane.push(step(from_ms, to_ms.min(end_ms), fault));
        from_ms = to_ms + rng.random_range(gap.clone());
    }
    lane
}

//! A short run with few places, which fails only where a promise is broken that no noise can break.

use std::time::Duration;

use crate::load::Load;
use crate::phase::{self, Course, Outcome, Workload};
use crate::report;
use crate::server::Server;
use crate::tally::{OK, OVERLOADED};
use crate::usage::Processes;
use crate::world::{Kind, World};

const WORLD: World = World { tenants: 2, members: 10, agents: 20 };
/// So few places that ten times the capacity finds none, however slow the load is; and more time than a machine that is
/// busy with other things stands still for.
const LIMITS: [(&str, &str); 3] = [("LOADS", "4"), ("READS", "2"), ("CHECK_DEADLINE_MS", "30000")];
const WORKLOADS: [Workload; 2] = [
    Workload { name: "checks", kind: Kind::Fresh, sweep: &[4] },
    Workload { name: "lists", kind: Kind::Matrix, sweep: &[2] },
];
const COURSE: Course = Course {
    step: Duration::from_secs(1),
    flood: Duration::from_secs(1),
    half: Duration::from_secs(2),
    cached_rate: 20.0,
};
const PATIENCE: Duration = Duration::from_secs(30);
const GROWTH_MAX: u64 = 128 * 1024 * 1024;

/// Whether nothing was broken.
pub(crate) fn run() -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut server = runtime.block_on(Server::start(&LIMITS));
    runtime.block_on(WORLD.create(&server));
    let load = Load { address: server.address, world: WORLD, threads: 1, patience: PATIENCE };
    let processes = Processes::find();
    for workload in WORKLOADS {
        let before = processes.memory();
        let outcome = phase::run(&load, processes, workload, COURSE);
        report::print(&outcome);
        assert!(server.is_alive(), "the server has ended:\n{}", server.last_words());
        check(&outcome);
        let grown = processes.memory().saturating_sub(before);
        assert!(grown < GROWTH_MAX, "the server's memory has grown by {grown} bytes");
    }
    println!("overload: passed");
    true
}

fn check(outcome: &Outcome) {
    for phase in &outcome.phases {
        let (flood, cached) = (&phase.flood, &phase.cached);
        let factor = phase.factor;
        assert_eq!(flood.failed(), 0, "at {factor}×, neither answers nor refusals: {}", flood.told());
        assert_eq!(cached.count(OK), cached.due(), "at {factor}×, cached checks: {}", cached.told());
    }
    let most = &outcome.phase(10.0).flood;
    assert!(most.good > 0, "at 10× nothing was answered: {}", most.told());
    assert!(most.count(OVERLOADED) > 0, "at 10× nothing was refused: {}", most.told());
    let half = outcome.phases.last().unwrap();
    let answered = half.flood.windows.last().map_or(0, |window| window.latencies.count());
    assert!(answered > 0, "after the floods nothing was answered: {}", half.flood.told());
}

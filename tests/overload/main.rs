//! Overload: a real server on a real Postgres, asked for more than it can do; what it still does, and how it says no.
//!
//! `cargo test --test overload` makes a short run that fails only where noise cannot be the reason. The run that is held
//! against the targets of SECURITY.md is `just overload`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time, and clears the environment of what it starts"
)]

#[path = "../chaos/keeper.rs"]
mod keeper;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../chaos/postgres.rs"]
#[expect(dead_code, reason = "here it is never stopped")]
mod postgres;

mod arguments;
mod connection;
mod cores;
mod load;
mod phase;
mod report;
mod server;
mod smoke;
mod tally;
mod usage;
mod verdict;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use crate::arguments::{Arguments, Command};
use crate::cores::Cores;
use crate::load::Load;
use crate::phase::{Course, Workload};
use crate::server::Server;
use crate::usage::Processes;
use crate::verdict::Judgement;
use crate::world::{Kind, World};

const WORLD: World = World { tenants: 4, members: 50, agents: 200 };
const WORKLOADS: [Workload; 2] = [
    Workload { name: "checks", kind: Kind::Fresh, sweep: &[8, 16, 32, 64, 128] },
    Workload { name: "lists", kind: Kind::Matrix, sweep: &[2, 4, 8, 16, 32, 64] },
];

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("overload: {error}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let good = match arguments.command {
        Command::Help => {
            println!("{}", arguments::USAGE);
            true
        }
        Command::Smoke => smoke::run(),
        Command::Full => full(&arguments),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn full(arguments: &Arguments) -> bool {
    let mut cores = Cores::share_out();
    cores.serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut server = runtime.block_on(Server::start(&[]));
    runtime.block_on(async {
        WORLD.create(&server).await;
        server.analyze().await;
    });
    cores.ask();
    println!("overload: on {}", cores.told());
    let course = Course {
        step: Duration::from_secs(2),
        flood: Duration::from_secs(arguments.seconds),
        half: Duration::from_secs(8),
        cached_rate: 200.0,
    };
    let patience = Duration::from_secs(1);
    let load = Load { address: server.address, world: WORLD, threads: cores.threads(), patience };
    let wanted = |workload: &&Workload| arguments.only.as_deref().is_none_or(|only| only == workload.name);
    let mut outcomes = Vec::new();
    for workload in WORKLOADS.iter().filter(wanted) {
        let outcome = phase::run(&load, Processes::find(), *workload, course);
        report::print(&outcome);
        outcomes.push(outcome);
    }
    assert!(server.is_alive(), "the server has ended:\n{}", server.last_words());
    if let Some(path) = &arguments.report {
        std::fs::write(path, report::markdown(arguments, (&cores, WORLD, course), &outcomes)).unwrap();
    }
    let verdicts: Vec<_> = outcomes.iter().flat_map(verdict::all).collect();
    !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.judgement != Judgement::Missed)
}

//! Chaos: three real replicas on a real Postgres and Redis, broken at random; one clock judges every answer.
//!
//! `cargo test --features slips --test chaos` makes a short run and then runs every broken rule, which must be found.
//! What else it can do is in its usage: `… --test chaos -- help`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time, and clears the environment of what it starts"
)]

#[path = "../support/machine.rs"]
mod machine;

mod arguments;
mod checker;
mod fault;
mod judge;
mod keeper;
mod lab;
mod latency;
mod load;
mod metrics;
mod mutant;
mod mutation;
mod phase;
mod postgres;
mod proxy;
mod redis;
mod replica;
mod report;
mod runs;
mod schedule;
mod setup;
mod tally;
mod upgrade;
mod verify;
mod world;
mod writer;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("chaos: {error}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    if matches!(arguments.command, Command::Help) {
        println!("{}", arguments::USAGE);
        return ExitCode::SUCCESS;
    }
    judge::self_test();
    println!("chaos: seed {}", arguments.seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let good = runtime.block_on(runs::run(&arguments));
    println!("chaos: {}", if good { "passed" } else { "FAILED" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

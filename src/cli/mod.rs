//! The command line: it reads arguments, asks `app` or a running service, and says how it went as an exit code.

mod audit;
mod bench;
mod catalogue;
mod check;
mod client;
mod credential;
mod demo;
mod doctor;
mod health;
mod migrate;
mod output;
mod serve;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

pub use self::demo::questions;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// As asked; allowed; up to date.
    Done,
    /// Asked and answered: denied; steps are pending.
    No,
}

/// What a command failed with, for people.
#[derive(Debug)]
struct Failure(String);

/// What a command runs on that waits for others.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The exit code of an answer that is no.
const NO: u8 = 3;
/// The exit code of whatever could not be done.
const FAILED: u8 = 1;

/// Authorization for multi-tenant platforms: roles, sections and grants, answered over gRPC.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: a service on an embedded database in a temporary directory, with a tenant and questions to ask.
    Demo(demo::Arguments),
    /// Run the service.
    Serve(serve::Arguments),
    /// Create or inspect the database's schema.
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Ask a service on this machine whether it is ready. Exits with 0 (ready), 3 (not ready, and why) or 1 (no answer).
    Health(health::Arguments),
    /// Look for what is wrong: settings, database, schema, permissions, clocks, Redis, TLS. Exits with 1 where `serve` would
    /// not work.
    Doctor(doctor::Arguments),
    /// What can be set and, with --effective, what is.
    Settings(settings::Arguments),
    /// Ask a question. Exits with 0 (allowed), 3 (denied) or 1 (could not be asked).
    Check(check::Arguments),
    /// Ask a question and see every rule that was looked at. Exits as `check` does.
    Explain(check::ExplainArguments),
    /// Make, list, rotate and revoke the credentials of sibling services.
    #[command(subcommand)]
    Credential(credential::Command),
    /// Change the catalogue that is in force.
    #[command(subcommand)]
    Catalogue(catalogue::Command),
    /// Measure how fast a service is, beside what an empty call costs.
    Bench(bench::Arguments),
    /// Read the history.
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Runs the command line.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no failures; where they cannot be printed, nothing can.
            let _ = error.print();
            return if error.use_stderr() { FAILED.into() } else { ExitCode::SUCCESS };
        }
    };
    match execute(arguments.command) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::No) => NO.into(),
        Err(Failure(what)) => {
            output::failure(&what);
            FAILED.into()
        }
    }
}

fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Migrate(command) => migrate::run(&command),
        Command::Health(arguments) => health::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Settings(arguments) => settings::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => check::run_explain(&arguments),
        Command::Credential(command) => credential::run(&command),
        Command::Catalogue(command) => catalogue::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_wrong_argument_is_a_failure_and_help_is_none() {
        let code = |arguments: &[&str]| run(arguments.iter().map(OsString::from));
        assert_eq!(code(&["doorward", "chekc"]), FAILED.into());
        assert_eq!(code(&["doorward", "check", "--tenant", "acme"]), FAILED.into());
        assert_eq!(code(&["doorward", "--help"]), ExitCode::SUCCESS);
        assert_eq!(code(&["doorward", "--version"]), ExitCode::SUCCESS);
    }
}

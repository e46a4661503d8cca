//! `migrate`: the database's schema, brought up to date or looked at.

use clap::Subcommand;
use secrecy::ExposeSecret;

use super::serve::Source;
use super::{Exit, Failure, output, runtime};
use crate::settings::Telemetry;
use crate::store::sql;
use crate::telemetry;

/// What to do with the schema.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring it up to date. Safe to run from many replicas at once.
    Up {
        #[command(flatten)]
        source: Source,
    },
    /// Show which steps have been taken. Exits with 3 where some are pending.
    Status {
        #[command(flatten)]
        source: Source,
    },
}

/// Does it.
pub(super) fn run(command: &Command) -> Result<Exit, Failure> {
    let (Command::Up { source } | Command::Status { source }) = command;
    let settings = source.load(&[])?;
    settings.require_database()?;
    telemetry::init(&settings.log, &Telemetry::default())?;
    let url = settings.database.direct_url().expose_secret();
    let state = runtime()?.block_on(async {
        match command {
            Command::Up { .. } => sql::migrate(url).await,
            Command::Status { .. } => sql::migration_state(url).await,
        }
    })?;
    state.applied.iter().for_each(|step| output::line(&format!("applied {step}")));
    state.pending.iter().for_each(|step| output::line(&format!("pending {step}")));
    state.newer.iter().for_each(|step| output::line(&format!("newer {step}")));
    match (state.unfit(), command) {
        (None, _) if state.newer.is_empty() => output::line("the schema is up to date"),
        (None, _) => output::line("the schema is newer than this version, which can use it"),
        // It has been tried: only a newer version can help.
        (Some(unfit), Command::Up { .. }) => return Err(unfit.into()),
        (Some(unfit), Command::Status { .. }) => {
            output::line(&unfit.to_string());
            return Ok(Exit::No);
        }
    }
    Ok(Exit::Done)
}

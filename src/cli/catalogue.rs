//! `catalogue apply`: puts a catalogue in force, or tells what it would change.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::client::{self, Connection};
use super::output::{self, Format};
use super::{Exit, Failure};
use crate::catalogue::DOCUMENT_BYTES_MAX;
use crate::proto::ApplyCatalogueRequest;

/// What to do with the catalogue.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Put a catalogue in force for all tenants and replicas. What is in use may be retyped, not removed.
    Apply {
        /// The catalogue, TOML.
        file: PathBuf,
        /// Run every check and tell the difference, but change nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Does it.
pub(super) fn run(command: &Command) -> Result<Exit, Failure> {
    let Command::Apply { file, dry_run, connection } = command;
    let request = ApplyCatalogueRequest {
        document: read(file)?,
        validate_only: *dry_run,
        ..ApplyCatalogueRequest::default()
    };
    let response = connection.run(async |mut client| {
        let response = client.apply_catalogue(request).await;
        Ok(response.map_err(|status| client::refused(&status))?.into_inner())
    })?;
    let version = response.catalogue.as_ref().map_or(0, |catalogue| catalogue.version);
    match connection.output {
        Format::Json => output::line(
            &json!({ "version": version, "dry_run": dry_run, "differences": response.differences })
                .to_string(),
        ),
        Format::Text => {
            response.differences.iter().for_each(|difference| output::line(difference));
            output::line(&told(response.differences.is_empty(), *dry_run, version));
        }
    }
    Ok(Exit::Done)
}

fn told(same: bool, dry_run: bool, version: u64) -> String {
    match (same, dry_run) {
        (true, _) => "no difference to the catalogue in force".to_owned(),
        (false, true) => "nothing was changed: a dry run".to_owned(),
        (false, false) => format!("in force: version {version}"),
    }
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    let shown = file.display();
    let text =
        std::fs::read_to_string(file).map_err(|error| Failure(format!("{shown} cannot be read: {error}")))?;
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(Failure(format!("{shown} has {} bytes; allowed are {DOCUMENT_BYTES_MAX}", text.len())));
    }
    Ok(text)
}

//! `settings`: what can be set, and what is.

use clap::Args;

use super::serve::Source;
use super::{Exit, Failure, output};
use crate::settings;

/// Arguments of `settings`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The values in effect and where each comes from, as a file that can be read again. Secrets are hidden.
    #[arg(long)]
    effective: bool,
}

/// Prints them.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let text =
        if arguments.effective { arguments.source.load(&[])?.effective() } else { settings::reference() };
    output::line(text.trim_end());
    Ok(Exit::Done)
}

//! What the process says of itself: a log on stderr, and metrics passed down as a value. It knows no layer.

mod admission;
mod audit;
mod caches;
mod connections;
mod durations;
mod metrics;
mod people;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

pub use self::admission::{Admissions, Class, Decline};
pub use self::audit::{Audit, DenialOutcome};
pub use self::caches::{Caches, PollOutcome, SelfCheck};
pub use self::connections::{Connections, Cut, Refusal};
pub use self::durations::{Durations, Series};
pub use self::metrics::{CONTENT_TYPE, FarOutcome, Metrics, Outcome};
pub use self::people::{KeyFetch, People, Verification};

use crate::settings::{Log, LogFormat};

/// A library's messages that repeat a header's value, at any level: whatever a caller has written there.
const UNHEARD: &str = "tonic::transport::service::grpc_timeout=off";

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is not one.
    #[error("log.level is not a filter: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// It had been started before.
    #[error("the log was started twice")]
    Twice,
}

/// Starts the log of this process.
///
/// # Errors
/// [`Error`].
pub fn init(log: &Log) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&log.level)?.add_directive(UNHEARD.parse()?);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| Error::Twice)
}

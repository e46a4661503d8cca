//! What the process says of itself: a log on stderr, and metrics passed down as a value. It knows no layer.

mod admission;
mod audit;
mod caches;
mod connections;
mod durations;
mod metrics;
mod people;
mod reloads;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

pub use self::admission::{Admissions, Class, Decline};
pub use self::audit::{Audit, DenialOutcome};
pub use self::caches::{Caches, PollOutcome, SelfCheck};
pub use self::connections::{Connections, Cut, Refusal};
pub use self::durations::{Durations, Series};
pub use self::metrics::{CONTENT_TYPE, FarOutcome, Metrics, Outcome};
pub use self::people::{KeyFetch, People, Verification};
pub use self::reloads::Reloads;

use crate::settings::{Log, LogFormat};

/// A library's messages that repeat a header's value, at any level: whatever a caller has written there.
const UNHEARD: &str = "tonic::transport::service::grpc_timeout=off";

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is not one.
    #[error("log.level is not a filter: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The log has ended.
    #[error("the log's level cannot be changed: {0}")]
    Gone(#[from] reload::Error),
    /// It had been started before.
    #[error("the log was started twice")]
    Twice,
}

/// The level of this process's log, which can be changed.
#[derive(Clone, Debug)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Another level, or levels of modules.
    ///
    /// # Errors
    /// [`Error`]; the level stays as it is then.
    pub fn set(&self, level: &str) -> Result<(), Error> {
        Ok(self.0.reload(filter(level)?)?)
    }
}

fn filter(level: &str) -> Result<EnvFilter, Error> {
    Ok(EnvFilter::try_new(level)?.add_directive(UNHEARD.parse()?))
}

/// Starts the log of this process.
///
/// # Errors
/// [`Error`].
pub fn init(log: &Log) -> Result<Level, Error> {
    let (filter, level) = reload::Layer::new(filter(&log.level)?);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| Error::Twice)?;
    Ok(Level(level))
}

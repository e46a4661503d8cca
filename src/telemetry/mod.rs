//! What the process says of itself: a log on stderr, metrics and traces, passed down as values. It knows no layer.

mod admission;
mod audit;
mod caches;
mod connections;
mod durations;
mod export;
mod line;
mod metrics;
mod outcomes;
mod people;
mod pools;
mod reloads;
mod spans;
pub mod trace;

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

pub use self::admission::{Admissions, Class, Decline};
pub use self::audit::{Audit, DenialOutcome};
pub use self::caches::{Caches, PollOutcome, SelfCheck};
pub use self::connections::{Connections, Cut, Refusal};
pub use self::durations::{Called, Durations, Series};
pub use self::export::ExportError;
pub use self::metrics::{CONTENT_TYPE, FarOutcome, Metrics, Outcome};
pub use self::people::{KeyFetch, People, Verification};
pub use self::pools::{Pool, Pools};
pub use self::reloads::Reloads;
pub use self::spans::Spans;
pub use self::trace::Traces;

use self::export::Exporting;
use self::line::Traced;
use crate::settings::{Log, LogFormat, Telemetry};

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
    /// Traces cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// The level of this process's log, which can be changed.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Another level, or levels of modules.
    ///
    /// # Errors
    /// [`Error`]; the level stays as it is then.
    pub fn set(&self, level: &str) -> Result<(), Error> {
        Ok(self.0.reload(filter(level)?)?)
    }
}

fn filter(level: &str) -> Result<EnvFilter, Error> {
    let silent = format!("{}=off", trace::TARGET);
    Ok(EnvFilter::try_new(level)?.add_directive(UNHEARD.parse()?).add_directive(silent.parse()?))
}

/// What the process says of itself beside its log.
#[derive(Debug)]
pub struct Telling {
    /// The level of the log.
    pub level: LogLevel,
    /// Which calls are recorded.
    pub traces: Traces,
    exporting: Option<Exporting>,
}

impl Telling {
    /// Sends the spans that have ended by now, within a bound of time.
    pub fn end(self) {
        if let Some(exporting) = self.exporting {
            exporting.end();
        }
    }
}

/// Starts the log of this process, and its traces where there is somebody to receive them.
///
/// # Errors
/// [`Error`].
pub fn init(log: &Log, telemetry: &Telemetry) -> Result<Telling, Error> {
    let (filter, level) = reload::Layer::new(filter(&log.level)?);
    let lines = lines(log.format).with_filter(filter);
    let spans = Spans::default();
    let is_on = !telemetry.otlp_endpoint.is_empty();
    let exporting = is_on.then(|| Exporting::start(telemetry, &spans)).transpose()?;
    let exported = exporting.as_ref().map(|exporting| {
        tracing_opentelemetry::layer()
            .with_tracer(exporting.tracer())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            // What is logged, and what libraries do, stays here.
            .with_filter(Targets::new().with_target(trace::TARGET, Level::INFO))
    });
    let traces = if is_on { Traces::recording(telemetry.trace_ratio, spans) } else { Traces::off() };
    tracing_subscriber::registry().with(lines).with(exported).try_init().map_err(|_| Error::Twice)?;
    Ok(Telling { level: LogLevel(level), traces, exporting })
}

fn lines(format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            lines
                .with_ansi(ansi)
                .map_event_format(|lines| Traced { lines: lines.with_ansi(ansi), format })
                .boxed()
        }
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .map_event_format(|lines| Traced { lines, format })
            .boxed(),
    }
}

//! `serve`: the service, as the settings say.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure, output};
use crate::app::{self, Running, Sources};
use crate::clock::Clock;
use crate::settings::{self, Flag, Settings};
use crate::telemetry;

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Where gRPC, health and reflection answer; port 0 is a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where metrics and probes answer; port 0 is a free one.
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
}

/// Where settings come from.
#[derive(Args, Clone, Debug)]
pub(super) struct Source {
    /// A file of settings, TOML. The environment (DOORWARD_SECTION__KEY) overrides it, and flags the environment.
    #[arg(long, visible_alias = "settings", value_name = "FILE")]
    config: Option<PathBuf>,
    /// postgres://… or sqlite:///path. A password is better in the environment, as DOORWARD_DATABASE__URL.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

impl Source {
    /// The settings of all layers.
    pub(super) fn load(&self, flags: &[Flag]) -> Result<Settings, settings::Error> {
        let url = flag("--database-url", "database.url", self.database_url.as_ref());
        let flags: Vec<_> = flags.iter().cloned().chain(url).collect();
        Settings::load(self.config.as_deref(), &flags)
    }
}

/// A flag that was given.
fn flag(flag: &'static str, key: &'static str, value: Option<&String>) -> Option<Flag> {
    value.map(|value| Flag { flag, key, value: value.clone() })
}

/// Serves until a signal.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let listen = flag("--listen", "server.listen", arguments.listen.as_ref());
    let admin = flag("--admin-listen", "admin.listen", arguments.admin_listen.as_ref());
    let flags: Vec<_> = listen.into_iter().chain(admin).collect();
    let settings = arguments.source.load(&flags)?;
    settings.require_for_serving()?;
    let telling = telemetry::init(&settings.log, &settings.telemetry)?;
    let again = (arguments.source.clone(), flags);
    let read = move || again.0.load(&again.1);
    let sources = Sources { read: Box::new(read), level: telling.level.clone() };
    let traces = telling.traces.clone();
    if let Some(running) = app::start_unless_stopped(&settings, Clock::real(), sources, traces)? {
        output::line(&listening(&running));
        running.wait_for_signal_and_stop();
    }
    telling.end();
    Ok(Exit::Done)
}

/// The line that tells where it answers.
pub(super) fn listening(running: &Running) -> String {
    format!("listening grpc={} admin={}", running.grpc, running.admin)
}

//! `demo`: the service on an embedded database that is gone at the end, with a tenant to ask about.

pub mod questions;
mod seed;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use self::questions::QUESTIONS;
use super::client::Connection;
use super::{Exit, Failure, output, serve};
use crate::app::{self, Running, Sources};
use crate::clock::Clock;
use crate::settings::{Log, LogFormat, Root, Settings};
use crate::{keys, telemetry};

/// Arguments of `demo`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where gRPC, health and reflection answer: on this machine only; port 0 is a free one.
    #[arg(long, default_value_t = local(50051), value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where metrics and probes answer: on this machine only; port 0 is a free one.
    #[arg(long, default_value_t = local(9090), value_name = "ADDRESS")]
    admin_listen: SocketAddr,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Serves until a signal.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    loopback_only("--listen", arguments.listen)?;
    loopback_only("--admin-listen", arguments.admin_listen)?;
    // Outlives the service: it is removed once nothing uses it.
    let folder = tempfile::Builder::new().prefix("doorward-demo-").tempdir()?;
    // A letter first: what begins with a hyphen looks like a flag where it is pasted.
    let token = SecretString::from(format!("demo-{}", URL_SAFE_NO_PAD.encode(keys::random()?)));
    let settings = settings(arguments, folder.path(), &token)?;
    let telling = telemetry::init(&settings.log, &settings.telemetry)?;
    let same = settings.clone();
    let sources = Sources { read: Box::new(move || Ok(same.clone())), level: telling.level };
    let started = app::start_unless_stopped(&settings, Clock::real(), sources, telling.traces).map_err(|error| {
        Failure(format!(
            "{error}\nWhere a port is taken: --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 take free ones."
        ))
    })?;
    if let Some(running) = started {
        Connection::to(format!("http://{}", running.grpc), token.clone()).run(seed::seed)?;
        introduce(&running, token.expose_secret());
        running.wait_for_signal_and_stop();
    }
    folder.close()?;
    Ok(Exit::Done)
}

/// The demo's token is printed and its data are everybody's: it is for this machine.
fn loopback_only(flag: &str, address: SocketAddr) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(Failure(format!(
        "{flag} {address}: `demo` listens on this machine only; allowed: 127.0.0.1:PORT or [::1]:PORT. For others to \
         reach it, run `doorward serve`."
    )))
}

fn settings(arguments: &Arguments, folder: &Path, token: &SecretString) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    settings.server.listen = arguments.listen;
    settings.admin.listen = arguments.admin_listen;
    settings.database.url = format!("sqlite://{}", folder.join("demo.db").display()).into();
    settings.auth.operator_token = token.clone();
    settings.keys.root = Some(Root::Bytes(keys::random()?));
    settings.log = Log { format: LogFormat::Text, level: "warn".to_owned() };
    Ok(settings)
}

fn introduce(running: &Running, token: &str) {
    output::line(&serve::listening(running));
    output::line(&format!("token={token}"));
    output::line("\n# In another terminal, first:");
    output::line(&setup(running.grpc, token));
    output::line(
        "\n# The tenant `acme`: ada is its ADMIN; ben and cy are USERs; dan is disabled; eve is invited.",
    );
    for question in QUESTIONS {
        output::line(&question.command());
        output::line(&format!("#> {}", question.answer()));
    }
    output::line("\n# The same with grpcurl, each answer as it begins:");
    for question in QUESTIONS {
        output::line(&question.grpcurl(running.grpc));
        output::line(&format!("#> {}", question.answer_json()));
    }
    output::line(
        "\n# Why? Try `doorward explain` with the same arguments. Ctrl-C stops, and leaves nothing behind.",
    );
}

/// Makes `doorward` the command that is running here, and tells it where to ask.
fn setup(grpc: SocketAddr, token: &str) -> String {
    let folder =
        std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from)).unwrap_or_default();
    format!(
        "export PATH='{}':\"$PATH\" DOORWARD_ADDRESS=http://{grpc} DOORWARD_TOKEN={token}",
        folder.display().to_string().replace('\'', r"'\''")
    )
}

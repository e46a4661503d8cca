//! `health`: a probe that needs no other program. It asks the admin port, or gRPC's health, and nothing of the database.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::Connection;
use super::{Exit, Failure, output};
use crate::settings::Settings;

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Arguments of `health`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// A file of settings, for `admin.listen`; the environment overrides it.
    #[arg(long, visible_alias = "settings", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where metrics and probes answer, HOST:PORT; without it, where `admin.listen` says.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "address")]
    admin: Option<String>,
    /// Ask gRPC's health at http://HOST:PORT or https://HOST:PORT instead.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    #[command(flatten)]
    tls: Tls,
    /// Ask whether the process answers, not whether it is ready.
    #[arg(long, conflicts_with = "address")]
    live: bool,
    /// How long an answer may take, in milliseconds.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout_ms: u64,
}

/// Files for https://.
#[derive(Args, Clone, Debug)]
pub(super) struct Tls {
    /// For https://: a PEM file of the authorities that the service's certificate is to come from.
    #[arg(long, value_name = "FILE", requires = "address")]
    ca_file: Option<PathBuf>,
    /// For https://: a PEM file with a client certificate and its key.
    #[arg(long, value_name = "FILE", requires = "ca_file")]
    identity_file: Option<PathBuf>,
}

/// Asks once. Exits with 0 where it is ready, and with 3 where it says that it is not.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let within = Duration::from_millis(arguments.timeout_ms);
    if let Some(address) = &arguments.address {
        let what = over_grpc(address, &arguments.tls, within)?;
        output::line(if what { "ready" } else { "not ready: NOT_SERVING" });
        return Ok(if what { Exit::Done } else { Exit::No });
    }
    let address = match &arguments.admin {
        Some(address) => address.clone(),
        None => admin_address(&Settings::load(arguments.config.as_deref(), &[])?)?,
    };
    let path = if arguments.live { "/livez" } else { "/readyz" };
    let (status, body) = get(&address, path, within)?;
    output::line(body.trim_end());
    match status {
        200 => Ok(Exit::Done),
        503 => Ok(Exit::No),
        _ => Err(Failure(format!("{address} answers {status}: it is not the admin port of a service"))),
    }
}

/// Whether gRPC's health says SERVING.
pub(super) fn over_grpc(address: &str, tls: &Tls, within: Duration) -> Result<bool, Failure> {
    let connection = Connection::unsigned(address.to_owned(), tls.ca_file.clone(), tls.identity_file.clone());
    connection.run_within(within, async |channel| {
        let asked = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
        let answer = asked.map_err(|status| super::client::refused(&status))?;
        Ok(answer.into_inner().status() == ServingStatus::Serving)
    })
}

/// Where a probe on this machine finds the admin port.
fn admin_address(settings: &Settings) -> Result<String, Failure> {
    let listen = settings.admin.listen;
    if listen.port() == 0 {
        return Err(Failure("admin.listen has port 0, a free one: name the port with --admin".to_owned()));
    }
    let local = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(SocketAddr::new(local, listen.port()).to_string())
}

/// Status and body.
fn get(address: &str, path: &str, within: Duration) -> Result<(u16, String), Failure> {
    let bare = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let silent = |error: std::io::Error| Failure(format!("no answer from {bare}: {error}"));
    let wrong = || Failure(format!("`{address}` is no address; allowed: HOST:PORT (--admin)"));
    let found = bare.to_socket_addrs().map_err(|_| wrong())?.next().ok_or_else(wrong)?;
    let mut stream = TcpStream::connect_timeout(&found, within).map_err(silent)?;
    stream.set_read_timeout(Some(within)).map_err(silent)?;
    stream.set_write_timeout(Some(within)).map_err(silent)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {bare}\r\nConnection: close\r\n\r\n").map_err(silent)?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).map_err(silent)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let status = status.ok_or_else(|| Failure(format!("{bare} does not answer in HTTP")))?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_goes_where_the_service_listens_on_this_machine() {
        let mut settings = Settings::default();
        for (listen, expected) in [
            ("127.0.0.1:9090", Some("127.0.0.1:9090")),
            ("0.0.0.0:9091", Some("127.0.0.1:9091")),
            ("[::]:9092", Some("[::1]:9092")),
            ("10.0.0.7:9093", Some("10.0.0.7:9093")),
            ("127.0.0.1:0", None),
        ] {
            settings.admin.listen = listen.parse().unwrap();
            assert_eq!(admin_address(&settings).ok().as_deref(), expected, "{listen}");
        }
    }
}

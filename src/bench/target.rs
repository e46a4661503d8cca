//! What is measured: a service that runs somewhere, or one that a run starts as a process of its own, from this binary and
//! with the settings that `serve` has, and which ends with the run.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tonic::codegen::http::HeaderValue;

use super::Error;
use super::child::{self, Listening};
use super::connection::Tokens;
use super::fill;
use super::usage::{self, Usage};
use crate::keys;

/// The root of the keys of a database that the benchmark fills: the same in every run, for a later run finds the data.
const ROOT: &str = "be";
/// The setting that is left out where Redis must not answer.
const REDIS: &str = "DOORWARD_REDIS__URL";
const SCRAPE: Duration = Duration::from_secs(5);

/// Which service is measured.
#[derive(Clone, Debug)]
pub enum Whom {
    /// One that runs.
    Running {
        /// `http://HOST:PORT`.
        address: String,
        /// The operator's token.
        token: SecretString,
        /// Its process, if it runs on this machine.
        pid: Option<u32>,
    },
    /// One that is started.
    Own {
        /// `postgres://…` or `sqlite://…`, of the benchmark's own; none: a file that is gone at the end.
        database: Option<SecretString>,
        /// `redis://…`.
        redis: Option<SecretString>,
    },
}

/// A service that answers.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) grpc: SocketAddr,
    pub(super) tokens: Tokens,
    pid: Option<u32>,
    token: SecretString,
    own: Option<Own>,
}

/// What a process is started with, again and again.
#[derive(Debug)]
struct Own {
    program: PathBuf,
    environment: Vec<(&'static str, SecretString)>,
    /// The first one is measured; those after it are replicas of it.
    running: Vec<Listening>,
    /// Outlives the processes.
    _folder: Option<TempDir>,
}

impl Target {
    /// Finds it or starts it.
    pub(super) fn start(whom: &Whom) -> Result<Self, Error> {
        match whom {
            Whom::Running { address, token, pid } => {
                let grpc = resolved(address.strip_prefix("http://").ok_or_else(|| not_an_address(address))?)?;
                let tokens = Tokens { checks: Some(bearer(token)?), writes: Some(bearer(token)?) };
                Ok(Self { grpc, tokens, pid: *pid, token: token.clone(), own: None })
            }
            Whom::Own { database, redis } => Self::own(database.as_ref(), redis.as_ref()),
        }
    }

    fn own(database: Option<&SecretString>, redis: Option<&SecretString>) -> Result<Self, Error> {
        let folder = match database {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("doorward-bench-").tempdir()?),
        };
        let file =
            folder.as_ref().map(|folder| format!("sqlite://{}", folder.path().join("bench.db").display()));
        let url = database.cloned().unwrap_or_else(|| file.unwrap_or_default().into());
        let random = keys::random().map_err(|error| Error(error.to_string()))?;
        // A letter first: what begins with a hyphen looks like a flag.
        let token = SecretString::from(format!("bench-{}", URL_SAFE_NO_PAD.encode(random)));
        let mut environment = vec![
            ("DOORWARD_DATABASE__URL", url.clone()),
            ("DOORWARD_AUTH__OPERATOR_TOKEN", token.clone()),
            ("DOORWARD_KEYS__ROOT", ROOT.repeat(32).into()),
            ("DOORWARD_LIMITS__TENANT_CALLS_PER_S", "0".to_owned().into()),
            ("DOORWARD_LOG__LEVEL", "error".to_owned().into()),
        ];
        environment.extend(redis.map(|url| (REDIS, url.clone())));
        let program = std::env::current_exe()?;
        let own = Own { program, environment, running: Vec::new(), _folder: folder };
        if !url.expose_secret().starts_with("sqlite:") {
            own.migrate()?;
        }
        let mut target =
            Self { grpc: nowhere(), tokens: Tokens::default(), pid: None, token, own: Some(own) };
        target.restart(1)?;
        // Questions come from a service that may change nothing, as in production.
        let checks = fill::credential(target.grpc, &target.token)?;
        target.tokens = Tokens { checks: Some(bearer(&checks)?), writes: Some(bearer(&target.token)?) };
        Ok(target)
    }

    /// Starts it anew, with nothing in memory, and so many replicas in all.
    pub(super) fn restart(&mut self, replicas: usize) -> Result<(), Error> {
        self.restart_with(replicas, &[])
    }

    /// Starts one process anew that knows of no Redis: with nothing cached anywhere.
    pub(super) fn restart_without_redis(&mut self) -> Result<(), Error> {
        self.restart_with(1, &[(REDIS, "")])
    }

    fn restart_with(&mut self, replicas: usize, changed: &[(&str, &str)]) -> Result<(), Error> {
        let Some(own) = &mut self.own else {
            return Err(Error("a service that the benchmark has not started is not started anew".to_owned()));
        };
        own.running.clear();
        for _ in 0..replicas.max(1) {
            own.running.push(own.start(changed)?);
        }
        if let Some(first) = own.running.first() {
            (self.grpc, self.pid) = (first.grpc, Some(first.pid()));
        }
        Ok(())
    }

    /// Whether it can be started anew.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// How long the last start took, until it could be called.
    pub(super) fn ready_after(&self) -> Option<Duration> {
        Some(self.own.as_ref()?.running.first()?.ready_after)
    }

    /// What it has used by now; none: it is not on this machine, or nobody knows.
    pub(super) fn usage(&self) -> Option<Usage> {
        usage::of(self.pid?)
    }

    pub(super) fn token(&self) -> &SecretString {
        &self.token
    }

    /// The sum of the counters of a name; none: it was not started here, or does not tell them.
    pub(super) fn counted(&self, name: &str) -> Option<f64> {
        sum(&scrape(self.own.as_ref()?.running.first()?.admin?).ok()?, name)
    }
}

impl Own {
    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.expose_secret())).collect()
    }

    fn migrate(&self) -> Result<(), Error> {
        child::finish(&self.program, &["migrate", "up"], &self.environment())
    }

    /// The later of two values of a variable counts.
    fn start(&self, changed: &[(&str, &str)]) -> Result<Listening, Error> {
        let listen = ["bench", "server", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let environment = [&self.environment(), changed].concat();
        Listening::start(&self.program, &listen, &environment)
    }
}

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn not_an_address(text: &str) -> Error {
    Error(format!(
        "`{text}` is not an address that can be measured; allowed: http://HOST:PORT (--address). The load is sent \
         without TLS."
    ))
}

fn resolved(text: &str) -> Result<SocketAddr, Error> {
    let text = text.trim_end_matches('/');
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| not_an_address(text))
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut value =
        value.map_err(|_| Error("the token has characters that a token cannot have".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn scrape(admin: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, SCRAPE)?;
    stream.set_read_timeout(Some(SCRAPE))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn sum(text: &str, name: &str) -> Option<f64> {
    let series = text.lines().filter_map(|line| line.rsplit_once(' '));
    let meant = series.filter(|(series, _)| series.split('{').next() == Some(name));
    let values: Vec<f64> = meant.filter_map(|(_, value)| value.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_told_apart_by_name() {
        let text = "a_total{tier=\"near\"} 2\na_total{tier=\"near\",x=\"y\"} 3\na_total{tier=\"far\"} 7\na_totals 9\n";
        assert_eq!(sum(text, "a_total"), Some(12.0));
        assert_eq!(sum(text, "a"), None);
    }

    #[test]
    fn what_is_no_address_is_told_with_what_is() {
        for address in ["127.0.0.1:1", "https://127.0.0.1:1", "http://nowhere.invalid", "http://x:y"] {
            let token = SecretString::from("x".to_owned());
            let whom = Whom::Running { address: address.to_owned(), token, pid: None };
            let said = Target::start(&whom).unwrap_err().to_string();
            assert!(said.contains("http://HOST:PORT"), "{said}");
        }
    }
}

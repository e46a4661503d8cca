//! What the operator sets: defaults, a file, the environment, flags. The only module that reads the environment.
//!
//! Every key is a row of the table in `key`; what is not in it is refused, with its source and what is allowed.

mod effective;
mod environment;
mod file;
mod key;
mod limits;
mod near;
mod oidc;
mod problem;
mod root;
mod telemetry;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

pub use self::effective::{Changed, Origins, reference};
#[cfg(feature = "slips")]
pub use self::environment::{Test, test};
pub use self::limits::Limits;
pub use self::oidc::{JwtAlgorithm, Oidc, Provider};
pub use self::problem::Error;
pub use self::root::{Root, RootSource};
pub use self::telemetry::Telemetry;
pub use self::tls::{ClientAuth, Tls};

use self::problem::{Given, Problems, Source};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The gRPC listener.
    pub server: Server,
    /// How the gRPC listener proves who it is, and what it asks of its clients.
    pub tls: Tls,
    /// The listener for metrics and probes.
    pub admin: Admin,
    /// The database.
    pub database: Database,
    /// The cache that replicas share.
    pub redis: Redis,
    /// What is kept of the database's facts, and for how long they are believed.
    pub cache: Cache,
    /// How much is taken on, and for how long.
    pub limits: Limits,
    /// Who may call.
    pub auth: Auth,
    /// The root of the deployment's keys.
    pub keys: RootKeys,
    /// The catalogue of an empty database.
    pub catalogue: CatalogueFile,
    /// Periods.
    pub policy: Policy,
    /// What is logged, and how.
    pub log: Log,
    /// Where the values come from.
    pub origins: Origins,
    /// Where traces go, and which calls are recorded.
    pub telemetry: Telemetry,
}

/// The gRPC listener.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens; port 0 is a free one.
    pub listen: SocketAddr,
    /// Threads that serve; 0 is one for each core.
    pub workers: usize,
    /// How long calls in flight may take after a signal to stop.
    pub grace_ms: u64,
    /// The most open connections, over all workers.
    pub connections_max: usize,
    /// The most calls at once on one connection.
    pub streams_max: u32,
    /// After how long a connection is asked to end, ten percent more or less, in seconds.
    pub connection_age_s: u64,
    /// How long a new connection may take to its TLS handshake and HTTP/2 preface together.
    pub greeting_ms: u64,
    /// How long a client may take nothing of what it is sent.
    pub stall_ms: u64,
}

/// The listener for metrics and probes.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens; port 0 is a free one.
    pub listen: SocketAddr,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    /// `postgres://…` or `sqlite:///path`; empty where it is not set.
    pub url: SecretString,
    /// The same database without a pooler between; empty: `url`. For the feed, for notifications and the schema.
    pub direct_url: SecretString,
    /// The most connections for checks and lists.
    pub reads_max: u32,
    /// The most connections for mutations.
    pub writes_max: u32,
}

/// The cache that replicas share.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `redis://…`, `rediss://…`, `redis+cluster://h1,h2`, `redis+sentinel://h1,h2/master`; empty: there is none.
    pub url: SecretString,
    /// A PEM file of certificate authorities for `rediss://`; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// For how long an entry is kept, in seconds.
    pub ttl_s: u64,
}

/// What is kept of the database's facts, and for how long they are believed.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The most megabytes of facts in memory.
    pub near_mb: u64,
    /// For how long after a look at the feed cached facts may be answered from.
    pub lease_ms: u64,
    /// How often the feed is looked at where nothing hints at a change.
    pub poll_ms: u64,
    /// After how long without an acknowledgement a replica is found dead.
    pub suspend_ms: u64,
    /// What a mutation waits for.
    pub coherence: Coherence,
    /// For how long after the lease checks are answered, degraded, while the database is away; 0: not at all.
    pub stale_ms: u64,
}

/// What a mutation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coherence {
    /// The acknowledgements of all replicas, or their leases' end.
    Registry,
    /// The lease's end alone; every replica must have the same lease.
    WaitOnly,
}

/// Who may call.
#[derive(Clone, Debug)]
pub struct Auth {
    /// The operator's token; empty where it is not set.
    pub operator_token: SecretString,
    /// A TOML file of services that may call; none: there is none.
    pub services_file: Option<PathBuf>,
    /// Whose tokens name people: [`Auth::oidc`].
    pub provider: Provider,
}

/// The root of the deployment's keys.
#[derive(Clone, Debug, Default)]
pub struct RootKeys {
    /// The one that makes what is new.
    pub root: Option<Root>,
    /// The one before it, which is still understood.
    pub previous: Option<Root>,
}

/// The catalogue of an empty database.
#[derive(Clone, Debug, Default)]
pub struct CatalogueFile {
    /// A TOML file; none: the shipped catalogue.
    pub file: Option<PathBuf>,
}

/// Periods.
#[derive(Clone, Debug)]
pub struct Policy {
    /// A new tenant's trial.
    pub trial_days: u32,
    /// From a period's end to the end of its grace.
    pub grace_days: u32,
    /// From an invitation to its expiry.
    pub invitation_hours: u32,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least severe level, also per module: `info`, `warn,doorward=debug`.
    pub level: String,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: an object a line.
    Json,
}

/// A value given on the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag, `--listen`.
    pub flag: &'static str,
    /// The key that it sets, `server.listen`.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

impl Default for Settings {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            server: Server {
                listen: local(50051),
                workers: 0,
                grace_ms: 10_000,
                connections_max: 10_000,
                streams_max: 256,
                connection_age_s: 1_800,
                greeting_ms: 10_000,
                stall_ms: 30_000,
            },
            tls: Tls::default(),
            admin: Admin { listen: local(9090) },
            database: Database {
                url: SecretString::default(),
                direct_url: SecretString::default(),
                reads_max: 8,
                writes_max: 8,
            },
            redis: Redis { url: SecretString::default(), ca_file: None, ttl_s: 3600 },
            cache: Cache {
                near_mb: 256,
                lease_ms: 3_000,
                poll_ms: 250,
                suspend_ms: 1_000,
                coherence: Coherence::Registry,
                stale_ms: 0,
            },
            auth: Auth {
                operator_token: SecretString::default(),
                services_file: None,
                provider: Provider::default(),
            },
            limits: Limits::default(),
            keys: RootKeys::default(),
            catalogue: CatalogueFile::default(),
            policy: Policy { trial_days: 14, grace_days: 7, invitation_hours: 72 },
            log: Log { format: LogFormat::Text, level: "info".to_owned() },
            origins: Origins::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Settings {
    /// The defaults, overridden by a file, then by the environment, then by flags.
    ///
    /// # Errors
    /// Every key that is unknown, and every value that is not allowed, of all layers at once.
    pub fn load(path: Option<&Path>, flags: &[Flag]) -> Result<Self, Error> {
        let text = path.map(|path| Ok((path, file::read(path)?))).transpose()?;
        let file = text.as_ref().map(|(path, text)| (*path, text.as_str()));
        Self::compose(file, environment::read(), flags)
    }

    /// The same, of a file's text and an environment.
    fn compose(
        file: Option<(&Path, &str)>,
        environment: Vec<environment::Variable>,
        flags: &[Flag],
    ) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let mut given = Vec::new();
        if let Some((path, text)) = file {
            given.extend(file::parse(path, text, &mut problems));
        }
        given.extend(environment::parse(environment, &mut problems));
        given.extend(flags.iter().map(Given::from));
        let mut settings = Self::default();
        for value in given {
            key::set(&mut settings, &value, &mut problems);
        }
        problems.or(settings)
    }

    /// Whether what a server cannot do without is there.
    ///
    /// # Errors
    /// Each setting that is missing, and how to set it.
    pub fn require_for_serving(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        if self.database.is_unset() {
            problems.missing("database.url", "");
        }
        if self.auth.is_unset() {
            problems.missing(
                "auth.operator_token",
                "nobody could call without it, auth.services_file or auth.oidc_issuer; `openssl rand -hex 32` makes one",
            );
        }
        self.auth.check_oidc(&mut problems);
        if self.database.is_postgres() && self.keys.root.is_none() {
            problems
                .missing("keys.root", "every replica needs the same one; `openssl rand -hex 32` makes one");
        }
        self.tls.require_consistent(&mut problems);
        let Cache { poll_ms, lease_ms, .. } = self.cache;
        if poll_ms.saturating_mul(2) > lease_ms {
            problems.conflict(format!(
                "cache.poll_ms is {poll_ms} ({}) and cache.lease_ms {lease_ms} ({}): the lease must be twice as long at \
                 the least",
                self.origins.of("cache.poll_ms"),
                self.origins.of("cache.lease_ms")
            ));
        }
        problems.or(())
    }

    /// For how long after the last look at Postgres checks can still be answered: past it a replica is not ready. None on
    /// SQLite.
    #[must_use]
    pub fn outage_max(&self) -> Option<Duration> {
        let Cache { lease_ms, stale_ms, .. } = self.cache;
        self.database.is_postgres().then(|| Duration::from_millis(lease_ms.saturating_add(stale_ms)))
    }

    /// Whether a database is named.
    ///
    /// # Errors
    /// How to name one.
    pub fn require_database(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        if self.database.is_unset() {
            problems.missing("database.url", "");
        }
        problems.or(())
    }
}

impl Auth {
    /// Whether nobody could call but the services of the file.
    #[must_use]
    pub fn is_file_alone(&self) -> bool {
        self.operator_token.expose_secret().is_empty() && self.provider.issuer.is_empty()
    }

    /// Whether nobody could call.
    fn is_unset(&self) -> bool {
        self.is_file_alone() && self.services_file.is_none()
    }
}

impl Database {
    fn is_unset(&self) -> bool {
        self.url.expose_secret().is_empty()
    }

    /// Whether it is one for many replicas.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        let url = self.url.expose_secret();
        url.starts_with("postgres://") || url.starts_with("postgresql://")
    }

    /// The database without a pooler between.
    #[must_use]
    pub fn direct_url(&self) -> &SecretString {
        if self.direct_url.expose_secret().is_empty() { &self.url } else { &self.direct_url }
    }

    /// The file of a SQLite database.
    fn sqlite_file(&self) -> Option<PathBuf> {
        let path = self.url.expose_secret().strip_prefix("sqlite://")?;
        Some(PathBuf::from(path.split('?').next().unwrap_or(path)))
    }
}

impl From<&Flag> for Given {
    fn from(flag: &Flag) -> Self {
        Self::text(flag.key, &flag.value, Source::Flag(flag.flag))
    }
}

#[cfg(test)]
mod example;
#[cfg(test)]
mod tests;

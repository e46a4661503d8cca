//! Opening a database: URLs, pools, and the lock on a SQLite file.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};

use super::epoch::{Doubt, Life};
use super::feed::{Local, Telling};
use super::snapshots::Texts;
use super::{Dialect, Inner, Sql, catalogue, credential};
use crate::clock::{self, Clock};
use crate::store::StoreError;
use crate::store::act::PLATFORM;
use crate::telemetry::Pool;

/// What the server calls our connections.
const APPLICATION: &str = "doorward";
/// How long a call waits for a free connection, or for a new one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a mutation on SQLite does: it may have to wait for all others.
pub(super) const ONE_WRITER_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection that was idle for so long may have been cut off: it is tried before it is used.
const IDLE_TRIED: Duration = Duration::from_secs(1);
/// How long a statement on SQLite waits for the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// `postgres://…` or `sqlite:///path`.
    pub url: String,
    /// Of Postgres: the same without a pooler in between, for what needs a session; none: the same.
    pub direct_url: Option<String>,
    /// Where `now` comes from.
    pub clock: Clock,
    /// The most connections for checks and lists.
    pub reads_max: u32,
    /// The most connections for mutations; SQLite has one.
    pub writes_max: u32,
    /// The catalogue that an empty database starts with, TOML.
    pub catalogue: String,
}

impl Sql {
    /// Opens a store whose schema is there. Its work runs on `runtime`.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached, or a SQLite file is open in another process.
    pub async fn open(options: Options, runtime: Handle) -> Result<Self, StoreError> {
        let opened = runtime.spawn(open(options)).await;
        let inner = opened.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        Ok(Self { inner: Arc::new(inner), runtime })
    }
}

async fn open(options: Options) -> Result<Inner, StoreError> {
    let dialect = dialect(&options.url)?;
    let lock = match dialect {
        Dialect::Sqlite => Some(lock(&sqlite_path(&options.url))?),
        Dialect::Postgres => None,
    };
    let writes_max = if dialect == Dialect::Sqlite { 1 } else { options.writes_max };
    let doubt = Doubt::default();
    let writes = connect(&options.url, writes_max, Access::Write, &doubt).await?;
    let reads = connect(&options.url, options.reads_max, Access::Read, &doubt).await?;
    let now = options.clock.now().micros();
    let in_force = found(dialect, &writes, &options.catalogue, now).await?;
    let telling = match dialect {
        Dialect::Postgres => {
            Telling::on_primary(&direct_options(options.direct_url.as_ref().unwrap_or(&options.url))?)
        }
        Dialect::Sqlite => Telling::Local(Local::default()),
    };
    let lists_max = lists_max(options.reads_max);
    Ok(Inner {
        life: Life::learn(dialect, &reads, doubt).await?,
        telling,
        turn: Mutex::new(()),
        reads,
        lists: Arc::new(Semaphore::new(usize::try_from(lists_max).unwrap_or(1))),
        lists_max,
        writes,
        dialect,
        questions: Texts::over(dialect),
        roster: credential::roster_text(dialect),
        clock: options.clock,
        in_force: ArcSwap::new(in_force),
        lock,
    })
}

/// Half of the connections for reads: while lists wait for a database, or keep one busy, checks find it.
fn lists_max(reads_max: u32) -> u32 {
    reads_max.div_ceil(2)
}

/// What every database has from its first opening: an identity, the platform's revision, a catalogue.
async fn found(
    dialect: Dialect,
    writes: &DatabaseConnection,
    document: &str,
    now: i64,
) -> Result<Arc<crate::store::InForce>, StoreError> {
    let instance =
        "INSERT INTO instance (only_row, instance_id, created_us) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
    let values = [clock::unique_id().into(), now.into()];
    writes.execute_raw(dialect.statement(instance, values)).await?;
    let platform = "INSERT INTO tenant_rev (tenant_id, rev, hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING";
    writes.execute_raw(dialect.statement(platform, [PLATFORM.into(), vec![0_u8; 32].into()])).await?;
    catalogue::install(dialect, writes, document, now).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The file must be there, and nothing of it is changed.
    Look,
    Read,
    Write,
}

pub(super) fn dialect(url: &str) -> Result<Dialect, StoreError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Dialect::Postgres)
    } else if url.starts_with("sqlite://") {
        Ok(Dialect::Sqlite)
    } else {
        // The URL may hold a password: its scheme is all that may be said.
        let scheme = url.split(':').next().unwrap_or_default();
        Err(StoreError::Unavailable(format!(
            "database url with scheme `{scheme}`; allowed are postgres://… and sqlite:///path"
        )))
    }
}

pub(super) fn sqlite_path(url: &str) -> PathBuf {
    let path = url.trim_start_matches("sqlite://");
    PathBuf::from(path.split('?').next().unwrap_or(path))
}

/// One process for one file: another one gets a clear error instead of a slow one.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
    let file = file.map_err(|error| {
        StoreError::Unavailable(format!("cannot create the lock file {}: {error}", beside.display()))
    })?;
    file.try_lock().map_err(|_| {
        StoreError::Unavailable(format!(
            "{} is open in another process; SQLite is for one process, Postgres for many",
            path.display()
        ))
    })?;
    Ok(file)
}

pub(super) async fn connect(
    url: &str,
    connections_max: u32,
    access: Access,
    doubt: &Doubt,
) -> Result<DatabaseConnection, StoreError> {
    let mut options = match dialect(url)? {
        Dialect::Postgres => postgres_options(url, doubt.clone()),
        Dialect::Sqlite => sqlite_options(&sqlite_path(url), access),
    };
    options
        .max_connections(connections_max)
        .min_connections(1)
        .connect_timeout(ACQUIRE_TIMEOUT)
        // A ping before each use would be a round trip more for every check.
        .test_before_acquire_if_idle_for(IDLE_TRIED)
        .record_stmt_in_spans(false)
        .sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

fn postgres_options(url: &str, doubt: Doubt) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .map_sqlx_postgres_opts(|postgres| postgres.application_name(APPLICATION))
        .map_sqlx_postgres_before_acquire(move |_, connection| {
            let is_trusted = doubt.trusts(connection.age);
            Box::pin(async move { Ok(is_trusted) })
        });
    options
}

/// For a connection outside the pools.
fn direct_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    // The URL may hold a password, and so may what the parser says of it.
    let options = url.parse::<PgConnectOptions>();
    let options = options.map_err(|_| StoreError::Unavailable("the direct url cannot be read".to_owned()))?;
    Ok(options.application_name(APPLICATION).disable_statement_logging())
}

fn sqlite_options(path: &Path, access: Access) -> ConnectOptions {
    let mut options = ConnectOptions::new("sqlite://");
    let path = path.to_owned();
    let timeout = if access == Access::Write { ONE_WRITER_TIMEOUT } else { ACQUIRE_TIMEOUT };
    options.acquire_timeout(timeout).idle_timeout(None).max_lifetime(None).map_sqlx_sqlite_opts(move |_| {
        let sqlite = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(access == Access::Write)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        if access == Access::Read { sqlite.pragma("query_only", "ON") } else { sqlite }
    });
    options
}

impl Inner {
    fn pools(&self) -> Vec<Pool> {
        let lists_idle = u32::try_from(self.lists.available_permits()).unwrap_or(u32::MAX);
        let lists = Pool { name: "lists", used: self.lists_max.saturating_sub(lists_idle), idle: lists_idle };
        let pools = [("reads", &self.reads), ("writes", &self.writes)].map(|(name, pool)| {
            let (open, idle) = match self.dialect {
                Dialect::Postgres => {
                    let pool = pool.get_postgres_connection_pool();
                    (pool.size(), pool.num_idle())
                }
                Dialect::Sqlite => {
                    let pool = pool.get_sqlite_connection_pool();
                    (pool.size(), pool.num_idle())
                }
            };
            let idle = u32::try_from(idle).unwrap_or(u32::MAX);
            Pool { name, used: open.saturating_sub(idle), idle }
        });
        pools.into_iter().chain([lists]).collect()
    }
}

impl Sql {
    /// A look at the connections; none are seen when the store is gone, which it does not hold back.
    pub fn pools(&self) -> impl Fn() -> Vec<Pool> + Send + Sync + 'static {
        let inner = Arc::downgrade(&self.inner);
        move || inner.upgrade().map(|inner| inner.pools()).unwrap_or_default()
    }

    /// Closes the connections, so that another process may open a SQLite file.
    pub async fn close(&self) {
        let closed = self
            .run("close", |inner| async move {
                inner.telling.close().await;
                inner.reads.close_by_ref().await?;
                inner.writes.close_by_ref().await?;
                Ok::<_, StoreError>(())
            })
            .await;
        if let Err(error) = closed {
            tracing::warn!(%error, "the database was not closed");
        }
    }
}

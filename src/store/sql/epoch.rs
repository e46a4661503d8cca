//! Which life of the database answers: each statement of a check tells a short text of it, and the whole is learnt
//! when that text is a new one. Knows what makes a life, and which connections are too old for it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use sea_orm::sqlx::{self, Error as SqlxError};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Dialect, StoreError};
use crate::clock::Stopwatch;
use crate::store::Epoch;

/// How long a call waits for another that is learning what it needs too.
const LEARNING_TIMEOUT: Duration = Duration::from_secs(3);

/// What differs between two lives and costs nothing to tell: when the server was started, and where the file of
/// `tenant_rev` is (its database, and a name that a restore changes). NULL of a server in recovery.
macro_rules! session {
    () => {
        "CASE WHEN pg_is_in_recovery() THEN NULL ELSE concat_ws('/', \
         (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, pg_relation_filepath('tenant_rev')) END"
    };
}
/// What a restore or another server changes and a restart does not: the system identifier, and the file.
macro_rules! cluster {
    () => {
        "concat_ws('/', (SELECT system_identifier FROM pg_control_system()), pg_relation_filepath('tenant_rev'))"
    };
}
/// The timeline that is written now: the control file's is that of the last checkpoint.
macro_rules! timeline {
    () => {
        "CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END"
    };
}
/// All that makes a life, as columns.
macro_rules! life {
    () => {
        concat!(session!(), " AS session, ", cluster!(), " AS cluster, ", timeline!(), " AS timeline")
    };
}
pub(super) use {cluster, life, session, timeline};

/// The column of a statement that tells of the session.
pub(super) fn session_column(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => session!(),
        Dialect::Sqlite => "''",
    }
}

/// The text of a session, and the epoch that it means.
pub(super) struct Known {
    pub(super) session: String,
    pub(super) epoch: Epoch,
}

/// The life that was learnt last.
pub(super) struct Life {
    known: ArcSwap<Known>,
    doubt: Doubt,
    learning: Mutex<()>,
}

/// Since when connections are not to be used that were there before. Shared with the pools.
#[derive(Clone, Default)]
pub(super) struct Doubt(Arc<ArcSwapOption<Stopwatch>>);

impl Doubt {
    /// Every connection that is there now is not to be used again.
    fn begin(&self) {
        self.0.store(Some(Arc::new(Stopwatch::start())));
    }

    /// Whether a connection may be used that was opened so long ago.
    pub(super) fn trusts(&self, age: Duration) -> bool {
        self.0.load().as_ref().is_none_or(|began| age < began.elapsed())
    }
}

impl Life {
    pub(super) async fn learn(
        dialect: Dialect,
        reads: &DatabaseConnection,
        doubt: Doubt,
    ) -> Result<Self, StoreError> {
        let known = match dialect {
            Dialect::Postgres => learnt(reads).await?,
            Dialect::Sqlite => Known { session: String::new(), epoch: random()? },
        };
        Ok(Self { known: ArcSwap::from_pointee(known), doubt, learning: Mutex::new(()) })
    }

    pub(super) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// What is known where the one before broke off or is no more: read over a connection that was opened since.
    pub(super) async fn renew(
        &self,
        before: &Arc<Known>,
        reads: &DatabaseConnection,
    ) -> Result<Arc<Known>, StoreError> {
        let turn = timeout(LEARNING_TIMEOUT, self.learning.lock()).await;
        let _turn = turn.map_err(|_| StoreError::Unavailable("waiting for its epoch".to_owned()))?;
        let now_known = self.known();
        if !Arc::ptr_eq(before, &now_known) {
            return Ok(now_known);
        }
        self.doubt.begin();
        let known = Arc::new(learnt(reads).await?);
        if known.epoch != before.epoch {
            tracing::warn!("the database was restarted, restored or replaced");
        }
        self.known.store(Arc::clone(&known));
        Ok(known)
    }
}

async fn learnt<C: ConnectionTrait>(connection: &C) -> Result<Known, StoreError> {
    let sql = concat!("SELECT ", life!());
    let row = connection.query_one_raw(Dialect::Postgres.statement(sql, [])).await?;
    let row = row.ok_or_else(|| StoreError::Corrupt("no row for an epoch".to_owned()))?;
    let parts = (row.try_get("", "session")?, row.try_get("", "cluster")?, row.try_get("", "timeline")?);
    let (session, cluster, timeline): (Option<String>, String, Option<String>) = parts;
    let (Some(session), Some(timeline)) = (session, timeline) else {
        return Err(in_recovery());
    };
    let epoch = epoch(&session, &cluster, &timeline);
    Ok(Known { session, epoch })
}

/// The server only repeats what another one writes.
pub(super) fn in_recovery() -> StoreError {
    StoreError::Unavailable("the server is in recovery, and no primary".to_owned())
}

/// The epoch that these texts of a life make.
pub(super) fn epoch(session: &str, cluster: &str, timeline: &str) -> Epoch {
    let mut hasher = blake3::Hasher::new();
    for part in [session, cluster, timeline] {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    Epoch(bytes)
}

fn random() -> Result<Epoch, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(Epoch(bytes))
}

/// Whether a statement failed because of its connection, so that another one may do better. What it has done is not
/// known then.
pub(super) fn is_broken(error: &DbErr) -> bool {
    match error {
        DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error)) => {
            is_broken_connection(error)
        }
        _ => false,
    }
}

/// The same of the driver's own errors.
pub(super) fn is_broken_connection(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_) | SqlxError::Protocol(_) => true,
        SqlxError::Database(error) => error.code().is_some_and(|code| is_about_the_connection(&code)),
        _ => false,
    }
}

/// Connection exceptions, the server's end or beginning, and a primary that has become a standby.
fn is_about_the_connection(sqlstate: &str) -> bool {
    sqlstate.starts_with("08") || ["57P01", "57P02", "57P03", "57P05", "25006"].contains(&sqlstate)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

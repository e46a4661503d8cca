//! The store over Postgres and SQLite: the only folder that knows rows and statements.
//!
//! Every method of the traits runs on the database's own runtime, so that a pool's connections stay there,
//! and a mutation goes on when its caller hangs up.

mod answer;
mod apply;
mod catalogue;
mod commit;
mod connect;
mod credential;
mod denials;
mod directory;
mod entity;
mod epoch;
mod examine;
mod feed;
mod rows;
mod schema;
mod snapshots;
mod state;

use std::fs::File;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sea_orm::{DatabaseBackend, DatabaseConnection, DbErr, Statement, Value};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};

use self::epoch::Life;
use self::feed::Telling;
use super::{InForce, StoreError};
use crate::clock::Clock;
use crate::telemetry::trace;

pub use connect::Options;
pub use examine::{Examined, examine};
pub use schema::{MigrationState, Unfit, migrate, migration_state};

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Sql {
    inner: Arc<Inner>,
    runtime: Handle,
}

struct Inner {
    /// For checks and lists.
    reads: DatabaseConnection,
    /// Of these, the ones that lists may use.
    lists: Arc<Semaphore>,
    lists_max: u32,
    /// For mutations; on SQLite a single connection.
    writes: DatabaseConnection,
    dialect: Dialect,
    questions: snapshots::Texts,
    /// The statement of the services that may call.
    roster: Arc<str>,
    clock: Clock,
    /// The newest catalogue seen; each statement says which version is in force.
    in_force: ArcSwap<InForce>,
    life: Life,
    telling: Telling,
    /// Of SQLite: one mutation at a time, until it has been told.
    turn: Mutex<()>,
    /// Held for as long as a SQLite file is open.
    lock: Option<File>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A child process that is being started may still hold the file open: closing it is not enough.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

/// What differs between the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// The name that traces use.
    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Sqlite => "sqlite",
        }
    }

    fn backend(self) -> DatabaseBackend {
        match self {
            Self::Postgres => DatabaseBackend::Postgres,
            Self::Sqlite => DatabaseBackend::Sqlite,
        }
    }

    /// The database's clock, in microseconds since the epoch.
    fn now_micros(self) -> &'static str {
        match self {
            Self::Postgres => "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
            Self::Sqlite => "CAST(0 AS BIGINT)",
        }
    }

    /// An expression that is a JSON array (as text) of the rows' arrays of columns.
    fn json_rows(self, columns: &str) -> String {
        match self {
            Self::Postgres => {
                format!("coalesce(json_agg(json_build_array({columns})), '[]')::text")
            }
            Self::Sqlite => format!("json_group_array(json_array({columns}))"),
        }
    }

    fn statement(self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.backend(), sql, values)
    }
}

impl Sql {
    /// Runs what the database alone can fail, on its runtime, to its end; traces know it by its name.
    async fn run<T, F>(&self, name: &'static str, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let work = work(Arc::clone(&self.inner));
        self.spawn(name, async { trace::failing(work.await) }).await
    }

    /// The same for a list, which waits for its turn here: what a flood of lists does not hold is left to checks. Who
    /// hangs up before their turn has asked the database nothing.
    async fn list<T, F>(
        &self,
        name: &'static str,
        work: impl FnOnce(Arc<Inner>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let turn = Arc::clone(&self.inner.lists).acquire_owned().await;
        let turn = turn.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let in_turn = |inner| {
            let work = work(inner);
            async move {
                let _turn = turn;
                work.await
            }
        };
        self.run(name, in_turn).await
    }

    async fn spawn<T, E, F>(&self, name: &'static str, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let trail = trace::asking(self.inner.dialect.name(), name);
        let task = self.runtime.spawn(trace::at(trail, work));
        task.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string()).into()))
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => Self::Corrupt(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

fn corrupt(what: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what} `{value}`"))
}

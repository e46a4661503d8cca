//! What an operator wants to know of a database before it is served from: it is looked at, and nothing is changed.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult};

use super::connect::{self, Access};
use super::epoch::Doubt;
use super::schema::{self, MigrationState};
use super::{Dialect, StoreError};
use crate::clock::{Clock, Stopwatch};

/// Its version, whether it takes writes, and its clock.
const ABOUT: &str = "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS recovering, \
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us";
/// Which database it is: another URL of the same one says the same.
const IDENTITY: &str = "SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()), \
    current_database(), pg_postmaster_start_time()) AS identity";
/// What the role may not do and has to.
const DENIED: &str = "SELECT needed.privilege || ' on ' || class.relname AS denied FROM pg_class class \
    CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS needed (privilege) \
    WHERE class.relkind = 'r' AND class.relnamespace = to_regnamespace(current_schema()) \
    AND class.relname <> 'seaql_migrations' AND NOT has_table_privilege(class.oid, needed.privilege) \
    ORDER BY class.relname, needed.privilege";

/// What was found.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The server's version.
    pub version: String,
    /// Whether it takes writes.
    pub is_primary: bool,
    /// How long it took to answer.
    pub took: Duration,
    /// How far its clock is ahead of this machine's, in microseconds; on SQLite they are one.
    pub clock_ahead_us: i64,
    /// Its schema; none: the file is not there yet.
    pub schema: Option<MigrationState>,
    /// What the role may not do and has to.
    pub denied: Vec<String>,
    /// Which database it is.
    pub identity: String,
}

/// Looks at a database.
///
/// # Errors
/// [`StoreError`] where it cannot be reached.
pub async fn examine(url: &str, clock: &Clock) -> Result<Examined, StoreError> {
    match connect::dialect(url)? {
        Dialect::Postgres => examine_postgres(url, clock).await,
        Dialect::Sqlite => examine_sqlite(url).await,
    }
}

async fn examine_postgres(url: &str, clock: &Clock) -> Result<Examined, StoreError> {
    let database = connect::connect(url, 1, Access::Look, &Doubt::default()).await?;
    let (before, stopwatch) = (clock.now().micros(), Stopwatch::start());
    let about = one(&database, ABOUT).await?;
    let took = stopwatch.elapsed();
    let half = i64::try_from(took.as_micros() / 2).unwrap_or(i64::MAX);
    let clock_ahead_us = about.try_get::<i64>("", "now_us")? - before - half;
    let mut denied = Vec::new();
    for row in database.query_all_raw(Dialect::Postgres.statement(DENIED, [])).await? {
        denied.push(row.try_get("", "denied")?);
    }
    let identity = match one(&database, IDENTITY).await {
        Ok(row) => row.try_get("", "identity")?,
        Err(_) => {
            denied.push("EXECUTE on pg_control_system()".to_owned());
            String::new()
        }
    };
    let schema = schema::state_of(Dialect::Postgres, &database).await?;
    let is_primary = !about.try_get::<bool>("", "recovering")?;
    let version = format!("PostgreSQL {}", about.try_get::<String>("", "version")?);
    database.close().await?;
    Ok(Examined { version, is_primary, took, clock_ahead_us, schema: Some(schema), denied, identity })
}

async fn examine_sqlite(url: &str) -> Result<Examined, StoreError> {
    let path = connect::sqlite_path(url);
    let stopwatch = Stopwatch::start();
    let (version, schema) = if path.exists() {
        let database = connect::connect(url, 1, Access::Look, &Doubt::default()).await?;
        let row = database.query_one_raw(Dialect::Sqlite.statement("SELECT sqlite_version() AS version", []));
        let version = row.await?.map(|row| row.try_get::<String>("", "version")).transpose()?;
        let schema = schema::state_of(Dialect::Sqlite, &database).await?;
        database.close().await?;
        (format!("SQLite {}", version.unwrap_or_default()), Some(schema))
    } else {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if !folder.unwrap_or(Path::new(".")).is_dir() {
            return Err(StoreError::Unavailable("the folder of its file is not there".to_owned()));
        }
        ("SQLite, a new file".to_owned(), None)
    };
    let took = stopwatch.elapsed();
    let (denied, identity) = (Vec::new(), String::new());
    Ok(Examined { version, is_primary: true, took, clock_ahead_us: 0, schema, denied, identity })
}

async fn one(database: &DatabaseConnection, sql: &str) -> Result<QueryResult, StoreError> {
    let row = database.query_one_raw(Dialect::Postgres.statement(sql, [])).await?;
    row.ok_or_else(|| StoreError::Unavailable("it answers nothing".to_owned()))
}

//! The schema: which steps a database has taken, which ones this binary knows, and whether the two go together.
//!
//! A step only adds (CONTRIBUTING.md), so a binary serves a schema that is newer than itself. A step that takes something
//! away says in its name from which step on a binary can do without: `m0009_drop_x_needs_m0006`.

use doorward_migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, TransactionTrait};

use super::connect::{self, Access};
use super::epoch::{self, Doubt};
use super::{Dialect, Sql};
use crate::store::StoreError;

/// The advisory lock that two migrations cannot both hold.
const MIGRATION_LOCK: i64 = 0x646f_6f72_6d69_6772;
/// In the name of a step: what follows is the step that a binary must know.
const NEEDS: &str = "_needs_";

/// Which steps a schema has, and which this binary has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Steps that have been taken and are known.
    pub applied: Vec<String>,
    /// Steps that are still to be taken.
    pub pending: Vec<String>,
    /// Steps that a newer binary has taken.
    pub newer: Vec<String>,
}

/// Why this binary cannot use a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is none.
    #[error("the schema is missing: run `doorward migrate up`")]
    Missing,
    /// Steps are to be taken.
    #[error("the schema is older than this version, which needs {pending}: run `doorward migrate up`")]
    Older {
        /// The steps.
        pending: String,
    },
    /// A newer binary has taken away what this one uses.
    #[error(
        "the schema is newer than this version, and step {step} has taken away what it uses: run a newer version"
    )]
    Newer {
        /// The first such step.
        step: String,
    },
}

impl MigrationState {
    /// Of what the database says that it has taken.
    fn of(taken: &[String]) -> Self {
        let known: Vec<_> = Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
        Self::between(&known, taken)
    }

    fn between(known: &[String], taken: &[String]) -> Self {
        let (applied, pending) = known.iter().cloned().partition(|step| taken.contains(step));
        let newer = taken.iter().filter(|step| !known.contains(step)).cloned().collect();
        Self { applied, pending, newer }
    }

    /// What keeps this binary from using it.
    #[must_use]
    pub fn unfit(&self) -> Option<Unfit> {
        if !self.pending.is_empty() {
            let is_missing = self.applied.is_empty() && self.newer.is_empty();
            return Some(if is_missing {
                Unfit::Missing
            } else {
                Unfit::Older { pending: self.pending.join(", ") }
            });
        }
        let newest = self.applied.last().map_or("", String::as_str);
        let needs_more = |step: &&String| step.split_once(NEEDS).is_some_and(|(_, needed)| needed > newest);
        self.newer.iter().find(needs_more).map(|step| Unfit::Newer { step: step.clone() })
    }
}

/// Brings the schema to that of this binary, unless it is newer. Safe to run from many processes at once.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or a step fails; no step is taken by halves then.
pub async fn migrate(url: &str) -> Result<MigrationState, StoreError> {
    let dialect = connect::dialect(url)?;
    let lock = match dialect {
        Dialect::Sqlite => Some(connect::lock(&connect::sqlite_path(url))?),
        Dialect::Postgres => None,
    };
    let migrated = migrate_alone(dialect, url).await;
    if let Some(lock) = lock {
        // A child process that is being started may still hold the file open: closing it is not enough.
        let _ = lock.unlock();
    }
    migrated
}

async fn migrate_alone(dialect: Dialect, url: &str) -> Result<MigrationState, StoreError> {
    let database = connect::connect(url, 1, Access::Write, &Doubt::default()).await?;
    let transaction = database.begin().await?;
    if dialect == Dialect::Postgres {
        let lock = dialect.statement("SELECT pg_advisory_xact_lock($1)", [MIGRATION_LOCK.into()]);
        transaction.query_one_raw(lock).await?;
    }
    // The library takes a step that it does not know for a mistake.
    if state_of(dialect, &transaction).await?.newer.is_empty() {
        Migrator::up(&transaction, None).await?;
    }
    let state = state_of(dialect, &transaction).await?;
    transaction.commit().await?;
    database.close().await?;
    Ok(state)
}

/// How far the schema is.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn migration_state(url: &str) -> Result<MigrationState, StoreError> {
    let dialect = connect::dialect(url)?;
    let database = connect::connect(url, 1, Access::Look, &Doubt::default()).await?;
    let state = state_of(dialect, &database).await?;
    database.close().await?;
    Ok(state)
}

impl Sql {
    /// How far the schema is now, asked as a check would ask.
    ///
    /// # Errors
    /// [`StoreError`] where a check would have no answer either.
    pub async fn schema(&self) -> Result<MigrationState, StoreError> {
        self.run("schema", |inner| async move {
            if inner.dialect == Dialect::Postgres {
                let asked = inner.dialect.statement("SELECT pg_is_in_recovery() AS recovering", []);
                let row = inner.reads.query_one_raw(asked).await?;
                let is_recovering = row.map(|row| row.try_get::<bool>("", "recovering")).transpose()?;
                if is_recovering.unwrap_or_default() {
                    return Err(epoch::in_recovery());
                }
            }
            state_of(inner.dialect, &inner.reads).await
        })
        .await
    }
}

pub(super) async fn state_of<C: ConnectionTrait>(
    dialect: Dialect,
    connection: &C,
) -> Result<MigrationState, StoreError> {
    let is_there = match dialect {
        Dialect::Postgres => "SELECT 1 AS one WHERE to_regclass('seaql_migrations') IS NOT NULL",
        Dialect::Sqlite => "SELECT 1 AS one FROM sqlite_master WHERE name = 'seaql_migrations'",
    };
    if connection.query_one_raw(dialect.statement(is_there, [])).await?.is_none() {
        return Ok(MigrationState::of(&[]));
    }
    let taken = dialect.statement("SELECT version FROM seaql_migrations ORDER BY version", []);
    let rows = connection.query_all_raw(taken).await?;
    let taken: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get("", "version")).collect();
    Ok(MigrationState::of(&taken?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfit(known: &[&str], taken: &[&str]) -> Option<Unfit> {
        let owned = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
        MigrationState::between(&owned(known), &owned(taken)).unfit()
    }

    #[test]
    fn a_binary_uses_its_own_schema_and_none_that_is_missing_or_older() {
        assert_eq!(unfit(&["m0001_a", "m0002_b"], &["m0001_a", "m0002_b"]), None);
        assert_eq!(unfit(&["m0001_a"], &[]), Some(Unfit::Missing));
        let older = Some(Unfit::Older { pending: "m0002_b, m0003_c".to_owned() });
        assert_eq!(unfit(&["m0001_a", "m0002_b", "m0003_c"], &["m0001_a"]), older);
    }

    #[test]
    fn a_binary_uses_a_newer_schema_until_a_step_needs_one_that_knows_more() {
        let known = ["m0001_a", "m0002_b"];
        let taken = |more: &[&'static str]| [&known[..], more].concat();
        assert_eq!(unfit(&known, &taken(&["m0003_c", "m0004_drop_needs_m0002"])), None);
        let newer = Some(Unfit::Newer { step: "m0004_drop_needs_m0003".to_owned() });
        assert_eq!(unfit(&known, &taken(&["m0003_c", "m0004_drop_needs_m0003"])), newer);
        // Steps of another line of versions do not make up for those that are missing.
        let older = Some(Unfit::Older { pending: "m0002_b".to_owned() });
        assert_eq!(unfit(&known, &["m0001_a", "m0003_c"]), older);
    }
}

//! The catalogue in force, read where a statement says that it is a newer one than the one in hand.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::Inner;
use crate::catalogue;
use crate::store::{InForce, StoreError};

#[derive(FromQueryResult)]
struct Row {
    version: i64,
    digest: String,
    document: String,
}

/// The newest version, as seen by the connection.
pub(super) async fn in_force<C: ConnectionTrait>(
    inner: &Inner,
    connection: &C,
) -> Result<Arc<InForce>, StoreError> {
    let newest = inner.dialect.statement("SELECT max(version) AS version FROM catalogue", []);
    let row = connection.query_one_raw(newest).await?;
    let version: Option<i64> = row.map(|row| row.try_get("", "version")).transpose()?.flatten();
    at_version(inner, connection, version).await
}

/// That version: the one in hand, or read.
pub(super) async fn at_version<C: ConnectionTrait>(
    inner: &Inner,
    connection: &C,
    version: Option<i64>,
) -> Result<Arc<InForce>, StoreError> {
    let in_hand = inner.in_force.load_full();
    if version.is_some_and(|version| i64::try_from(in_hand.version) == Ok(version)) {
        return Ok(in_hand);
    }
    let read = read(inner, connection, version).await?;
    inner.in_force.store(Arc::clone(&read));
    Ok(read)
}

async fn read<C: ConnectionTrait>(
    inner: &Inner,
    connection: &C,
    version: Option<i64>,
) -> Result<Arc<InForce>, StoreError> {
    let version = version.ok_or_else(|| StoreError::Corrupt("no catalogue is in force".to_owned()))?;
    let statement = inner
        .dialect
        .statement("SELECT version, digest, document FROM catalogue WHERE version = $1", [version.into()]);
    let row = Row::find_by_statement(statement).one(connection).await?;
    understand(row.ok_or_else(|| StoreError::Corrupt(format!("catalogue version {version} is not there")))?)
}

fn understand(row: Row) -> Result<Arc<InForce>, StoreError> {
    let catalogue = catalogue::parse(&row.document).map_err(|problems| {
        StoreError::Corrupt(format!("catalogue version {}: {}", row.version, problems.join("; ")))
    })?;
    Ok(Arc::new(InForce {
        version: row.version.unsigned_abs(),
        digest: row.digest,
        document: row.document,
        catalogue,
    }))
}

/// Puts a document in force where none is, and reads the one that is.
pub(super) async fn install<C: ConnectionTrait>(
    dialect: super::Dialect,
    connection: &C,
    document: &str,
    now_micros: i64,
) -> Result<Arc<InForce>, StoreError> {
    let digest = catalogue::digest(document);
    let insert = "INSERT INTO catalogue (version, digest, document, applied_us) \
                  SELECT 1, $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM catalogue) ON CONFLICT DO NOTHING";
    let values = [digest.clone().into(), document.into(), now_micros.into()];
    connection.execute_raw(dialect.statement(insert, values)).await?;
    let newest = "SELECT version, digest, document FROM catalogue ORDER BY version DESC LIMIT 1";
    let row = Row::find_by_statement(dialect.statement(newest, [])).one(connection).await?;
    let in_force =
        understand(row.ok_or_else(|| StoreError::Corrupt("no catalogue is in force".to_owned()))?)?;
    if in_force.digest != digest {
        tracing::warn!(
            in_force = in_force.digest,
            configured = digest,
            version = in_force.version,
            "the configured catalogue is not the one in force; `doorward catalogue apply` changes it"
        );
    }
    Ok(in_force)
}

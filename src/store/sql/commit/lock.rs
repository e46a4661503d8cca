//! The locks of an act: the tenant's row, and a lock between tenants and catalogue.
//!
//! On Postgres the order is one for all, so that nobody waits in a circle: catalogue, then of a creation its request
//! and of any other act its tenant, then a slug. SQLite has one writer, and needs none of it.

use doorward_engine::id::{Revision, TenantId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};

use crate::store::Target;
use crate::store::audit::NO_HASH;
use crate::store::sql::rows::At;
use crate::store::sql::{Dialect, StoreError};

/// The advisory lock between a change of the catalogue and every other mutation: their plans rely on it.
const CATALOGUE_LOCK: i64 = 0x646f_6f72_6361_7461;

/// The newest link of a tenant's log.
pub(super) struct Head {
    pub(super) revision: Revision,
    pub(super) hash: [u8; 32],
}

impl Default for Head {
    fn default() -> Self {
        Self { revision: Revision(0), hash: NO_HASH }
    }
}

/// Takes the locks of a target that may exist; none: it does not.
pub(super) async fn take(
    dialect: Dialect,
    transaction: &DatabaseTransaction,
    target: &Target,
) -> Result<Option<Head>, StoreError> {
    let catalogue = match target {
        Target::Platform => "pg_advisory_xact_lock",
        Target::Tenant(_) | Target::NewTenant(_) => "pg_advisory_xact_lock_shared",
    };
    let (sql, values): (String, Vec<Value>) = match (dialect, target) {
        (Dialect::Sqlite, Target::NewTenant(_)) => return Ok(None),
        (Dialect::Postgres, Target::NewTenant(_)) => {
            (format!("SELECT CAST({catalogue}($1) AS TEXT)"), vec![CATALOGUE_LOCK.into()])
        }
        (Dialect::Sqlite, _) => {
            ("SELECT rev, hash FROM tenant_rev WHERE tenant_id = $1".to_owned(), vec![target.as_str().into()])
        }
        // The row is locked above the join, so after the catalogue.
        (Dialect::Postgres, _) => (
            format!(
                "WITH catalogue_lock AS MATERIALIZED (SELECT {catalogue}($2)) \
                 SELECT t.rev, t.hash FROM catalogue_lock, tenant_rev t WHERE t.tenant_id = $1 FOR UPDATE OF t"
            ),
            vec![target.as_str().into(), CATALOGUE_LOCK.into()],
        ),
    };
    let row = transaction.query_one_raw(dialect.statement(sql, values)).await?;
    let Some(row) = row.filter(|_| !matches!(target, Target::NewTenant(_))) else {
        return Ok(None);
    };
    let at = At { table: "tenant_rev", key: target.as_str() };
    let hash: Vec<u8> = row.try_get("", "hash")?;
    Ok(Some(Head { revision: at.revision(row.try_get("", "rev")?)?, hash: at.hash("hash", &hash)? }))
}

/// Makes a new tenant's row, and holds it; none: the id has been used. Waits for a transaction that is about to.
pub(super) async fn create(
    dialect: Dialect,
    transaction: &DatabaseTransaction,
    tenant: &TenantId,
) -> Result<Option<Head>, StoreError> {
    let sql = "INSERT INTO tenant_rev (tenant_id, rev, hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING";
    let values = [tenant.as_str().into(), NO_HASH.to_vec().into()];
    let created = transaction.execute_raw(dialect.statement(sql, values)).await?.rows_affected();
    Ok((created == 1).then(Head::default))
}

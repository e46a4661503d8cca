//! Members with their grants: as the access matrix shows them, and as facts to decide on.

use std::collections::BTreeSet;

use doorward_engine::id::{MemberId, ResourceId, ResourceRef, TenantId, TypeKey};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Member};
use doorward_engine::snapshot::MemberFacts;
use sea_orm::{
    AccessMode, DatabaseTransaction, IsolationLevel, QueryResult, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use crate::store::directory::{AccessRow, Slice};
use crate::store::sql::rows::read::{Rest, list, listed, member_columns, member_of};
use crate::store::sql::{Dialect, Inner, StoreError, catalogue, rows};

/// A column with the member's grants `g` that meet a condition.
fn grants_column(dialect: Dialect, condition: &str) -> String {
    format!(
        "(SELECT {} FROM resource_grant g WHERE g.tenant_id = m.tenant_id AND g.member_id = m.member_id \
         AND {condition}) AS grants",
        dialect.json_rows("g.resource_type, g.resource_id, g.expires_us")
    )
}

fn grants_of(member: &MemberId, row: &QueryResult) -> Result<Vec<(ResourceRef, Grant)>, StoreError> {
    let grants: String = row.try_get("", "grants")?;
    rows::grants(member, &grants)
}

/// Grants go with their resource when that is deleted: those that are there are on live ones.
pub(super) async fn rows(
    inner: &Inner,
    tenant: &TenantId,
    kind: &TypeKey,
    resources: &BTreeSet<ResourceId>,
    slice: Slice<MemberId>,
) -> Result<Vec<AccessRow>, StoreError> {
    let dialect = inner.dialect;
    let named = match resources.is_empty() {
        true => String::new(),
        false => format!(" AND g.resource_id IN (SELECT a FROM {})", listed(dialect, "$3")),
    };
    let columns = format!(
        "{}, {}, {} AS now_us",
        member_columns(dialect),
        grants_column(dialect, &format!("g.resource_type = $2{named}")),
        dialect.now_micros()
    );
    let rest = Rest::of(tenant.as_str(), "member m WHERE m.tenant_id = $1 AND m.status <> 'DELETED'")
        .value(kind.as_str())
        .value(list(resources.iter().map(|resource| [resource.as_str()])));
    let rest = super::page(rest, "m.member_id", slice.after.map(String::from), slice.limit);
    let found = rest.select(dialect, &inner.reads, &columns).await?;
    found.iter().map(|row| access_row(row, inner.now(row.try_get("", "now_us")?))).collect()
}

fn access_row(row: &QueryResult, now: Instant) -> Result<AccessRow, StoreError> {
    let member = member_of(row)?;
    let grants = grants_of(&member.id, row)?.into_iter().filter(|(_, grant)| grant.is_in_force(now));
    let mut grants: Vec<_> = grants.map(|(resource, grant)| (resource.id, grant)).collect();
    grants.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(AccessRow { member, grants })
}

/// The catalogue and the members are read in one transaction: the facts are compiled against the one in force.
pub(super) async fn candidates(
    inner: &Inner,
    tenant: &TenantId,
    resource: Option<ResourceRef>,
    slice: Slice<MemberId>,
) -> Result<Vec<(Member, MemberFacts)>, StoreError> {
    let transaction = begin(inner).await?;
    let in_force = catalogue::in_force(inner, &transaction).await?;
    let found = candidate_rows(inner.dialect, &transaction, tenant, resource, slice).await?;
    transaction.commit().await?;
    let compile = |row: &QueryResult| {
        let member = member_of(row)?;
        let grants = grants_of(&member.id, row)?;
        let facts = MemberFacts::over(&member, grants, &in_force.catalogue);
        Ok((member, facts))
    };
    found.iter().map(compile).collect()
}

async fn candidate_rows(
    dialect: Dialect,
    transaction: &DatabaseTransaction,
    tenant: &TenantId,
    resource: Option<ResourceRef>,
    slice: Slice<MemberId>,
) -> Result<Vec<QueryResult>, StoreError> {
    let mut rest = Rest::of(tenant.as_str(), "member m WHERE m.tenant_id = $1 AND m.status = 'ACTIVE'");
    let mut condition = "true";
    if let Some(resource) = resource {
        condition = "g.resource_type = $2 AND g.resource_id = $3";
        // The tenant is named inside too: Postgres reads the inner rows once for all members, without what is outside.
        rest = rest.value(String::from(resource.kind)).value(String::from(resource.id)).then(
            "AND (m.role = 'ADMIN' OR EXISTS (SELECT 1 FROM resource_grant g WHERE g.tenant_id = $1 \
             AND g.member_id = m.member_id AND g.resource_type = $2 AND g.resource_id = $3))",
        );
    }
    let columns = format!("{}, {}", member_columns(dialect), grants_column(dialect, condition));
    let rest = super::page(rest, "m.member_id", slice.after.map(String::from), slice.limit);
    rest.select(dialect, transaction, &columns).await
}

/// Several statements that see one moment.
async fn begin(inner: &Inner) -> Result<DatabaseTransaction, StoreError> {
    let options = match inner.dialect {
        Dialect::Postgres => TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..Default::default()
        },
        Dialect::Sqlite => TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
            ..Default::default()
        },
    };
    Ok(inner.reads.begin_with_options(options).await?)
}

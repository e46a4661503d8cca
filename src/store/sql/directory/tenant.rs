//! Tenants: pages, one, and what is counted about it.

use doorward_engine::id::{TenantId, TypeKey};
use doorward_engine::instant::Instant;
use doorward_engine::tenant::Tenant;
use sea_orm::{FromQueryResult, QueryResult};

use super::{holds, needle};
use crate::store::directory::{Slice, TenantFilter, TenantRows, TenantUsage, TenantView};
use crate::store::sql::entity::tenant;
use crate::store::sql::rows::At;
use crate::store::sql::rows::read::{Rest, columns, count};
use crate::store::sql::state::SEATS;
use crate::store::sql::{Inner, StoreError, rows};

pub(super) async fn page(
    inner: &Inner,
    filter: TenantFilter,
    slice: Slice<TenantId>,
) -> Result<TenantRows, StoreError> {
    let rest = Rest::new("tenant t WHERE t.status <> 'DELETED'")
        .with_some("AND t.status = {}", filter.status.map(|status| status.name()))
        .with_some(&holds(inner.dialect, &["t.tenant_id", "t.slug", "t.name"]), needle(filter.text));
    let rest = super::page(rest, "t.tenant_id", slice.after.map(String::from), slice.limit);
    let columns = format!("{}, {} AS now_us", columns::<tenant::Entity>("t"), inner.dialect.now_micros());
    let found = rest.select(inner.dialect, &inner.reads, &columns).await?;
    // Without a row nothing depends on the time.
    let micros = found.first().map_or(Ok(0), |row| row.try_get("", "now_us"))?;
    Ok(TenantRows { tenants: found.iter().map(tenant_of).collect::<Result<_, _>>()?, now: inner.now(micros) })
}

fn tenant_of(row: &QueryResult) -> Result<Tenant, StoreError> {
    rows::tenant(&tenant::Model::from_query_result(row, "")?)
}

pub(super) async fn one(inner: &Inner, tenant: &TenantId) -> Result<Option<TenantView>, StoreError> {
    let from = "tenant t JOIN tenant_rev v ON v.tenant_id = t.tenant_id WHERE t.tenant_id = $1";
    let columns =
        format!("{}, v.rev AS rev, {} AS now_us", columns::<tenant::Entity>("t"), inner.dialect.now_micros());
    let found = Rest::of(tenant.as_str(), from).select(inner.dialect, &inner.reads, &columns).await?;
    let at = At { table: "tenant_rev", key: tenant.as_str() };
    let view = |row: &QueryResult| {
        Ok(TenantView {
            tenant: tenant_of(row)?,
            revision: at.revision(row.try_get("", "rev")?)?,
            now: inner.now(row.try_get("", "now_us")?),
        })
    };
    found.first().map(view).transpose()
}

/// In one statement, so that the counts are of one moment.
pub(super) async fn usage(inner: &Inner, tenant: &TenantId, now: Instant) -> Result<TenantUsage, StoreError> {
    let columns = format!(
        "({SEATS}) AS seats, \
         (SELECT {types} FROM (SELECT r.resource_type AS kind, count(*) AS number FROM resource r \
          WHERE r.tenant_id = $1 AND r.status <> 'DELETED' GROUP BY r.resource_type) AS counted) AS resources, \
         (SELECT count(*) FROM api_key k WHERE k.tenant_id = $1 AND k.revoked_us IS NULL \
          AND (k.expires_us IS NULL OR k.expires_us > $2)) AS api_keys",
        types = inner.dialect.json_rows("counted.kind, counted.number"),
    );
    let rest = Rest::of(tenant.as_str(), "tenant t WHERE t.tenant_id = $1").value(now.micros());
    let found = rest.select(inner.dialect, &inner.reads, &columns).await?;
    let Some(row) = found.first() else { return Ok(TenantUsage::default()) };
    let at = At { table: "resource", key: tenant.as_str() };
    let resources: String = row.try_get("", "resources")?;
    let resources: Vec<(TypeKey, u64)> =
        serde_json::from_str(&resources).map_err(|_| at.wrong("resource_type"))?;
    Ok(TenantUsage {
        members: count(row, "seats")?,
        resources: resources.into_iter().collect(),
        api_keys: count(row, "api_keys")?,
    })
}

//! Tenants: pages, and one with what is counted about it.

use doorward_engine::id::TenantId;
use doorward_engine::tenant::Tenant;
use sea_orm::{FromQueryResult, QueryResult};

use super::{holds, needle};
use crate::store::directory::{Slice, TenantFilter, TenantView};
use crate::store::sql::entity::tenant;
use crate::store::sql::rows::At;
use crate::store::sql::rows::read::{Rest, columns, count};
use crate::store::sql::state::SEATS;
use crate::store::sql::{Inner, StoreError, rows};

pub(super) async fn page(
    inner: &Inner,
    filter: TenantFilter,
    slice: Slice<TenantId>,
) -> Result<Vec<Tenant>, StoreError> {
    let rest = Rest::new("tenant t WHERE t.status <> 'DELETED'")
        .with_some("AND t.status = {}", filter.status.map(|status| status.name()))
        .with_some(&holds(inner.dialect, &["t.slug", "t.name"]), needle(filter.text));
    let rest = super::page(rest, "t.tenant_id", slice.after.map(String::from), slice.limit);
    let found = rest.select(inner.dialect, &inner.reads, &columns::<tenant::Entity>("t")).await?;
    found.iter().map(tenant_of).collect()
}

fn tenant_of(row: &QueryResult) -> Result<Tenant, StoreError> {
    rows::tenant(&tenant::Model::from_query_result(row, "")?)
}

pub(super) async fn one(inner: &Inner, tenant: &TenantId) -> Result<Option<TenantView>, StoreError> {
    let from = "tenant t JOIN tenant_rev v ON v.tenant_id = t.tenant_id WHERE t.tenant_id = $1";
    let columns = format!(
        "{}, v.rev AS rev, ({SEATS}) AS seats, {} AS now_us",
        columns::<tenant::Entity>("t"),
        inner.dialect.now_micros()
    );
    let found = Rest::of(tenant.as_str(), from).select(inner.dialect, &inner.reads, &columns).await?;
    let at = At { table: "tenant_rev", key: tenant.as_str() };
    let view = |row: &QueryResult| {
        Ok(TenantView {
            tenant: tenant_of(row)?,
            revision: at.revision(row.try_get("", "rev")?)?,
            seats: count(row, "seats")?,
            now: inner.now(row.try_get("", "now_us")?),
        })
    };
    found.first().map(view).transpose()
}

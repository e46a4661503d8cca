//! Resources: one by its key, and pages.

use doorward_engine::id::{ResourceRef, TenantId};
use doorward_engine::resource::Resource;

use super::{holds, needle, rows_max};
use crate::store::directory::{ResourceFilter, Slice};
use crate::store::sql::rows::read::{Rest, resources};
use crate::store::sql::{Inner, StoreError};

pub(super) async fn one(
    inner: &Inner,
    tenant: &TenantId,
    resource: &ResourceRef,
) -> Result<Option<Resource>, StoreError> {
    let rest = Rest::of(tenant.as_str(), "resource r WHERE r.tenant_id = $1")
        .with("AND r.resource_type = {}", resource.kind.as_str())
        .with("AND r.resource_id = {}", resource.id.as_str());
    Ok(resources(inner.dialect, &inner.reads, rest).await?.pop())
}

pub(super) async fn page(
    inner: &Inner,
    tenant: &TenantId,
    filter: ResourceFilter,
    slice: Slice<ResourceRef>,
) -> Result<Vec<Resource>, StoreError> {
    let rest = Rest::of(tenant.as_str(), "resource r WHERE r.tenant_id = $1");
    let rest = match filter.status {
        Some(status) => rest.with("AND r.status = {}", status.name()),
        None => rest.then("AND r.status <> 'DELETED'"),
    };
    let mut rest = rest
        .with_some("AND r.resource_type = {}", filter.kind.map(String::from))
        .with_some(&holds(inner.dialect, &["r.name", "r.resource_id"]), needle(filter.text));
    if let Some(after) = slice.after {
        rest = rest
            .with("AND (r.resource_type, r.resource_id) > ({},", String::from(after.kind))
            .with("{})", String::from(after.id));
    }
    let rest = rest.with("ORDER BY r.resource_type, r.resource_id LIMIT {}", rows_max(slice.limit));
    resources(inner.dialect, &inner.reads, rest).await
}

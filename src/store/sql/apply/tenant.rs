//! Writes a tenant and the hold on its slug.

use doorward_engine::status::TenantStatus;
use doorward_engine::tenant::Tenant;
use sea_orm::{ActiveModelTrait, IntoActiveModel};

use super::{ApplyError, Place, hit_all};
use crate::store::sql::entity::tenant;
use crate::store::sql::{StoreError, corrupt, rows};

/// A tenant before and after.
pub(super) type Difference<'a> = (Option<&'a Tenant>, &'a Tenant);

pub(super) async fn write(place: &Place<'_>, differences: &[Difference<'_>]) -> Result<(), ApplyError> {
    for (before, after) in differences {
        if after.id.as_str() != place.tenant {
            return Err(corrupt("a tenant was changed by an act on", place.tenant).into());
        }
        match before {
            None => create(place, after).await?,
            Some(before) => update(place, before, after).await?,
        }
    }
    Ok(())
}

/// On Postgres the insert waits for a transaction that is about to take or to free the same slug.
async fn create(place: &Place<'_>, tenant: &Tenant) -> Result<(), ApplyError> {
    let row = rows::tenant_row(tenant, place.revision)?;
    place.insert_one(row.into_active_model()).await?;
    let sql = "INSERT INTO tenant_slug (tenant_id, slug) VALUES ($1, $2) ON CONFLICT (slug) DO NOTHING";
    match place.execute(sql, [tenant.slug.as_str().into()]).await? {
        0 => Err(ApplyError::SlugTaken),
        _ => Ok(()),
    }
}

async fn update(place: &Place<'_>, before: &Tenant, after: &Tenant) -> Result<(), StoreError> {
    if before.slug != after.slug {
        return Err(corrupt("the slug, which cannot change, was changed of", place.tenant));
    }
    let row = rows::tenant_row(after, place.revision)?;
    place.update::<tenant::ActiveModel>(row.into_active_model().reset_all()).await?;
    if before.status != TenantStatus::Deleted && after.status == TenantStatus::Deleted {
        let freed = place.execute("DELETE FROM tenant_slug WHERE tenant_id = $1", []).await?;
        hit_all("tenant_slug", 1, freed)?;
    }
    Ok(())
}

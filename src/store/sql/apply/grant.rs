//! Writes grants, and marks the members that have them as changed.

use std::collections::BTreeSet;

use doorward_engine::id::{MemberId, ResourceRef};
use doorward_engine::member::Grant;

use super::{Place, hit_all, member};
use crate::store::sql::rows::read::{list, listed};
use crate::store::sql::{StoreError, rows};

const REPLACE: &str = "ON CONFLICT (tenant_id, member_id, resource_type, resource_id) DO UPDATE \
     SET expires_us = excluded.expires_us, changed_rev = excluded.changed_rev";

/// A grant before and after; none: absent.
pub(super) struct Difference<'a> {
    pub(super) member: &'a MemberId,
    pub(super) resource: &'a ResourceRef,
    pub(super) before: Option<Grant>,
    pub(super) after: Option<Grant>,
}

/// `changed`: members whose rows have the revision already.
pub(super) async fn write(
    place: &Place<'_>,
    differences: &[Difference<'_>],
    changed: &[member::Difference<'_>],
) -> Result<(), StoreError> {
    let mut kept = Vec::new();
    let mut gone = Vec::new();
    for difference in differences {
        let Difference { member, resource, before, after } = difference;
        match (before, after) {
            (_, Some(grant)) => {
                kept.push(rows::grant_row(place.tenant, member, resource, *grant, place.revision))
            }
            (Some(_), None) => gone.push([member.as_str(), resource.kind.as_str(), resource.id.as_str()]),
            (None, None) => {}
        }
    }
    let mut members: BTreeSet<&str> =
        differences.iter().map(|difference| difference.member.as_str()).collect();
    for (_, after) in changed {
        members.remove(after.id.as_str());
    }
    place.insert(&kept, REPLACE).await?;
    remove(place, &gone).await?;
    member::touch(place, &members).await
}

async fn remove(place: &Place<'_>, gone: &[[&str; 3]]) -> Result<(), StoreError> {
    if gone.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM resource_grant WHERE tenant_id = $1 \
         AND (member_id, resource_type, resource_id) IN (SELECT a, b, c FROM {})",
        listed(place.dialect, "$2")
    );
    let removed = place.execute(&sql, [list(gone.iter().copied())]).await?;
    hit_all("resource_grant", gone.len(), removed)
}

/// Removes every grant on resources that are gone. Their members have not changed: no rule reads such a grant.
pub(super) async fn clear<'a>(
    place: &Place<'_>,
    resources: impl Iterator<Item = &'a ResourceRef>,
) -> Result<(), StoreError> {
    let gone: Vec<_> = resources.map(|resource| [resource.kind.as_str(), resource.id.as_str()]).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM resource_grant WHERE tenant_id = $1 AND (resource_type, resource_id) IN (SELECT a, b FROM {})",
        listed(place.dialect, "$2")
    );
    place.execute(&sql, [list(gone)]).await?;
    Ok(())
}

//! Writes the section values of members: what differs, over all members at once.

use doorward_engine::status::MemberStatus;

use super::member::Difference;
use super::{Place, hit_all};
use crate::store::sql::rows::read::{list, listed};
use crate::store::sql::{StoreError, rows};

const REPLACE: &str = "ON CONFLICT (tenant_id, member_id, section) DO UPDATE \
     SET is_on = excluded.is_on, origin = excluded.origin, changed_rev = excluded.changed_rev";

/// Those of a DELETED member are removed with the rest of what they had.
pub(super) async fn write(place: &Place<'_>, differences: &[Difference<'_>]) -> Result<(), StoreError> {
    let mut set = Vec::new();
    let mut reset = Vec::new();
    for (before, after) in differences.iter().filter(|(_, after)| after.status != MemberStatus::Deleted) {
        let stored = before.map(|before| &before.sections);
        for (section, value) in &after.sections {
            if stored.and_then(|stored| stored.get(section)) != Some(value) {
                set.push(rows::section_row(place.tenant, &after.id, section, *value, place.revision));
            }
        }
        let gone = stored
            .into_iter()
            .flat_map(|stored| stored.keys())
            .filter(|key| !after.sections.contains_key(*key));
        reset.extend(gone.map(|section| [after.id.as_str(), section.as_str()]));
    }
    place.insert(&set, REPLACE).await?;
    remove(place, &reset).await
}

async fn remove(place: &Place<'_>, reset: &[[&str; 2]]) -> Result<(), StoreError> {
    if reset.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM member_section WHERE tenant_id = $1 AND (member_id, section) IN (SELECT a, b FROM {})",
        listed(place.dialect, "$2")
    );
    let removed = place.execute(&sql, [list(reset.iter().copied())]).await?;
    hit_all("member_section", reset.len(), removed)
}

//! Writes members: their rows, the versions of their personal data, and which member a user is.

use std::collections::BTreeSet;

use doorward_engine::member::Member;
use doorward_engine::status::{InvitationStatus, MemberStatus};
use sea_orm::{ActiveModelTrait, IntoActiveModel, Value};

use super::{Place, hit_all, section};
use crate::store::sql::entity::member;
use crate::store::sql::rows::read::{list, listed};
use crate::store::sql::{StoreError, corrupt, rows};

/// A member before and after.
pub(super) type Difference<'a> = (Option<&'a Member>, &'a Member);

pub(super) async fn write(place: &Place<'_>, differences: &[Difference<'_>]) -> Result<(), StoreError> {
    if differences.is_empty() {
        return Ok(());
    }
    write_rows(place, differences).await?;
    write_persons(place, differences).await?;
    write_users(place, differences).await?;
    section::write(place, differences).await
}

/// Changed rows before new ones: a changed one may free the address that a new one takes.
async fn write_rows(place: &Place<'_>, differences: &[Difference<'_>]) -> Result<(), StoreError> {
    let row = |member| rows::member_row(place.tenant, member, place.revision);
    let mut new = Vec::new();
    let mut touched = BTreeSet::new();
    for (before, after) in differences {
        match before {
            None => new.push(row(after)),
            // Only section values differ: many such members are one statement.
            Some(before) if row(before) == row(after) => drop(touched.insert(after.id.as_str())),
            Some(_) => {
                place.update::<member::ActiveModel>(row(after).into_active_model().reset_all()).await?
            }
        }
    }
    touch(place, &touched).await?;
    place.insert(&new, "").await
}

/// Marks members as changed.
pub(super) async fn touch(place: &Place<'_>, members: &BTreeSet<&str>) -> Result<(), StoreError> {
    if members.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE member SET changed_rev = $2 WHERE tenant_id = $1 AND member_id IN (SELECT a FROM {})",
        listed(place.dialect, "$3")
    );
    let ids = list(members.iter().map(|member| [*member]));
    let touched = place.execute(&sql, [place.revision.into(), ids]).await?;
    hit_all("member", members.len(), touched)
}

async fn write_persons(place: &Place<'_>, differences: &[Difference<'_>]) -> Result<(), StoreError> {
    let mut persons = Vec::new();
    for (before, after) in differences {
        let known = before.map_or(0, |before| before.person_version);
        let same = before.is_some_and(|before| person(before) == person(after));
        if after.person_version != if same { known } else { known + 1 } {
            return Err(corrupt("the person's version does not follow the person of", &after.id));
        }
        if !same {
            persons.push(rows::person_row(place.tenant, after));
        }
    }
    place.insert(&persons, "").await
}

fn person(member: &Member) -> impl PartialEq + '_ {
    (&member.email, &member.display_name, &member.user_id)
}

/// A member's user, while they hold it.
fn user(member: &Member) -> Option<&str> {
    member.user_id.as_ref().filter(|_| member.status.is_live()).map(|user| user.as_str())
}

async fn write_users(place: &Place<'_>, differences: &[Difference<'_>]) -> Result<(), StoreError> {
    let mut freed = Vec::new();
    let mut held = Vec::new();
    for (before, after) in differences {
        let old = before.and_then(user).filter(|old| user(after) != Some(old));
        freed.extend(old.map(|user| [user, after.id.as_str()]));
        held.extend(user(after).map(|user| [user, after.id.as_str()]));
    }
    let free = format!(
        "UPDATE tenant_user SET member_id = NULL, changed_rev = $2 \
         WHERE tenant_id = $1 AND (user_id, member_id) IN (SELECT a, b FROM {})",
        listed(place.dialect, "$3")
    );
    let hold = format!(
        "INSERT INTO tenant_user (tenant_id, user_id, member_id, changed_rev) \
         SELECT $1, a, b, $2 FROM {} WHERE true \
         ON CONFLICT (tenant_id, user_id) DO UPDATE \
         SET member_id = excluded.member_id, changed_rev = excluded.changed_rev \
         WHERE tenant_user.member_id IS NULL OR tenant_user.member_id = excluded.member_id",
        listed(place.dialect, "$3")
    );
    for (sql, users) in [(free, freed), (hold, held)] {
        if !users.is_empty() {
            let hit = place.execute(&sql, [place.revision.into(), list(users.iter().copied())]).await?;
            hit_all("tenant_user", users.len(), hit)?;
        }
    }
    Ok(())
}

/// Removes what a deleted member leaves behind: section values, grants, and the invitation that could bring them back.
pub(super) async fn clear(place: &Place<'_>, differences: &[Difference<'_>]) -> Result<(), StoreError> {
    let gone = differences.iter().filter(|(_, after)| after.status == MemberStatus::Deleted);
    let gone: Vec<_> = gone.map(|(_, after)| [after.id.as_str()]).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let gone: Value = list(gone);
    let listed = listed(place.dialect, "$2");
    for table in ["member_section", "resource_grant"] {
        let sql =
            format!("DELETE FROM {table} WHERE tenant_id = $1 AND member_id IN (SELECT a FROM {listed})");
        place.execute(&sql, [gone.clone()]).await?;
    }
    let sql = format!(
        "UPDATE invitation SET status = $3 WHERE tenant_id = $1 AND member_id IN (SELECT a FROM {listed}) \
         AND status = $4"
    );
    let statuses = [InvitationStatus::Cancelled.name().into(), InvitationStatus::Live.name().into()];
    let [cancelled, live] = statuses;
    place.execute(&sql, [gone, cancelled, live]).await?;
    Ok(())
}

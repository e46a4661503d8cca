//! Erases persons: every column that holds what is personal of a member, but those that another member needs.

use doorward_engine::id::MemberId;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde_json::Value as Json;

use super::{Place, hit_all};
use crate::store::act::PLATFORM;
use crate::store::sql::{Dialect, StoreError, corrupt};

/// How many kept answers are looked at with one statement.
const ANSWERS_MAX: usize = 200;

/// Erases members who are DELETED by now. What they were is in `member_person` until the end of it.
pub(super) async fn erase(place: &Place<'_>, members: &[&MemberId]) -> Result<(), StoreError> {
    for member in members {
        for user in users(place, member).await? {
            forget_user(place, &user).await?;
        }
        let of_member = [
            "UPDATE member SET user_id = NULL, email = '', email_key = '', display_name = NULL \
             WHERE tenant_id = $1 AND member_id = $2 AND status = 'DELETED'",
            "UPDATE member_person SET user_id = NULL, email = '', display_name = NULL \
             WHERE tenant_id = $1 AND member_id = $2",
            "DELETE FROM outbox WHERE tenant_id = $1 AND member_id = $2",
        ];
        for (at, sql) in of_member.iter().enumerate() {
            let hit = place.execute(sql, [member.as_str().into()]).await?;
            if at == 0 {
                hit_all("member", 1, hit)?;
            }
        }
        clean_answers(place, member).await?;
    }
    Ok(())
}

/// Every user that a member was.
async fn users(place: &Place<'_>, member: &MemberId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT DISTINCT user_id FROM member_person \
               WHERE tenant_id = $1 AND member_id = $2 AND user_id IS NOT NULL";
    let rows = select(place, sql, [member.as_str().into()]).await?;
    rows.iter().map(|row| Ok(row.try_get("", "user_id")?)).collect()
}

/// Removes what names a user of this tenant. One who is another live member of it by now stays that.
async fn forget_user(place: &Place<'_>, user: &str) -> Result<(), StoreError> {
    // No cache needs the row of a user who is no member: a fact is as old as the tenant's revision at which it was read.
    let freed = "DELETE FROM tenant_user WHERE tenant_id = $1 AND user_id = $2 AND member_id IS NULL";
    place.execute(freed, [user.into()]).await?;
    // An id has no quotes, so that a part is where it stands with both of its own.
    let part = format!("\"user:{user}\"");
    let found = position(place.dialect);
    let parts = format!(
        "UPDATE change_log SET parts = replace(replace(replace(parts, ',' || $2, ''), $2 || ',', ''), $2, '') \
         WHERE tenant_id = $1 AND {found}(parts, $2) > 0"
    );
    place.execute(&parts, [part.into()]).await?;
    let denied = "DELETE FROM denied_call WHERE tenant_id IN ($1, '') AND actor = $2";
    place.execute(denied, [user.into()]).await?;
    // Their own requests, kept under `caller/user`: of somebody who is no member any more, nobody repeats one.
    let requests = format!(
        "DELETE FROM request WHERE tenant_id = $1 AND substr(caller, {found}(caller, '/')) = $2 AND NOT EXISTS \
         (SELECT 1 FROM tenant_user u WHERE u.tenant_id = $1 AND u.user_id = $3)"
    );
    place.execute(&requests, [format!("/{user}").into(), user.into()]).await?;
    Ok(())
}

/// Takes the person out of the answers that are kept for repeated requests; what else they say stays.
async fn clean_answers(place: &Place<'_>, member: &MemberId) -> Result<(), StoreError> {
    let found = position(place.dialect);
    let page = format!(
        "SELECT tenant_id, caller, request_id, answer FROM request \
         WHERE (tenant_id = $1 OR tenant_id = $3 AND scope = $1) AND {found}(answer, $2) > 0 \
         AND (tenant_id, caller, request_id) > ($4, $5, $6) \
         ORDER BY tenant_id, caller, request_id LIMIT {ANSWERS_MAX}"
    );
    let mut after = [String::new(), String::new(), String::new()];
    loop {
        let [tenant, caller, request] = after.clone().map(Value::from);
        let named = format!("\"{member}\"");
        let rows = select(place, &page, [named.into(), PLATFORM.into(), tenant, caller, request]).await?;
        for row in &rows {
            let column = |name| row.try_get::<String>("", name);
            after = [column("tenant_id")?, column("caller")?, column("request_id")?];
            clean_answer(place, member, &after, &column("answer")?).await?;
        }
        if rows.len() < ANSWERS_MAX {
            return Ok(());
        }
    }
}

async fn clean_answer(
    place: &Place<'_>,
    member: &MemberId,
    key: &[String; 3],
    answer: &str,
) -> Result<(), StoreError> {
    let mut parsed: Json = serde_json::from_str(answer).map_err(|error| corrupt("request.answer", error))?;
    if !clean(&mut parsed, member) {
        return Ok(());
    }
    let sql = "UPDATE request SET answer = $2 WHERE tenant_id = $3 AND caller = $4 AND request_id = $5 \
               AND (tenant_id = $1 OR scope = $1)";
    let [tenant, caller, request] = key.clone().map(Value::from);
    let hit = place.execute(sql, [parsed.to_string().into(), tenant, caller, request]).await?;
    hit_all("request", 1, hit)
}

/// Empties what is personal wherever a record of the member stands; answers whether there was one.
fn clean(answer: &mut Json, member: &MemberId) -> bool {
    let mut cleaned = false;
    match answer {
        Json::Object(fields) => {
            let is_theirs = fields.contains_key("person_version")
                && fields.get("id").and_then(Json::as_str) == Some(member.as_str());
            if is_theirs {
                for personal in ["email", "display_name", "user_id"] {
                    fields.insert(personal.to_owned(), Json::Null);
                }
            }
            cleaned = is_theirs;
            fields.values_mut().for_each(|field| cleaned |= clean(field, member));
        }
        Json::Array(entries) => entries.iter_mut().for_each(|entry| cleaned |= clean(entry, member)),
        _ => {}
    }
    cleaned
}

const fn position(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "strpos",
        Dialect::Sqlite => "instr",
    }
}

/// The rows of a statement whose first parameter is the tenant.
async fn select<const N: usize>(
    place: &Place<'_>,
    sql: &str,
    values: [Value; N],
) -> Result<Vec<QueryResult>, StoreError> {
    let values = std::iter::once(Value::from(place.tenant)).chain(values);
    Ok(place.transaction.query_all_raw(place.dialect.statement(sql, values)).await?)
}

//! The log as it is read.

use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use sea_orm::{FromQueryResult, QueryResult};

use super::rows_max;
use crate::store::directory::{LogFilter, LogRow, Slice};
use crate::store::sql::entity::change_log;
use crate::store::sql::rows::At;
use crate::store::sql::rows::read::{Rest, columns};
use crate::store::sql::{Dialect, Inner, StoreError};

pub(super) async fn page(
    inner: &Inner,
    tenant: &str,
    filter: LogFilter,
    slice: Slice<Revision>,
) -> Result<Vec<LogRow>, StoreError> {
    // Parts are a JSON array of texts; no id has a quote in it.
    let touches = match inner.dialect {
        Dialect::Postgres => "AND strpos(l.parts, {}) > 0",
        Dialect::Sqlite => "AND instr(l.parts, {}) > 0",
    };
    let rest = Rest::of(tenant, "change_log l WHERE l.tenant_id = $1")
        .with_some("AND l.actor = {}", filter.actor.map(String::from))
        .with_some("AND l.operation = {}", filter.operation)
        .with_some(touches, filter.member.map(|member| format!("\"member:{member}\"")))
        .with_some("AND l.at_us >= {}", filter.from.map(Instant::micros))
        .with_some("AND l.at_us < {}", filter.to.map(Instant::micros))
        .with_some("AND l.rev > {}", slice.after.map(|after| i64::try_from(after.0).unwrap_or(i64::MAX)))
        .with("ORDER BY l.rev LIMIT {}", rows_max(slice.limit));
    let found = rest.select(inner.dialect, &inner.reads, &columns::<change_log::Entity>("l")).await?;
    found.iter().map(log_row).collect()
}

fn log_row(row: &QueryResult) -> Result<LogRow, StoreError> {
    let row = change_log::Model::from_query_result(row, "")?;
    let key = format!("{}/{}", row.tenant_id, row.rev);
    let at = At { table: "change_log", key: &key };
    Ok(LogRow {
        revision: at.revision(row.rev)?,
        at: Instant::from_micros(row.at_us),
        operation: row.operation,
        caller: row.caller,
        actor: row.actor,
        request_id: row.request_id,
        peer: row.peer,
        trace_id: row.trace_id,
        parts: at.json("parts", &row.parts)?,
        changes: at.json("changes", &row.changes)?,
        prev_hash: at.hash("prev_hash", &row.prev_hash)?,
        hash: at.hash("hash", &row.hash)?,
    })
}

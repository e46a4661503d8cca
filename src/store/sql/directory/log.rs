//! The log as it is read.

use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use sea_orm::{EntityTrait, FromQueryResult, QueryResult};

use super::rows_max;
use crate::store::audit::NO_HASH;
use crate::store::directory::{LogFilter, LogHead, LogRow, Slice, Told};
use crate::store::sql::entity::{change_log, tenant_rev};
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
    let (after, order) = match filter.newest_first {
        false => ("AND l.rev > {}", "ORDER BY l.rev LIMIT {}"),
        true => ("AND l.rev < {}", "ORDER BY l.rev DESC LIMIT {}"),
    };
    let rest = Rest::of(tenant, "change_log l WHERE l.tenant_id = $1")
        .with_some("AND l.actor = {}", filter.actor.map(String::from))
        .with_some("AND l.operation = {}", filter.operation)
        .with_some("AND l.caller = {}", filter.caller)
        .with_some(touches, filter.member.map(|member| format!("\"member:{member}\"")))
        .with_some("AND l.at_us >= {}", filter.from.map(Instant::micros))
        .with_some("AND l.at_us < {}", filter.to.map(Instant::micros))
        .with_some("AND l.rev >= {}", filter.from_revision.map(number))
        .with_some(after, slice.after.map(number))
        .with(order, rows_max(slice.limit));
    let found = rest.select(inner.dialect, &inner.reads, &columns::<change_log::Entity>("l")).await?;
    found.iter().map(log_row).collect()
}

pub(super) async fn head(inner: &Inner, tenant: &str) -> Result<LogHead, StoreError> {
    let found = tenant_rev::Entity::find_by_id(tenant).one(&inner.reads).await?;
    let Some(row) = found else {
        return Ok(LogHead { revision: Revision(0), hash: NO_HASH });
    };
    let at = At { table: "tenant_rev", key: tenant };
    Ok(LogHead { revision: at.revision(row.rev)?, hash: at.hash("hash", &row.hash)? })
}

pub(super) async fn told(
    inner: &Inner,
    tenant: &str,
    after: Revision,
    limit: u64,
) -> Result<Vec<Told>, StoreError> {
    let rest = Rest::of(tenant, "change_log l WHERE l.tenant_id = $1")
        .with("AND l.rev > {}", number(after))
        .with("ORDER BY l.rev LIMIT {}", rows_max(limit));
    let rows = rest.select(inner.dialect, &inner.reads, "l.rev, l.at_us, l.operation, l.parts").await?;
    let told = |row: &QueryResult| {
        let at = At { table: "change_log", key: tenant };
        Ok(Told {
            revision: at.revision(row.try_get("", "rev")?)?,
            at: Instant::from_micros(row.try_get("", "at_us")?),
            operation: row.try_get("", "operation")?,
            parts: at.json("parts", &row.try_get::<String>("", "parts")?)?,
        })
    };
    rows.iter().map(told).collect()
}

fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
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

//! Denied calls as rows, each a statement of its own: they hold no lock for longer than that.

use sea_orm::{ConnectionTrait, Value};

use super::{Dialect, Inner, Sql, StoreError};
use crate::clock;
use crate::store::denials::{Denial, Denials};

const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// How many rows one act removes for being too many.
const REMOVED_MAX: u32 = 10_000;

impl Denials for Sql {
    async fn keep(&self, denials: Vec<Denial>) -> Result<(), StoreError> {
        self.run("keep", |inner| async move {
            for denial in denials {
                insert(&inner, denial).await?;
            }
            Ok(())
        })
        .await
    }

    async fn prune(&self, days: u32, newest: u32) -> Result<(), StoreError> {
        self.run("prune", move |inner| async move {
            let (now, mut values) = now(&inner, 2);
            values.insert(0, (i64::from(days) * DAY_MICROS).into());
            let old = format!("DELETE FROM denied_call WHERE at_us < {now} - $1");
            inner.writes.execute_raw(inner.dialect.statement(old, values)).await?;
            let many = format!(
                "DELETE FROM denied_call WHERE (tenant_id, denied_id) IN (\
                 SELECT tenant_id, denied_id FROM denied_call \
                 ORDER BY at_us DESC, denied_id DESC LIMIT {REMOVED_MAX} OFFSET {newest})"
            );
            inner.writes.execute_raw(inner.dialect.statement(many, [])).await?;
            Ok(())
        })
        .await
    }
}

async fn insert(inner: &Inner, denial: Denial) -> Result<(), StoreError> {
    let (now, at) = now(inner, 8);
    let sql = format!(
        "INSERT INTO denied_call (tenant_id, denied_id, at_us, operation, caller, actor, peer, trace_id) \
         VALUES ($1, $2, {now}, $3, $4, $5, $6, $7)"
    );
    let mut values: Vec<Value> = vec![
        denial.tenant.map(String::from).unwrap_or_default().into(),
        clock::unique_id().into(),
        denial.operation.into(),
        denial.caller.into(),
        denial.actor.into(),
        denial.peer.into(),
        denial.trace_id.into(),
    ];
    values.extend(at);
    inner.writes.execute_raw(inner.dialect.statement(sql, values)).await?;
    Ok(())
}

/// The database's clock as an expression, with the value that SQLite needs for it, the parameter of that number.
fn now(inner: &Inner, parameter: usize) -> (String, Vec<Value>) {
    match inner.dialect {
        Dialect::Postgres => (inner.dialect.now_micros().to_owned(), Vec::new()),
        Dialect::Sqlite => (format!("CAST(${parameter} AS BIGINT)"), vec![inner.clock.now().micros().into()]),
    }
}

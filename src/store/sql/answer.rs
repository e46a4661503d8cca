//! Answers to questions of checks: from Postgres within a bound of time, and over a connection that is used again only
//! if it is whole.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::{self, AssertSqlSafe};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use tokio::time::timeout;

use super::{Dialect, Inner, StoreError, epoch};
use crate::store::Epoch;

/// How long the statement may take, once it has a connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The rows of a statement that tells its session in the column `session` of each, and the epoch that they are of.
/// Where the connection turns out to be broken, or to lead to another life of the database than the known one, it is
/// asked again, once, over one that was opened since: it only reads.
pub(super) async fn rows(
    inner: &Inner,
    sql: &Arc<str>,
    values: &[String],
) -> Result<(Vec<QueryResult>, Epoch), StoreError> {
    let mut known = inner.life.known();
    let mut rows = answered(inner, sql, values, &known.session).await?;
    if rows.is_none() {
        known = inner.life.renew(&known, &inner.reads).await?;
        rows = answered(inner, sql, values, &known.session).await?;
    }
    let rows = rows.ok_or_else(|| StoreError::Unavailable("its connections break off".to_owned()))?;
    Ok((rows, known.epoch))
}

/// The answer; none: the connection is not one to use again.
async fn answered(
    inner: &Inner,
    sql: &Arc<str>,
    values: &[String],
    session: &str,
) -> Result<Option<Vec<QueryResult>>, StoreError> {
    let rows = match inner.dialect {
        Dialect::Postgres => from_server(inner, sql, values).await?,
        Dialect::Sqlite => Some(from_file(inner, sql, values).await?),
    };
    let Some(rows) = rows else { return Ok(None) };
    let first =
        rows.first().ok_or_else(|| StoreError::Unavailable("the database told nothing".to_owned()))?;
    let answered: Option<String> = first.try_get("", "session")?;
    Ok((answered.as_deref() == Some(session)).then_some(rows))
}

/// A connection that does not answer is closed: the pool would wait for the answer before it lends it again.
async fn from_server(
    inner: &Inner,
    sql: &Arc<str>,
    values: &[String],
) -> Result<Option<Vec<QueryResult>>, StoreError> {
    let mut connection = inner.reads.get_postgres_connection_pool().acquire().await?;
    let question = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    let question = values.iter().fold(question, |question, text| question.bind(text));
    match timeout(ANSWER_TIMEOUT, question.fetch_all(&mut *connection)).await {
        Ok(Ok(rows)) => Ok(Some(rows.into_iter().map(QueryResult::from).collect())),
        Ok(Err(error)) if epoch::is_broken_connection(&error) => {
            tracing::debug!(%error, "a connection broke off");
            Ok(None)
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            connection.close_on_drop();
            Err(StoreError::Unavailable(format!("no answer within {} ms", ANSWER_TIMEOUT.as_millis())))
        }
    }
}

async fn from_file(inner: &Inner, sql: &str, values: &[String]) -> Result<Vec<QueryResult>, StoreError> {
    let statement = inner.dialect.statement(sql, values.iter().map(Value::from));
    Ok(inner.reads.query_all_raw(statement).await?)
}

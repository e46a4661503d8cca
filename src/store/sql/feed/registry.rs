//! The registry of Postgres: which replicas have applied what, and how the dead ones go. Knows the statements of a
//! writer's side.
//!
//! They have a connection of their own: who waits here has committed, and takes no connection from those who are about
//! to, nor is kept from asking by them.

use std::time::Duration;

use sea_orm::sqlx::{self, Row as _};

use super::super::epoch::{self, cluster};
use super::super::{StoreError, corrupt};
use super::link::Link;
use super::listen::CHANNEL;
use super::now_micros;
use crate::store::feed::{Lagging, Mark, ReplicaId, Standing};

/// How long a statement may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// In a database that is not the one of the log, numbers of transactions mean nothing: everybody is behind.
const BEHIND: &str = concat!(
    "SELECT pg_is_in_recovery() AS recovering, coalesce((SELECT json_agg(json_build_array( \
     m.n, r.replica_id, r.lease_ms, r.stale_ms, r.standing)) \
     FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS m (scope, rev, n) \
     LEFT JOIN change_log c ON c.tenant_id = m.scope AND c.rev = m.rev \
     CROSS JOIN replica r \
     WHERE m.rev > 0 AND NOT (coalesce(pg_visible_in_snapshot(c.xid, r.applied), false) \
     AND EXISTS (SELECT 1 FROM instance WHERE cluster = ",
    cluster!(),
    "))), '[]')::text AS lagging"
);

const SUSPEND: &str = concat!(
    "UPDATE replica SET standing = 'SUSPENDED', standing_since_us = ",
    now_micros!(),
    " WHERE replica_id = ANY ($1) AND standing = 'MEMBER' AND ",
    super::durably!()
);

const EXPIRE: &str = concat!(
    "WITH gone AS (DELETE FROM replica WHERE replica_id = ANY ($1) AND standing = 'SUSPENDED' AND stale_ms = 0) \
     UPDATE replica SET standing = 'EXPIRED', standing_since_us = ",
    now_micros!(),
    " WHERE replica_id = ANY ($1) AND standing = 'SUSPENDED' AND stale_ms > 0"
);

const FORGET: &str = "DELETE FROM replica WHERE replica_id = ANY ($1) AND standing = 'EXPIRED'";

pub(super) async fn behind(link: &Link, marks: Vec<Mark>) -> Result<Vec<Vec<Lagging>>, StoreError> {
    let scopes: Vec<_> = marks.iter().map(|mark| mark.scope.clone()).collect();
    let revisions: Vec<_> = marks.iter().map(|m| i64::try_from(m.revision.0).unwrap_or(i64::MAX)).collect();
    let row = link.twice(TIMEOUT, |connection| {
        let asked = sqlx::query(BEHIND).bind(scopes.clone()).bind(revisions.clone());
        Box::pin(async move {
            let row = asked.fetch_one(connection).await?;
            Ok((row.try_get::<bool, _>("recovering")?, row.try_get::<String, _>("lagging")?))
        })
    });
    let (is_recovering, lagging) = row.await?;
    if is_recovering {
        link.cut().await;
        return Err(epoch::in_recovery());
    }
    understand(&lagging, marks.len())
}

/// A mark's number from 1, a replica's id, its lease and its time of degraded answers in milliseconds, its standing.
type Row = (usize, String, i64, i64, String);

fn understand(lagging: &str, marks: usize) -> Result<Vec<Vec<Lagging>>, StoreError> {
    let wrong = || corrupt("rows of the registry", lagging.len());
    let rows: Vec<Row> = serde_json::from_str(lagging).map_err(|_| wrong())?;
    let mut of_mark = vec![Vec::new(); marks];
    for (mark, id, lease, stale, standing) in rows {
        let standing = match standing.as_str() {
            "MEMBER" => Standing::Member,
            "SUSPENDED" => Standing::Suspended,
            "EXPIRED" => Standing::Expired,
            _ => return Err(corrupt("replica.standing of", id)),
        };
        let (lease, stale) =
            (Duration::from_millis(lease.unsigned_abs()), Duration::from_millis(stale.unsigned_abs()));
        let of_mark = of_mark.get_mut(mark.wrapping_sub(1)).ok_or_else(wrong)?;
        of_mark.push(Lagging { id: ReplicaId(id), lease, stale, standing });
    }
    Ok(of_mark)
}

pub(super) async fn suspend(link: &Link, replicas: Vec<ReplicaId>) -> Result<(), StoreError> {
    of_replicas(link, SUSPEND, replicas).await
}

pub(super) async fn expire(link: &Link, replicas: Vec<ReplicaId>) -> Result<(), StoreError> {
    of_replicas(link, EXPIRE, replicas).await
}

pub(super) async fn forget(link: &Link, replicas: Vec<ReplicaId>) -> Result<(), StoreError> {
    of_replicas(link, FORGET, replicas).await
}

async fn of_replicas(
    link: &Link,
    statement: &'static str,
    replicas: Vec<ReplicaId>,
) -> Result<(), StoreError> {
    let ids: Vec<_> = replicas.into_iter().map(|replica| replica.0).collect();
    link.twice(TIMEOUT, |connection| {
        let done = sqlx::query(statement).bind(ids.clone());
        Box::pin(async move { done.execute(connection).await.map(drop) })
    })
    .await
}

/// A statement of its own: within a transaction it would make all commits wait for each other.
pub(super) async fn hint(link: &Link) -> Result<(), StoreError> {
    link.twice(TIMEOUT, |connection| {
        let hint = sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL);
        Box::pin(async move { hint.execute(connection).await.map(drop) })
    })
    .await
}

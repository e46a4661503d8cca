//! The feed of Postgres: what was committed between two snapshots, told by one statement on the primary. Knows the
//! statements of a replica's side; a position is the session that told a snapshot, and the snapshot.

use std::time::Duration;

use doorward_engine::change::Part;
use doorward_engine::id::Revision;
use sea_orm::sqlx::postgres::{PgConnection, PgRow};
use sea_orm::sqlx::{self, Error, Row as _};

use super::super::epoch::{self, cluster, life, session, timeline};
use super::super::{StoreError, corrupt};
use super::link::Link;
use super::{CHANGES_MAX, now_micros};
use crate::store::Epoch;
use crate::store::feed::{Changed, Position, Registration, ReplicaId};

/// How long a poll or an acknowledgement may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a registration may take.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long taking over a restored database may: it writes every row of the log.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_secs(600);
/// The advisory lock that two takeovers cannot both hold.
const TAKE_OVER_LOCK: i64 = 0x646f_6f72_636c_7573;

/// A row that `$2` does not see has a transaction that was running then or began later: each is a range of the index on
/// `xid`, however long some other transaction has been open. The quotes of a row's parts are counted because no id holds
/// one. Limits: 10,000 rows, 1,000 parts of a row, 8 MiB of parts.
const POLL: &str = concat!(
    "SELECT ",
    life!(),
    ", pg_backend_pid() AS pid, here::text AS here, ",
    now_micros!(),
    " AS now_us, \
     coalesce(pg_snapshot_xmax(here) >= pg_snapshot_xmax($2::pg_snapshot), true) AS runs_forward, \
     coalesce(own.standing = 'MEMBER', false) AS is_member, own.applied::text AS applied, \
     (SELECT CASE WHEN count(*) > 10000 OR sum(octet_length(few.parts)) > 8388608 THEN NULL \
      ELSE coalesce(json_agg(json_build_array(few.tenant_id, few.rev, few.parts)), '[]')::text END \
      FROM (SELECT tenant_id, rev, \
       CASE WHEN length(parts) - length(replace(parts, '\"', '')) > 2000 THEN NULL ELSE parts END AS parts FROM ( \
       (SELECT tenant_id, rev, parts FROM change_log \
        WHERE xid >= pg_snapshot_xmax($2::pg_snapshot) ORDER BY xid LIMIT 10001) \
       UNION ALL \
       (SELECT tenant_id, rev, parts FROM change_log \
        WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($2::pg_snapshot))) LIMIT 10001)) AS told) AS few) AS changes \
     FROM (SELECT pg_current_snapshot() AS here) AS moment LEFT JOIN replica own ON own.replica_id = $1"
);

const IS_KNOWN: &str = concat!(
    "SELECT pg_is_in_recovery() AS recovering, EXISTS (SELECT 1 FROM instance WHERE cluster = ",
    cluster!(),
    ") AS known"
);

/// After this every row of the log is old to every snapshot that can be taken, and no replica counts that was there.
const TAKE_OVER: [&str; 3] = [
    concat!("UPDATE instance SET cluster = ", cluster!(), " WHERE cluster <> ", cluster!()),
    "UPDATE change_log SET xid = '3'::xid8 WHERE xid <> '3'::xid8",
    concat!(
        "UPDATE replica SET applied = NULL, \
         standing = CASE standing WHEN 'MEMBER' THEN 'SUSPENDED' ELSE standing END, standing_since_us = ",
        now_micros!()
    ),
];

const REGISTER: &str = concat!(
    "INSERT INTO replica (replica_id, lease_ms, stale_ms, registered_us, standing, standing_since_us, applied) \
     SELECT $1, $2, $3, moment.now_us, 'MEMBER', moment.now_us, NULL FROM (SELECT ",
    now_micros!(),
    " AS now_us) AS moment WHERE EXISTS (SELECT 1 FROM instance WHERE cluster = ",
    cluster!(),
    ") AND ",
    super::durably!()
);

/// Forward only: one that comes late says nothing new.
const ACKNOWLEDGE: &str = "\
    UPDATE replica SET applied = $2::pg_snapshot WHERE replica_id = $1 AND standing = 'MEMBER' \
    AND (applied IS NULL OR applied::text <> $2 AND pg_snapshot_xmax(applied) <= pg_snapshot_xmax($2::pg_snapshot) \
    AND pg_snapshot_xmin(applied) <= pg_snapshot_xmin($2::pg_snapshot))";

/// What one look told.
pub(super) struct Look {
    pub(super) session: String,
    pub(super) epoch: Epoch,
    pub(super) position: Position,
    pub(super) stands: bool,
    pub(super) changes: Option<Vec<Changed>>,
    pub(super) now_micros: i64,
}

/// Makes a replica known, after the database is known to be the one that the log is of.
pub(super) async fn register(link: &Link, replica: Registration) -> Result<(), StoreError> {
    let is_known = link.twice(REGISTER_TIMEOUT, |connection| {
        Box::pin(async {
            let row = sqlx::query(IS_KNOWN).fetch_one(connection).await?;
            Ok((row.try_get::<bool, _>("recovering")?, row.try_get::<bool, _>("known")?))
        })
    });
    let (is_recovering, is_known) = is_known.await?;
    if is_recovering {
        return Err(epoch::in_recovery());
    }
    if !is_known {
        tracing::info!("the database is new, restored or copied: taking it over");
        link.anew(TAKE_OVER_TIMEOUT, |connection| Box::pin(take_over(connection))).await?;
    }
    let insert = link.twice(REGISTER_TIMEOUT, |connection| {
        let insert = sqlx::query(REGISTER).bind(replica.id.0.clone());
        let insert = insert.bind(super::millis(replica.lease)).bind(super::millis(replica.stale));
        Box::pin(async move { Ok(insert.execute(connection).await?.rows_affected()) })
    });
    match insert.await? {
        1 => Ok(()),
        _ => Err(StoreError::Unavailable("the database has become another one".to_owned())),
    }
}

async fn take_over(connection: &mut PgConnection) -> Result<(), Error> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TAKE_OVER_LOCK);
    lock.execute(&mut *transaction).await?;
    let [own, rest @ ..] = TAKE_OVER;
    if sqlx::query(own).execute(&mut *transaction).await?.rows_affected() > 0 {
        for statement in rest {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await
}

/// One look at the feed. A position that another session told may be one that no crash remembers, and numbers of
/// transactions that it has seen may be used again: then it is told from what was acknowledged, which is durable.
pub(super) async fn poll(
    link: &Link,
    replica: ReplicaId,
    since: Option<Position>,
) -> Result<Look, StoreError> {
    let since = since.map(|position| Place::parse(&position)).transpose()?;
    let row = link.twice(TIMEOUT, |connection| {
        let (replica, since) = (replica.clone(), since.clone());
        Box::pin(look(connection, replica, since))
    });
    let (row, is_told) = row.await?;
    let (session, timeline): (Option<String>, Option<String>) =
        (get(&row, "session")?, get(&row, "timeline")?);
    let (Some(session), Some(timeline)) = (session, timeline) else {
        link.cut().await;
        return Err(epoch::in_recovery());
    };
    let changes: Option<String> = get(&row, "changes")?;
    Ok(Look {
        epoch: epoch::epoch(&session, &get::<String>(&row, "cluster")?, &timeline),
        session,
        position: Place { session: get(&row, "pid")?, snapshot: get(&row, "here")? }.written(),
        stands: is_told && get(&row, "is_member")? && get(&row, "runs_forward")?,
        changes: match changes {
            Some(changes) => understand(&changes)?,
            None => None,
        },
        now_micros: get(&row, "now_us")?,
    })
}

/// The row, and whether it tells of everything since.
async fn look(
    connection: &mut PgConnection,
    replica: ReplicaId,
    since: Option<Place>,
) -> Result<(PgRow, bool), Error> {
    let snapshot = since.as_ref().map(|since| since.snapshot.as_str());
    let row = sqlx::query(POLL).bind(&replica.0).bind(snapshot).fetch_one(&mut *connection).await?;
    let Some(since) = &since else {
        return Ok((row, true));
    };
    if row.try_get::<i32, _>("pid")? == since.session {
        return Ok((row, true));
    }
    let runs_forward: bool = row.try_get("runs_forward")?;
    let Some(applied) = row.try_get::<Option<String>, _>("applied")? else {
        return Ok((row, false));
    };
    let again = sqlx::query(POLL).bind(&replica.0).bind(applied).fetch_one(connection).await?;
    Ok((again, runs_forward))
}

pub(super) async fn acknowledge(
    link: &Link,
    replica: ReplicaId,
    position: Position,
) -> Result<(), StoreError> {
    let snapshot = Place::parse(&position)?.snapshot;
    link.twice(TIMEOUT, |connection| {
        let (replica, snapshot) = (replica.clone(), snapshot.clone());
        Box::pin(async move {
            sqlx::query(ACKNOWLEDGE).bind(replica.0).bind(snapshot).execute(connection).await.map(drop)
        })
    })
    .await
}

pub(super) async fn leave(link: &Link, replica: ReplicaId) -> Result<(), StoreError> {
    link.twice(TIMEOUT, |connection| {
        let replica = replica.clone();
        Box::pin(async move {
            let delete = sqlx::query("DELETE FROM replica WHERE replica_id = $1").bind(replica.0);
            delete.execute(connection).await.map(drop)
        })
    })
    .await
}

/// A position's parts: the process that served the session, and the snapshot's text.
#[derive(Clone)]
struct Place {
    session: i32,
    snapshot: String,
}

impl Place {
    fn parse(position: &Position) -> Result<Self, StoreError> {
        let parts = position.0.split_once('/');
        let parsed = parts.and_then(|(session, snapshot)| Some((session.parse().ok()?, snapshot.to_owned())));
        let (session, snapshot) = parsed.ok_or_else(|| corrupt("position", &position.0))?;
        Ok(Self { session, snapshot })
    }

    fn written(&self) -> Position {
        Position(format!("{}/{}", self.session, self.snapshot))
    }
}

/// The rows that were told; one whose parts are too many or make no sense makes everything of its tenant outdated.
fn understand(changes: &str) -> Result<Option<Vec<Changed>>, StoreError> {
    let rows: Vec<(String, i64, Option<String>)> =
        serde_json::from_str(changes).map_err(|_| corrupt("changes of the feed", changes.len()))?;
    let changed = |(scope, rev, parts): (String, i64, Option<String>)| Changed {
        scope,
        revision: Revision(rev.unsigned_abs()),
        parts: parts.as_deref().and_then(understand_parts),
    };
    Ok(Some(rows.into_iter().map(changed).collect()).filter(|rows: &Vec<_>| rows.len() <= CHANGES_MAX))
}

fn understand_parts(parts: &str) -> Option<Vec<Part>> {
    let parts: Vec<String> = serde_json::from_str(parts).ok()?;
    parts.iter().map(|part| Part::parse(part)).collect()
}

fn get<T>(row: &PgRow, column: &str) -> Result<T, StoreError>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(|error| StoreError::Corrupt(error.to_string()))
}

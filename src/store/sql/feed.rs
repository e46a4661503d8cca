//! What has changed, and who knows of it: the feed and the registry, over a connection of their own on Postgres and in
//! memory on SQLite. Knows which of the two it is, and no statement.

mod link;
mod listen;
mod local;
mod primary;
mod registry;

use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;

pub(super) use self::local::Local;

use self::link::Link;
use self::listen::Listener;
use super::{Inner, Sql, StoreError};
use crate::store::feed::{Feed, Lagging, Mark, Poll, Position, Registration, Registry, ReplicaId};

/// The most changes that one poll tells.
const CHANGES_MAX: usize = 10_000;
/// The most parts that are told of one change.
const PARTS_MAX: usize = 1_000;
/// How long a poll that has found another life waits for the pools to follow.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(2);

/// The database's clock, as in [`Dialect::now_micros`](super::Dialect::now_micros), for statements that are constants.
macro_rules! now_micros {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
}
/// A condition that is true, and makes the statement's commit durable where the server's are not.
macro_rules! durably {
    () => {
        "(SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)) IS NOT NULL"
    };
}
use {durably, now_micros};

/// Where changes are told and replicas are known.
pub(super) enum Telling {
    /// In the database.
    Primary(Box<Primary>),
    /// In this process.
    Local(Local),
}

/// The connections that are needed for it.
pub(super) struct Primary {
    /// A replica's side: a statement at a time.
    feed: Link,
    /// A writer's side.
    registry: Link,
    listener: Listener,
}

impl Telling {
    pub(super) fn on_primary(options: &PgConnectOptions) -> Self {
        Self::Primary(Box::new(Primary {
            feed: Link::to(options.clone()),
            registry: Link::to(options.clone()),
            listener: Listener::to(options.clone()),
        }))
    }

    pub(super) async fn close(&self) {
        if let Self::Primary(primary) = self {
            primary.listener.end();
            primary.feed.cut().await;
            primary.registry.cut().await;
        }
    }
}

impl Feed for Sql {
    async fn register(&self, replica: Registration) -> Result<(), StoreError> {
        self.run("register", |inner| async move {
            match &inner.telling {
                Telling::Primary(primary) => primary::register(&primary.feed, replica).await,
                Telling::Local(local) => local.register(replica),
            }
        })
        .await
    }

    async fn poll(&self, replica: &ReplicaId, since: Option<&Position>) -> Result<Poll, StoreError> {
        let (replica, since) = (replica.clone(), since.cloned());
        self.run("poll", |inner| async move { poll(&inner, replica, since).await }).await
    }

    async fn acknowledge(&self, replica: &ReplicaId, position: &Position) -> Result<(), StoreError> {
        let (replica, position) = (replica.clone(), position.clone());
        self.run("acknowledge", |inner| async move {
            match &inner.telling {
                Telling::Primary(primary) => primary::acknowledge(&primary.feed, replica, position).await,
                Telling::Local(local) => local.acknowledge(&replica, &position),
            }
        })
        .await
    }

    async fn leave(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        let replica = replica.clone();
        self.run("leave", |inner| async move {
            match &inner.telling {
                Telling::Primary(primary) => primary::leave(&primary.feed, replica).await?,
                Telling::Local(local) => local.leave(&replica),
            }
            Ok(())
        })
        .await
    }

    async fn hinted(&self) {
        match &self.inner.telling {
            Telling::Primary(primary) => primary.listener.heard(&self.runtime).await,
            Telling::Local(local) => local.heard().await,
        }
    }
}

async fn poll(inner: &Inner, replica: ReplicaId, since: Option<Position>) -> Result<Poll, StoreError> {
    let primary = match &inner.telling {
        Telling::Primary(primary) => primary,
        Telling::Local(local) => {
            let look = local.poll(&replica, since.as_ref())?;
            let now = inner.now(0);
            let epoch = inner.life.known().epoch;
            let (position, stands, changes) = (look.position, look.stands, look.changes);
            return Ok(Poll { epoch, position, stands, changes, now });
        }
    };
    let look = primary::poll(&primary.feed, replica, since).await?;
    let known = inner.life.known();
    if look.session != known.session {
        let renewed = timeout(FOLLOW_TIMEOUT, inner.life.renew(&known, &inner.reads)).await;
        let renewed = renewed.map_err(|_| StoreError::Unavailable("waiting for its epoch".to_owned()))??;
        if look.epoch != renewed.epoch {
            // Then it is this connection that leads to what is no more.
            primary.feed.cut().await;
            return Err(StoreError::Unavailable("the database was replaced".to_owned()));
        }
    }
    Ok(Poll {
        epoch: look.epoch,
        position: look.position,
        stands: look.stands,
        changes: look.changes,
        now: inner.now(look.now_micros),
    })
}

impl Registry for Sql {
    async fn behind(&self, marks: Vec<Mark>) -> Result<Vec<Vec<Lagging>>, StoreError> {
        self.run("behind", |inner| async move {
            match &inner.telling {
                Telling::Primary(primary) => registry::behind(&primary.registry, marks).await,
                Telling::Local(local) => Ok(local.behind(&marks)),
            }
        })
        .await
    }

    async fn suspend(&self, replicas: Vec<ReplicaId>) -> Result<(), StoreError> {
        self.run("suspend", |inner| async move {
            match &inner.telling {
                Telling::Primary(primary) => registry::suspend(&primary.registry, replicas).await?,
                Telling::Local(local) => local.suspend(&replicas),
            }
            Ok(())
        })
        .await
    }

    async fn expire(&self, replicas: Vec<ReplicaId>) -> Result<(), StoreError> {
        self.run("expire", |inner| async move {
            match &inner.telling {
                Telling::Primary(primary) => registry::expire(&primary.registry, replicas).await?,
                Telling::Local(local) => local.expire(&replicas),
            }
            Ok(())
        })
        .await
    }

    async fn forget(&self, replicas: Vec<ReplicaId>) -> Result<(), StoreError> {
        self.run("forget", |inner| async move {
            match &inner.telling {
                Telling::Primary(primary) => registry::forget(&primary.registry, replicas).await?,
                Telling::Local(local) => local.forget(&replicas),
            }
            Ok(())
        })
        .await
    }

    async fn hint(&self) {
        let hinted: Result<(), StoreError> = self
            .run("hint", |inner| async move {
                match &inner.telling {
                    Telling::Primary(primary) => registry::hint(&primary.registry).await?,
                    Telling::Local(local) => local.hint(),
                }
                Ok(())
            })
            .await;
        if let Err(error) = hinted {
            tracing::debug!(%error, "a hint was not sent");
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

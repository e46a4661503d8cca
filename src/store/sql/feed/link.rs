//! A connection of its own beside the pools, for one caller at a time: opened when it is needed, and never used again
//! after an error or half a statement. Knows nothing of what is said over it.

use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{ConnectOptions, Error};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::super::epoch::is_broken_connection;
use crate::store::StoreError;

/// The connection, while it is there.
pub(super) struct Link {
    options: PgConnectOptions,
    slot: Mutex<Option<PgConnection>>,
}

impl Link {
    pub(super) fn to(options: PgConnectOptions) -> Self {
        Self { options, slot: Mutex::new(None) }
    }

    /// Does work that may be done twice: again over a new connection, where the old one turns out to be broken.
    pub(super) async fn twice<T>(
        &self,
        limit: Duration,
        work: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Error>>,
    ) -> Result<T, StoreError> {
        within(limit, async {
            let mut slot = self.slot.lock().await;
            if let Some(mut connection) = slot.take() {
                match work(&mut connection).await {
                    Err(error) if is_broken_connection(&error) => {}
                    done => return kept(&mut slot, connection, done),
                }
            }
            let mut connection = self.options.connect().await?;
            let done = work(&mut connection).await;
            kept(&mut slot, connection, done)
        })
        .await
    }

    /// Does work over a new connection, which is kept for the next.
    pub(super) async fn anew<T>(
        &self,
        limit: Duration,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Error>>,
    ) -> Result<T, StoreError> {
        within(limit, async {
            let mut slot = self.slot.lock().await;
            drop(slot.take());
            let mut connection = self.options.connect().await?;
            let done = work(&mut connection).await;
            kept(&mut slot, connection, done)
        })
        .await
    }

    /// Forgets the connection.
    pub(super) async fn cut(&self) {
        drop(self.slot.lock().await.take());
    }
}

/// Dropping a connection closes it: the server ends what was begun over it.
fn kept<T>(
    slot: &mut Option<PgConnection>,
    connection: PgConnection,
    done: Result<T, Error>,
) -> Result<T, Error> {
    if done.is_ok() {
        *slot = Some(connection);
    }
    done
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
    match timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {} ms", limit.as_millis()))),
    }
}

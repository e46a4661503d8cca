//! Hints that arrive by LISTEN, over a connection of its own that is opened when the first is waited for. Knows
//! nothing of what they hint at.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::sqlx::{self, Error};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The channel of the hints.
pub(super) const CHANNEL: &str = "doorward";
/// How long opening the connection may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// After so long without a hint the connection is tried: a link may have died in silence.
const QUIET: Duration = Duration::from_secs(30);
/// How long it is waited after a failure, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The listening task, from the first wait on until this is dropped.
pub(super) struct Listener {
    options: PgConnectOptions,
    heard: Arc<Notify>,
    task: OnceLock<AbortHandle>,
}

impl Listener {
    pub(super) fn to(options: PgConnectOptions) -> Self {
        Self { options, heard: Arc::new(Notify::new()), task: OnceLock::new() }
    }

    /// Waits for a hint; many of them before this call are one.
    pub(super) async fn heard(&self, runtime: &Handle) {
        self.task.get_or_init(|| {
            let task = runtime.spawn(listen(self.options.clone(), Arc::clone(&self.heard)));
            task.abort_handle()
        });
        self.heard.notified().await;
    }

    pub(super) fn end(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.end();
    }
}

async fn listen(options: PgConnectOptions, heard: Arc<Notify>) {
    let mut pause = PAUSE.0;
    loop {
        match open(&options).await {
            Ok(mut listener) => {
                pause = PAUSE.0;
                let ended = hear(&mut listener, &heard).await;
                tracing::debug!(error = ?ended.err(), "hints of the database ended");
            }
            Err(error) => tracing::debug!(%error, "hints of the database cannot be had"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

async fn open(options: &PgConnectOptions) -> Result<PgListener, Error> {
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let pool = pool.acquire_timeout(OPEN_TIMEOUT).connect_lazy_with(options.clone());
    let opened = timeout(OPEN_TIMEOUT, async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    });
    opened.await.map_err(|_| Error::PoolTimedOut)?
}

/// Until the connection ends. What came while nobody listened may have been missed: the beginning is a hint too.
async fn hear(listener: &mut PgListener, heard: &Notify) -> Result<(), Error> {
    heard.notify_one();
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(_))) => heard.notify_one(),
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let tried = timeout(OPEN_TIMEOUT, sqlx::query("SELECT 1").execute(&mut *listener)).await;
                tried.map_err(|_| Error::PoolTimedOut)??;
            }
        }
    }
}

//! Whether the replica can decide: looks at the lease and the schema, and tells `/readyz` and grpc.health.v1 the same.
//! It asks no Redis: without one, checks are answered all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::opening::SILENT;
use crate::cache::Memory;
use crate::http::Readiness;
use crate::store::StoreError;
use crate::store::sql::{MigrationState, Sql, Unfit};

/// How often the lease is looked at: that costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After so many looks the schema is asked for.
const SCHEMA_EVERY: u32 = 20;
/// How long the database may take to say what its schema is.
const ANSWER_MAX: Duration = Duration::from_secs(4);
/// How long a start waits for the first lease; one that takes longer is waited for as not ready.
const FIRST_LEASE: Duration = Duration::from_secs(3);
/// What is said before the first lease.
const NO_LEASE: &str = "the lease is not held yet: the feed of changes has not been read";

/// Where it is told.
pub(super) struct Told {
    readiness: Arc<Readiness>,
    reporter: HealthReporter,
    service: &'static str,
}

impl Told {
    pub(super) fn of<S: NamedService>(readiness: Arc<Readiness>, reporter: HealthReporter) -> Self {
        Self { readiness, reporter, service: S::NAME }
    }

    /// Ready, or why not.
    async fn tell(&self, reason: Option<String>) {
        let status = if reason.is_none() { ServingStatus::Serving } else { ServingStatus::NotServing };
        match reason {
            Some(reason) => self.readiness.set(reason),
            None => self.readiness.ready(),
        }
        self.reporter.set_service_status("", status).await;
        self.reporter.set_service_status(self.service, status).await;
    }
}

/// What is known of the replica.
pub(super) struct Condition {
    memory: Arc<Memory>,
    store: Sql,
    /// For how long after a look at the feed checks are answered without the database; none: it is a file.
    outage_max: Option<Duration>,
    has_held_lease: bool,
    unfit: Option<Unfit>,
    looks: u32,
}

impl Condition {
    pub(super) fn new(memory: Arc<Memory>, store: Sql, outage_max: Option<Duration>) -> Self {
        Self { memory, store, outage_max, has_held_lease: false, unfit: None, looks: 0 }
    }

    /// Waits for the first lease, for a while.
    pub(super) async fn settle(&mut self) {
        let held = async {
            while !self.holds_lease() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        self.has_held_lease = timeout(FIRST_LEASE, held).await.is_ok();
    }

    fn holds_lease(&self) -> bool {
        self.memory.feed_age().is_some_and(|age| self.outage_max.is_none_or(|outage_max| age < outage_max))
    }

    /// Why it cannot decide; the database is asked when the lease does not tell, and now and then for its schema.
    async fn look(&mut self) -> Option<String> {
        let holds = self.holds_lease();
        self.has_held_lease |= holds;
        self.looks = self.looks.wrapping_add(1);
        let asked = if !holds || self.looks.is_multiple_of(SCHEMA_EVERY) { self.ask().await } else { None };
        if let Some(Ok(state)) = &asked {
            self.unfit = state.unfit();
        }
        let is_silent = !holds && matches!(asked, Some(Err(_)));
        why_not(is_silent, self.unfit.as_ref(), self.has_held_lease)
    }

    async fn ask(&self) -> Option<Result<MigrationState, StoreError>> {
        self.outage_max?;
        let asked = timeout(ANSWER_MAX, self.store.schema()).await;
        let asked = asked.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())));
        if let Err(error) = &asked {
            tracing::debug!(%error, "the schema was not looked at");
        }
        Some(asked)
    }
}

/// A replica that has lost its lease, and can ask the database, is slow and right: taking it away would be worse.
fn why_not(is_silent: bool, unfit: Option<&Unfit>, has_held_lease: bool) -> Option<String> {
    match unfit {
        _ if is_silent => Some(SILENT.to_owned()),
        Some(unfit) => Some(unfit.to_string()),
        None => (!has_held_lease).then(|| NO_LEASE.to_owned()),
    }
}

/// Looks, and tells, until the end.
pub(super) struct Health {
    told: Arc<Told>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Health {
    /// Tells what is known once, and goes on from there.
    pub(super) fn start(condition: Condition, told: Told, runtime: &Handle) -> Self {
        let (told, stop) = (Arc::new(told), CancellationToken::new());
        let known = why_not(false, None, condition.has_held_lease);
        runtime.block_on(told.tell(known.clone()));
        let watch = watch(condition, Arc::clone(&told), known);
        let ended = stop.clone();
        let task = runtime.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = watch => {}
            }
        });
        Self { told, stop, task }
    }

    /// Says for good that no traffic should come any more.
    pub(super) async fn drain(self) {
        self.stop.cancel();
        // Nothing is told after this by the task.
        let _ = self.task.await;
        self.told.tell(Some("draining".to_owned())).await;
    }
}

async fn watch(mut condition: Condition, told: Arc<Told>, mut known: Option<String>) {
    loop {
        sleep(LOOK_EVERY).await;
        let reason = condition.look().await;
        if reason == known {
            continue;
        }
        match &reason {
            Some(reason) => tracing::warn!(reason, "not ready"),
            None => tracing::info!("ready"),
        }
        told.tell(reason.clone()).await;
        known = reason;
    }
}

//! The stream of changes: it asks again who calls before each message, and keeps no more than a page of rows.
//!
//! The transport asks for a message when it can send one: a slow reader holds up itself alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use doorward_engine::id::{Revision, TenantId};
use futures::future::BoxFuture;
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::convert::{Context, Fields, timestamp};
use super::rpcs::Streamed;
use super::status;
use crate::caller::Caller;
use crate::clock::{Stopwatch, jittered};
use crate::proto;
use crate::service::authority::TenantAdmin;
use crate::service::{Backend, Error};
use crate::store::directory::Told;
use crate::telemetry::Metrics;

/// How many streams a replica keeps open.
const WATCHERS_MAX: usize = 256;
/// After how long without a message the caller is asked for again: with the longest poll, within 5 s.
const ASK_AGAIN: Duration = Duration::from_millis(3_800);
/// The longest time between two looks at the log.
const POLL_MAX: Duration = Duration::from_secs(1);

/// After which time one more stream may be tried for.
const RETRY: Duration = Duration::from_secs(1);

/// Says who calls, as of now.
pub(super) type Identify = Box<dyn Fn() -> BoxFuture<'static, Result<Caller, Error>> + Send + Sync>;

/// What all streams of changes share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watching {
    permits: Arc<Semaphore>,
    poll: Duration,
    stop: CancellationToken,
}

impl Watching {
    /// Streams that look at the log with a period, and end with the stop.
    #[must_use]
    pub fn new(poll: Duration, stop: CancellationToken) -> Self {
        Self { permits: Arc::new(Semaphore::new(WATCHERS_MAX)), poll: poll.min(POLL_MAX), stop }
    }
}

/// One stream.
struct Watch<B: Backend> {
    context: Context<B>,
    tenant: TenantId,
    after: Revision,
    rows: VecDeque<Told>,
    admin: TenantAdmin,
    asked: Stopwatch,
    identify: Identify,
    watching: Watching,
    _open: Open,
}

/// An open stream, counted.
struct Open {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.audit.watcher_went();
    }
}

pub(super) async fn watch_changes<B: Backend>(
    context: Context<B>,
    request: proto::WatchChangesRequest,
    watching: Watching,
    identify: Identify,
) -> Result<Streamed<proto::WatchChangesResponse>, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let (tenant,) = fields.all((tenant,))?;
    let admin = context.service.may_watch(&context.caller, &tenant).await?;
    let asked = Stopwatch::start();
    let permit =
        Arc::clone(&watching.permits).try_acquire_owned().map_err(|_| Error::Overloaded { retry: RETRY })?;
    context.metrics.audit.watcher_came();
    let open = Open { metrics: Arc::clone(&context.metrics), _permit: permit };
    let after = Revision(request.after_revision);
    let rows = context.service.changes_after(&admin, &tenant, after).await?.into();
    let watch = Watch { context, tenant, after, rows, admin, asked, identify, watching, _open: open };
    Ok(Box::pin(stream::unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(Some(message)) => Some((Ok(message), Some(watch))),
            Ok(None) => None,
            Err(error) => Some((Err(status::of(watch.context.operation, &error)), None)),
        }
    })))
}

impl<B: Backend> Watch<B> {
    /// The next message; none: the server stops.
    async fn next(&mut self) -> Result<Option<proto::WatchChangesResponse>, Error> {
        while !self.watching.stop.is_cancelled() {
            if self.rows.is_empty() {
                let service = &self.context.service;
                self.rows = service.changes_after(&self.admin, &self.tenant, self.after).await?.into();
            }
            if !self.rows.is_empty() || self.asked.elapsed() >= ASK_AGAIN {
                self.ask_again().await?;
            }
            if let Some(row) = self.rows.pop_front() {
                self.after = row.revision;
                return Ok(Some(self.message(row)));
            }
            tokio::select! {
                () = sleep(jittered(self.watching.poll)) => {}
                () = self.watching.stop.cancelled() => {}
            }
        }
        Ok(None)
    }

    async fn ask_again(&mut self) -> Result<(), Error> {
        let asked = Stopwatch::start();
        let caller = (self.identify)().await?;
        self.admin = self.context.service.may_watch(&caller, &self.tenant).await?;
        self.asked = asked;
        Ok(())
    }

    fn message(&self, row: Told) -> proto::WatchChangesResponse {
        proto::WatchChangesResponse {
            revision: row.revision.0,
            time: Some(timestamp(row.at)),
            operation: row.operation,
            parts: row.parts,
            revision_token: self.context.revision_token(self.tenant.as_str(), row.revision),
        }
    }
}

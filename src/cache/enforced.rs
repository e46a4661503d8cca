//! A mutation's end: every replica is told, and the answer waits until no check can miss it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use doorward_engine::change::Part;
use doorward_engine::id::TenantId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::far::{Far, Scope};
use super::memory::Memory;
use super::slip::{Slip, slips};
use super::watch::{Known, Watch, ended_after};
use crate::clock::Stopwatch;
use crate::store::feed::Mark;
use crate::store::{
    Act, CommitError, Commits, Effect, Needs, Planned, Receipt, Registry, State, StoreError, Wait,
};
use crate::telemetry::{Metrics, trace};

/// How a mutation makes sure that it is known.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// This replica's lease.
    pub lease: Duration,
    /// For how long after it replicas answer, degraded.
    pub stale: Duration,
    /// After how long without an acknowledgement a replica is found dead; none: acknowledgements are not looked at, and
    /// the lease is waited for.
    pub suspend: Option<Duration>,
}

/// The layer over the write door.
#[derive(Debug)]
pub struct Enforced<C, R> {
    inner: Arc<Inner<C, R>>,
    runtime: Handle,
}

#[derive(Debug)]
struct Inner<C, R> {
    commits: C,
    registry: R,
    memory: Arc<Memory>,
    far: Option<Far>,
    watch: Watch,
    manner: Manner,
    metrics: Arc<Metrics>,
}

impl<C, R> Clone for Enforced<C, R> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), runtime: self.runtime.clone() }
    }
}

impl<C: Commits, R: Registry + Clone> Enforced<C, R> {
    /// A layer over a write door; what it waits for is looked after on `runtime` until the stop.
    pub fn over(
        commits: C,
        registry: R,
        (memory, far): (Arc<Memory>, Option<Far>),
        manner: Manner,
        metrics: Arc<Metrics>,
        (runtime, stop): (Handle, CancellationToken),
    ) -> Self {
        let watch = Watch::new(manner.lease, manner.suspend.unwrap_or(manner.lease));
        let inner = Arc::new(Inner { commits, registry, memory, far, watch, manner, metrics });
        let watching = Arc::clone(&inner);
        runtime.spawn(async move {
            let (registry, metrics) = (watching.registry.clone(), Arc::clone(&watching.metrics));
            watching.watch.run(registry, metrics, stop).await;
        });
        Self { inner, runtime }
    }
}

impl<C: Commits, R: Registry> Commits for Enforced<C, R> {
    async fn commit<A, E, P>(&self, act: Act, needs: Needs, plan: P) -> Result<Receipt<A>, CommitError<E>>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        E: Send + 'static,
        P: FnOnce(&State) -> Result<Planned<A>, E> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        // A task of its own: who hangs up after the commit must not keep it from being told.
        let task = self.runtime.spawn(trace::carried(async move {
            let wait = act.wait;
            let receipt = inner.commits.commit(act, needs, plan).await?;
            Ok(trace::at(trace::enforcing(), inner.enforce(wait, receipt)).await)
        }));
        task.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string()).into()))
    }
}

impl<C: Commits, R: Registry> Inner<C, R> {
    async fn enforce<A>(&self, wait: Wait, receipt: Receipt<A>) -> Receipt<A> {
        if receipt.effect == Effect::Validated {
            return receipt;
        }
        let since = Stopwatch::start();
        let mark = Mark { scope: receipt.scope.clone(), revision: receipt.revision };
        let told = self.tell(&receipt.scope, receipt.effect, &receipt.touched);
        let enforced = match wait {
            _ if slips(Slip::NoWait) => {
                told.await;
                true
            }
            Wait::Committed => {
                told.await;
                false
            }
            Wait::Enforced => tokio::join!(told, self.known(mark, since)).1 == Known::Everywhere,
        };
        if wait == Wait::Enforced {
            self.metrics.caches.enforcement(since.elapsed());
        }
        Receipt { enforced, ..receipt }
    }

    /// Hints make it fast; that they can be lost is why nothing rests on them.
    async fn tell(&self, scope: &str, effect: Effect, touched: &BTreeSet<Part>) {
        if effect != Effect::Applied {
            return;
        }
        self.memory.poke();
        let Some(far) = self.far.as_ref().filter(|far| far.is_up()) else {
            return self.registry.hint().await;
        };
        // The platform's is no tenant's id, and nothing of it is in Redis.
        let tenant = TenantId::parse(scope).ok();
        let catalogue = self.memory.catalogue();
        let scope = tenant.zip(self.memory.epoch()).map(|(tenant, epoch)| Scope { epoch, tenant, catalogue });
        let evict = async {
            if let Some(scope) = scope {
                let parts: Vec<_> = touched.iter().cloned().collect();
                far.evict(&scope, &parts).await;
            }
        };
        tokio::join!(far.hint(), evict);
    }

    async fn known(&self, mark: Mark, since: Stopwatch) -> Known {
        if self.manner.suspend.is_some() {
            return self.watch.wait(mark, since).await;
        }
        // The registry is looked at all the same: who is dead is taken out of it.
        let ended = sleep(ended_after(self.manner.lease).saturating_sub(since.elapsed()));
        let _ = tokio::join!(ended, self.watch.wait(mark, since));
        if self.manner.stale.is_zero() { Known::Everywhere } else { Known::Perhaps }
    }
}

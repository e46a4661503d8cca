//! Calls that were denied: a sample of them is queued and written beside the calls, which neither wait nor fail for it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use doorward_engine::id::TenantId;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::store::denials::{Denial, Denials};
use crate::telemetry::{DenialOutcome, Metrics};

/// How many wait to be written.
const QUEUE_MAX: usize = 256;
/// How many are written at once.
const BATCH_MAX: usize = 64;
/// Of one caller in one tenant, a second; and of all.
const EACH_A_SECOND: NonZeroU32 = NonZeroU32::MIN;
const ALL_A_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Of how many callers and tenants the last second is remembered: tenants are whatever callers name.
const REMEMBERED_MAX: usize = 4_096;
/// What is kept.
const DAYS: u32 = 30;
const NEWEST: u32 = 10_000;
/// After how many ticks of a second, or how many written, the table is pruned.
const PRUNE_TICKS: u32 = 600;
const PRUNE_WRITTEN: usize = 500;
/// How long the last ones may take.
const END_TIMEOUT: Duration = Duration::from_secs(1);

type Key = (String, Option<TenantId>);

/// Takes denials. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Denied {
    limits: Arc<Limits>,
    queue: mpsc::Sender<Denial>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Limits {
    each: DefaultKeyedRateLimiter<Key>,
    all: DefaultDirectRateLimiter,
}

impl Limits {
    fn admit(&self, denial: &Denial) -> bool {
        if self.each.len() >= REMEMBERED_MAX {
            return false;
        }
        let key = (denial.caller.clone(), denial.tenant.clone());
        self.each.check_key(&key).is_ok() && self.all.check().is_ok()
    }
}

impl Denied {
    /// A queue, and what writes it; the writer does nothing until it runs.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> (Self, Writer) {
        let limits = Limits {
            each: RateLimiter::keyed(Quota::per_second(EACH_A_SECOND)),
            all: RateLimiter::direct(Quota::per_second(ALL_A_SECOND)),
        };
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let limits = Arc::new(limits);
        let writer = Writer { limits: Arc::clone(&limits), queue: receiver, metrics: Arc::clone(&metrics) };
        (Self { limits, queue: sender, metrics }, writer)
    }

    /// Notes a denial, or does not: there are many, or the writer does not keep up.
    pub fn note(&self, denial: Denial) {
        let audit = &self.metrics.audit;
        if !self.limits.admit(&denial) {
            audit.denials(DenialOutcome::Sampled, 1);
        } else if self.queue.try_send(denial).is_err() {
            audit.denials(DenialOutcome::Dropped, 1);
        }
    }
}

/// Writes what is queued.
#[derive(Debug)]
pub struct Writer {
    limits: Arc<Limits>,
    queue: mpsc::Receiver<Denial>,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// Writes until the stop, and then what is left.
    pub async fn run(mut self, store: impl Denials, stop: CancellationToken) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ticks, mut written) = (PRUNE_TICKS, 0);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                taken = self.queue.recv_many(&mut batch, BATCH_MAX) => match taken {
                    0 => return,
                    count => {
                        self.write(&store, &mut batch).await;
                        written += count;
                    }
                },
                _ = seconds.tick() => {
                    self.limits.each.retain_recent();
                    ticks += 1;
                }
                () = stop.cancelled() => break,
            }
            if ticks >= PRUNE_TICKS || written >= PRUNE_WRITTEN {
                (ticks, written) = (0, 0);
                if let Err(error) = store.prune(DAYS, NEWEST).await {
                    tracing::debug!(%error, "denied calls were not pruned");
                }
            }
        }
        self.queue.close();
        let last = async {
            while self.queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
                self.write(&store, &mut batch).await;
            }
        };
        if timeout(END_TIMEOUT, last).await.is_err() {
            tracing::debug!("the last denied calls were not written");
        }
    }

    async fn write(&mut self, store: &impl Denials, batch: &mut Vec<Denial>) {
        let count = batch.len() as u64;
        let outcome = match store.keep(std::mem::take(batch)).await {
            Ok(()) => DenialOutcome::Written,
            Err(error) => {
                tracing::debug!(%error, "denied calls were not written");
                DenialOutcome::Dropped
            }
        };
        self.metrics.audit.denials(outcome, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(caller: &str, tenant: &str) -> Denial {
        Denial {
            tenant: TenantId::parse(tenant).ok(),
            operation: "SetGrants",
            caller: caller.to_owned(),
            actor: None,
            peer: None,
            trace_id: None,
        }
    }

    fn queued(writer: &mut Writer) -> Vec<Denial> {
        std::iter::from_fn(|| writer.queue.try_recv().ok()).collect()
    }

    #[test]
    fn one_a_second_of_a_caller_in_a_tenant_and_ten_of_all() {
        let (denied, mut writer) = Denied::new(Arc::new(Metrics::new()));
        for _ in 0..5 {
            denied.note(denial("service:a", "acme"));
            denied.note(denial("service:b", "acme"));
            denied.note(denial("service:a", "beta"));
        }
        assert_eq!(queued(&mut writer).len(), 3);
        for other in 0..100 {
            denied.note(denial(&format!("service:{other}"), "acme"));
        }
        assert_eq!(queued(&mut writer).len(), 7);
        let counted = denied.metrics.encode();
        assert!(counted.contains("doorward_denials_total{outcome=\"sampled\"} 105"), "{counted}");
    }

    #[test]
    fn the_memory_of_callers_and_the_queue_are_bounded() {
        let (denied, mut writer) = Denied::new(Arc::new(Metrics::new()));
        for other in 0..2 * REMEMBERED_MAX {
            denied.note(denial("service:a", &format!("t{other}")));
        }
        assert!(denied.limits.each.len() <= REMEMBERED_MAX);
        assert!(queued(&mut writer).len() < 100);
        for _ in 0..2 * QUEUE_MAX {
            let _ = denied.queue.try_send(denial("service:a", "acme"));
        }
        std::thread::sleep(Duration::from_millis(2_200));
        writer.limits.each.retain_recent();
        denied.note(denial("service:new", "acme"));
        let counted = denied.metrics.encode();
        assert!(counted.contains("doorward_denials_total{outcome=\"dropped\"} 1"), "{counted}");
        assert_eq!(queued(&mut writer).len(), QUEUE_MAX);
    }
}

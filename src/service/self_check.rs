//! The service's doubt in itself: one in many cached answers is decided again from the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward_engine::decide::{Decision, decide};
use tokio::time::timeout;

use super::check::{Inquiry, Item, ask};
use super::{Backend, Service};
use crate::store::{Freshness, Snapshot, Tier};
use crate::telemetry::SelfCheck;

/// One in so many cached answers.
const ONE_IN: u64 = 10_000;
/// The answer waits for it no longer than this.
const PATIENCE: Duration = Duration::from_millis(50);

/// Counts cached answers.
#[derive(Debug, Default)]
pub(crate) struct Doubt(AtomicU64);

impl Doubt {
    fn is_due(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) % ONE_IN == ONE_IN - 1
    }
}

impl<B: Backend> Service<B> {
    /// Decides a cached answer again, now and then. The answer stands; the metric tells.
    pub(super) async fn doubt(&self, inquiry: &Inquiry, item: &Item, cached: &Snapshot, decision: &Decision) {
        if cached.tier == Tier::Store || cached.degraded || !self.doubt.is_due() {
            return;
        }
        let resources = item.reference().into_iter().collect();
        let (tenant, freshness) = (inquiry.tenant.clone(), Freshness::Fully);
        let again = self.resolver.snapshot(tenant, &inquiry.subject, resources, freshness);
        let outcome = match timeout(PATIENCE, again).await {
            Ok(Ok(again)) => compare(inquiry, item, cached, decision, again),
            Ok(Err(_)) | Err(_) => SelfCheck::Unavailable,
        };
        self.metrics.caches.self_check(outcome);
    }
}

/// At the same revision, in the same epoch and at the same instant the answer must be the same.
fn compare(
    inquiry: &Inquiry,
    item: &Item,
    cached: &Snapshot,
    decision: &Decision,
    again: Snapshot,
) -> SelfCheck {
    if (again.epoch, again.revision) != (cached.epoch, cached.revision) {
        return SelfCheck::Moved;
    }
    let again = Snapshot { now: cached.now, ..again };
    match ask(&again, inquiry, item, decide) {
        Ok(decided) if decided == *decision => SelfCheck::Same,
        Ok(decided) => {
            tracing::error!(
                tenant = %inquiry.tenant,
                revision = cached.revision.0,
                tier = cached.tier.name(),
                cached = %decision.reason,
                database = %decided.reason,
                "a cached answer was wrong"
            );
            SelfCheck::Mismatch
        }
        // Another catalogue is in force by now.
        Err(_) => SelfCheck::Moved,
    }
}

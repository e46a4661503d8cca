//! The service's doubt in itself: one in many cached answers is decided again from the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward_engine::decide::{Decision, decide};
use tokio::time::timeout;

use super::check::{FIRST, Inquiry, Item, ask};
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
    /// Whether the next cached answer is one of them.
    pub(super) fn is_due(&self) -> bool {
        self.until_due(1).is_some()
    }

    /// How many of the next so many cached answers come before the one that is; none: it is not among them.
    pub(super) fn until_due(&self, answers: u64) -> Option<u64> {
        let before = ONE_IN - 1 - self.0.fetch_add(answers, Ordering::Relaxed) % ONE_IN;
        (before < answers).then_some(before)
    }
}

impl<B: Backend> Service<B> {
    /// Decides a cached answer again, now and then, and where it was chosen for that. The answer stands; the metric tells.
    pub(super) async fn doubt(
        &self,
        inquiry: &Inquiry,
        item: &Item,
        cached: &Snapshot,
        decision: &Decision,
        is_chosen: bool,
    ) {
        let is_cached = cached.tier != Tier::Store && !cached.degraded;
        if !is_cached || !(is_chosen || self.doubt.is_due()) {
            return;
        }
        let resources = item.reference().into_iter().cloned().collect();
        let (tenant, freshness) = (inquiry.tenant.clone(), Freshness::Fully);
        // Seldom: it takes no room in the future of every check.
        let again = Box::pin(self.resolver.snapshot(tenant, &inquiry.subject, resources, freshness));
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
    match ask(&again, inquiry, (item, FIRST), decide) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use doorward_engine::id::{ResourceId, Revision, TenantId, UserId};
    use doorward_engine::instant::Instant;
    use doorward_engine::snapshot::TenantFacts;
    use doorward_engine::status::TenantStatus;
    use doorward_engine::tenant::Tenant;

    use super::*;
    use crate::catalogue;
    use crate::resolver::Presented;
    use crate::service::member::sample::tenant;
    use crate::store::{Epoch, InForce, SubjectFacts};

    fn snapshot(status: Option<TenantStatus>, revision: u64, now: i64) -> Snapshot {
        let document = catalogue::SHIPPED.to_owned();
        let catalogue = catalogue::parse(&document).unwrap();
        let tenant = |status| TenantFacts::over(&Tenant { status, ..tenant() }, &catalogue);
        let tenant = status.map(tenant).map(Arc::new);
        Snapshot {
            in_force: Arc::new(InForce { version: 1, digest: String::new(), document, catalogue }),
            tenant,
            subject: SubjectFacts::Member(None),
            resources: Vec::new(),
            revision: Revision(revision),
            epoch: Epoch::default(),
            now: Instant::from_micros(now),
            tier: Tier::Near,
            degraded: false,
        }
    }

    fn compared(cached: &Snapshot, again: Snapshot) -> SelfCheck {
        let inquiry = Inquiry {
            tenant: TenantId::parse("acme").unwrap(),
            subject: Presented::User(UserId::parse("ben").unwrap()),
            country: None,
            email_domain: None,
            freshness: Freshness::MinimizeLatency,
        };
        let id = ResourceId::parse("logs").unwrap();
        let item = Item::new("view".to_owned(), "section".to_owned(), id);
        let decision = ask(cached, &inquiry, (&item, FIRST), decide).unwrap();
        compare(&inquiry, &item, cached, &decision, again)
    }

    #[test]
    fn only_another_decision_at_the_same_revision_is_a_mismatch() {
        let cached = snapshot(Some(TenantStatus::Active), 4, 1);
        assert_eq!(compared(&cached, snapshot(Some(TenantStatus::Active), 4, 1_000)), SelfCheck::Same);
        assert_eq!(compared(&cached, snapshot(Some(TenantStatus::Suspended), 4, 1)), SelfCheck::Mismatch);
        assert_eq!(compared(&cached, snapshot(None, 4, 1)), SelfCheck::Mismatch);
        assert_eq!(compared(&cached, snapshot(Some(TenantStatus::Suspended), 5, 1)), SelfCheck::Moved);
        let restored = Snapshot { epoch: Epoch([1; 16]), ..snapshot(None, 4, 1) };
        assert_eq!(compared(&cached, restored), SelfCheck::Moved);
    }

    #[test]
    fn one_in_ten_thousand_is_due() {
        let doubt = Doubt::default();
        let due: Vec<_> = (0..30_000).filter(|_| doubt.is_due()).collect();
        assert_eq!(due, [9_999, 19_999, 29_999]);
        assert_eq!([9_998, 1, 1].map(|answers| doubt.until_due(answers)), [None, None, Some(0)]);
        assert_eq!([9_900, 128, 128].map(|answers| doubt.until_due(answers)), [None, Some(99), None]);
    }
}

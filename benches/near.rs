//! The facts of a check, found in memory: lease, view, near cache and gate, with nothing before and nothing behind them.
//! `cargo bench --bench near`, on a quiet machine.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot begin ends")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use doorward::cache::{Filling, Follower, Leased, Memory, Options, Timing};
use doorward::catalogue;
use doorward::clock::{Clock, Steady};
use doorward::store::feed::{Feed, Poll, Position, Registration, ReplicaId};
use doorward::store::{
    Ask, Epoch, Freshness, InForce, Snapshot, Snapshots, StoreError, SubjectFacts, SubjectRef, Tier,
};
use doorward::telemetry::Metrics;
use doorward_engine::catalogue::{SectionSet, SwitchSet};
use doorward_engine::id::{MemberId, Revision, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::role::Role;
use doorward_engine::snapshot::{MemberFacts, TenantFacts};
use doorward_engine::status::{MemberStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

const FOR_EVER: Duration = Duration::from_secs(3600);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let clock = Clock::real();
    let memory = Memory::new(Options {
        near_bytes: 1 << 24,
        lease: None,
        stale: Duration::ZERO,
        steady: Steady::real(),
        clock,
    });
    let timing = Timing { poll: FOR_EVER, lease: FOR_EVER, stale: Duration::ZERO };
    let follower = Follower::new(Database, Arc::clone(&memory), None, timing, Arc::new(Metrics::new()));
    let stop = CancellationToken::new();
    let following = runtime.spawn(follower.run(stop.clone()));
    let leased = Leased::over(Filling::over(Database, Arc::clone(&memory), None), memory, None);
    let ask = Ask {
        tenant: TenantId::parse("acme").unwrap(),
        subject: SubjectRef::Member(member()),
        resources: Vec::new(),
        freshness: Freshness::MinimizeLatency,
    };
    let answer = || leased.snapshot(ask.clone()).now_or_never().unwrap().unwrap();
    // Until the feed has been looked at, and the facts are there.
    while answer().tier != Tier::Near {
        std::thread::yield_now();
    }
    criterion.bench_function("a member's facts from memory", |bencher| bencher.iter(|| black_box(answer())));
    stop.cancel();
    runtime.block_on(following).unwrap();
}

/// A database that answers at once, and in which nothing changes.
struct Database;

impl Snapshots for Database {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        let document = catalogue::SHIPPED.to_owned();
        let (digest, catalogue) = (catalogue::digest(&document), catalogue::parse(&document).unwrap());
        Ok(Snapshot {
            in_force: Arc::new(InForce { version: 1, digest, document, catalogue }),
            tenant: Some(Arc::new(tenant())),
            subject: SubjectFacts::Member((ask.subject != SubjectRef::Nobody).then(|| Arc::new(facts()))),
            resources: Vec::new(),
            revision: Revision(1),
            epoch: Epoch::default(),
            now: Instant::from_micros(0),
            tier: Tier::Store,
            degraded: false,
        })
    }

    fn epoch(&self) -> Epoch {
        Epoch::default()
    }
}

impl Feed for Database {
    async fn register(&self, _: Registration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn poll(&self, _: &ReplicaId, _: Option<&Position>) -> Result<Poll, StoreError> {
        let (epoch, position, now) = (Epoch::default(), Position("1".to_owned()), Instant::from_micros(0));
        Ok(Poll { epoch, position, stands: true, changes: Some(Vec::new()), now })
    }

    async fn acknowledge(&self, _: &ReplicaId, _: &Position) -> Result<(), StoreError> {
        Ok(())
    }

    async fn leave(&self, _: &ReplicaId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn hinted(&self) {
        std::future::pending().await
    }
}

fn member() -> MemberId {
    MemberId::parse("m").unwrap()
}

fn tenant() -> TenantFacts {
    TenantFacts {
        status: TenantStatus::Active,
        subscription: Subscription::of(SubscriptionState::Active),
        plan_sections: SectionSet::EMPTY,
        switches: SwitchSet::EMPTY,
        defaults: Default::default(),
        firewall: Default::default(),
    }
}

fn facts() -> MemberFacts {
    MemberFacts {
        id: member(),
        role: Role::User,
        status: MemberStatus::Active,
        toggles: Default::default(),
        email_domain: None,
        grants: Default::default(),
    }
}

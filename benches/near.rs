//! A check that is answered from memory, with nothing before and nothing behind it: lease, view, facts, gate and decision,
//! among 1,000 members and more of them up to a million. `cargo bench --bench near`, on a quiet machine.
//!
//! Sizes take turns. Between two checks the core's cache is used for something else, as a server between two calls does.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot begin ends")]

use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant as Time};

use doorward::cache::{Filling, Follower, Leased, Memory, Options, Timing};
use doorward::catalogue;
use doorward::clock::{Clock, Steady};
use doorward::store::feed::{Feed, Poll, Position, Registration, ReplicaId};
use doorward::store::{
    Ask, Asked, Epoch, Freshness, InForce, Shown, Snapshot, Snapshots, StoreError, SubjectFacts, SubjectOf,
    SubjectRef, Tier,
};
use doorward::telemetry::Metrics;
use doorward_engine::catalogue::{SectionSet, SwitchSet};
use doorward_engine::decide::{Decision, decide};
use doorward_engine::id::{MemberId, ResourceId, ResourceRef, Revision, TenantId, TypeKey, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::member::Grant;
use doorward_engine::question::{Question, Target};
use doorward_engine::role::Role;
use doorward_engine::snapshot::{MemberFacts, PackedGrants, Profile, ResourceFacts, TenantFacts, Toggles};
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use futures::FutureExt;
use mimalloc::MiMalloc;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The service's own: it asks for huge pages.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Tenants, of 100 members and 50 agents each.
const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];
const MEMBERS: u32 = 100;
const AGENTS: u32 = 50;
const GRANTS: usize = 5;
/// Different questions, asked again and again.
const QUESTIONS: u64 = 131_072;
const ROUNDS: usize = 7;
/// What is touched between two checks, in bytes.
const BETWEEN: usize = 192 << 10;
const LINE: usize = 64;
const FOR_EVER: Duration = Duration::from_secs(3600);

static IN_FORCE: LazyLock<Arc<InForce>> = LazyLock::new(|| {
    let document = catalogue::SHIPPED.to_owned();
    let (digest, catalogue) = (catalogue::digest(&document), catalogue::parse(&document).unwrap());
    Arc::new(InForce { version: 1, digest, document, catalogue })
});

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let replicas = SIZES.map(|tenants| Replica::filled(&runtime, tenants));
    let mut rounds = SIZES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        replicas.iter().zip(&mut rounds).for_each(|(replica, rounds)| rounds.push(replica.round()));
    }
    println!("members    ns a check: median of {ROUNDS} rounds, least");
    for (tenants, mut rounds) in SIZES.into_iter().zip(rounds) {
        rounds.sort_by(f64::total_cmp);
        let (median, least) = (rounds.get(ROUNDS / 2).unwrap(), rounds.first().unwrap());
        println!("{:>9}  {median:.0}  {least:.0}", tenants * MEMBERS);
    }
}

/// A replica's caches, with the facts of all questions in memory.
struct Replica {
    tenants: u32,
    leased: Leased<Filling<Database>>,
}

struct Asking {
    tenant: TenantId,
    user: UserId,
    agent: ResourceRef,
}

impl Replica {
    fn filled(runtime: &Runtime, tenants: u32) -> Self {
        let (steady, clock) = (Steady::real(), Clock::real());
        let (lease, stale) = (Some(FOR_EVER), Duration::ZERO);
        let memory = Memory::new(Options { near_bytes: 1 << 32, lease, stale, steady, clock });
        let timing = Timing { poll: FOR_EVER, lease: FOR_EVER, stale };
        let follower = Follower::new(Database, Arc::clone(&memory), None, timing, Arc::new(Metrics::new()));
        runtime.spawn(follower.run(CancellationToken::new()));
        let leased = Leased::over(Filling::over(Database, Arc::clone(&memory), None), memory, None);
        let replica = Self { tenants, leased };
        // Until the feed has been looked at nothing is kept.
        while replica.load(0) != Tier::Near {
            std::thread::yield_now();
        }
        for number in 0..QUESTIONS {
            replica.load(number);
        }
        replica
    }

    fn asking(&self, number: u64) -> Asking {
        let mut random = SmallRng::seed_from_u64(number);
        let (tenant, member) = (random.random_range(0..self.tenants), random.random_range(0..MEMBERS));
        Asking {
            tenant: TenantId::parse(&format!("bench-{tenant}")).unwrap(),
            user: UserId::parse(&format!("user-{tenant}-{member}")).unwrap(),
            agent: agent(random.random_range(0..AGENTS)),
        }
    }

    fn load(&self, number: u64) -> Tier {
        let Asking { tenant, user, agent } = self.asking(number);
        let (subject, freshness) = (SubjectRef::User(user), Freshness::MinimizeLatency);
        let ask = Ask { tenant, subject, resources: vec![agent], freshness };
        self.leased.snapshot(ask).now_or_never().unwrap().unwrap().tier
    }

    /// What a check takes, in nanoseconds.
    #[expect(clippy::disallowed_methods, reason = "the service's own clock reads two")]
    fn round(&self) -> f64 {
        let mut between = vec![0_u8; BETWEEN];
        let mut took = Duration::ZERO;
        for number in 0..QUESTIONS {
            // Every question, in an order without a pattern that a processor knows.
            let asking = self.asking(number.wrapping_mul(7_919) % QUESTIONS);
            between.iter_mut().step_by(LINE).for_each(|byte| *byte = byte.wrapping_add(1));
            let from = Time::now();
            black_box(self.answer(&asking));
            took += from.elapsed();
        }
        took.as_nanos() as f64 / QUESTIONS as f64
    }

    fn answer(&self, Asking { tenant, user, agent }: &Asking) -> Decision {
        let (subject, freshness) = (SubjectOf::User(user), Freshness::MinimizeLatency);
        let asked = Asked { tenant, subject, resource: Some(agent), freshness };
        let see = |shown: &Shown<'_>| {
            let facts = shown.facts();
            let target = Target::parse(facts.catalogue, "view", agent.kind.as_str(), &agent.id).unwrap();
            decide(&facts, &Question { target, country: None, email_domain: None }, shown.now)
        };
        self.leased.one_at_hand(&asked, see).now_or_never().unwrap().unwrap()
    }
}

fn agent(number: u32) -> ResourceRef {
    let id = ResourceId::parse(&format!("agent-{number}")).unwrap();
    ResourceRef { kind: TypeKey::parse("agent").unwrap(), id }
}

/// A database that answers at once, and in which nothing changes.
struct Database;

impl Snapshots for Database {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        let active = ResourceFacts { status: ResourceStatus::Active };
        Ok(Snapshot {
            in_force: Arc::clone(&IN_FORCE),
            tenant: Some(Arc::new(tenant())),
            subject: SubjectFacts::Member(if let SubjectRef::User(user) = &ask.subject {
                Some(member(user))
            } else {
                None
            }),
            resources: vec![Some(active); ask.resources.len()],
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

fn tenant() -> TenantFacts {
    let plan = IN_FORCE.catalogue.plan("enterprise");
    TenantFacts {
        status: TenantStatus::Active,
        subscription: Subscription::of(SubscriptionState::Active),
        plan_sections: plan.map_or(SectionSet::EMPTY, |plan| plan.sections),
        switches: SwitchSet::EMPTY,
        defaults: Default::default(),
        firewall: Default::default(),
    }
}

/// A member with grants of their own.
fn member(user: &UserId) -> MemberFacts {
    let id = MemberId::parse(&format!("member-of-{}", user.as_str())).unwrap();
    let seed = id.as_str().bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    let mut random = SmallRng::seed_from_u64(seed);
    let granted = (0..GRANTS).map(|_| (agent(random.random_range(0..AGENTS)), Grant { expires_at: None }));
    let profile = Profile {
        toggles: Toggles::over([("agents", true)], &IN_FORCE.catalogue),
        role: Role::User,
        status: MemberStatus::Active,
        email_domain: None,
        id,
    };
    MemberFacts::of(profile, &PackedGrants::over(granted, &IN_FORCE.catalogue))
}

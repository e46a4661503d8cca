//! Orders in which feed, check, load and mutation can take their steps, in small scopes: the layers as they are, over a
//! database that is a list of what was true. The smallest scope is exhausted, of the others orders are drawn.
//!
//! Two promises: an answer describes the revision that it names, all of it, and that revision is not older than what had
//! been acknowledged when the check began. With a slip, an order that breaks the second one must be found.
#![expect(clippy::unwrap_used, clippy::panic, reason = "an order that breaks a promise must fail the test")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use doorward_engine::change::Part;
use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use shuttle::future::{block_on, yield_now};
use shuttle::scheduler::{DfsScheduler, RandomScheduler};
use shuttle::{Config, Runner};
use tokio::runtime::{Builder, Runtime};

use super::follower::{Follower, Place, Timing};
use super::samples::{self, EPOCH, ask, member_id, truth};
use super::slip::{Slip, chosen::EXPLORED};
use super::watch::{Known, ended_after, judge};
use super::{Filling, Flight, Leased, Memory, Options};
use crate::clock::{Clock, Steady};
use crate::store::feed::{Changed, Feed, Lagging, Poll, Position, Registration, ReplicaId, Standing};
use crate::store::{Ask, Epoch, Freshness, Snapshot, Snapshots, StoreError, SubjectFacts, Tier};
use crate::telemetry::Metrics;

const LEASE: Duration = Duration::from_secs(1);
/// How many orders are drawn of a scope that has too many, and from which seed.
const DRAWN: usize = 10_000;
const SEED: u64 = 1;

static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new()));
/// Loads that are sent here run as steps of the explored order, and none on this runtime.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().unwrap());
/// More loads than are ever under way.
const LOADS: usize = 10;

/// The database.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    revision: Revision,
    acknowledged: Revision,
    replicas: BTreeMap<ReplicaId, Revision>,
}

impl World {
    fn read<T>(&self, read: impl FnOnce(&mut Rows) -> T) -> T {
        read(&mut self.0.lock().unwrap())
    }

    /// A statement's answer takes its time.
    async fn statement<T>(&self, run: impl FnOnce(&mut Rows) -> T) -> T {
        let result = self.read(run);
        yield_now().await;
        result
    }
}

impl Snapshots for World {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        yield_now().await;
        let revision = self.statement(|rows| rows.revision).await;
        Ok(samples::snapshot(&ask, revision))
    }

    fn epoch(&self) -> Epoch {
        EPOCH
    }
}

impl Feed for World {
    async fn register(&self, replica: Registration) -> Result<(), StoreError> {
        self.statement(|rows| rows.replicas.insert(replica.id, Revision(0))).await;
        Ok(())
    }

    async fn poll(&self, replica: &ReplicaId, since: Option<&Position>) -> Result<Poll, StoreError> {
        yield_now().await;
        let (revision, stands) =
            self.statement(|rows| (rows.revision, rows.replicas.contains_key(replica))).await;
        let since = since.map_or(revision.0, |since| since.0.parse().unwrap());
        let changed = |revision| Changed {
            scope: "acme".to_owned(),
            revision: Revision(revision),
            parts: Some(vec![Part::Tenant, Part::Member(member_id())]),
        };
        let changes = Some((since + 1..=revision.0).map(changed).collect());
        let (position, now) = (Position(revision.to_string()), Instant::from_micros(0));
        Ok(Poll { epoch: EPOCH, position, stands, changes, now })
    }

    async fn acknowledge(&self, replica: &ReplicaId, position: &Position) -> Result<(), StoreError> {
        yield_now().await;
        let revision = Revision(position.0.parse().unwrap());
        self.statement(|rows| rows.replicas.get_mut(replica).map(|applied| *applied = revision)).await;
        Ok(())
    }

    async fn leave(&self, _: &ReplicaId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn hinted(&self) {}
}

/// A replica: its layers, and its end of the feed.
#[derive(Clone)]
struct Replica {
    world: World,
    steady: Steady,
    leased: Leased<Flight<Filling<World>>>,
    follower: Arc<Follower<World>>,
    place: Arc<Mutex<Option<Place>>>,
}

impl Replica {
    /// One that has registered, has looked at the feed once, and, if it is warm, has the facts.
    fn start(is_warm: bool) -> Self {
        let (world, steady) = (World::default(), Steady::manual());
        let options = Options {
            near_bytes: 1 << 20,
            lease: Some(LEASE),
            stale: Duration::ZERO,
            steady: steady.clone(),
            clock: Clock::manual(Instant::from_micros(0)),
        };
        let memory = Memory::new(options);
        let timing = Timing { poll: LEASE, lease: LEASE, stale: Duration::ZERO };
        let metrics = Arc::clone(&METRICS);
        let filling = Filling::over(world.clone(), Arc::clone(&memory), None);
        let (layer, runtime) = (Arc::clone(&memory), RUNTIME.handle().clone());
        let flight = Flight::over(filling, layer, LOADS, Arc::clone(&metrics), runtime);
        let follower = Follower::new(world.clone(), Arc::clone(&memory), None, timing, metrics);
        let id = ReplicaId("r".to_owned());
        world.read(|rows| rows.replicas.insert(id.clone(), Revision(0)));
        let replica = Self {
            leased: Leased::over(flight, memory, None),
            place: Arc::new(Mutex::new(Some(Place::of(id)))),
            follower: Arc::new(follower),
            world,
            steady,
        };
        replica.look();
        if is_warm {
            block_on(replica.leased.snapshot(ask())).unwrap();
            assert_eq!(block_on(replica.leased.snapshot(ask())).unwrap().tier, Tier::Near);
        }
        replica
    }

    fn look(&self) {
        let mut place = self.place.lock().unwrap().take().unwrap();
        let lost = block_on(self.follower.look(&mut place)).unwrap();
        assert!(lost.is_none(), "{lost:?}");
        *self.place.lock().unwrap() = Some(place);
    }

    /// Asks, and holds the answer against both promises.
    fn check(&self) {
        self.check_as(Freshness::MinimizeLatency);
    }

    fn check_as(&self, freshness: Freshness) {
        let known = self.world.read(|rows| rows.acknowledged);
        let ask = Ask { freshness, ..ask() };
        let Ok(answer) = block_on(self.leased.snapshot(ask)) else { return };
        let SubjectFacts::Member(Some(member)) = &answer.subject else { panic!("{answer:?}") };
        let told = (answer.tenant.as_ref().unwrap().status, member.status);
        assert_eq!(told, truth(answer.revision), "an answer of two revisions: {}", answer.tier.name());
        assert!(answer.revision >= known, "stale: {} after {known}", answer.revision);
    }

    /// Commits, and acknowledges if within two looks at the registry it is known everywhere.
    fn mutate(&self) {
        let revision = self.commit();
        self.acknowledge(revision);
    }

    fn commit(&self) -> Revision {
        block_on(self.world.statement(|rows| {
            rows.revision.0 += 1;
            rows.revision
        }))
    }

    fn acknowledge(&self, revision: Revision) {
        let since = self.steady.now();
        for _ in 0..2 {
            let lagging = block_on(self.world.statement(|rows| lagging(rows, revision)));
            let known = judge(&lagging, self.steady.now().since(since));
            if known == Some(Known::Everywhere) || EXPLORED.get() == Some(Some(Slip::NoWait)) {
                self.world.read(|rows| rows.acknowledged = rows.acknowledged.max(revision));
                return;
            }
        }
    }

    /// As long as any writer waits passes at once.
    fn sleep(&self) {
        self.steady.advance(ended_after(LEASE));
    }
}

fn lagging(rows: &Rows, revision: Revision) -> Vec<Lagging> {
    let behind = rows.replicas.iter().filter(|(_, applied)| **applied < revision);
    let lagging = |(id, _): (&ReplicaId, &Revision)| Lagging {
        id: id.clone(),
        lease: LEASE,
        stale: Duration::ZERO,
        standing: Standing::Member,
    };
    behind.map(lagging).collect()
}

/// A scope: what runs at once.
type Scope = fn(&Replica) -> Vec<Box<dyn FnOnce() + Send>>;

fn step(replica: &Replica, run: fn(&Replica)) -> Box<dyn FnOnce() + Send> {
    let replica = replica.clone();
    Box::new(move || run(&replica))
}

/// A change reaches a warm replica by the feed while it is asked.
fn told(replica: &Replica) -> Vec<Box<dyn FnOnce() + Send>> {
    vec![step(replica, Replica::mutate), step(replica, Replica::look), step(replica, Replica::check)]
}

/// The lease runs out, before or after the feed is looked at.
fn late(replica: &Replica) -> Vec<Box<dyn FnOnce() + Send>> {
    let mut steps = told(replica);
    steps.push(step(replica, Replica::sleep));
    steps
}

/// Two load at once while something changes, and one asks again.
fn loading(replica: &Replica) -> Vec<Box<dyn FnOnce() + Send>> {
    let twice: fn(&Replica) = |replica| {
        replica.check();
        replica.check();
    };
    vec![step(replica, Replica::mutate), step(replica, Replica::look), step(replica, twice)]
}

/// Several ask the same at once; one has just changed something and heard that it is known.
fn herd(replica: &Replica) -> Vec<Box<dyn FnOnce() + Send>> {
    let changed: fn(&Replica) = |replica| {
        let revision = replica.commit();
        replica.look();
        replica.acknowledge(revision);
        replica.check_as(Freshness::Fully);
        replica.check();
    };
    let fresh: fn(&Replica) = |replica| replica.check_as(Freshness::Fully);
    [changed, Replica::check, fresh].map(|run| step(replica, run)).into()
}

/// Nobody looks at the feed, and the lease runs out.
fn silent(replica: &Replica) -> Vec<Box<dyn FnOnce() + Send>> {
    vec![step(replica, Replica::mutate), step(replica, Replica::sleep), step(replica, Replica::check)]
}

/// Which orders are taken.
#[derive(Clone, Copy)]
enum Orders {
    /// Every one.
    All,
    /// So many, drawn.
    Drawn(usize),
}

/// Runs a scope in many orders: how many, or the text of a broken promise.
fn explore(slip: Option<Slip>, is_warm: bool, scope: Scope, orders: Orders) -> Result<usize, String> {
    let run = move || {
        let replica = Replica::start(is_warm);
        let threads: Vec<_> = scope(&replica).into_iter().map(shuttle::thread::spawn).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    };
    EXPLORED.set(Some(slip));
    let explored = catch_unwind(AssertUnwindSafe(|| match orders {
        Orders::All => Runner::new(DfsScheduler::new(None, false), Config::default()).run(run),
        Orders::Drawn(count) => {
            Runner::new(RandomScheduler::new_from_seed(SEED, count), Config::default()).run(run)
        }
    }));
    EXPLORED.set(None);
    explored.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => "a panic without a text".to_owned(),
    })
}

#[test]
fn a_lease_that_ends_in_silence_ends_what_was_known() {
    let orders = explore(None, true, silent, Orders::All).unwrap();
    assert!(orders > 100, "{orders}");
}

#[test]
fn a_change_that_the_feed_tells_is_never_missed() {
    explore(None, true, told, Orders::Drawn(DRAWN)).unwrap();
}

#[test]
fn a_lease_that_runs_out_while_the_feed_is_looked_at_ends_what_was_known() {
    explore(None, true, late, Orders::Drawn(DRAWN)).unwrap();
}

#[test]
fn a_load_that_was_overtaken_fills_nothing() {
    explore(None, false, loading, Orders::Drawn(DRAWN)).unwrap();
}

#[test]
fn who_joins_a_load_is_not_answered_by_what_it_read_before_they_came() {
    explore(None, false, herd, Orders::Drawn(DRAWN)).unwrap();
}

#[test]
fn each_slip_is_found() {
    let scopes: [(Slip, Scope, Orders); 5] = [
        (Slip::NoWait, told, Orders::Drawn(DRAWN)),
        (Slip::NoGate, silent, Orders::All),
        (Slip::NewerFresh, late, Orders::Drawn(DRAWN)),
        (Slip::FreshFromReply, late, Orders::Drawn(DRAWN)),
        (Slip::JoinOlder, herd, Orders::Drawn(DRAWN)),
    ];
    for (slip, scope, orders) in scopes {
        let is_warm = slip != Slip::JoinOlder;
        let found = explore(Some(slip), is_warm, scope, orders);
        assert!(found.as_ref().is_err_and(|text| text.contains("stale")), "{slip:?}: {found:?}");
    }
}

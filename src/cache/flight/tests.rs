//! Who shares which load: the board alone, and a herd of askers over a database that answers when it is let.

use std::time::Duration;

use doorward_engine::change::Part;
use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::cache::lease::Fresh;
use crate::cache::samples::{EPOCH, ask, member_id, snapshot};
use crate::cache::{Filling, Leased, Options};
use crate::clock::{Clock, Steady};
use crate::store::feed::Changed;
use crate::store::{Freshness, Seen, Tier};

fn joined(arrival: Arrival<u8, u8>) -> Load<u8> {
    match arrival {
        Arrival::Joined(load) => load,
        other => panic!("{other:?}"),
    }
}

fn first(board: &Arc<Board<&'static str, u8>>, question: &'static str) -> Place<&'static str, u8> {
    match board.arrive(&question, Turn::First, || None::<u8>) {
        Arrival::First(landing) => Place { board: Arc::clone(board), question, landing: Some(landing) },
        other => panic!("{other:?}"),
    }
}

fn arrive(board: &Board<&'static str, u8>, question: &'static str, turn: Turn) -> Arrival<u8, u8> {
    board.arrive(&question, turn, || None)
}

#[test]
fn who_joins_hears_when_the_load_has_left_the_board() {
    let board = Arc::new(Board::new(2));
    let place = first(&board, "q");
    let load = joined(arrive(&board, "q", Turn::First));
    assert!(!load.landed.has_changed().unwrap());
    place.land(7);
    assert_eq!(*load.landed.borrow(), Some(7));
    let place = first(&board, "q");
    let load = joined(arrive(&board, "q", Turn::First));
    drop(place);
    assert!(load.landed.has_changed().is_err(), "it was given up");
    assert_eq!(*load.landed.borrow(), None);
    first(&board, "q").land(8);
}

#[test]
fn who_is_late_looks_before_they_send_another_load() {
    let board = Arc::new(Board::new(2));
    let place = first(&board, "q");
    assert!(matches!(board.arrive(&"q", Turn::First, || Some(7)), Arrival::Joined(_)), "it has not landed");
    place.land(7);
    assert!(matches!(board.arrive(&"q", Turn::First, || Some(7)), Arrival::Found(7)));
    first(&board, "q").land(8);
}

#[test]
fn who_brings_one_question_too_many_is_told_so_and_who_asks_what_is_under_way_joins() {
    let board = Arc::new(Board::new(2));
    let (a, b) = (first(&board, "a"), first(&board, "b"));
    assert!(matches!(arrive(&board, "c", Turn::First), Arrival::Full));
    joined(arrive(&board, "a", Turn::First));
    a.land(1);
    let c = first(&board, "c");
    assert!(matches!(arrive(&board, "a", Turn::First), Arrival::Full));
    assert!(
        matches!(arrive(&board, "a", Turn::Second), Arrival::First(_)),
        "those who have waited have a place"
    );
    assert!(matches!(arrive(&board, "d", Turn::Second), Arrival::First(_)));
    assert!(matches!(arrive(&board, "e", Turn::Second), Arrival::Full), "and as many, no more");
    drop((b, c));
}

/// A database: how many times it was asked, and when it may answer.
#[derive(Clone)]
struct Below {
    asked: Arc<Semaphore>,
    let_through: Arc<Semaphore>,
    rows: Arc<Mutex<Rows>>,
}

#[derive(Default)]
struct Rows {
    revision: u64,
    is_away: bool,
    loads: usize,
}

impl Snapshots for Below {
    async fn snapshot(&self, ask: Ask) -> Answer {
        // What a load reads is what is true when it is sent; it may take its time to arrive.
        let (revision, is_away) = {
            let mut rows = self.rows.lock().unwrap();
            rows.loads += 1;
            (rows.revision, rows.is_away)
        };
        self.asked.add_permits(1);
        self.let_through.acquire().await.unwrap().forget();
        if is_away {
            Err(StoreError::Unavailable("away".to_owned()))
        } else {
            Ok(snapshot(&ask, Revision(revision)))
        }
    }

    fn epoch(&self) -> Epoch {
        EPOCH
    }
}

struct Replica {
    below: Below,
    memory: Arc<Memory>,
    leased: Leased<Flight<Filling<Below>>>,
    asking: JoinSet<Answer>,
}

impl Replica {
    /// A cold one that has looked at the feed, of a database at revision 4.
    fn cold() -> Self {
        let rows = Arc::new(Mutex::new(Rows { revision: 4, ..Rows::default() }));
        let (asked, let_through) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let below = Below { asked, let_through, rows };
        let (steady, clock) = (Steady::manual(), Clock::real());
        let (lease, stale) = (Some(Duration::from_secs(3)), Duration::ZERO);
        let memory =
            Memory::new(Options { near_bytes: 1 << 20, lease, stale, steady: steady.clone(), clock });
        memory.begin(EPOCH);
        memory.publish(Fresh { at: steady.now(), epoch: EPOCH, now: Instant::from_micros(0) });
        let filling = Filling::over(below.clone(), Arc::clone(&memory), None);
        let (metrics, runtime) = (Arc::new(Metrics::new()), Handle::current());
        let flight = Flight::over(filling, Arc::clone(&memory), 2, metrics, runtime);
        let leased = Leased::over(flight, Arc::clone(&memory), None);
        Self { below, memory, leased, asking: JoinSet::new() }
    }

    /// So many ask, and wait by now for what they wait for.
    async fn ask(&mut self, many: usize, freshness: Freshness) {
        for _ in 0..many {
            let leased = self.leased.clone();
            self.asking.spawn(async move { leased.snapshot(Ask { freshness, ..ask() }).await });
        }
        self.settle().await;
    }

    /// Lets every task go on until it waits.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Rows)) {
        change(&mut self.below.rows.lock().unwrap());
    }

    async fn land(&self) {
        self.below.let_through.add_permits(1);
        self.settle().await;
    }

    fn loads(&self) -> usize {
        self.below.rows.lock().unwrap().loads
    }

    /// The answers of those who have one by now.
    fn answers(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.asking.try_join_next()).map(Result::unwrap).collect()
    }

    fn revisions(&mut self) -> Vec<(u64, Tier)> {
        self.answers()
            .into_iter()
            .map(Result::unwrap)
            .map(|answer| (answer.revision.0, answer.tier))
            .collect()
    }
}

fn run(test: impl AsyncFnOnce(Replica)) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { test(Replica::cold()).await });
}

#[test]
fn a_herd_is_answered_by_one_load() {
    run(async |mut replica| {
        replica.ask(50, Freshness::MinimizeLatency).await;
        replica.ask(50, Freshness::AtLeast(Seen { epoch: EPOCH, revision: Revision(4) })).await;
        let early = replica.answers().len();
        assert_eq!((replica.loads(), early), (1, 0));
        replica.land().await;
        let answers = replica.revisions();
        assert_eq!((replica.loads(), answers.len()), (1, 100));
        assert!(answers.iter().all(|(revision, _)| *revision == 4));
        assert_eq!(answers.iter().filter(|(_, tier)| *tier == Tier::Store).count(), 1, "who sent it");
    });
}

#[test]
fn who_wants_the_databases_word_never_gets_a_load_that_was_sent_before_they_came() {
    run(async |mut replica| {
        replica.ask(1, Freshness::Fully).await;
        replica.change(|rows| rows.revision = 6);
        replica.ask(20, Freshness::Fully).await;
        replica.ask(20, Freshness::AtLeast(Seen { epoch: EPOCH, revision: Revision(6) })).await;
        replica.land().await;
        assert_eq!(replica.revisions(), [(4, Tier::Store)]);
        assert_eq!(replica.loads(), 2, "one for all of them");
        replica.land().await;
        let answers = replica.revisions();
        assert_eq!((replica.loads(), answers.len()), (2, 40));
        assert!(answers.iter().all(|(revision, _)| *revision == 6));
    });
}

#[test]
fn a_load_that_fails_is_followed_by_one_for_all_who_joined_it_and_holds_nobody_up() {
    run(async |mut replica| {
        replica.change(|rows| rows.is_away = true);
        replica.ask(10, Freshness::MinimizeLatency).await;
        replica.land().await;
        assert!(matches!(replica.answers()[..], [Err(StoreError::Unavailable(_))]));
        assert_eq!(replica.loads(), 2);
        replica.land().await;
        let answers = replica.answers();
        assert_eq!((answers.len(), replica.loads()), (9, 2), "the second one's word is for all of them");
        assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))));
        replica.change(|rows| rows.is_away = false);
        replica.ask(1, Freshness::MinimizeLatency).await;
        replica.land().await;
        assert_eq!(replica.revisions(), [(4, Tier::Store)]);
    });
}

#[test]
fn a_load_that_left_nothing_usable_in_memory_is_followed_by_one_for_all_who_joined_it() {
    run(async |mut replica| {
        replica.ask(10, Freshness::MinimizeLatency).await;
        // What it has read is outdated when it lands: the view that it fills is out of reach.
        replica.memory.apply(None);
        replica.land().await;
        assert_eq!((replica.revisions().len(), replica.loads()), (1, 2));
        replica.change(|rows| rows.revision = 6);
        let parts = Some(vec![Part::Tenant, Part::Member(member_id())]);
        let changed = Changed { scope: "acme".to_owned(), revision: Revision(6), parts };
        replica.memory.apply(Some(&[changed]));
        replica.ask(10, Freshness::MinimizeLatency).await;
        replica.land().await;
        // The older ones were there before the second load was sent; the others want to know what is now.
        assert_eq!((replica.revisions(), replica.loads()), (vec![(4, Tier::Store); 9], 3));
        replica.land().await;
        assert_eq!((replica.revisions(), replica.loads()), (vec![(6, Tier::Store); 10], 3));
    });
}

#[test]
fn a_load_goes_on_when_who_sent_it_has_gone_and_a_second_one_when_who_began_it_has() {
    run(async |mut replica| {
        replica.ask(1, Freshness::Fully).await;
        replica.asking.abort_all();
        replica.settle().await;
        replica.ask(10, Freshness::MinimizeLatency).await;
        replica.land().await;
        replica.asking.detach_all();
        assert_eq!(replica.loads(), 1);
        replica.ask(1, Freshness::Fully).await;
        let mut leaving = std::mem::take(&mut replica.asking);
        replica.ask(1, Freshness::Fully).await;
        let mut second = std::mem::take(&mut replica.asking);
        replica.ask(3, Freshness::Fully).await;
        replica.land().await;
        assert!(leaving.try_join_next().is_some());
        assert_eq!(replica.loads(), 3);
        second.abort_all();
        replica.settle().await;
        replica.land().await;
        assert_eq!((replica.revisions(), replica.loads()), (vec![(4, Tier::Store); 3], 3));
        assert!(second.try_join_next().is_some_and(|gone| gone.is_err()));
    });
}

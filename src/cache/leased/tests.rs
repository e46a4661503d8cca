//! When a cache answers, when the layer below is asked, and for what. Below is a list of what was asked.

use std::sync::Mutex;
use std::time::Duration;

use doorward_engine::id::{MemberId, Revision, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::Subject;

use super::*;
use crate::cache::away::AWAY;
use crate::cache::samples::{EPOCH, ask, member_id, snapshot, truth};
use crate::cache::{Filling, Options};
use crate::clock::Clock;
use crate::clock::Steady;
use crate::store::feed::Changed;
use crate::store::{Seen, SubjectFacts, SubjectOf};

const LEASE: Duration = Duration::from_secs(3);

#[derive(Clone, Default)]
struct Below(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    asks: Vec<Ask>,
    revision: u64,
    epoch: Option<Epoch>,
    is_away: bool,
}

impl Snapshots for Below {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        let mut asked = self.0.lock().unwrap();
        asked.asks.push(ask.clone());
        if asked.is_away {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        let found = snapshot(&ask, Revision(asked.revision));
        Ok(Snapshot { epoch: asked.epoch.unwrap_or(EPOCH), ..found })
    }

    fn epoch(&self) -> Epoch {
        EPOCH
    }
}

struct Replica {
    below: Below,
    steady: Steady,
    memory: Arc<Memory>,
    leased: Leased<Filling<Below>>,
}

impl Replica {
    /// One that has looked at the feed, and has loaded at revision 4.
    fn warm(stale: Duration) -> Self {
        let (below, steady) = (Below::default(), Steady::manual());
        let (lease, clock) = (Some(LEASE), Clock::real());
        let options = Options { near_bytes: 1 << 20, lease, stale, steady: steady.clone(), clock };
        let memory = Memory::new(options);
        let filling = Filling::over(below.clone(), Arc::clone(&memory), None);
        let leased = Leased::over(filling, Arc::clone(&memory), None);
        let replica = Self { below, steady, memory, leased };
        replica.memory.begin(EPOCH);
        replica.look();
        replica.below(|asked| asked.revision = 4);
        replica.ask(Freshness::MinimizeLatency).unwrap();
        replica.below(|asked| asked.asks.clear());
        replica
    }

    fn look(&self) {
        self.memory.publish(Fresh { at: self.steady.now(), epoch: EPOCH, now: Instant::from_micros(0) });
    }

    fn below<T>(&self, change: impl FnOnce(&mut Heard) -> T) -> T {
        change(&mut self.below.0.lock().unwrap())
    }

    fn ask(&self, freshness: Freshness) -> Result<Snapshot, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.leased.snapshot(Ask { freshness, ..ask() }))
    }

    /// How often the layer below has been asked since this was called last.
    fn loads(&self) -> usize {
        self.below(|asked| asked.asks.drain(..).len())
    }

    fn tell(&self, revision: u64, parts: Vec<Part>) {
        let changed = Changed { scope: "acme".to_owned(), revision: Revision(revision), parts: Some(parts) };
        self.memory.apply(Some(&[changed]));
    }
}

fn at_least(epoch: Epoch, revision: u64) -> Freshness {
    Freshness::AtLeast(Seen { epoch, revision: Revision(revision) })
}

#[test]
fn how_fresh_an_answer_must_be_decides_who_gives_it() {
    let replica = Replica::warm(Duration::ZERO);
    for (freshness, loads) in [
        (Freshness::MinimizeLatency, 0),
        (at_least(EPOCH, 4), 0),
        (at_least(EPOCH, 5), 1),
        (at_least(Epoch([1; 16]), 1), 1),
        (Freshness::Fully, 1),
    ] {
        let answer = replica.ask(freshness).unwrap();
        assert_eq!((replica.loads(), answer.tier == Tier::Near), (loads, loads == 0), "{freshness:?}");
    }
}

#[test]
fn a_lease_that_has_ended_is_no_reason_not_to_answer_but_to_load() {
    let replica = Replica::warm(Duration::ZERO);
    replica.steady.advance(LEASE);
    assert_eq!(replica.ask(Freshness::MinimizeLatency).unwrap().tier, Tier::Store);
    replica.below(|asked| asked.is_away = true);
    assert!(matches!(replica.ask(Freshness::MinimizeLatency), Err(StoreError::Unavailable(_))));
    replica.look();
    assert_eq!(replica.ask(Freshness::MinimizeLatency).unwrap().tier, Tier::Near);
}

#[test]
fn degraded_answers_come_without_a_load_each_and_end_too() {
    let replica = Replica::warm(LEASE);
    replica.steady.advance(LEASE);
    assert!(!replica.ask(Freshness::MinimizeLatency).unwrap().degraded, "the database is there");
    replica.below(|asked| asked.is_away = true);
    replica.loads();
    for _ in 0..5 {
        assert!(replica.ask(Freshness::MinimizeLatency).unwrap().degraded);
    }
    assert_eq!(replica.loads(), 1, "the database is not tried each time");
    replica.steady.advance(AWAY);
    assert!(replica.ask(Freshness::MinimizeLatency).unwrap().degraded);
    assert_eq!(replica.loads(), 1, "and it is tried again");
    assert!(replica.ask(Freshness::Fully).is_err(), "who wants it fresh gets nothing else");
    replica.steady.advance(LEASE);
    assert!(replica.ask(Freshness::MinimizeLatency).is_err());
}

#[test]
fn another_database_answers_nothing_and_fills_nothing() {
    let replica = Replica::warm(Duration::ZERO);
    replica.below(|asked| (asked.epoch, asked.revision) = (Some(Epoch([1; 16])), 9));
    assert!(matches!(replica.ask(Freshness::Fully), Err(StoreError::Unavailable(_))));
    assert_eq!(replica.ask(Freshness::MinimizeLatency).unwrap().revision, Revision(4));
}

#[test]
fn a_revision_that_runs_backwards_is_not_answered_and_the_feed_begins_anew() {
    let replica = Replica::warm(Duration::ZERO);
    replica.below(|asked| asked.revision = 3);
    assert!(matches!(replica.ask(Freshness::Fully), Err(StoreError::Unavailable(_))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let doubted = async { tokio::time::timeout(Duration::from_secs(1), replica.memory.doubted()).await };
    assert!(runtime.block_on(doubted).is_ok());
}

#[test]
fn what_members_share_is_loaded_without_any_of_them() {
    let replica = Replica::warm(Duration::ZERO);
    replica.below(|asked| asked.revision = 6);
    replica.tell(6, vec![Part::Tenant]);
    assert_eq!(replica.ask(Freshness::MinimizeLatency).unwrap().tier, Tier::Near);
    let subjects = replica.below(|asked| asked.asks.drain(..).map(|ask| ask.subject).collect::<Vec<_>>());
    assert_eq!(subjects, [SubjectRef::Nobody]);
    replica.below(|asked| asked.revision = 8);
    replica.tell(8, vec![Part::Tenant, Part::Member(member_id())]);
    assert_eq!(replica.ask(Freshness::MinimizeLatency).unwrap().tier, Tier::Store);
    let subjects = replica.below(|asked| asked.asks.drain(..).map(|ask| ask.subject).collect::<Vec<_>>());
    assert_eq!(subjects, [SubjectRef::Member(member_id())], "one load for all that is missing");
}

fn asked(ask: &Ask) -> Asked<'_> {
    let SubjectRef::Member(member) = &ask.subject else { panic!("{ask:?}") };
    let (tenant, resource, freshness) = (&ask.tenant, ask.resources.first(), ask.freshness);
    Asked { tenant, subject: SubjectOf::Member(member), resource, freshness }
}

/// What is shown of the sample's member.
fn seen(shown: &Shown<'_>) {
    let Subject::Member(Some(member)) = shown.subject else { panic!("{shown:?}") };
    assert_eq!((shown.revision, &member.id), (Revision(4), &member_id()));
    assert_eq!(shown.tenant.map(|tenant| (tenant.status, member.status)), Some(truth(shown.revision)));
    assert_eq!((shown.resource, shown.in_force.version), (None, 1));
}

#[test]
fn many_questions_have_one_lease_and_what_is_not_at_hand_is_left_out() {
    let replica = Replica::warm(LEASE);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let stranger = SubjectRef::Member(MemberId::parse("stranger").unwrap());
    let elsewhere = TenantId::parse("zeta").unwrap();
    let asks = [
        ask(),
        Ask { freshness: Freshness::Fully, ..ask() },
        Ask { subject: stranger, ..ask() },
        Ask { tenant: elsewhere, ..ask() },
        Ask { freshness: at_least(EPOCH, 4), ..ask() },
        Ask { freshness: at_least(EPOCH, 5), ..ask() },
        Ask { freshness: at_least(Epoch([1; 16]), 1), ..ask() },
        ask(),
    ];
    let of = |asks: &[Ask]| {
        let asked: Vec<_> = asks.iter().map(asked).collect();
        runtime.block_on(replica.leased.at_hand(&asked))
    };
    let at_hand = || {
        let found = of(&asks);
        for (at, own) in found.own.iter().enumerate().filter_map(|(at, own)| Some((at, own.as_ref()?))) {
            let (shared, _) = found.get(at).unwrap();
            assert_eq!((shared.revision, shared.tier, shared.degraded), (Revision(4), Tier::Near, false));
            let SubjectFacts::Member(Some(member)) = &own.subject else { panic!("{own:?}") };
            assert_eq!(member.id, member_id());
        }
        let together: Vec<_> = found.own.iter().map(Option::is_some).collect();
        let one = |ask| runtime.block_on(replica.leased.one_at_hand(&asked(ask), seen)).is_some();
        assert_eq!(asks.iter().map(one).collect::<Vec<_>>(), together, "and so it is one by one");
        together
    };
    let some = [true, false, false, false, true, false, false, true];
    assert_eq!(at_hand(), some);
    // What was touched is not at hand, and what was not is.
    replica.tell(5, vec![Part::Member(member_id())]);
    assert_eq!(at_hand(), [false; 8]);
    replica.below(|asked| asked.revision = 5);
    replica.ask(Freshness::MinimizeLatency).unwrap();
    assert_eq!(of(&[ask()]).own.len(), 1);
    // A degraded answer, too, is for those who are asked for one by one.
    replica.steady.advance(LEASE);
    replica.below(|asked| asked.is_away = true);
    assert!(replica.ask(Freshness::MinimizeLatency).unwrap().degraded);
    assert_eq!(at_hand(), [false; 8]);
    replica.look();
    let again = of(&[ask()]);
    assert!(again.get(0).is_some_and(|(shared, _)| shared.revision == Revision(5) && !shared.degraded));
    assert!(replica.loads() < 5, "what is at hand is no load");
}

//! The feed and the registry: what was committed is told, once and whole, and a mark is behind until it was applied.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doorward::store::feed::{
    Changed, Feed, Lagging, Mark, Poll, Position, Registration, Registry, ReplicaId, Standing,
};
use doorward_engine::change::{Change, Part};
use doorward_engine::id::Revision;
use tokio::runtime::Handle;

use super::records::{member_id, new_member, new_resource, pending, user, user_id};
use super::{Database, NOW, Store, on_both};

/// How long anything may take that is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A replica as the tests drive it: where it is in the feed.
pub(super) struct Replica {
    pub(super) id: ReplicaId,
    pub(super) position: Option<Position>,
}

pub(super) fn replica_id(id: &str) -> ReplicaId {
    ReplicaId(id.to_owned())
}

pub(super) fn registration(id: &str, stale: Duration) -> Registration {
    Registration { id: replica_id(id), lease: Duration::from_millis(3_000), stale }
}

impl Replica {
    /// Registered, and with its first position.
    pub(super) async fn boot(store: &Store, id: &str) -> Self {
        Self::boot_stale(store, id, Duration::ZERO).await
    }

    pub(super) async fn boot_stale(store: &Store, id: &str, stale: Duration) -> Self {
        store.sql.register(registration(id, stale)).await.unwrap();
        let mut replica = Self { id: replica_id(id), position: None };
        let first = replica.poll(store).await;
        assert!(first.stands && first.changes.is_some_and(|changes| changes.is_empty()));
        replica
    }

    /// Polls, and goes on from there.
    pub(super) async fn poll(&mut self, store: &Store) -> Poll {
        let poll = store.sql.poll(&self.id, self.position.as_ref()).await.unwrap();
        self.position = Some(poll.position.clone());
        poll
    }

    pub(super) async fn acknowledge(&self, store: &Store) {
        store.sql.acknowledge(&self.id, self.position.as_ref().unwrap()).await.unwrap();
    }

    /// Polls and acknowledges; what was told, in the order of revisions.
    pub(super) async fn apply(&mut self, store: &Store) -> Vec<Changed> {
        let poll = self.poll(store).await;
        assert!(poll.stands);
        self.acknowledge(store).await;
        let mut changes = poll.changes.unwrap();
        changes.sort_by_key(|changed| (changed.scope.clone(), changed.revision));
        changes
    }
}

pub(super) fn mark(scope: &str, revision: u64) -> Mark {
    Mark { scope: scope.to_owned(), revision: Revision(revision) }
}

/// Who is behind a mark, with the standing.
pub(super) async fn behind(store: &Store, scope: &str, revision: u64) -> Vec<(String, Standing)> {
    let mut lagging = store.sql.behind(vec![mark(scope, revision)]).await.unwrap();
    assert_eq!(lagging.len(), 1);
    let one = |lagging: Lagging| (lagging.id.0, lagging.standing);
    lagging.remove(0).into_iter().map(one).collect()
}

fn lagging(ids: &[(&str, Standing)]) -> Vec<(String, Standing)> {
    ids.iter().map(|(id, standing)| ((*id).to_owned(), *standing)).collect()
}

on_both!(the_first_poll_tells_nothing_and_the_next_what_came_since, |store| {
    store.tenant("acme").await;
    let mut replica = Replica::boot(&store, "r1").await;
    store.write("acme", vec![new_member(user("ben"))]).await;
    store.tenant("beta").await;
    let told = replica.apply(&store).await;
    let parts =
        |changed: &Changed| changed.parts.clone().map(|parts| parts.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(
        told.iter().map(|one| (one.scope.as_str(), one.revision.0)).collect::<Vec<_>>(),
        [("acme", 2), ("beta", 1)]
    );
    let ben = [Part::Member(member_id("ben")), Part::User(user_id("ben"))];
    assert_eq!(parts(&told[0]), Some(BTreeSet::from(ben)));
    assert!(parts(&told[1]).is_some_and(|parts| parts.contains(&Part::Tenant)));
    assert_eq!(replica.apply(&store).await, []);
});

on_both!(a_poll_tells_the_time_and_an_epoch_that_stays, |store| {
    let mut replica = Replica::boot(&store, "r1").await;
    let (one, two) = (replica.poll(&store).await, replica.poll(&store).await);
    assert_eq!((one.now, one.epoch), (NOW, two.epoch));
    assert_ne!(one.epoch.0, [0; 16]);
    assert_eq!(doorward::store::Snapshots::epoch(&store.sql), one.epoch);
});

on_both!(a_mark_is_behind_until_each_replica_has_acknowledged, |store| {
    store.tenant("acme").await;
    assert_eq!(behind(&store, "acme", 1).await, []);
    let (mut one, mut two) = (Replica::boot(&store, "r1").await, Replica::boot(&store, "r2").await);
    one.acknowledge(&store).await;
    two.acknowledge(&store).await;
    store.write("acme", vec![new_resource("a1")]).await;
    assert_eq!(behind(&store, "acme", 1).await, []);
    let both = lagging(&[("r1", Standing::Member), ("r2", Standing::Member)]);
    assert_eq!(behind(&store, "acme", 2).await, both);
    // A poll is not yet an acknowledgement.
    one.poll(&store).await;
    assert_eq!(behind(&store, "acme", 2).await, both);
    one.acknowledge(&store).await;
    assert_eq!(behind(&store, "acme", 2).await, both[1..]);
    two.apply(&store).await;
    assert_eq!(behind(&store, "acme", 2).await, []);
    assert_eq!(behind(&store, "acme", 0).await, []);
});

on_both!(who_has_acknowledged_nothing_is_behind_everything, |store| {
    store.tenant("acme").await;
    let replica = Replica::boot(&store, "r1").await;
    assert_eq!(behind(&store, "acme", 1).await, lagging(&[("r1", Standing::Member)]));
    assert_eq!(behind(&store, "acme", 0).await, []);
    replica.acknowledge(&store).await;
    assert_eq!(behind(&store, "acme", 1).await, []);
});

on_both!(many_marks_are_asked_about_at_once, |store| {
    store.tenant("acme").await;
    let mut replica = Replica::boot(&store, "r1").await;
    replica.apply(&store).await;
    store.tenant("beta").await;
    let marks = vec![mark("beta", 1), mark("acme", 1), mark("acme", 0), mark("beta", 1)];
    let counts: Vec<_> = store.sql.behind(marks).await.unwrap().iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 0, 0, 1]);
    assert_eq!(store.sql.behind(Vec::new()).await.unwrap(), Vec::<Vec<Lagging>>::new());
    let row = store.sql.behind(vec![mark("beta", 1)]).await.unwrap().remove(0).remove(0);
    assert_eq!((row.lease, row.stale), (Duration::from_millis(3_000), Duration::ZERO));
});

on_both!(a_late_acknowledgement_takes_nothing_back, |store| {
    store.tenant("acme").await;
    let mut replica = Replica::boot(&store, "r1").await;
    let early = replica.position.clone().unwrap();
    store.write("acme", vec![new_resource("a1")]).await;
    replica.apply(&store).await;
    store.sql.acknowledge(&replica.id, &early).await.unwrap();
    assert_eq!(behind(&store, "acme", 2).await, []);
});

on_both!(what_changes_nothing_waits_for_what_it_found, |store| {
    store.tenant("acme").await;
    let mut replica = Replica::boot(&store, "r1").await;
    replica.apply(&store).await;
    store.write("acme", vec![new_resource("a1")]).await;
    let receipt = store.write("acme", Vec::new()).await;
    assert_eq!((receipt.scope.as_str(), receipt.revision), ("acme", Revision(2)));
    assert_eq!(behind(&store, "acme", 2).await.len(), 1);
    replica.apply(&store).await;
    assert_eq!(behind(&store, "acme", 2).await, []);
});

on_both!(a_suspended_replica_stands_no_more_and_cannot_acknowledge, |store| {
    store.tenant("acme").await;
    let mut replica = Replica::boot(&store, "r1").await;
    replica.apply(&store).await;
    store.write("acme", vec![new_resource("a1")]).await;
    store.sql.suspend(vec![replica.id.clone(), replica_id("nobody")]).await.unwrap();
    let poll = replica.poll(&store).await;
    assert!(!poll.stands);
    replica.acknowledge(&store).await;
    assert_eq!(behind(&store, "acme", 2).await, lagging(&[("r1", Standing::Suspended)]));
    // It boots again under another id.
    let mut again = Replica::boot(&store, "r1b").await;
    again.apply(&store).await;
    assert_eq!(behind(&store, "acme", 2).await, lagging(&[("r1", Standing::Suspended)]));
    store.sql.expire(vec![replica.id.clone(), again.id.clone()]).await.unwrap();
    assert_eq!(behind(&store, "acme", 2).await, []);
    assert!(again.poll(&store).await.stands);
    assert!(!replica.poll(&store).await.stands);
});

on_both!(who_answers_degraded_expires_first_and_is_forgotten_later, |store| {
    store.tenant("acme").await;
    let stale = Duration::from_secs(60);
    let replica = Replica::boot_stale(&store, "r1", stale).await;
    store.sql.expire(vec![replica.id.clone()]).await.unwrap();
    store.sql.forget(vec![replica.id.clone()]).await.unwrap();
    assert_eq!(behind(&store, "acme", 1).await, lagging(&[("r1", Standing::Member)]));
    store.sql.suspend(vec![replica.id.clone()]).await.unwrap();
    store.sql.forget(vec![replica.id.clone()]).await.unwrap();
    assert_eq!(behind(&store, "acme", 1).await, lagging(&[("r1", Standing::Suspended)]));
    store.sql.expire(vec![replica.id.clone()]).await.unwrap();
    assert_eq!(behind(&store, "acme", 1).await, lagging(&[("r1", Standing::Expired)]));
    replica.acknowledge(&store).await;
    let row = store.sql.behind(vec![mark("acme", 1)]).await.unwrap().remove(0).remove(0);
    assert_eq!((row.stale, row.standing), (stale, Standing::Expired));
    // Who is suspended later is not expired again.
    store.sql.suspend(vec![replica.id.clone()]).await.unwrap();
    assert_eq!(behind(&store, "acme", 1).await, lagging(&[("r1", Standing::Expired)]));
    store.sql.forget(vec![replica.id.clone()]).await.unwrap();
    assert_eq!(behind(&store, "acme", 1).await, []);
});

on_both!(an_id_is_registered_once_and_leaves, |store| {
    store.tenant("acme").await;
    let mut replica = Replica::boot(&store, "r1").await;
    replica.acknowledge(&store).await;
    assert!(store.sql.register(registration("r1", Duration::ZERO)).await.is_err());
    assert!(replica.poll(&store).await.stands);
    store.sql.leave(&replica.id).await.unwrap();
    store.sql.leave(&replica.id).await.unwrap();
    assert!(!replica.poll(&store).await.stands);
    replica.acknowledge(&store).await;
    assert_eq!(behind(&store, "acme", 1).await, []);
    assert!(!store.sql.poll(&replica_id("never"), None).await.unwrap().stands);
});

on_both!(of_a_wide_change_the_parts_are_not_told, |store| {
    store.tenant("acme").await;
    let mut replica = Replica::boot(&store, "r1").await;
    let some = |count: usize, name: &str| {
        (0..count).map(|n| new_resource(&format!("{name}{n}"))).collect::<Vec<_>>()
    };
    store.write("acme", some(1_000, "a")).await;
    store.write("acme", some(1_001, "b")).await;
    let told = replica.apply(&store).await;
    assert_eq!(
        told.iter().map(|one| one.parts.as_ref().map(Vec::len)).collect::<Vec<_>>(),
        [Some(1_000), None]
    );
});

/// Everything that 6 writers commit, and what a replica is told meanwhile.
async fn nothing_is_lost(store: Store, commits: usize) {
    const WRITERS: usize = 6;
    let mut replica = Replica::boot(&store, "r1").await;
    for writer in 0..WRITERS {
        store.tenant(&format!("t{writer}")).await;
    }
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            Handle::current().spawn(async move {
                for n in 0..commits {
                    // Every other one on one tenant, so that some wait for each other.
                    let tenant = if n % 2 == 0 { "t0".to_owned() } else { format!("t{writer}") };
                    store.write(&tenant, vec![new_resource(&format!("w{writer}n{n}"))]).await;
                }
            })
        })
        .collect();
    let mut told = BTreeMap::new();
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        for changed in replica.apply(&store).await {
            let twice = told.insert((changed.scope, changed.revision), changed.parts);
            assert_eq!(twice, None);
        }
        if done {
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut rows = 0;
    for writer in 0..WRITERS {
        let tenant = format!("t{writer}");
        for row in store.log(&tenant).await {
            let parts = told.remove(&(tenant.clone(), row.revision));
            let parts = parts.unwrap_or_else(|| panic!("{tenant} {:?} was not told", row.revision)).unwrap();
            assert_eq!(parts.iter().map(ToString::to_string).collect::<Vec<_>>(), row.parts);
            rows += 1;
        }
    }
    assert_eq!((rows, told.len()), (WRITERS * (commits + 1), 0));
}

on_both!(nothing_is_lost_under_six_writers, |store| {
    let commits = if store.database == Database::Postgres { 400 } else { 100 };
    nothing_is_lost(store, commits).await;
});

on_both!(a_hint_wakes_who_waits_and_many_are_one, |store| {
    let waiting = {
        let sql = store.sql.clone();
        Handle::current().spawn(async move { sql.hinted().await })
    };
    let woken = async {
        while !waiting.is_finished() {
            store.sql.hint().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, woken).await.unwrap();
    for _ in 0..20 {
        store.sql.hint().await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    store.sql.hinted().await;
    let more = tokio::time::timeout(Duration::from_millis(200), store.sql.hinted()).await;
    assert!(more.is_err(), "one burst woke twice");
});

on_both!(what_a_mutation_names_is_what_its_change_names, |store| {
    store.tenant("acme").await;
    let mut replica = Replica::boot(&store, "r1").await;
    let removed = Change::Member { before: None, after: pending("cy") };
    let receipt = store.write("acme", vec![removed]).await;
    let told = replica.apply(&store).await;
    let parts: BTreeSet<_> = told[0].parts.clone().unwrap().into_iter().collect();
    assert_eq!((told[0].revision, parts), (receipt.revision, receipt.touched));
});

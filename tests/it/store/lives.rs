//! What outlives what: a server that is restarted, crashes, is restored, stands by or does not answer, seen by checks and
//! by the feed. Postgres alone: a SQLite file lives as long as its process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use doorward::clock::Clock;
use doorward::store::directory::Directory;
use doorward::store::feed::{Feed, Position, Registry, Standing};
use doorward::store::sql::{Options, Sql};
use doorward::store::{Ask, Epoch, Freshness, Snapshot, Snapshots, StoreError, SubjectRef};
use doorward_engine::id::Revision;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::feed::{PATIENCE, Replica, behind, mark, registration, replica_id};
use super::records::{new_resource, tenant_id, user_id};
use super::tables::Tables;
use super::{Database, NOW, Store, all, options, run};
use crate::postgres::{self, Cluster};

/// A store on a database of a cluster of its own.
fn on_cluster<F: Future<Output = ()>>(promise: impl FnOnce(Cluster, Store) -> F) {
    let cluster = postgres::cluster();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let url = cluster.fresh_database();
        let store = open(url).await;
        promise(cluster, store).await;
    });
}

async fn open(url: String) -> Store {
    Store::open(Database::Postgres, url, tempfile::tempdir().unwrap(), Clock::manual(NOW)).await
}

async fn check(store: &Store) -> Result<Snapshot, StoreError> {
    let ask = Ask {
        tenant: tenant_id("acme"),
        subject: SubjectRef::User(user_id("ada")),
        resources: Vec::new(),
        freshness: Freshness::Fully,
    };
    store.sql.snapshot(ask).await
}

/// So many checks at once, so that as many connections are there, and none of them was idle for long.
async fn checks(store: &Store, count: usize) -> Vec<Result<Snapshot, StoreError>> {
    futures::future::join_all((0..count).map(|_| check(store))).await
}

async fn epoch(store: &Store) -> Epoch {
    check(store).await.unwrap().epoch
}

#[test]
fn a_restart_is_another_epoch_and_no_check_fails_after_it() {
    on_cluster(|mut cluster, store| async move {
        store.tenant("acme").await;
        let mut replica = Replica::boot(&store, "r1").await;
        replica.acknowledge(&store).await;
        let before = epoch(&store).await;
        assert_eq!(replica.poll(&store).await.epoch, before);
        assert!(checks(&store, 8).await.iter().all(Result::is_ok));
        store.write("acme", vec![new_resource("a1")]).await;
        cluster.restart();
        for answer in checks(&store, 8).await {
            assert_ne!(answer.unwrap().epoch, before);
        }
        // The writes' connections were as busy.
        store.write("acme", vec![new_resource("a2")]).await;
        let after = epoch(&store).await;
        assert_eq!(Snapshots::epoch(&store.sql), after);
        let poll = replica.poll(&store).await;
        assert_eq!((poll.epoch, poll.changes.map(|changes| changes.len())), (after, Some(2)));
        assert_eq!(
            Feed::poll(&open(store.url.clone()).await.sql, &replica.id, None).await.unwrap().epoch,
            after
        );
    });
}

#[test]
fn a_write_is_the_first_call_after_a_restart() {
    on_cluster(|mut cluster, store| async move {
        store.tenant("acme").await;
        cluster.restart();
        store.write("acme", vec![new_resource("a1")]).await;
        assert_eq!(check(&store).await.unwrap().revision, Revision(2));
    });
}

#[test]
fn a_poll_is_the_first_call_after_a_restart() {
    on_cluster(|mut cluster, store| async move {
        store.tenant("acme").await;
        let mut replica = Replica::boot(&store, "r1").await;
        replica.acknowledge(&store).await;
        let before = epoch(&store).await;
        cluster.restart();
        let poll = replica.poll(&store).await;
        assert_ne!(poll.epoch, before);
        assert_eq!(Snapshots::epoch(&store.sql), poll.epoch);
        assert_eq!(epoch(&store).await, poll.epoch);
    });
}

#[test]
fn a_feed_whose_session_ends_goes_on_from_what_was_acknowledged() {
    run(Database::Postgres, |store| async move {
        let tables = Tables::of(&store).await;
        let end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        store.tenant("acme").await;
        let mut replica = Replica::boot(&store, "r1").await;
        replica.acknowledge(&store).await;
        store.write("acme", vec![new_resource("a1")]).await;
        // Told and not acknowledged: a crash might have made the server forget that it was there to be told.
        assert_eq!(replica.poll(&store).await.changes.map(|changes| changes.len()), Some(1));
        tables.execute(end_sessions).await;
        let poll = replica.poll(&store).await;
        assert!(poll.stands);
        assert_eq!(poll.changes.map(|changes| changes.len()), Some(1));
        replica.acknowledge(&store).await;
        tables.execute(end_sessions).await;
        assert_eq!(replica.apply(&store).await, []);
        assert_eq!(behind(&store, "acme", 2).await, []);
        // Who has acknowledged nothing has nowhere to go on from.
        let mut other = Replica::boot(&store, "r2").await;
        tables.execute(end_sessions).await;
        assert!(!other.poll(&store).await.stands);
    });
}

#[test]
fn nothing_is_lost_by_a_crash_that_the_server_survives() {
    on_cluster(|mut cluster, store| async move {
        store.tenant("acme").await;
        let mut replica = Replica::boot(&store, "r1").await;
        replica.apply(&store).await;
        for n in 0..20 {
            store.write("acme", vec![new_resource(&format!("a{n}"))]).await;
        }
        cluster.crash();
        let told = replica.poll(&store).await.changes.unwrap();
        assert_eq!(told.len(), 20);
        assert_eq!(store.log("acme").await.len(), 21);
    });
}

#[test]
fn a_snapshot_that_was_never_taken_here_runs_backwards() {
    run(Database::Postgres, |store| async move {
        let mut replica = Replica::boot(&store, "r1").await;
        assert!(replica.poll(&store).await.stands);
        let position = replica.position.clone().unwrap();
        let session = position.0.split('/').next().unwrap().to_owned();
        let ahead = Position(format!("{session}/4000000000:4000000000:"));
        let poll = store.sql.poll(&replica.id, Some(&ahead)).await.unwrap();
        assert!(!poll.stands);
        let nonsense = Position("nonsense".to_owned());
        assert!(store.sql.poll(&replica.id, Some(&nonsense)).await.is_err());
        assert!(replica.poll(&store).await.stands);
    });
}

#[test]
fn a_restored_database_is_another_one_in_which_all_is_old() {
    on_cluster(|cluster, store| async move {
        store.tenant("acme").await;
        let mut replica = Replica::boot(&store, "r1").await;
        replica.apply(&store).await;
        // As if it had been dumped in a cluster that has seen many more transactions.
        let tables = Tables::of(&store).await;
        tables.execute("UPDATE change_log SET xid = '4000000000'").await;
        tables.execute("UPDATE replica SET applied = '5000000000:5000000000:'").await;
        let restored = open(cluster.restored(&store.url)).await;
        assert_ne!(epoch(&restored).await, epoch(&store).await);

        // Until a replica takes it over, nothing that is written can be known to anybody.
        restored.write("acme", vec![new_resource("a1")]).await;
        assert_eq!(behind(&restored, "acme", 2).await, [("r1".to_owned(), Standing::Member)]);

        let mut new = Replica::boot(&restored, "r2").await;
        let tables = Tables::of(&restored).await;
        assert_eq!(tables.rows("change_log", "xid <> '3'").await, [""; 0]);
        assert_eq!(tables.rows("replica", "replica_id = 'r1' AND applied IS NULL").await.len(), 1);
        assert_eq!(new.apply(&restored).await, []);
        // Who was a replica of the other one is waited for until its lease has ended, and counts no more.
        assert_eq!(behind(&restored, "acme", 1).await, [("r1".to_owned(), Standing::Suspended)]);
        assert!(!restored.sql.poll(&replica.id, None).await.unwrap().stands);
        restored.sql.expire(vec![replica.id.clone()]).await.unwrap();
        assert_eq!(behind(&restored, "acme", 2).await, []);
        restored.write("acme", vec![new_resource("a2")]).await;
        assert_eq!(new.apply(&restored).await.len(), 1);
        assert_eq!(behind(&restored, "acme", 3).await, []);

        // The next one finds nothing to take over.
        let third = Replica::boot(&restored, "r3").await;
        third.acknowledge(&restored).await;
        assert_eq!(tables.rows("change_log", "xid <> '3'").await.len(), 1);
        assert!(new.poll(&restored).await.stands);
    });
}

#[test]
fn a_standby_answers_nothing_and_is_another_epoch_when_it_is_promoted() {
    on_cluster(|mut cluster, store| async move {
        store.tenant("acme").await;
        let mut replica = Replica::boot(&store, "r1").await;
        replica.acknowledge(&store).await;
        let before = epoch(&store).await;
        cluster.restart_as_standby();
        for answer in checks(&store, 4).await {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        }
        assert!(store.sql.poll(&replica.id, replica.position.as_ref()).await.is_err());
        assert!(store.sql.register(registration("r2", Duration::ZERO)).await.is_err());
        assert!(store.sql.behind(vec![mark("acme", 1)]).await.is_err());
        Tables::of(&store).await.query("SELECT pg_promote()").await;
        let after = epoch(&store).await;
        assert_ne!(after, before);
        let poll = replica.poll(&store).await;
        assert_eq!((poll.epoch, poll.stands), (after, true));
        store.write("acme", vec![new_resource("a1")]).await;
        assert_eq!(replica.apply(&store).await.len(), 1);
        assert_eq!(behind(&store, "acme", 2).await, []);
    });
}

#[test]
fn a_file_that_was_written_anew_is_another_epoch_over_the_same_connections() {
    run(Database::Postgres, |store| async move {
        store.tenant("acme").await;
        let mut replica = Replica::boot(&store, "r1").await;
        replica.apply(&store).await;
        store.write("acme", vec![new_resource("a1")]).await;
        let (before, late) = (epoch(&store).await, replica.poll(&store).await.position);
        Tables::of(&store).await.execute("VACUUM FULL tenant_rev").await;
        for answer in checks(&store, 8).await {
            assert_ne!(answer.unwrap().epoch, before);
        }
        assert_eq!(replica.poll(&store).await.epoch, epoch(&store).await);
        // As after a restore: who was there counts no more, and what it has applied neither.
        let new = Replica::boot(&store, "r2").await;
        new.acknowledge(&store).await;
        store.sql.acknowledge(&replica.id, &late).await.unwrap();
        assert_eq!(behind(&store, "acme", 1).await, [("r1".to_owned(), Standing::Suspended)]);
        assert!(!replica.poll(&store).await.stands);
    });
}

/// Connects every new caller with the port of the moment, and goes on with those that it has.
async fn forwarder(target: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    Handle::current().spawn(async move {
        loop {
            let (mut caller, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", target.load(Ordering::SeqCst))).await.unwrap();
            Handle::current().spawn(async move { copy_bidirectional(&mut caller, &mut server).await });
        }
    });
    port
}

#[test]
fn connections_to_what_was_replaced_are_not_used_again() {
    on_cluster(|old, old_store| async move {
        old_store.tenant("acme").await;
        let new = postgres::cluster();
        let new_store = open(new.fresh_database()).await;
        let target = Arc::new(AtomicU16::new(port(&old_store.url).parse().unwrap()));
        let address = forwarder(Arc::clone(&target)).await;
        let store = open(at_port(&old_store.url, address)).await;
        assert_eq!(epoch(&store).await, epoch(&old_store).await);
        let mut replica = Replica::boot(&store, "r1").await;
        replica.acknowledge(&store).await;
        assert!(checks(&store, 8).await.iter().all(Result::is_ok));
        // The old server lives on, and the connections to it; only the feed's has ended.
        target.store(port(&new_store.url).parse().unwrap(), Ordering::SeqCst);
        assert_eq!(check(&store).await.unwrap().revision, Revision(1));
        let session = replica.position.clone().unwrap().0.split('/').next().unwrap().to_owned();
        Tables::of(&old_store).await.query(&format!("SELECT pg_terminate_backend({session})")).await;
        let poll = replica.poll(&store).await;
        let after = epoch(&new_store).await;
        assert_eq!((poll.epoch, poll.stands), (after, false));
        for answer in checks(&store, 8).await {
            let answer = answer.unwrap();
            assert_eq!((answer.epoch, answer.revision), (after, Revision(0)));
        }
        store.tenant("beta").await;
        assert_eq!(new_store.log("beta").await.len(), 1);
        drop(old);
    });
}

/// A feed at an address where nothing is ever answered.
#[test]
fn who_is_not_answered_gives_up() {
    run(Database::Postgres, |store| async move {
        store.tenant("acme").await;
        let hole = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let direct = store
            .url
            .replace(&format!(":{}/", port(&store.url)), &format!(":{}/", hole.local_addr().unwrap().port()));
        let options = Options { direct_url: Some(direct), ..options(&store.url, &store.clock) };
        let sql = Sql::open(options, Handle::current()).await.unwrap();
        let calls = async {
            assert!(sql.register(registration("r1", Duration::ZERO)).await.is_err());
            assert!(sql.poll(&replica_id("r1"), None).await.is_err());
            assert!(sql.leave(&replica_id("r1")).await.is_err());
            assert!(sql.behind(vec![mark("acme", 1)]).await.is_err());
            sql.hint().await;
        };
        tokio::time::timeout(PATIENCE, calls).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), sql.hinted()).await.is_err());
        // Reads and writes have connections of their own.
        assert!(sql.log("acme".to_owned(), Default::default(), all()).await.is_ok());
    });
}

/// The same database behind another port.
fn at_port(url: &str, other: u16) -> String {
    url.replace(&format!(":{}/", port(url)), &format!(":{other}/"))
}

fn port(url: &str) -> String {
    let after = url.rsplit_once(':').unwrap().1;
    after.split('/').next().unwrap().to_owned()
}

/// Forwards until it is told to swallow everything instead.
async fn swallower(target: u16, swallows: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    Handle::current().spawn(async move {
        loop {
            let (caller, _) = listener.accept().await.unwrap();
            let swallows = Arc::clone(&swallows);
            Handle::current().spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                let ((mut from, mut back), (mut answers, mut to)) =
                    (caller.into_split(), server.into_split());
                Handle::current().spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
                let mut bytes = vec![0; 65_536];
                while let Ok(count @ 1..) = from.read(&mut bytes).await {
                    if !swallows.load(Ordering::SeqCst) {
                        to.write_all(&bytes[..count]).await.unwrap();
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_check_over_a_link_that_died_in_silence_gives_up_and_the_next_one_is_well() {
    run(Database::Postgres, |direct| async move {
        direct.tenant("acme").await;
        let swallows = Arc::new(AtomicBool::new(false));
        let address = swallower(port(&direct.url).parse().unwrap(), Arc::clone(&swallows)).await;
        let store = open(at_port(&direct.url, address)).await;
        assert!(checks(&store, 8).await.iter().all(Result::is_ok));
        swallows.store(true, Ordering::SeqCst);
        let given_up = tokio::time::timeout(PATIENCE, checks(&store, 8)).await.unwrap();
        assert!(given_up.iter().all(Result::is_err));
        // What was swallowed never comes: a link that is used again would not answer.
        swallows.store(false, Ordering::SeqCst);
        let well = tokio::time::timeout(PATIENCE, checks(&store, 8)).await.unwrap();
        assert!(well.iter().filter(|answer| answer.is_ok()).count() >= 4, "{well:?}");
        assert!(checks(&store, 8).await.iter().all(Result::is_ok));
    });
}

//! A Redis that is away, stuck, slow or none at all costs a moment and no answer.

use std::time::Duration;

use doorward::clock::Stopwatch;
use doorward_engine::status::ResourceStatus;

use super::{PATIENCE, Replica, fact, heard, keys, resource, scope, until};
use crate::redis::{Link, Redis};

/// What the 20 ms may become on a busy machine.
const SLACK: Duration = Duration::from_millis(400);

/// How long a question took that found nothing.
async fn missed(replica: &Replica) -> Duration {
    let begun = Stopwatch::start();
    assert_eq!(replica.get(&resource("r1")).await, None);
    let took = begun.elapsed();
    assert!(took < SLACK, "{took:?}");
    took
}

/// The middle one of many.
async fn missed_typically(replica: &Replica) -> Duration {
    let mut took = Vec::new();
    for _ in 0..51 {
        took.push(missed(replica).await);
    }
    took.sort();
    took[25]
}

/// Redis does not answer: a few questions wait for it, and then none.
async fn is_left_alone(replica: &Replica) {
    let slow = missed(replica).await;
    assert!(slow >= Duration::from_millis(15), "{slow:?}");
    until("it is left alone", async || {
        missed(replica).await;
        !replica.far.is_up()
    })
    .await;
    assert!(replica.counted("timeout") >= 3, "{}", replica.counted("timeout"));
    let (fast, open) = (missed_typically(replica).await, replica.counted("open"));
    assert!(fast * 4 < slow, "{fast:?} is not much less than {slow:?}");
    assert!(open > 0);
}

async fn works(replica: &Replica) {
    replica.until_up().await;
    replica.store(&resource("r1"), &fact(1, ResourceStatus::Active)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_is_found_when_it_comes() {
    let mut redis = Redis::start("");
    redis.stop();
    let replica = Replica::open(&redis.url(), keys());
    for _ in 0..20 {
        missed(&replica).await;
        replica.far.evict(&scope(), &[resource("r1")]).await;
        replica.far.hint().await;
        replica.far.put(&scope(), vec![(resource("r1"), fact(1, ResourceStatus::Active))]);
    }
    assert!(!replica.far.is_up());
    assert_eq!((replica.counted("open"), replica.counted("dropped")), (40, 20));
    redis.start_again();
    works(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_killed_is_used_again_after_its_restart() {
    let mut redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    works(&replica).await;
    for _ in 0..2 {
        redis.stop();
        until("it is noticed", async || !replica.far.is_up()).await;
        missed(&replica).await;
        redis.start_again();
        replica.until_up().await;
        missed(&replica).await;
        works(&replica).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_is_left_alone_and_asked_again_when_it_goes_on() {
    let mut redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    works(&replica).await;
    redis.pause();
    is_left_alone(&replica).await;
    redis.resume();
    until("what it knew is found", async || replica.get(&resource("r1")).await.is_some()).await;
    works(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_that_nobody_asks_about_is_noticed_too() {
    let mut redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    redis.pause();
    until("it is noticed", async || !replica.far.is_up()).await;
    redis.resume();
    works(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_swallows_everything_or_is_slow_is_left_alone() {
    let redis = Redis::start("");
    let link = Link::to(redis.port());
    let replica = Replica::connected(&link.url()).await;
    works(&replica).await;
    for delay in [Duration::MAX, Duration::from_millis(60)] {
        link.delay(delay);
        is_left_alone(&replica).await;
        // What is slow can be connected to, and is left alone all the same.
        for _ in 0..100 {
            assert!(!replica.far.is_up());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        link.delay(Duration::ZERO);
        works(&replica).await;
    }
    link.delay(Duration::from_millis(3));
    for _ in 0..20 {
        until("it is there", async || replica.get(&resource("r1")).await.is_some()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_gets_through_again_after_a_break() {
    let mut redis = Redis::start("");
    let link = Link::to(redis.port());
    let (one, other) = (Replica::connected(&redis.url()).await, Replica::connected(&link.url()).await);
    heard(&one, &other).await;
    link.delay(Duration::MAX);
    until("nothing is heard any more", async || {
        one.far.hint().await;
        tokio::time::timeout(Duration::from_millis(200), other.far.hinted()).await.is_err()
    })
    .await;
    link.delay(Duration::ZERO);
    // They were swallowed, and the new subscription says that something may have been.
    tokio::time::timeout(PATIENCE, other.far.hinted()).await.unwrap();
    heard(&one, &other).await;
    redis.stop();
    redis.start_again();
    tokio::time::timeout(PATIENCE, other.far.hinted()).await.unwrap();
    heard(&one, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_turns_out_to_be_a_replica_is_connected_to_anew() {
    let (redis, master) = (Redis::start(""), Redis::start(""));
    let replica = Replica::connected(&redis.url()).await;
    works(&replica).await;
    let port = master.port().to_string();
    redis.command(&["REPLICAOF", "127.0.0.1", &port]);
    // Its name may lead to another one by now.
    until("it is left", async || {
        replica.far.put(&scope(), vec![(resource("r2"), fact(1, ResourceStatus::Active))]);
        !replica.far.is_up()
    })
    .await;
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    works(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_redis_is_never_asked() {
    for says in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"+OK\r\n", b"*99999999\r\n", b"$-1\r\n", b""] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let replica = Replica::open(&format!("redis://{}", listener.local_addr().unwrap()), keys());
        std::thread::spawn(move || {
            for stream in listener.incoming().take(3).flatten() {
                let _ = std::io::Write::write_all(&mut &stream, says);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        missed(&replica).await;
        assert!(!replica.far.is_up(), "{says:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_wait_for_redis_or_to_be_stored() {
    let mut redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    redis.pause();
    let begun = Stopwatch::start();
    for _ in 0..4000 {
        replica.far.put(&scope(), vec![(resource("r1"), fact(1, ResourceStatus::Active))]);
    }
    assert!(begun.elapsed() < SLACK, "{:?}", begun.elapsed());
    assert!(replica.counted("dropped") >= 4000 - 1100, "{}", replica.counted("dropped"));
    redis.resume();
    let mut tried = 0;
    while !only_so_many_ask(&mut redis).await {
        tried += 1;
        assert!(tried < 50, "the machine is too busy to ask that much within {ALL_ASKED:?}");
    }
}

/// Nobody has given up yet when the last one asks.
const ALL_ASKED: Duration = Duration::from_millis(15);

/// Whether all could ask while the first ones still waited; then only so many did wait.
async fn only_so_many_ask(redis: &mut Redis) -> bool {
    let replica = Replica::connected(&redis.url()).await;
    redis.pause();
    let (scope, parts, begun) = (scope(), [resource("r1")], Stopwatch::start());
    let asked = (0..1000).map(|_| async {
        let asks_at = begun.elapsed();
        (asks_at, replica.far.get(&scope, &parts).await)
    });
    let found = futures::future::join_all(asked).await;
    assert!(found.iter().all(|(_, facts)| *facts == [None]));
    let (open, timeout) = (replica.counted("open"), replica.counted("timeout"));
    redis.resume();
    works(&replica).await;
    let judged = found.iter().all(|(asks_at, _)| *asks_at < ALL_ASKED);
    assert!(!judged || open >= 1000 - 256 && timeout <= 256, "{open} {timeout}");
    judged
}

/// As the threads of gRPC do.
#[test]
fn whoever_asks_may_be_on_another_runtime() {
    let redis = Redis::start("");
    let database = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let replica = database.block_on(Replica::connected(&redis.url()));
    let far = replica.far.clone();
    let asking = std::thread::spawn(move || {
        let single = tokio::runtime::Builder::new_current_thread().build().unwrap();
        single.block_on(async {
            while far.get(&scope(), &[resource("r1")]).await != [Some(fact(1, ResourceStatus::Active))] {
                far.put(&scope(), vec![(resource("r1"), fact(1, ResourceStatus::Active))]);
            }
            far.hint().await;
            far.hinted().await;
            far.evict(&scope(), &[resource("r1")]).await;
            far.get(&scope(), &[resource("r1")]).await
        })
    });
    assert_eq!(asking.join().unwrap(), [None]);
    drop(database);
    let single = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(single.block_on(replica.far.get(&scope(), &[resource("r1")])), [None]);
}

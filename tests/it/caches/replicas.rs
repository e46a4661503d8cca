//! Several replicas: what one was told, all know; what one has read, Redis saves the others.

use std::time::Duration;

use doorward::clock::{Clock, Stopwatch};
use doorward::proto;
use doorward::settings::Settings;

use super::misses::grant;
use crate::harness::{self, NOW, Server, on_both, resource};
use crate::postgres;
use crate::redis::{Redis, Reply};

/// Replicas of one database, stopped at the end.
pub(crate) fn replicas(
    change: impl Fn(usize, &mut Settings),
    count: usize,
    body: impl AsyncFnOnce(&[Server]),
) {
    let url = postgres::fresh_database();
    replicas_on(&url, change, count, body);
}

/// The same, on a database at hand.
pub(crate) fn replicas_on(
    url: &str,
    change: impl Fn(usize, &mut Settings),
    count: usize,
    body: impl AsyncFnOnce(&[Server]),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(doorward::store::sql::migrate(url)).unwrap();
    let clock = Clock::manual(NOW);
    let running: Vec<_> =
        (0..count).map(|at| harness::start_with(url, &clock, |settings| change(at, settings))).collect();
    let over = |running| runtime.block_on(Server::over(running, url, &clock));
    let servers: Vec<_> = running.into_iter().map(over).collect();
    runtime.block_on(body(&servers));
    // The clients must go on reading, or the servers wait out their grace for the connections to end.
    let stopped =
        runtime.spawn_blocking(move || servers.into_iter().for_each(|server| server.running.stop()));
    runtime.block_on(stopped).unwrap();
}

#[test]
fn what_one_replica_has_read_is_a_hit_in_redis_for_the_others_until_it_is_touched() {
    let redis = Redis::start("");
    let url = redis.url();
    replicas(
        |_, settings| settings.redis.url = url.as_str().into(),
        2,
        async |servers| {
            let [one, other] = servers else { panic!("two replicas") };
            one.tenant("acme").await;
            one.agent("acme", "a1").await;
            for user in ["u1", "u2", "u3"] {
                one.user("acme", user).await;
                grant(one, user, true).await;
            }
            for user in ["u1", "u2", "u3"] {
                assert_eq!(agent(one, user).await, "RESOURCE_GRANTED");
            }
            // The first question about a tenant goes to the database: until then nothing in Redis is believed.
            assert_eq!(agent(other, "u1").await, "RESOURCE_GRANTED");
            until(async || matches!(redis.command(&["DBSIZE"]), Reply::Number(keys) if keys >= 6)).await;
            assert_eq!(agent(other, "u2").await, "RESOURCE_GRANTED");
            assert_eq!((other.decided("far"), other.decided("store")), (1, 1));
            grant(one, "u3", false).await;
            assert_eq!(agent(other, "u3").await, "NOT_GRANTED");
            assert_eq!((other.decided("far"), other.decided("store")), (1, 2));
            assert_eq!(agent(other, "u3").await, "NOT_GRANTED");
            assert_eq!((other.decided("near"), other.decided("store")), (1, 2));
        },
    );
}

#[test]
fn a_revoke_is_known_to_three_replicas_when_it_is_answered() {
    replicas(
        |_, _| {},
        3,
        async |servers| {
            servers[0].tenant("acme").await;
            servers[0].agent("acme", "a1").await;
            servers[0].user("acme", "u1").await;
            for round in 0..20 {
                let writer = &servers[round % 3];
                for granted in [true, false] {
                    let answer = grant(writer, "u1", granted).await;
                    assert!(answer.enforced);
                    let expected = if granted { "RESOURCE_GRANTED" } else { "NOT_GRANTED" };
                    for server in servers {
                        assert_eq!(agent(server, "u1").await, expected);
                        assert_eq!(agent(server, "u1").await, expected);
                    }
                }
            }
            assert!(servers.iter().all(|server| server.decided("near") >= 30));
        },
    );
}

#[test]
fn waiting_for_the_lease_alone_is_enough_where_the_registry_is_not_wanted() {
    let wait_only = |_: usize, settings: &mut Settings| {
        settings.cache.coherence = doorward::settings::Coherence::WaitOnly;
        (settings.cache.lease_ms, settings.cache.poll_ms) = (200, 40);
    };
    replicas(wait_only, 2, async |servers| {
        servers[0].tenant("acme").await;
        servers[0].agent("acme", "a1").await;
        servers[0].user("acme", "u1").await;
        for granted in [true, false, true] {
            let before = Stopwatch::start();
            assert!(grant(&servers[0], "u1", granted).await.enforced);
            assert!(before.elapsed() >= Duration::from_millis(222), "the lease, a hundredth and 20 ms");
            let expected = if granted { "RESOURCE_GRANTED" } else { "NOT_GRANTED" };
            assert_eq!(agent(&servers[1], "u1").await, expected);
        }
    });
}

#[test]
fn a_replica_that_is_stopped_in_order_keeps_nobody_waiting() {
    let url = postgres::fresh_database();
    let clock = Clock::manual(NOW);
    let patient = |settings: &mut Settings| {
        (settings.cache.lease_ms, settings.cache.suspend_ms) = (60_000, 60_000);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
    let leaving = harness::start_with(&url, &clock, patient);
    let staying = harness::start_with(&url, &clock, patient);
    let server = runtime.block_on(Server::over(staying, &url, &clock));
    runtime.block_on(async {
        server.tenant("acme").await;
        server.agent("acme", "a1").await;
        server.user("acme", "u1").await;
    });
    leaving.stop();
    let before = Stopwatch::start();
    assert!(runtime.block_on(grant(&server, "u1", true)).enforced);
    assert!(before.elapsed() < Duration::from_secs(30), "it waited for the lease of one that has gone");
    let stopped = runtime.spawn_blocking(move || server.running.stop());
    runtime.block_on(stopped).unwrap();
}

on_both!(an_answer_says_whether_it_is_enforced, |server| {
    server.tenant("acme").await;
    server.agent("acme", "a1").await;
    server.user("acme", "u1").await;
    let change = proto::GrantChange {
        member_id: "u1".to_owned(),
        resource: Some(resource("agent", "a1")),
        granted: true,
        ..Default::default()
    };
    let request = |wait: proto::Wait, validate_only| proto::SetGrantsRequest {
        tenant_id: "acme".to_owned(),
        changes: vec![change.clone()],
        wait: wait.into(),
        validate_only,
        ..Default::default()
    };
    for (wait, validate_only, enforced) in [
        (proto::Wait::Enforced, true, false),
        (proto::Wait::Committed, false, false),
        (proto::Wait::Enforced, false, true),
        (proto::Wait::Unspecified, false, true),
    ] {
        let answer = server.operator().set_grants(request(wait, validate_only)).await.unwrap().into_inner();
        assert_eq!(answer.enforced, enforced, "{wait:?} {validate_only}");
    }
});

pub(super) async fn agent(server: &Server, user: &str) -> String {
    server.check("acme", user, "chat", "agent", "a1").await.1
}

/// Waits for what comes by itself soon.
pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}

//! Without Postgres, and without Redis: what is still answered, for how long, and how soon all is well again.
#![expect(clippy::disallowed_methods, reason = "how long an outage is survived is what is tested")]

use std::time::{Duration, Instant};

use doorward::proto;
use doorward::settings::Settings;
use tonic::{Code, Status};

use super::misses::grant;
use super::replicas::{agent, replicas, replicas_on, until};
use crate::harness::{Server, resource, user_subject};
use crate::postgres;
use crate::redis::Redis;

const LEASE: Duration = Duration::from_millis(2_000);

fn lease(settings: &mut Settings) {
    settings.cache.lease_ms = 2_000;
}

async fn ask(server: &Server) -> Result<proto::CheckAccessResponse, Status> {
    let request = proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject("u1")),
        action: "chat".to_owned(),
        resource: Some(resource("agent", "a1")),
        ..Default::default()
    };
    server.operator().check_access(request).await.map(tonic::Response::into_inner)
}

async fn warm(server: &Server) {
    server.tenant("acme").await;
    server.agent("acme", "a1").await;
    server.user("acme", "u1").await;
    grant(server, "u1", true).await;
    ask(server).await.unwrap();
}

#[test]
fn without_postgres_cached_answers_go_on_for_the_lease_and_no_longer() {
    let mut cluster = postgres::cluster();
    let url = cluster.fresh_database();
    replicas_on(
        &url,
        |_, settings| lease(settings),
        1,
        async |servers| {
            let server = &servers[0];
            warm(server).await;
            cluster.stop();
            let stopped = Instant::now();
            let mut cached = 0;
            let refused = loop {
                match ask(server).await {
                    Ok(answer) => {
                        assert!(answer.allowed && !answer.degraded);
                        assert!(
                            stopped.elapsed() < LEASE + Duration::from_millis(500),
                            "answered for too long"
                        );
                        cached += 1;
                    }
                    Err(status) => break status,
                }
            };
            assert!(cached > 10, "{cached} cached answers");
            assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
            assert!(stopped.elapsed() + Duration::from_millis(500) > LEASE - Duration::from_millis(300));
            cluster.start_stopped();
            let started = Instant::now();
            until(async || ask(server).await.is_ok_and(|answer| answer.allowed)).await;
            assert!(started.elapsed() <= Duration::from_secs(5), "{:?}", started.elapsed());
            assert!(grant(server, "u1", false).await.enforced);
            assert_eq!(agent(server, "u1").await, "NOT_GRANTED");
        },
    );
}

#[test]
fn where_the_operator_allows_it_answers_go_on_degraded_after_the_lease() {
    let mut cluster = postgres::cluster();
    let url = cluster.fresh_database();
    let stale = |_: usize, settings: &mut Settings| {
        lease(settings);
        settings.cache.stale_ms = 60_000;
    };
    replicas_on(&url, stale, 1, async |servers| {
        let server = &servers[0];
        warm(server).await;
        assert!(grant(server, "u1", true).await.enforced, "nobody is degraded now");
        cluster.stop();
        tokio::time::sleep(LEASE).await;
        for _ in 0..5 {
            let answer = ask(server).await.unwrap();
            assert!(answer.allowed && answer.degraded);
        }
        let mut client = server.operator();
        let unknown = client.check_access(proto::CheckAccessRequest {
            tenant_id: "acme".to_owned(),
            subject: Some(user_subject("never-asked-about")),
            action: "chat".to_owned(),
            resource: Some(resource("agent", "a1")),
            ..Default::default()
        });
        assert_eq!(unknown.await.unwrap_err().code(), Code::Unavailable, "what is not known is not made up");
        cluster.start_stopped();
        until(async || ask(server).await.is_ok_and(|answer| !answer.degraded)).await;
    });
}

#[test]
fn redis_stopped_flushed_and_started_again_changes_no_answer_and_fails_no_check() {
    let mut redis = Redis::start("");
    let url = redis.url();
    replicas(
        |_, settings| settings.redis.url = url.as_str().into(),
        2,
        async |servers| {
            warm(&servers[0]).await;
            for round in 0..60 {
                match round {
                    10 => redis.flush(),
                    20 => redis.stop(),
                    40 => redis.start_again(),
                    50 => redis.flush(),
                    _ => {}
                }
                let granted = round % 2 == 0;
                assert!(grant(&servers[round % 2], "u1", granted).await.enforced);
                let expected = if granted { "RESOURCE_GRANTED" } else { "NOT_GRANTED" };
                for server in servers {
                    assert_eq!(agent(server, "u1").await, expected, "round {round}");
                }
            }
        },
    );
}

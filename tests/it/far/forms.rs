//! Each form of a Redis does its work: one, with TLS, a cluster, a master that sentinels know.

use std::time::Duration;

use doorward::cache::far::{Far, Options, Problem, Scope};
use doorward_engine::id::TenantId;
use doorward_engine::status::ResourceStatus;

use super::{PATIENCE, Replica, fact, heard, keys, options, resource, scope, until};
use crate::redis::{Redis, Reply, Tls, Watched, cluster};

/// A fact and a hint go from one replica to the other.
async fn works_together(one: &Replica, other: &Replica) {
    let part = resource("r1");
    one.store(&part, &fact(3, ResourceStatus::Active)).await;
    until("the other has it", async || other.get(&part).await == Some(fact(3, ResourceStatus::Active))).await;
    let parts = ["r1", "r2", "r3"].map(resource);
    until("it is gone", async || {
        other.far.evict(&scope(), &parts).await;
        one.get(&part).await.is_none() && one.counted("miss") > 0
    })
    .await;
    hears(one, other).await;
}

async fn hears(one: &Replica, other: &Replica) {
    // What it may have missed before it listened.
    tokio::time::timeout(PATIENCE, other.far.hinted()).await.unwrap();
    heard(one, other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis_with_a_user_and_a_database() {
    // All that it needs to be allowed.
    let may = "-@all +exists +getrange +set +unlink +eval +evalsha +publish +subscribe +ping +select +client";
    let redis = Redis::start(&format!("user ann on >p@ss/w ~dw1:* &doorward {may}\n"));
    let url = format!("redis://ann:p%40ss%2Fw@{}/2", redis.address());
    let (one, other) = (Replica::connected(&url).await, Replica::connected(&url).await);
    works_together(&one, &other).await;
    let wrong = Replica::open(&format!("redis://ann:wrong@{}", redis.address()), keys());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!wrong.far.is_up());
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_are_one_until_they_are_heard_and_then_there_is_none() {
    let redis = Redis::start("");
    let (one, other) = (Replica::connected(&redis.url()).await, Replica::connected(&redis.url()).await);
    hears(&one, &other).await;
    for _ in 0..10 {
        one.far.hint().await;
    }
    let silence =
        async || tokio::time::timeout(Duration::from_millis(300), other.far.hinted()).await.is_err();
    until("the last hint was heard", silence).await;
    redis.command(&["PUBLISH", "another", ""]);
    assert!(silence().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_an_authority_of_its_own_and_with_no_other() {
    let tls = Tls::start();
    let trusting = || Options { ca_file: Some(tls.ca_file()), ..options(&tls.url()) };
    let (one, other) = (Replica::open_with(trusting(), keys()), Replica::open_with(trusting(), keys()));
    one.until_up().await;
    other.until_up().await;
    works_together(&one, &other).await;
    let foreign = Replica::open(&tls.url(), keys());
    let plain = Replica::open(&format!("redis://127.0.0.1:{}", tls.port), keys());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!foreign.far.is_up() && !plain.far.is_up());
    assert!(tls.redis.port() != tls.port);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_is_trusted_once_the_file_has_it() {
    let mut tls = Tls::start();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    std::fs::copy(tls.ca_file(), &trusted).unwrap();
    let replica =
        Replica::open_with(Options { ca_file: Some(trusted.clone()), ..options(&tls.url()) }, keys());
    replica.until_up().await;
    tls.certify_anew();
    until("it is not trusted", async || !replica.far.is_up()).await;
    std::fs::write(&trusted, "no certificate").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!replica.far.is_up());
    std::fs::copy(tls.ca_file(), &trusted).unwrap();
    replica.until_up().await;
    replica.store(&resource("r1"), &fact(1, ResourceStatus::Active)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_a_tenants_entries_together_and_spreads_tenants() {
    let nodes = cluster();
    let url = format!("redis+cluster://{},{}", nodes[0].address(), nodes[1].address());
    let (one, other) = (Replica::connected(&url).await, Replica::connected(&url).await);
    works_together(&one, &other).await;
    let parts = ["a", "b", "c", "d"].map(resource);
    for tenant in 0..12 {
        let scope = Scope { tenant: TenantId::parse(&format!("t{tenant}")).unwrap(), ..scope() };
        let facts = parts.clone().map(|part| (part, fact(1, ResourceStatus::Active)));
        let are_there = async || other.far.get(&scope, &parts).await.iter().all(Option::is_some);
        one.put_until(&scope, &facts, are_there).await;
    }
    for node in &nodes {
        assert!(matches!(node.command(&["DBSIZE"]), Reply::Number(1..)), "one node has nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_lead_to_the_master_and_after_a_failover_to_the_next() {
    let mut watched = Watched::start();
    let (one, other) = (Replica::connected(&watched.url()).await, Replica::connected(&watched.url()).await);
    works_together(&one, &other).await;
    let kept = resource("kept");
    one.store(&kept, &fact(1, ResourceStatus::Active)).await;
    watched.master.stop();
    until("it is noticed", async || !one.far.is_up() && !other.far.is_up()).await;
    watched.await_failover();
    one.until_up().await;
    other.until_up().await;
    works_together(&one, &other).await;
    // The one that was the master comes back, and nobody goes there again.
    watched.master.start_again();
    tokio::time::sleep(Duration::from_secs(2)).await;
    one.store(&resource("new"), &fact(2, ResourceStatus::Active)).await;
    assert!(matches!(watched.replica.command(&["DBSIZE"]), Reply::Number(1..)));
    drop(kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_becomes_a_replica_is_left_for_the_new_one() {
    let watched = Watched::start();
    let (one, other) = (Replica::connected(&watched.url()).await, Replica::connected(&watched.url()).await);
    works_together(&one, &other).await;
    assert_eq!(watched.sentinel.command(&["SENTINEL", "FAILOVER", "main"]), Reply::Text("OK".to_owned()));
    watched.await_failover();
    until("both write to the new one", async || {
        let part = resource("after");
        one.far.put(&scope(), vec![(part.clone(), fact(2, ResourceStatus::Active))]);
        let key = watched.replica.command(&["DBSIZE"]);
        matches!(key, Reply::Number(1..)) && other.get(&part).await.is_some()
    })
    .await;
    let role = watched.replica.command(&["ROLE"]);
    assert!(matches!(role, Reply::List(role) if role[0] == Reply::Bytes(Some(b"master".to_vec()))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_takes_only_its_own_tenants_with_it() {
    let mut nodes = cluster();
    let url = format!("redis+cluster://{},{}", nodes[2].address(), nodes[0].address());
    let (one, other) = (Replica::connected(&url).await, Replica::connected(&url).await);
    let scopes: Vec<_> = (0..12)
        .map(|tenant| Scope { tenant: TenantId::parse(&format!("t{tenant}")).unwrap(), ..scope() })
        .collect();
    let part = [resource("r1")];
    let known = async || {
        let mut known = 0;
        for scope in &scopes {
            one.far.put(scope, vec![(part[0].clone(), fact(1, ResourceStatus::Active))]);
            known += other.far.get(scope, &part).await.iter().flatten().count();
        }
        known
    };
    until("all tenants are served", async || known().await == scopes.len()).await;
    nodes[2].stop();
    until("the others are served", async || (1..scopes.len()).contains(&known().await)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    until("they still are", async || known().await > 0).await;
    heard(&one, &other).await;
    nodes[2].start_again();
    until("all are served again", async || known().await == scopes.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_refused_at_once_without_a_host() {
    let open = |options| {
        let metrics = std::sync::Arc::default();
        Far::open(options, keys(), metrics, tokio::runtime::Handle::current()).err()
    };
    assert!(matches!(open(options("redis://verbatim:x")), Some(Problem::Url(_))));
    let absent = Options { ca_file: Some("absent.pem".into()), ..options("rediss://verbatim") };
    assert!(open(absent).unwrap().to_string().contains("absent.pem"));
    let none = Options { ca_file: Some("Cargo.toml".into()), ..options("rediss://verbatim") };
    assert!(open(none).unwrap().to_string().ends_with("it holds no certificate"));
    let plain = Options { ca_file: Some("Cargo.toml".into()), ..options("redis://verbatim") };
    assert!(open(plain).is_some());
}

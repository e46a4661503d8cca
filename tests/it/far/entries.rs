//! What is stored comes back, and nothing else does.

use std::sync::Arc;

use doorward::cache::far::Scope;
use doorward::keys::Keys;
use doorward::store::{Epoch, Fact, Value};
use doorward_engine::change::Part;
use doorward_engine::id::{KeyId, MemberId, Revision, TenantId, UserId};
use doorward_engine::status::ResourceStatus;

use super::{
    Replica, fact, key_facts, keys, member, member_facts, resource, scope, tenant_facts, until, user,
};
use crate::redis::{Redis, Reply};

/// A part and a fact of each kind, and of each that there is none.
fn every_kind() -> Vec<(Part, Fact)> {
    let of = |part: Part, value: Value| (part, Fact { revision: Revision(12), value });
    let key = |id: &str| Part::Key(KeyId::parse(id).unwrap());
    vec![
        of(Part::Tenant, tenant_facts()),
        of(member("m1"), member_facts("m1", 40)),
        of(member("m2"), Value::Member(None)),
        of(user("auth0|{x}!*"), Value::User(Some(MemberId::parse("m1").unwrap()))),
        of(user("nobody"), Value::User(None)),
        of(key("k1"), key_facts("k1")),
        of(key("k2"), Value::Key(None)),
        (resource("r1"), fact(12, ResourceStatus::Deleted)),
        of(resource("r2"), Value::Resource(None)),
    ]
}

/// The one key in the server.
fn only_key(redis: &Redis) -> Vec<u8> {
    match redis.command(&["KEYS", "*"]) {
        Reply::List(keys) => match keys.as_slice() {
            [Reply::Bytes(Some(key))] => key.clone(),
            other => panic!("not one key: {other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn held(redis: &Redis, key: &[u8]) -> Option<Vec<u8>> {
    match redis.command(&[b"GET", key]) {
        Reply::Bytes(value) => value,
        other => panic!("{other:?}"),
    }
}

fn hold(redis: &Redis, key: &[u8], value: &[u8]) {
    assert_eq!(redis.command(&[b"SET", key, value]), Reply::Text("OK".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_of_each_kind_comes_back_as_it_was_in_the_order_asked_for() {
    let redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    let facts = every_kind();
    assert!(replica.far.get(&scope(), &[]).await.is_empty());
    let parts: Vec<_> = facts.iter().map(|(part, _)| part.clone()).chain([resource("absent")]).collect();
    until("misses are counted", async || {
        assert!(replica.far.get(&scope(), &parts).await.iter().all(Option::is_none));
        replica.counted("miss") >= parts.len() as u64
    })
    .await;
    let expected: Vec<_> = facts.iter().map(|(_, fact)| Some(fact.clone())).chain([None]).collect();
    let are_there = async || replica.far.get(&scope(), &parts).await == expected;
    replica.put_until(&scope(), &facts, are_there).await;
    assert!(replica.counted("hit") >= 9);
    assert_eq!(replica.counted("rejected"), 0);
    let Reply::Number(life) = redis.command(&["PTTL".into(), any_key(&redis)]) else { panic!("no life") };
    assert!((500_000..=660_000).contains(&life), "{life}");
}

fn any_key(redis: &Redis) -> String {
    match redis.command(&["RANDOMKEY"]) {
        Reply::Bytes(Some(key)) => String::from_utf8(key).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_fact_is_kept_and_an_older_or_equal_one_replaced() {
    let redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    let part = resource("r1");
    let steps = [(9, 9), (10, 10), (8, 10), (9, 10), (100, 100), (99, 100), (u64::MAX, u64::MAX)];
    for (step, (revision, kept)) in (1..).zip(steps) {
        // In one call with a mark of its own, which says that it was tried.
        let mark = resource(&format!("mark{step}"));
        let facts = [
            (part.clone(), fact(revision, ResourceStatus::Active)),
            (mark.clone(), fact(1, ResourceStatus::Active)),
        ];
        replica.put_until(&scope(), &facts, async || replica.get(&mark).await.is_some()).await;
        assert_eq!(replica.found(&part).await.revision, Revision(kept), "after {revision}");
    }
    let (before, after) = (fact(u64::MAX, ResourceStatus::Active), fact(u64::MAX, ResourceStatus::Deleted));
    assert_eq!(replica.found(&part).await, before);
    replica.store(&part, &after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_of_another_epoch_tenant_or_catalogue_is_another() {
    let redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    let part = resource("r1");
    replica.store(&part, &fact(1, ResourceStatus::Active)).await;
    let others = [
        Scope { epoch: Epoch([8; 16]), ..scope() },
        Scope { tenant: TenantId::parse("acme1").unwrap(), ..scope() },
        Scope { catalogue: 4, ..scope() },
    ];
    let (key, value) = (only_key(&redis), held(&redis, &only_key(&redis)).unwrap());
    for other in others {
        assert_eq!(replica.far.get(&other, std::slice::from_ref(&part)).await, [None], "{other:?}");
        // Not even under that key.
        let facts = [(part.clone(), fact(1, ResourceStatus::Deleted))];
        replica.put_until(&other, &facts, async || redis.command(&["DBSIZE"]) == Reply::Number(2)).await;
        let Reply::List(keys) = redis.command(&["KEYS", "*"]) else { panic!("no keys") };
        let theirs = keys.into_iter().find_map(|found| match found {
            Reply::Bytes(Some(found)) if found != key => Some(found),
            _ => None,
        });
        let theirs = theirs.unwrap();
        hold(&redis, &theirs, &value);
        replica.refuses(&other, &part).await;
        redis.command(&[b"DEL".as_slice(), &theirs]);
    }
    replica.found(&part).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_cut_changed_and_foreign_values_are_misses_and_are_taken_away() {
    let redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    let part = member("m1");
    let stored = Fact { revision: Revision(5), value: member_facts("m1", 3) };
    replica.store(&part, &stored).await;
    let (key, good) = (only_key(&redis), held(&redis, &only_key(&redis)).unwrap());
    let mut bad: Vec<Vec<u8>> = vec![
        b"x".to_vec(),
        vec![b'9'; 20],
        vec![b'9'; 2000],
        vec![0; 2 << 20],
        [&good[..], b"x"].concat(),
        [&b"99999999999999999999"[..], &good[20..]].concat(),
    ];
    bad.extend((1..good.len()).step_by(7).map(|cut| good[..cut].to_vec()));
    bad.extend((0..good.len()).map(|at| {
        let mut changed = good.clone();
        changed[at] ^= 1;
        changed
    }));
    for value in &bad {
        let before = replica.counted("rejected");
        until("it is refused", async || {
            // Again: a late removal of the one before may take this one with it.
            hold(&redis, &key, value);
            assert_eq!(replica.get(&part).await, None);
            replica.counted("rejected") > before
        })
        .await;
        until("it is taken away", async || {
            assert_eq!(replica.get(&part).await, None);
            held(&redis, &key).is_none()
        })
        .await;
    }
    // Not even a revision that nothing can be newer than stands in the way.
    replica.store(&part, &stored).await;
    redis.command(&[b"DEL".as_slice(), &key]);
    redis.command(&[b"LPUSH".as_slice(), &key, b"list"]);
    assert_eq!(replica.get(&part).await, None);
    replica.store(&part, &stored).await;
    swapped(&redis, &replica, (&key, &good)).await;
}

/// Two members' values, each under the other's key.
async fn swapped(redis: &Redis, replica: &Replica, (key, value): (&[u8], &[u8])) {
    let other = member("m2");
    replica.store(&other, &Fact { revision: Revision(5), value: member_facts("m2", 3) }).await;
    let theirs = String::from_utf8(key.to_vec()).unwrap().replace("member:m1", "member:m2").into_bytes();
    let their_value = held(redis, &theirs).unwrap();
    hold(redis, &theirs, value);
    hold(redis, key, &their_value);
    let before = replica.counted("rejected");
    until("both are refused", async || {
        assert_eq!(replica.far.get(&scope(), &[member("m1"), other.clone()]).await, [None, None]);
        replica.counted("rejected") == before + 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_before_is_accepted_and_another_root_is_not() {
    let redis = Redis::start("");
    let (old, new, other) = (keys(), Keys::new([2; 32], Some([1; 32])), Keys::new([3; 32], None));
    let part = resource("r1");
    let open = async |keys| {
        let replica = Replica::open(&redis.url(), keys);
        replica.until_up().await;
        replica
    };
    let old = open(old).await;
    old.store(&part, &fact(1, ResourceStatus::Active)).await;
    let new = open(new).await;
    assert_eq!(new.found(&part).await, fact(1, ResourceStatus::Active));
    let other = open(other).await;
    other.refuses(&scope(), &part).await;
    new.store(&part, &fact(2, ResourceStatus::Active)).await;
    old.refuses(&scope(), &part).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_not_of_its_part_or_too_large_is_not_stored() {
    let redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    let of = |value| Fact { revision: Revision(1), value };
    let facts = vec![
        (Part::Tenant, of(member_facts("m1", 1))),
        (member("m1"), of(tenant_facts())),
        (member("m1"), of(member_facts("m2", 1))),
        (Part::Key(KeyId::parse("k1").unwrap()), of(key_facts("k2"))),
        (Part::Catalogue, of(tenant_facts())),
        (member("m9"), of(member_facts("m9", 200_000))),
        (resource("r1"), fact(1, ResourceStatus::Active)),
    ];
    let is_there = async || replica.get(&resource("r1")).await.is_some();
    replica.put_until(&scope(), &facts, is_there).await;
    assert_eq!(redis.command(&["DBSIZE"]), Reply::Number(1));
    assert!(replica.counted("dropped") >= 6);
}

/// The parts that are found for a user, of whom so much is asked.
async fn found_for(replica: &Replica, user_id: &str, parts: &[Part]) -> Vec<Part> {
    let id = UserId::parse(user_id).unwrap();
    replica.far.get_for(&scope(), parts, &id).await.into_iter().map(|(part, _)| part).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_their_member_are_found_in_one_question() {
    let redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    let of = |value| Fact { revision: Revision(4), value };
    let m1 = MemberId::parse("m1").unwrap();
    let facts = vec![
        (user("ann"), of(Value::User(Some(m1)))),
        (member("m1"), of(member_facts("m1", 3))),
        (resource("r1"), fact(4, ResourceStatus::Active)),
    ];
    let all: Vec<_> = [user("ann"), resource("r1"), member("m1")].into();
    until("they are there", async || {
        replica.far.put_for(&scope(), facts.clone(), &UserId::parse("ann").unwrap());
        found_for(&replica, "ann", &all[..2]).await == all
    })
    .await;
    let asked = || {
        let text = replica.metrics.encode();
        let asked = text.lines().find_map(|line| line.strip_prefix("doorward_far_questions_total "));
        asked.unwrap().parse::<u64>().unwrap()
    };
    until("in one question", async || {
        let before = asked();
        found_for(&replica, "ann", &all[..2]).await == all && asked() == before + 1
    })
    .await;
    // Another user finds nothing by it, and neither does who knows the member alone.
    assert_eq!(found_for(&replica, "ben", &[user("ben")]).await, []);
    assert_eq!(found_for(&replica, "ann", &[]).await, []);
    assert_eq!(replica.get(&member("m1")).await, None);
    // They are another one by now: what is there of the one before is theirs no more, and is taken away.
    let m2 = [(user("ann"), Fact { revision: Revision(5), value: Value::User(MemberId::parse("m2").ok()) })];
    let is_m2 = async || replica.get(&user("ann")).await.as_ref() == Some(&m2[0].1);
    replica.put_until(&scope(), &m2, is_m2).await;
    until("they are gone", async || {
        assert!(!found_for(&replica, "ann", &all[..2]).await.contains(&member("m1")));
        redis.command(&["DBSIZE"]) == Reply::Number(2)
    })
    .await;
    assert!(replica.counted("rejected") >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_evicted_or_flushed_is_a_miss() {
    let redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    let facts: Vec<_> =
        (0..1500).map(|n| (resource(&format!("r{n}")), fact(1, ResourceStatus::Active))).collect();
    let are_there = async || redis.command(&["DBSIZE"]) == Reply::Number(1500);
    replica.put_until(&scope(), &facts, are_there).await;
    let parts: Vec<_> = facts.into_iter().map(|(part, _)| part).collect();
    replica.far.evict(&scope(), &[]).await;
    until("all but one are gone", async || {
        replica.far.evict(&scope(), &parts[1..]).await;
        redis.command(&["DBSIZE"]) == Reply::Number(1)
    })
    .await;
    assert_eq!(replica.found(&parts[0]).await, fact(1, ResourceStatus::Active));
    assert_eq!(replica.get(&parts[1]).await, None);
    redis.flush();
    assert_eq!(replica.get(&parts[0]).await, None);
    replica.store(&parts[0], &fact(1, ResourceStatus::Active)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_clone_takes_its_connections_with_it() {
    let redis = Redis::start("");
    let replica = Replica::connected(&redis.url()).await;
    let clients = async || match redis.command(&["INFO", "clients"]) {
        Reply::Bytes(Some(said)) => {
            let said = String::from_utf8(said).unwrap();
            said.lines().find_map(|line| line.strip_prefix("connected_clients:")).unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    };
    until("both are open", async || clients().await == "3").await;
    let clone = replica.far.clone();
    drop(replica);
    assert!(clone.is_up());
    drop(clone);
    until("all are closed", async || clients().await == "1").await;
    drop(Arc::new(redis));
}

//! The cache that replicas share, against real Redis servers: whatever they hold or do, the worst is a miss.

mod broken;
mod entries;
mod forms;

use std::sync::Arc;
use std::time::Duration;

use doorward::cache::far::{Far, Options, Scope};
use doorward::clock::Stopwatch;
use doorward::keys::Keys;
use doorward::store::{Epoch, Fact, Value};
use doorward::telemetry::Metrics;
use doorward_engine::catalogue::{Catalogue, SHIPPED, SectionSet, SwitchSet};
use doorward_engine::change::Part;
use doorward_engine::contact::{Country, Domain};
use doorward_engine::firewall::{CountryRule, DomainRule, Firewall, ListMode, OnMissing};
use doorward_engine::id::{KeyId, MemberId, ResourceId, ResourceRef, Revision, TenantId, TypeKey, UserId};
use doorward_engine::member::{Grant, SecretHash};
use doorward_engine::role::Role;
use doorward_engine::snapshot::{
    KeyFacts, MemberFacts, PackedGrants, Profile, ResourceFacts, TenantFacts, Toggles,
};
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};

const PATIENCE: Duration = Duration::from_secs(20);

/// A cache as a process has it, and its metrics.
struct Replica {
    far: Far,
    metrics: Arc<Metrics>,
}

impl Replica {
    /// It may not be connected yet.
    fn open(url: &str, keys: Keys) -> Self {
        Self::open_with(options(url), keys)
    }

    fn open_with(options: Options, keys: Keys) -> Self {
        let metrics = Arc::new(Metrics::new());
        let runtime = tokio::runtime::Handle::current();
        let far = Far::open(options, keys, Arc::clone(&metrics), runtime).unwrap();
        Self { far, metrics }
    }

    async fn connected(url: &str) -> Self {
        let replica = Self::open(url, keys());
        replica.until_up().await;
        replica
    }

    async fn until_up(&self) {
        until("redis is up", async || self.far.is_up()).await;
    }

    async fn get(&self, part: &Part) -> Option<Fact> {
        self.far.get(&scope(), std::slice::from_ref(part)).await.pop().unwrap()
    }

    /// The fact that is there; any single question may come to nothing on a busy machine.
    async fn found(&self, part: &Part) -> Fact {
        let found = std::cell::RefCell::new(None);
        until("a fact is found", async || {
            found.replace(self.get(part).await);
            found.borrow().is_some()
        })
        .await;
        found.take().unwrap()
    }

    /// What is there is refused.
    async fn refuses(&self, scope: &Scope, part: &Part) {
        let before = self.counted("rejected");
        until("it is refused", async || {
            assert_eq!(self.far.get(scope, std::slice::from_ref(part)).await, [None]);
            self.counted("rejected") > before
        })
        .await;
    }

    /// Stores a fact.
    async fn store(&self, part: &Part, fact: &Fact) {
        let is_there = async || self.get(part).await.as_ref() == Some(fact);
        self.put_until(&scope(), &[(part.clone(), fact.clone())], is_there).await;
    }

    /// Stores facts, again and again until it is so: any single time they may be dropped.
    async fn put_until(&self, scope: &Scope, facts: &[(Part, Fact)], is_so: impl AsyncFn() -> bool) {
        let begun = Stopwatch::start();
        let mut puts = 0;
        while !is_so().await {
            assert!(begun.elapsed() < PATIENCE, "not in time: facts are there");
            if begun.elapsed() >= puts * Duration::from_millis(300) {
                self.far.put(scope, facts.to_vec());
                puts += 1;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn counted(&self, outcome: &str) -> u64 {
        let start = format!("doorward_far_total{{outcome=\"{outcome}\"}} ");
        let text = self.metrics.encode();
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Stopwatch::start();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A hint of one gets to the other: any single one may be lost.
async fn heard(one: &Replica, other: &Replica) {
    until("a hint is heard", async || {
        one.far.hint().await;
        tokio::time::timeout(Duration::from_secs(1), other.far.hinted()).await.is_ok()
    })
    .await;
}

fn options(url: &str) -> Options {
    Options { url: url.into(), ca_file: None, ttl: Duration::from_secs(600) }
}

fn keys() -> Keys {
    Keys::new([1; 32], None)
}

fn scope() -> Scope {
    Scope { epoch: Epoch([7; 16]), tenant: TenantId::parse("acme").unwrap(), catalogue: 3 }
}

fn member(id: &str) -> Part {
    Part::Member(MemberId::parse(id).unwrap())
}

fn user(id: &str) -> Part {
    Part::User(UserId::parse(id).unwrap())
}

fn resource(id: &str) -> Part {
    let (kind, id) = (TypeKey::parse("agent").unwrap(), ResourceId::parse(id).unwrap());
    Part::Resource(ResourceRef { kind, id })
}

/// A small fact of a resource.
fn fact(revision: u64, status: ResourceStatus) -> Fact {
    Fact { revision: Revision(revision), value: Value::Resource(Some(ResourceFacts { status })) }
}

fn member_facts(id: &str, grants: usize) -> Value {
    let catalogue = Catalogue::build(toml::from_str(SHIPPED).unwrap()).unwrap();
    let grant = |n: usize| {
        let Part::Resource(reference) = resource(&format!("a{n}")) else { unreachable!() };
        let expires_at =
            n.is_multiple_of(3).then(|| doorward_engine::instant::Instant::from_micros(n as i64));
        (reference, Grant { expires_at })
    };
    let profile = Profile {
        toggles: Toggles::over([("logs", true), ("eval", false)], &catalogue),
        role: Role::User,
        status: MemberStatus::Active,
        email_domain: Some(Domain::parse("acme.example").unwrap()),
        id: MemberId::parse(id).unwrap(),
    };
    let grants = PackedGrants::over((0..grants).map(grant), &catalogue);
    Value::Member(Some(MemberFacts::of(profile, &grants)))
}

fn tenant_facts() -> Value {
    let catalogue = Catalogue::build(toml::from_str(SHIPPED).unwrap()).unwrap();
    let at = doorward_engine::instant::Instant::from_micros;
    let sections: SectionSet = catalogue.section("logs").into_iter().collect();
    Value::Tenant(Some(Arc::new(TenantFacts {
        status: TenantStatus::Suspended,
        subscription: Subscription {
            state: SubscriptionState::PendingRenewal,
            complimentary: true,
            trial_end: None,
            period_end: Some(at(-1)),
            grace_end: Some(at(i64::MAX)),
            access_until: None,
        },
        plan_sections: sections,
        switches: SwitchSet::EMPTY,
        defaults: Toggles::over([("logs", false)], &catalogue),
        firewall: Firewall {
            country: Some(CountryRule {
                mode: ListMode::BlockList,
                countries: [Country::parse("DE").unwrap()].into(),
                on_missing: OnMissing::Deny,
            }),
            domain: Some(DomainRule {
                mode: ListMode::AllowList,
                domains: [Domain::parse("acme.example").unwrap()].into(),
            }),
        },
    })))
}

fn key_facts(id: &str) -> Value {
    let catalogue = Catalogue::build(toml::from_str(SHIPPED).unwrap()).unwrap();
    let kind = catalogue.resource_type("agent").unwrap();
    let action = catalogue.action(kind, "use").or_else(|| catalogue.action(kind, "view")).unwrap();
    let ids = Some([ResourceId::parse("a1").unwrap()].into());
    Value::Key(Some(Arc::new(KeyFacts {
        id: KeyId::parse(id).unwrap(),
        revoked_at: None,
        expires_at: Some(doorward_engine::instant::Instant::MAX),
        secret: SecretHash([9; 32]),
        admin: true,
        sections: catalogue.section("logs").into_iter().collect(),
        parts: doorward_engine::catalogue::PartSet::EMPTY,
        resources: [doorward_engine::snapshot::KeyScope { kind, action, ids }].into(),
    })))
}

//! What is written down is read back, and no bytes whatever do harm.

use doorward_engine::catalogue::{Catalogue, PartSet, SHIPPED, SwitchSet};
use doorward_engine::contact::{Country, Domain};
use doorward_engine::decide::decide;
use doorward_engine::firewall::{CountryRule, Firewall, ListMode, OnMissing};
use doorward_engine::id::{KeyId, MemberId, ResourceId, ResourceRef, TenantId, TypeKey, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, SecretHash};
use doorward_engine::question::{PartAsked, Question, Target};
use doorward_engine::role::Role;
use doorward_engine::snapshot::{
    Facts, KeyFacts, KeyScope, MemberFacts, PackedGrants, Profile, ResourceFacts, Subject, TenantFacts,
    Toggles,
};
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use proptest::prelude::*;

use super::*;
use crate::store::Epoch;

fn catalogue() -> Catalogue {
    Catalogue::build(toml::from_str(SHIPPED).unwrap()).unwrap()
}

fn resource() -> ResourceRef {
    ResourceRef { kind: TypeKey::parse("agent").unwrap(), id: ResourceId::parse("a2").unwrap() }
}

fn tenant(catalogue: &Catalogue) -> TenantFacts {
    let country = CountryRule {
        mode: ListMode::AllowList,
        countries: [Country::parse("DE").unwrap(), Country::parse("FR").unwrap()].into(),
        on_missing: OnMissing::Skip,
    };
    TenantFacts {
        status: TenantStatus::Active,
        subscription: Subscription {
            period_end: Some(Instant::from_micros(1_772_366_400_000_000)),
            ..Subscription::of(SubscriptionState::Active)
        },
        plan_sections: catalogue.section("logs").into_iter().chain(catalogue.section("eval")).collect(),
        switches: SwitchSet::EMPTY,
        defaults: Toggles::over([("logs", true)], catalogue),
        firewall: Firewall { country: Some(country), domain: None },
    }
}

fn member(catalogue: &Catalogue) -> MemberFacts {
    let grant = |n: i64| {
        let id = ResourceId::parse(&format!("a{n}")).unwrap();
        let expires_at = (n % 2 == 0).then_some(Instant::from_micros(n));
        (ResourceRef { id, ..resource() }, Grant { expires_at })
    };
    let profile = Profile {
        toggles: Toggles::over([("eval", false)], catalogue),
        role: Role::User,
        status: MemberStatus::Active,
        email_domain: Some(Domain::parse("acme.example").unwrap()),
        id: MemberId::parse("m1").unwrap(),
    };
    MemberFacts::of(profile, &PackedGrants::over((0..5).map(grant), catalogue))
}

fn api_key(catalogue: &Catalogue) -> KeyFacts {
    let kind = catalogue.resource_type("agent").unwrap();
    let action = catalogue.action(kind, "view").unwrap();
    KeyFacts {
        id: KeyId::parse("k1").unwrap(),
        revoked_at: None,
        expires_at: Some(Instant::MAX),
        secret: SecretHash([9; 32]),
        admin: false,
        sections: catalogue.section("logs").into_iter().collect(),
        parts: PartSet::EMPTY,
        resources: [KeyScope { kind, action, ids: Some([resource().id].into()) }].into(),
    }
}

/// A part and a value of each kind.
fn every_kind() -> Vec<(Part, Value)> {
    let catalogue = catalogue();
    vec![
        (Part::Tenant, Value::Tenant(Some(Arc::new(tenant(&catalogue))))),
        (Part::Member(MemberId::parse("m1").unwrap()), Value::Member(Some(member(&catalogue)))),
        (Part::User(UserId::parse("u{1}").unwrap()), Value::User(MemberId::parse("m1").ok())),
        (Part::Key(KeyId::parse("k1").unwrap()), Value::Key(Some(Arc::new(api_key(&catalogue))))),
        (Part::Resource(resource()), Value::Resource(Some(ResourceFacts { status: ResourceStatus::Active }))),
    ]
}

fn scope() -> Scope {
    Scope { epoch: Epoch([0xab; 16]), tenant: TenantId::parse("acme").unwrap(), catalogue: 12 }
}

fn entries() -> Entries {
    Entries::over(&Keys::new([1; 32], None))
}

/// Everything that is ever done with facts.
fn use_up(value: Value, catalogue: &Catalogue) {
    let _ = format!("{value:?}");
    let (mut ours_tenant, mut ours_member) = (tenant(catalogue), member(catalogue));
    let mut key = None;
    match value {
        Value::Tenant(facts) => ours_tenant = facts.map_or(ours_tenant, Arc::unwrap_or_clone),
        Value::Member(facts) => ours_member = facts.unwrap_or(ours_member),
        Value::Key(facts) => key = facts,
        Value::User(_) | Value::Resource(_) => {}
    }
    for (_, id, _) in ours_member.grants().iter() {
        let _ = id.len();
    }
    let _ = (ours_tenant.plan_sections.iter().count(), ours_tenant.switches.iter().count());
    let (id, kind) = (resource().id, catalogue.resource_type("agent").unwrap());
    let action = catalogue.action(kind, "view").unwrap();
    let section = Target::Section { section: catalogue.section("logs"), part: PartAsked::None };
    for subject in [Subject::Member(Some(&ours_member)), Subject::Key(key.as_deref())] {
        for target in [Target::Resource { kind, action, id: &id }, section] {
            let resource = Some(&ResourceFacts { status: ResourceStatus::Active });
            let facts = Facts { catalogue, tenant: Some(&ours_tenant), subject, resource };
            let question = Question { target, country: None, email_domain: None };
            let _ = decide(&facts, &question, Instant::from_micros(3));
        }
    }
}

#[test]
fn a_key_says_in_words_what_it_is_of_and_no_two_say_the_same() {
    let user = key(&scope(), &Part::User(UserId::parse("a:1:b{x}").unwrap()));
    let version = env!("CARGO_PKG_VERSION");
    let hex = "ab".repeat(16);
    assert_eq!(user, format!("dw1:{{acme}}:32:{hex}:2:12:{}:{version}:13:user:a:1:b{{x}}", version.len()));
    let mut keys = std::collections::BTreeSet::new();
    for (part, _) in every_kind() {
        assert!(keys.insert(key(&scope(), &part)));
        assert!(keys.insert(key(&Scope { catalogue: 1, ..scope() }, &part)));
        assert!(keys.insert(key(&Scope { epoch: Epoch::default(), ..scope() }, &part)));
        assert!(keys.insert(key(&Scope { tenant: TenantId::parse("acm").unwrap(), ..scope() }, &part)));
    }
}

#[test]
fn a_fact_of_each_kind_is_read_back_and_under_no_other_key() {
    let entries = entries();
    for (part, value) in every_kind() {
        let own = key(&scope(), &part);
        let fact = Fact { revision: Revision(7), value };
        let sealed = entries.seal(&own, &part, &fact).unwrap();
        assert_eq!(entries.open(&own, &part, &sealed), Ok(fact.clone()));
        assert_eq!(&sealed[..20], b"00000000000000000007");
        for (other, _) in every_kind().into_iter().filter(|(other, _)| *other != part) {
            let theirs = key(&scope(), &other);
            assert_eq!(entries.open(&theirs, &other, &sealed), Err(Rejected::Tag));
            assert_eq!(entries.seal(&theirs, &other, &fact), None);
        }
    }
}

#[test]
fn a_fact_of_another_member_is_none_of_this_one_even_under_our_tag() {
    let entries = entries();
    let (m1, m2) = (MemberId::parse("m1").unwrap(), MemberId::parse("m2").unwrap());
    let fact = Fact { revision: Revision(1), value: every_kind().swap_remove(1).1 };
    let own = key(&scope(), &Part::Member(m1.clone()));
    let sealed = entries.seal(&own, &Part::Member(m1), &fact).unwrap();
    assert_eq!(entries.open(&own, &Part::Member(m2), &sealed), Err(Rejected::Identity));
    assert!(entries.open(&own, &Part::Catalogue, &sealed).is_err());
}

/// Digests of what is written down of each kind.
const GOLDEN: &str = "4d5ac3be8d3f10a1 e70ff01b82859551 2c1bf1f507673f5a 272d243492003771 687376c930d7020a";

/// Where this fails, facts are written down differently: then `LAYOUT` has to be another one, lest two builds of one
/// version misread each other, and the digests follow. Where only the shipped catalogue has changed, they follow alone.
#[test]
fn a_layout_is_written_down_as_it_always_was() {
    let digest = |value| blake3::hash(&body(&value_part(&value), &value).unwrap()).to_hex()[..16].to_owned();
    let digests: Vec<_> = every_kind().into_iter().map(|(_, value)| digest(value)).collect();
    assert_eq!((LAYOUT, digests.join(" ").as_str()), (1, GOLDEN));
}

/// `cargo test --lib seeds_are_written -- --ignored`: for those who have changed the layout.
#[test]
#[ignore = "writes the seeds of fuzzing"]
fn entries_as_seeds_are_written() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/entry");
    for (at, (part, value)) in every_kind().into_iter().enumerate() {
        let fact = Fact { revision: Revision(7), value };
        let sealed = entries().seal(&key(&scope(), &part), &part, &fact).unwrap();
        for (what, bytes) in [("sealed", sealed), ("fact", body(&part, &fact.value).unwrap())] {
            let seed = [format!("{part}\n").as_bytes(), &bytes].concat();
            std::fs::write(folder.join(format!("{what}-{at}")), seed).unwrap();
        }
    }
}

fn value_part(value: &Value) -> Part {
    let kinds = every_kind().into_iter();
    kinds.into_iter().find(|(part, _)| belongs(part, value)).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_do_harm(kind in 0usize..5, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (part, _) = every_kind().swap_remove(kind);
        if let Ok(value) = parse(&part, &bytes) {
            use_up(value, &catalogue());
        }
        prop_assert!(entries().open("key", &part, &bytes).is_err());
    }

    #[test]
    fn nor_do_ours_with_changes(
        kind in 0usize..5,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let (part, value) = every_kind().swap_remove(kind);
        let mut bytes = body(&part, &value).unwrap();
        for (at, byte, how) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        if let Ok(value) = parse(&part, &bytes) {
            prop_assert!(belongs(&part, &value));
            use_up(value, &catalogue());
        }
    }

    #[test]
    fn a_changed_value_is_refused(kind in 0usize..5, at: prop::sample::Index, mask in 1u8..) {
        let (part, value) = every_kind().swap_remove(kind);
        let own = key(&scope(), &part);
        let mut sealed = entries().seal(&own, &part, &Fact { revision: Revision(7), value }).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= mask;
        prop_assert!(entries().open(&own, &part, &sealed).is_err());
        sealed.truncate(at);
        prop_assert!(entries().open(&own, &part, &sealed).is_err());
    }
}

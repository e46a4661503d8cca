//! Facts that no store should ever give: a decision is still made, nothing panics, and nothing is opened by mistake.

use doorward_engine::catalogue::{Catalogue, SHIPPED};
use doorward_engine::decide::{Decision, decide};
use doorward_engine::explain::{Outcome, explain};
use doorward_engine::firewall::{DomainRule, Firewall, ListMode};
use doorward_engine::id::{ResourceId, ResourceRef, TypeKey};
use doorward_engine::instant::Instant;
use doorward_engine::member::Grant;
use doorward_engine::question::{PartAsked, Question, Target};
use doorward_engine::reason::Reason;
use doorward_engine::snapshot::{Facts, MemberFacts, PackedGrants, Profile, ResourceFacts, Subject};
use doorward_engine::status::ResourceStatus;
use proptest::prelude::*;

use crate::compiled::Compiled;
use crate::support::draw::{self, Held};
use crate::support::rng::Rng;
use crate::support::scenario;

proptest! {
    /// Catalogue, tenant, subject, resource and question each from another world, at any instant.
    #[test]
    fn facts_that_do_not_fit_together_still_get_an_answer(
        seeds in prop::array::uniform5(0u64..200),
        micros in prop_oneof![any::<i64>(), 1_772_366_300_000_000i64..1_772_367_500_000_000],
        status in prop::option::of(prop::sample::select(ResourceStatus::ALL)),
    ) {
        let [catalogue, tenant, subject, asked, words] = seeds;
        let worlds = [catalogue, tenant, subject, asked].map(|seed| draw::world(&mut Rng::seeded(seed), Held::Stray));
        let [catalogue, tenant, subject, asked] = worlds.each_ref().map(Compiled::over);
        let mut rng = Rng::seeded(words);
        let [ask_tenant, ask_subject, ask_target] = [&worlds[1], &worlds[2], &worlds[3]].map(|w| draw::ask(&mut rng, w));
        let now = Instant::from_micros(micros);
        let resource = status.map(|status| ResourceFacts { status });
        let checked = asked.with(&ask_target, |_, question| {
            tenant.with(&ask_tenant, |tenant, _| {
                subject.with(&ask_subject, |subject, _| {
                    let facts = Facts { catalogue: &catalogue.catalogue, resource: resource.as_ref(), ..*tenant };
                    let facts = Facts { subject: subject.subject, ..facts };
                    check(&facts, question, now)
                })
            })
        });
        if let Ok(Ok(Ok(result))) = checked {
            result?;
        }
    }
}

fn check(facts: &Facts<'_>, question: &Question<'_>, now: Instant) -> Result<(), TestCaseError> {
    let decision = decide(facts, question, now);
    let explanation = explain(facts, question, now);
    prop_assert_eq!(explanation.decision, decision);
    prop_assert_eq!(
        explanation.steps.last().map(|step| step.outcome),
        Some(Outcome::Decided(decision.reason))
    );
    prop_assert_eq!(decision.allowed(), decision.reason.allows());
    prop_assert!(!(decision.allowed() && decision.hide), "an answer that allows hides nothing");
    prop_assert!(
        !decision.hide || matches!(question.target, Target::Resource { .. }),
        "a section is never hidden"
    );
    if let Some(end) = decision.valid_until {
        let then = decide(facts, question, end);
        prop_assert!(end > now);
        prop_assert_ne!((then.reason, then.hide), (decision.reason, decision.hide));
    }
    prop_assert!(!decision.allowed() || facts.tenant.is_some(), "nothing is allowed in no tenant");
    Ok(())
}

fn shipped() -> Catalogue {
    Catalogue::build(toml::from_str(SHIPPED).unwrap()).unwrap()
}

/// The first tenant and member `ben` of a small world, with a hand laid on the facts.
fn asked(
    ask: (&str, &str, &str),
    change: impl FnOnce(&mut Profile, &mut Firewall, &mut Option<ResourceFacts>),
) -> Decision {
    let file = r#"
        title = "a member with a grant"
        now = 2026-03-01T12:00:00Z
        [[tenant]]
        id = "acme"
        switches = ["agentguard"]
        member = [{ id = "ben", sections = { agents = true }, grants = { "agent/a1" = true } }]
        resource = [{ id = "agent/a1" }]
        [checks]
        "ben chats" = { who = "user:u-ben", ask = "chat agent/a1", answer = "allow RESOURCE_GRANTED" }
    "#;
    let scenario = scenario::parse(file).unwrap();
    let compiled = Compiled::over(&scenario.world);
    let (action, kind, id) = ask;
    let id = ResourceId::parse(id).unwrap();
    let target = Target::parse(&compiled.catalogue, action, kind, &id).unwrap();
    let decided = compiled.with(&scenario.checks.first().unwrap().ask, |facts, question| {
        let member = match facts.subject {
            Subject::Member(member) => member,
            Subject::Key(_) => None,
        };
        let (member, mut tenant) = (member.unwrap(), facts.tenant.unwrap().clone());
        let mut profile = Profile::clone(member);
        let mut resource = facts.resource.copied();
        change(&mut profile, &mut tenant.firewall, &mut resource);
        let a1 = ResourceRef { kind: TypeKey::parse("agent").unwrap(), id: ResourceId::parse("a1").unwrap() };
        let grants = PackedGrants::over([(a1, Grant { expires_at: None })], facts.catalogue);
        let member = MemberFacts::of(profile, &grants);
        let subject = Subject::Member(Some(&member));
        let facts = Facts { tenant: Some(&tenant), subject, resource: resource.as_ref(), ..*facts };
        decide(&facts, &Question { target, ..*question }, scenario.world.now)
    });
    decided.unwrap()
}

#[test]
fn with_no_domain_known_a_domain_rule_fails_whatever_its_mode() {
    for mode in [ListMode::AllowList, ListMode::BlockList] {
        let rule = DomainRule { mode, domains: Default::default() };
        let decision = asked(("chat", "agent", "a1"), |member, firewall, _| {
            member.email_domain = None;
            firewall.domain = Some(rule);
        });
        assert_eq!(decision.reason, Reason::FirewallDomain, "{mode:?}");
    }
    let decision = asked(("chat", "agent", "a1"), |member, _, _| member.email_domain = None);
    assert_eq!(decision.reason, Reason::ResourceGranted, "without a rule no domain is needed");
}

#[test]
fn a_grant_on_what_does_not_exist_counts_for_nothing() {
    for gone in [None, Some(ResourceFacts { status: ResourceStatus::Deleted })] {
        let decision = asked(("view", "agent", "a1"), |_, _, resource| *resource = gone);
        assert_eq!((decision.reason, decision.hide), (Reason::ResourceNotFound, true));
    }
}

fn small() -> Catalogue {
    let document = toml::from_str("plan = [{ key = \"p\", name = \"P\" }]").unwrap();
    Catalogue::build(document).unwrap()
}

#[test]
fn what_another_catalogue_minted_is_not_found() {
    let (shipped, small) = (shipped(), small());
    let section = shipped.section("support").unwrap();
    let kind = shipped.resource_type("agent").unwrap();
    let action = shipped.action(kind, "history").unwrap();
    assert_eq!(small.section_at(section), None);
    assert_eq!(small.parts(section).count(), 0);
    assert_eq!(small.action_at(action), None);
    assert_eq!(small.actions(kind).count(), 0);
}

#[test]
fn what_another_catalogue_minted_opens_nothing() {
    let shipped = shipped();
    let small = small();
    let section = shipped.section("support").unwrap();
    let part = shipped.part(shipped.section("settings").unwrap(), "profile").unwrap();
    let kind = shipped.resource_type("agent").unwrap();
    let action = shipped.action(kind, "history").unwrap();
    let id = ResourceId::parse("a1").unwrap();
    let world = draw::world_with(&mut Rng::seeded(7), Held::Sound, draw::shipped());
    let compiled = Compiled::over(&world);
    let resource = ResourceFacts { status: ResourceStatus::Active };
    for (target, catalogue) in [
        (Target::Section { section: Some(section), part: PartAsked::None }, &small),
        (Target::Section { section: Some(section), part: PartAsked::Known(part) }, &shipped),
        (Target::Resource { kind, action, id: &id }, &small),
    ] {
        let question = Question { target, country: None, email_domain: None };
        for seed in 0..200 {
            let ask = draw::ask(&mut Rng::seeded(seed), &world);
            let allowed = compiled.with(&ask, |facts, _| {
                let facts = Facts { catalogue, resource: Some(&resource), ..*facts };
                decide(&facts, &question, world.now).allowed()
            });
            assert!(!allowed.unwrap_or(false), "{target:?} for {:?}", ask.subject);
        }
    }
}

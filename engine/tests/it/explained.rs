//! What an explanation reads like.

use doorward_engine::explain::Outcome;

use crate::compiled::Compiled;
use crate::support::scenario;

const WORLD: &str = r#"
    title = "a member whose grant has expired"
    now = 2026-03-01T12:00:00Z
    [[tenant]]
    id = "acme"
    switches = ["agentguard"]
    subscription = { state = "ACTIVE", period_end = 2026-02-28T00:00:00Z, grace_end = 2026-03-07T00:00:00Z }
    member = [{ id = "ben", grants = { "agent/a1" = 2026-02-01T00:00:00Z, "agent/a2" = true } }]
    resource = [{ id = "agent/a1" }, { id = "agent/a2" }]
    key = [{ id = "ci", scopes = ["traces"] }]
    [checks]
    "1" = { who = "user:u-ben", ask = "chat agent/a1", answer = "deny NOT_GRANTED, hide" }
    "2" = { who = "user:u-ben", ask = "chat agent/a2", country = "DE", answer = "allow RESOURCE_GRANTED" }
    "3" = { who = "user:u-ben", ask = "view section/settings.danger_zone", answer = "deny ADMIN_REQUIRED" }
    "4" = { who = "key:ci", ask = "view section/logs", answer = "deny KEY_SCOPE_MISSING" }
"#;

/// Each step as `number outcome finding`.
fn explained(check: usize) -> Vec<String> {
    let scenario = scenario::parse(WORLD).unwrap();
    let compiled = Compiled::over(&scenario.world);
    let check = scenario.checks.get(check - 1).unwrap();
    let steps = compiled.explain(&check.ask, scenario.world.now).unwrap().steps;
    let line = |outcome: Outcome| match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Skipped => "skipped".to_owned(),
        Outcome::Decided(reason) => reason.name().to_owned(),
    };
    steps
        .iter()
        .map(|step| format!("{} {}: {}", step.rule.number(), line(step.outcome), step.finding))
        .collect()
}

#[test]
fn a_denial_is_told_rule_by_rule() {
    let expected = [
        "1 passed: the tenant exists",
        "2 passed: the tenant is ACTIVE",
        "3 passed: the subject is a member: USER",
        "5 passed: the invitation was accepted",
        "6 passed: the member is ACTIVE",
        "8 passed: the tenant is not complimentary",
        "9 passed: the subscription is PENDING_RENEWAL",
        "11 passed: `agents` is in the plan",
        "20 passed: the resource exists",
        "21 skipped: `chat` needs no ADMIN",
        "22 passed: `chat` needs the section `agents`: rules 12 to 18 look at it",
        "12 passed: `agents` is in the catalogue",
        "13 skipped: `agents` needs no feature switch",
        "14 passed: neither a part out of reach nor a SYSTEM section",
        "15 passed: the member is a USER",
        "16 passed: `agents` is CONFIGURABLE",
        "17 passed: nothing is stored for `agents`",
        "18 passed: the catalogue's default of `agents` is on",
        "29 passed: the grant has expired: it is absent",
        "23 NOT_GRANTED: the member has no grant on the resource",
    ];
    assert_eq!(explained(1), expected);
}

#[test]
fn an_allowed_resource_ends_with_rule_26_and_others_where_they_were_decided() {
    let allowed = explained(2);
    assert_eq!(allowed.last().unwrap(), "26 RESOURCE_GRANTED: every rule has passed");
    assert!(allowed.contains(&"25 skipped: the tenant has no country rule".to_owned()), "{allowed:?}");
    let part = explained(3);
    assert!(part.contains(&"7 skipped: a SYSTEM section: rules 8 to 11 are skipped".to_owned()), "{part:?}");
    assert_eq!(part.last().unwrap(), "14 ADMIN_REQUIRED: `settings.danger_zone` needs an ADMIN");
    assert_eq!(explained(4).last().unwrap(), "27 KEY_SCOPE_MISSING: the key's scopes do not name `logs`");
}

#[test]
fn a_step_carries_the_facts_that_it_saw() {
    let scenario = scenario::parse(WORLD).unwrap();
    let compiled = Compiled::over(&scenario.world);
    let ask = &scenario.checks.first().unwrap().ask;
    let steps = compiled.explain(ask, scenario.world.now).unwrap().steps;
    let facts: Vec<_> =
        steps.iter().filter(|step| step.rule.number() == 9).flat_map(|step| step.facts.clone()).collect();
    let expected = [
        ("stored_state", "ACTIVE"),
        ("period_end", "2026-02-28T00:00:00Z"),
        ("grace_end", "2026-03-07T00:00:00Z"),
        ("now", "2026-03-01T12:00:00Z"),
    ];
    assert_eq!(facts, expected.map(|(name, value)| (name, value.to_owned())));
}

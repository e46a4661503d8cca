//! The scenario files, asked of the engine alone and of the reference.

use std::collections::BTreeSet;
use std::path::Path;

use doorward_engine::instant::Instant;
use doorward_engine::reason::Reason;

use crate::compiled::Compiled;
use crate::support::reference;
use crate::support::scenario::{self, Check, Expect, Scenario, Until};

fn scenarios() -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let scenarios = scenario::load(&folder).unwrap();
    assert!(scenarios.len() >= 10, "where are the scenarios?");
    scenarios
}

/// What an answer looks like in a check, with the instant where the check says one.
fn said(check: &Check, answer: Result<(&str, bool, Option<Instant>), &str>) -> Expect {
    let Expect::Answer { valid_until, .. } = &check.expect else {
        return answer
            .map_or_else(|field| Expect::Invalid(field.to_owned()), |_| Expect::Invalid("none".to_owned()));
    };
    match answer {
        Err(field) => Expect::Invalid(field.to_owned()),
        Ok((reason, hide, until)) => Expect::Answer {
            allowed: Reason::parse(reason).unwrap().allows(),
            reason: reason.to_owned(),
            hide,
            valid_until: match valid_until {
                Until::Any => Until::Any,
                Until::Never | Until::At(_) => until.map_or(Until::Never, Until::At),
            },
        },
    }
}

#[test]
fn the_engine_answers_every_scenario_as_it_is_written() {
    let mut wrong = Vec::new();
    let mut checks = 0;
    for (file, scenario) in scenarios() {
        let compiled = Compiled::over(&scenario.world);
        for check in &scenario.checks {
            let decided = compiled.decide(&check.ask, scenario.world.now);
            let answer = decided
                .as_ref()
                .map(|decision| (decision.reason.name(), decision.hide, decision.valid_until));
            let given = said(check, answer.map_err(|error| error.field));
            checks += 1;
            if given != check.expect {
                let title = &scenario.title;
                wrong.push(format!(
                    "{file} ({title}): {}\n  {given:?}\n  expected {:?}",
                    check.name, check.expect
                ));
            }
        }
    }
    println!("{checks} checks");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_answers_every_scenario_as_it_is_written() {
    for (file, scenario) in scenarios() {
        for check in &scenario.checks {
            let answer = reference::answer(&scenario.world, &check.ask);
            let answer = answer.as_ref().map(|answer| (answer.reason, answer.hide, answer.valid_until));
            let given = said(check, answer.map_err(|field| *field));
            assert_eq!(given, check.expect, "{file}: {}", check.name);
        }
    }
}

#[test]
fn the_scenarios_show_every_reason_and_all_thirty_reference_cases() {
    let mut reasons = BTreeSet::new();
    let mut cases = BTreeSet::new();
    for (file, scenario) in scenarios() {
        for check in scenario.checks {
            if let Expect::Answer { reason, .. } = check.expect {
                reasons.insert(reason);
            }
            if file.starts_with("00") {
                let number: String = check.name.chars().take_while(char::is_ascii_digit).collect();
                cases.extend(number.parse::<u32>().ok());
            }
        }
    }
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !reasons.contains(reason.name())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(cases, (1..=30).collect());
}

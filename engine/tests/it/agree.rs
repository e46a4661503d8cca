//! The engine and the reference answer alike, and an explanation says what the decision says.

use std::collections::BTreeMap;

use doorward_engine::explain::Outcome;
use doorward_engine::instant::Instant;
use doorward_engine::reason::Reason;

use crate::compiled::Compiled;
use crate::support::draw::{self, Held};
use crate::support::reference::{self, Answer};
use crate::support::rng::Rng;
use crate::support::world::{Ask, World};

const WORLDS: u64 = 400;
const ASKS: usize = 300;

#[test]
fn a_hundred_thousand_random_questions_agree_with_the_reference() {
    let mut seen = BTreeMap::new();
    let mut asked = 0;
    for seed in 0..WORLDS {
        let mut rng = Rng::seeded(seed);
        let held = if seed % 2 == 0 { Held::Sound } else { Held::Stray };
        let world = draw::world(&mut rng, held);
        let compiled = Compiled::over(&world);
        for _ in 0..ASKS {
            let ask = draw::ask(&mut rng, &world);
            let answer = agreed(&world, &compiled, &ask, seed);
            *seen.entry(answer.map_or("INVALID", |answer| answer.reason)).or_insert(0) += 1;
            asked += 1;
        }
    }
    println!("{asked} questions: {seen:#?}");
    assert!(asked >= 100_000);
    for name in Reason::ALL.iter().map(|reason| reason.name()).chain(["INVALID"]) {
        let count = seen.get(name).copied().unwrap_or(0);
        assert!(count >= 20, "{name} was seen {count} times only");
    }
}

fn agreed(world: &World, compiled: &Compiled<'_>, ask: &Ask, seed: u64) -> Option<Answer> {
    let expected = reference::answer(world, ask);
    let given = compiled.decide(ask, world.now).map_err(|error| error.field).map(|decision| Answer {
        reason: decision.reason.name(),
        hide: decision.hide,
        valid_until: decision.valid_until,
    });
    assert_eq!(given, expected, "seed {seed}\n{ask:#?}\n{:#?}", part_of(world, ask));
    expected.ok()
}

/// The one tenant that a question looks at: what a reader needs of a world that two disagree about.
fn part_of(world: &World, ask: &Ask) -> (Instant, impl std::fmt::Debug) {
    (world.now, (world.workspace(&ask.tenant).cloned(), world.catalogue.clone()))
}

#[test]
fn an_explanation_agrees_with_the_decision_and_ends_with_the_rule_that_decided() {
    for seed in 0..60 {
        let mut rng = Rng::seeded(seed);
        let world = draw::world(&mut rng, Held::Stray);
        let compiled = Compiled::over(&world);
        for _ in 0..100 {
            let ask = draw::ask(&mut rng, &world);
            let Ok(explanation) = compiled.explain(&ask, world.now) else {
                continue;
            };
            let decision = compiled.decide(&ask, world.now).unwrap();
            assert_eq!(explanation.decision, decision);
            let (last, before) = explanation.steps.split_last().unwrap();
            assert_eq!(last.outcome, Outcome::Decided(decision.reason), "{ask:?}");
            assert!(before.iter().all(|step| !matches!(step.outcome, Outcome::Decided(_))), "{ask:?}");
            assert!(explanation.steps.iter().all(|step| !step.finding.is_empty()));
        }
    }
}

#[test]
fn an_answer_holds_until_valid_until_and_not_at_it() {
    for seed in 1000..1060 {
        let mut rng = Rng::seeded(seed);
        let world = draw::world(&mut rng, Held::Sound);
        let compiled = Compiled::over(&world);
        for _ in 0..100 {
            let ask = draw::ask(&mut rng, &world);
            let Ok(now) = compiled.decide(&ask, world.now) else {
                continue;
            };
            let end = now.valid_until.unwrap_or(Instant::MAX);
            let span = end.micros() - world.now.micros();
            let at = |micros: i64| {
                compiled.decide(&ask, Instant::from_micros(world.now.micros() + micros)).unwrap()
            };
            for micros in [0, 1, 2, 999, span / 2, span - 2, span - 1] {
                let later = at(micros.clamp(0, span - 1));
                assert_eq!((later.reason, later.hide), (now.reason, now.hide), "{ask:?}");
                assert_eq!(later.valid_until, now.valid_until, "{ask:?}");
            }
            if now.valid_until.is_some() {
                let then = at(span);
                assert_ne!((then.reason, then.hide), (now.reason, now.hide), "{ask:?}");
            }
        }
    }
}

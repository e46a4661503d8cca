//! A decision allocates nothing, whatever it is.

use std::collections::BTreeSet;

use doorward_engine::decide::decide;
use doorward_engine::id::ResourceId;
use doorward_engine::question::Target;

use crate::compiled::Compiled;
use crate::support::draw::{self, Held};
use crate::support::rng::Rng;

#[test]
fn deciding_allocates_nothing_for_any_reason() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let mut rng = Rng::seeded(seed);
        let world = draw::world(&mut rng, Held::Stray);
        let compiled = Compiled::over(&world);
        for _ in 0..200 {
            let ask = draw::ask(&mut rng, &world);
            let decided = compiled.with(&ask, |facts, question| {
                let mut decision = None;
                let info =
                    allocation_counter::measure(|| decision = Some(decide(facts, question, world.now)));
                (decision.unwrap().reason, info.count_total)
            });
            let Ok((reason, allocations)) = decided else {
                continue;
            };
            assert_eq!(allocations, 0, "{reason}: {ask:?}");
            seen.insert(reason);
        }
    }
    assert!(seen.len() >= 27, "too few reasons: {seen:?}");
}

#[test]
fn parsing_a_question_allocates_nothing() {
    let world = draw::world_with(&mut Rng::seeded(1), Held::Sound, draw::shipped());
    let compiled = Compiled::over(&world);
    for (action, kind, id) in [
        ("view", "section", "traces"),
        ("view", "section", "settings.api_keys"),
        ("view", "section", "trases"),
        ("chat", "agent", "a1"),
    ] {
        let id = ResourceId::parse(id).unwrap();
        let mut parsed = false;
        let info = allocation_counter::measure(|| {
            parsed = Target::parse(&compiled.catalogue, action, kind, &id).is_ok();
        });
        assert!(parsed, "{action} {kind}/{id}");
        assert_eq!(info.count_total, 0, "{action} {kind}/{id}");
    }
}

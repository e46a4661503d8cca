//! Questions drawn at random: most are about what is there.

use super::{COUNTRIES, DOMAINS};
use crate::support::rng::Rng;
use crate::support::scenario::secret_of;
use crate::support::world::{Ask, Who, World};

/// Draws a question; most are about what is there.
pub(crate) fn ask(rng: &mut Rng, world: &World) -> Ask {
    let tenant = format!("t{}", if rng.percent(3) { 9 } else { rng.below(3) });
    let (kind, action, id) =
        if rng.percent(40) { section_asked(rng, world) } else { resource_asked(rng, world) };
    Ask {
        tenant,
        subject: subject(rng),
        action,
        kind,
        id,
        country: rng.maybe(70, |rng| rng.one(COUNTRIES).to_owned()),
        email_domain: rng.maybe(50, |rng| rng.one(DOMAINS).to_owned()),
    }
}

fn subject(rng: &mut Rng) -> Who {
    let number = rng.below(7);
    match rng.below(10) {
        0 | 1 => Who::User(format!("u{}", rng.below(3))),
        2 => Who::User(format!("u{}-{number}", rng.below(3))),
        3..=6 => Who::Member(format!("m{number}")),
        _ => {
            let id = format!("k{}", rng.below(5));
            let secret = secret_of(if rng.percent(5) { "guess" } else { &id });
            Who::Key { id, secret }
        }
    }
}

fn section_asked(rng: &mut Rng, world: &World) -> (String, String, String) {
    let action = if rng.percent(2) { "manage" } else { "view" };
    let key = rng.pick(&world.catalogue.sections).map_or("none", |section| section.key.as_str());
    let parts = world
        .catalogue
        .sections
        .iter()
        .flat_map(|section| section.parts.iter().map(|part| format!("{}.{}", section.key, part.key)));
    let parts: Vec<_> = parts.collect();
    let id = match rng.below(10) {
        0 => rng.one(["trases", "none.p0", "S0", "s0.p0.p1", "forgotten"]).to_owned(),
        1 => format!("{key}.{}", rng.one(["nothing", "", "p0", "profile"])),
        2..=4 => rng.pick(&parts).cloned().unwrap_or_else(|| key.to_owned()),
        _ => key.to_owned(),
    };
    ("section".to_owned(), action.to_owned(), id)
}

fn resource_asked(rng: &mut Rng, world: &World) -> (String, String, String) {
    let id = format!("r{}", rng.below(6));
    let kind = rng.pick(&world.catalogue.types).filter(|_| !rng.percent(1));
    let Some(kind) = kind else {
        return ("forgotten".to_owned(), "view".to_owned(), id);
    };
    let action = rng.pick(&kind.actions).filter(|_| !rng.percent(1));
    let action = action.map_or("forgotten", |action| action.key.as_str());
    (kind.key.clone(), action.to_owned(), id)
}

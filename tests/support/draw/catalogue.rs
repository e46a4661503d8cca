//! Catalogues drawn at random.

use doorward_engine::catalogue::{
    ActionDocument, Document, PartDocument, PlanDocument, SHIPPED, SectionDocument, SectionKind, TypeDocument,
};
use doorward_engine::role::Role;

use crate::support::rng::Rng;

/// The shipped catalogue.
pub(crate) fn shipped() -> Document {
    toml::from_str(SHIPPED).unwrap_or_default()
}

/// Draws a catalogue: every type of section, parts, switches, plans that lack sections, one or two types.
pub(crate) fn catalogue(rng: &mut Rng) -> Document {
    let kinds = [
        SectionKind::AdminOnly,
        SectionKind::Configurable,
        SectionKind::Configurable,
        SectionKind::Always,
        SectionKind::System,
    ];
    let count = 3 + rng.below(6);
    let sections: Vec<_> = (0..count).map(|number| section(rng, number, kinds)).collect();
    let keys: Vec<_> = sections.iter().map(|section| section.key.clone()).collect();
    let types =
        ["agent", "board"].into_iter().take(1 + rng.below(2)).map(|key| kind(rng, key, &keys)).collect();
    let some = keys.iter().filter(|_| rng.percent(70)).cloned().collect();
    let plan = |key: &str, sections| PlanDocument {
        key: key.to_owned(),
        name: "Plan".to_owned(),
        sections,
        limits: Default::default(),
    };
    let firewall_switch = rng.maybe(60, |rng| rng.one(["left", "right"]).to_owned());
    Document {
        firewall_switch,
        sections,
        types,
        plans: vec![plan("standard", None), plan("small", Some(some))],
    }
}

fn section<const N: usize>(rng: &mut Rng, number: usize, kinds: [SectionKind; N]) -> SectionDocument {
    let kind = rng.one(kinds);
    let configurable = kind == SectionKind::Configurable;
    let part = |rng: &mut Rng, key: usize| PartDocument {
        key: format!("p{key}"),
        name: "Part".to_owned(),
        role: rng.one([Role::Admin, Role::User]),
    };
    SectionDocument {
        key: format!("s{number}"),
        name: "Section".to_owned(),
        kind,
        default: if configurable { rng.maybe(70, |rng| rng.percent(50)) } else { None },
        switch: rng.maybe(20, |rng| rng.one(["left", "right"]).to_owned()),
        parts: (0..rng.below(3)).map(|key| part(rng, key)).collect(),
    }
}

fn kind(rng: &mut Rng, key: &str, sections: &[String]) -> TypeDocument {
    let action = |rng: &mut Rng, key: &str| ActionDocument {
        key: key.to_owned(),
        section: if rng.percent(70) { rng.pick(sections).cloned() } else { None },
        admin_only: rng.percent(20),
        blocked_while_inactive: rng.percent(50),
        firewall: rng.percent(50),
    };
    let actions =
        ["view", "chat", "manage"].into_iter().take(1 + rng.below(3)).map(|key| action(rng, key)).collect();
    TypeDocument { key: key.to_owned(), name: "Type".to_owned(), actions }
}

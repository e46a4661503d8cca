//! What a new catalogue changes, for people and for the guard against removing what is in use.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Catalogue, Plan, Section, SectionIx};
use crate::api_key::SectionPath;
use crate::id::{ActionKey, PlanKey, SectionKey, SwitchKey, TypeKey};

/// What one catalogue has and the next has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Sections.
    pub sections: BTreeSet<SectionKey>,
    /// Parts of sections, those of removed sections too.
    pub parts: BTreeSet<SectionPath>,
    /// Resource types.
    pub types: BTreeSet<TypeKey>,
    /// Actions of resource types, those of removed types too.
    pub actions: BTreeSet<(TypeKey, ActionKey)>,
    /// Plans.
    pub plans: BTreeSet<PlanKey>,
    /// Feature switches.
    pub switches: BTreeSet<SwitchKey>,
}

impl Removed {
    /// Whether nothing was removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Catalogue {
    /// What this catalogue has and the next has not: what is in use may be retyped, not removed.
    #[must_use]
    pub fn removed_by(&self, next: &Self) -> Removed {
        let (old, new) = (self.everything(), next.everything());
        Removed {
            sections: &old.sections - &new.sections,
            parts: &old.parts - &new.parts,
            types: &old.types - &new.types,
            actions: &old.actions - &new.actions,
            plans: &old.plans - &new.plans,
            switches: &old.switches - &new.switches,
        }
    }

    /// What the next catalogue changes, a line each, for people.
    #[must_use]
    pub fn difference(&self, next: &Self) -> Vec<String> {
        let (old, new) = (self.described(), next.described());
        let mut lines: Vec<_> = old
            .keys()
            .filter(|thing| !new.contains_key(*thing))
            .map(|thing| format!("{thing} removed"))
            .collect();
        for (thing, after) in &new {
            match old.get(thing) {
                None => lines.push(format!("{thing} added: {}", listed(after))),
                Some(before) => lines.extend(changes(thing, before, after)),
            }
        }
        lines
    }

    fn everything(&self) -> Removed {
        let paths = self.parts.iter().filter_map(|part| {
            let section = self.section_at(part.section)?.key.clone();
            Some(SectionPath { section, part: Some(part.key.clone()) })
        });
        let actions = self
            .actions
            .iter()
            .filter_map(|action| Some((self.type_at(action.kind)?.key.clone(), action.key.clone())));
        Removed {
            sections: self.section_keys.keys().cloned().collect(),
            parts: paths.collect(),
            types: self.type_keys.keys().cloned().collect(),
            actions: actions.collect(),
            plans: self.plans().map(|plan| plan.key.clone()).collect(),
            switches: self.switches.iter().cloned().collect(),
        }
    }

    /// Every thing with its attributes in words: what differs in words is what differs.
    fn described(&self) -> BTreeMap<String, Attributes> {
        let mut things = BTreeMap::from([("the catalogue".to_owned(), self.attributes())]);
        for (index, section) in self.sections() {
            things.insert(format!("section `{}`", section.key), self.section_attributes(section));
            for (_, part) in self.parts(index) {
                let attributes =
                    BTreeMap::from([("name", part.name.to_string()), ("role", part.role.name().into())]);
                things.insert(format!("part `{}.{}`", section.key, part.key), attributes);
            }
        }
        for (index, kind) in self.types() {
            things.insert(format!("type `{}`", kind.key), BTreeMap::from([("name", kind.name.to_string())]));
            for (_, action) in self.actions(index) {
                things.insert(
                    format!("action `{}` of `{}`", action.key, kind.key),
                    self.action_attributes(action),
                );
            }
        }
        things.extend(self.plans().map(|plan| (format!("plan `{}`", plan.key), self.plan_attributes(plan))));
        things
    }

    fn attributes(&self) -> Attributes {
        let firewall = self.firewall_switch.and_then(|index| self.switch_at(index));
        BTreeMap::from([
            ("order of sections", words(self.sections.iter().map(|section| section.key.as_str()))),
            ("firewall switch", firewall.map_or_else(none, ToString::to_string)),
            ("plan of new tenants", self.default_plan.key.to_string()),
        ])
    }

    fn section_attributes(&self, section: &Section) -> Attributes {
        let switch = section.switch.and_then(|index| self.switch_at(index));
        BTreeMap::from([
            ("name", section.name.to_string()),
            ("type", section.kind.name().to_owned()),
            ("default", if section.default { "on" } else { "off" }.to_owned()),
            ("switch", switch.map_or_else(none, ToString::to_string)),
        ])
    }

    fn action_attributes(&self, action: &Action) -> Attributes {
        let section = action.section.and_then(|index| self.section_at(index));
        BTreeMap::from([
            ("section", section.map_or_else(none, |section| section.key.to_string())),
            ("admin_only", action.admin_only.to_string()),
            ("blocked_while_inactive", action.blocked_while_inactive.to_string()),
            ("firewall", action.firewall.to_string()),
        ])
    }

    fn plan_attributes(&self, plan: &Plan) -> Attributes {
        let key = |index: SectionIx| self.section_at(index).map(|section| section.key.as_str());
        let limit = |limit: Option<u64>| limit.map_or_else(none, |limit| limit.to_string());
        let resources: Vec<_> =
            plan.limits.resources.iter().map(|(kind, max)| format!("{kind} {max}")).collect();
        BTreeMap::from([
            ("name", plan.name.to_string()),
            ("sections", words(plan.sections.iter().filter_map(key))),
            ("limit of members", limit(plan.limits.members)),
            ("limit of API keys", limit(plan.limits.api_keys)),
            ("limits of resources", words(resources.iter().map(String::as_str))),
        ])
    }
}

type Attributes = BTreeMap<&'static str, String>;

fn none() -> String {
    "none".to_owned()
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { none() } else { words.join(", ") }
}

fn listed(attributes: &Attributes) -> String {
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| format!("{name} {value}")).collect();
    attributes.join("; ")
}

fn changes(thing: &str, before: &Attributes, after: &Attributes) -> Vec<String> {
    let changed = after.iter().filter_map(|(name, new)| Some((name, before.get(name)?, new)));
    changed
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| format!("{thing}: {name} {old} → {new}"))
        .collect()
}

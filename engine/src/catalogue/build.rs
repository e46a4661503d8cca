//! From a document to a catalogue: every check that a catalogue must pass, and errors that teach.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::document::{ActionDocument, LimitsDocument, PlanDocument, SectionDocument, TypeDocument};
use super::index::{ACTIONS_MAX, PARTS_MAX, PLANS_MAX, SECTIONS_MAX, SWITCHES_MAX, TYPES_MAX};
use super::{
    Action, Catalogue, Document, Limits, Part, Plan, ResourceType, SECTION_TYPE, Section, SectionIx,
    SectionKind, SectionSet, SwitchIx, TypeIx,
};
use crate::id::{ActionKey, ID_BYTES_MAX, IdError, Name, PartKey, PlanKey, SectionKey, SwitchKey, TypeKey};

/// Something that keeps a document from being a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, for example ``section `traces`, part `export` ``.
    pub at: String,
    /// What is wrong.
    pub what: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; allowed: {}", self.at, self.what, self.allowed)
    }
}

impl std::error::Error for Problem {}

impl Catalogue {
    /// Checks a document and compiles it.
    ///
    /// # Errors
    /// Every problem that was found, not only the first.
    pub fn build(document: Document) -> Result<Self, Vec<Problem>> {
        let mut builder = Builder::default();
        builder.limits(&document);
        builder.switches(&document);
        builder.sections(&document.sections);
        builder.types(&document.types);
        builder.plans(&document.plans);
        builder.finish(document.firewall_switch.as_deref())
    }
}

#[derive(Default)]
struct Builder {
    sections: Vec<Section>,
    parts: Vec<Part>,
    types: Vec<ResourceType>,
    actions: Vec<Action>,
    plans: Vec<Plan>,
    switches: Vec<SwitchKey>,
    section_keys: BTreeMap<SectionKey, SectionIx>,
    type_keys: BTreeMap<TypeKey, TypeIx>,
    problems: Vec<Problem>,
}

impl Builder {
    fn limits(&mut self, document: &Document) {
        let parts = document.sections.iter().map(|section| section.parts.len()).sum();
        let actions = document.types.iter().map(|kind| kind.actions.len()).sum();
        for (things, count, max) in [
            ("sections", document.sections.len(), SECTIONS_MAX),
            ("parts of all sections", parts, PARTS_MAX),
            ("types", document.types.len(), TYPES_MAX),
            ("actions of all types", actions, ACTIONS_MAX),
            ("plans", document.plans.len(), PLANS_MAX),
        ] {
            if count > max {
                self.report("the catalogue", format!("{count} {things}"), format!("at most {max}"));
            }
        }
        if document.plans.is_empty() {
            self.report("the catalogue", "no plan", "at least one: new tenants get the first");
        }
    }

    fn switches(&mut self, document: &Document) {
        let named = document.sections.iter().filter_map(|section| {
            Some((format!("section {}, switch", quoted(&section.key)), section.switch.as_deref()?))
        });
        let firewall = document.firewall_switch.as_deref().map(|key| ("firewall_switch".to_owned(), key));
        for (at, text) in firewall.into_iter().chain(named) {
            if let Some(key) = self.parse(&at, text, SwitchKey::parse)
                && !self.switches.contains(&key)
            {
                self.switches.push(key);
            }
        }
        let count = self.switches.len();
        if count > SWITCHES_MAX {
            self.report("the catalogue", format!("{count} switches"), format!("at most {SWITCHES_MAX}"));
        }
    }

    fn switch(&self, key: &str) -> Option<SwitchIx> {
        self.switches.iter().position(|switch| switch.as_str() == key).and_then(SwitchIx::at)
    }

    fn sections(&mut self, documents: &[SectionDocument]) {
        for document in documents {
            let at = format!("section {}", quoted(&document.key));
            let key = self.parse(&at, &document.key, SectionKey::parse);
            let name = self.parse(&at, &document.name, Name::parse);
            if document.default.is_some() && document.kind != SectionKind::Configurable {
                let what = format!("a default on a section of type {}", document.kind.name());
                self.report(&at, what, "a default on CONFIGURABLE sections only");
            }
            let (Some(key), Some(name)) = (key, name) else {
                continue;
            };
            let Some(index) = SectionIx::at(self.sections.len()) else {
                continue;
            };
            if self.section_keys.insert(key.clone(), index).is_some() {
                self.report(&at, "a second section of that key", "each key once");
            }
            let first = self.parts.len();
            self.parts(&at, index, document);
            self.sections.push(Section {
                key,
                name,
                kind: document.kind,
                default: document.default.unwrap_or(false),
                switch: document.switch.as_deref().and_then(|key| self.switch(key)),
                parts: first..self.parts.len(),
            });
        }
    }

    fn parts(&mut self, at: &str, section: SectionIx, document: &SectionDocument) {
        let mut seen = BTreeSet::new();
        for part in &document.parts {
            let at = format!("{at}, part {}", quoted(&part.key));
            if !seen.insert(&part.key) {
                self.report(&at, "a second part of that key", "each key once in its section");
            }
            // Otherwise nobody could ask for it: an id has an end.
            if document.key.len() + 1 + part.key.len() > ID_BYTES_MAX {
                let allowed = format!("section.part in at most {ID_BYTES_MAX} bytes");
                self.report(&at, "keys too long to be asked for", allowed);
            }
            let key = self.parse(&at, &part.key, PartKey::parse);
            let name = self.parse(&at, &part.name, Name::parse);
            if let (Some(key), Some(name)) = (key, name) {
                self.parts.push(Part { section, key, name, role: part.role });
            }
        }
    }

    fn types(&mut self, documents: &[TypeDocument]) {
        for document in documents {
            let at = format!("type {}", quoted(&document.key));
            if document.key == SECTION_TYPE {
                self.report(
                    &at,
                    "a resource type called `section`",
                    "another key: `section` addresses sections",
                );
            }
            let key = self.parse(&at, &document.key, TypeKey::parse);
            let name = self.parse(&at, &document.name, Name::parse);
            let (Some(key), Some(name)) = (key, name) else {
                continue;
            };
            let Some(index) = TypeIx::at(self.types.len()) else {
                continue;
            };
            if self.type_keys.insert(key.clone(), index).is_some() {
                self.report(&at, "a second type of that key", "each key once");
            }
            let first = self.actions.len();
            self.actions(&at, index, &document.actions);
            self.types.push(ResourceType { key, name, actions: first..self.actions.len() });
        }
    }

    fn actions(&mut self, at: &str, kind: TypeIx, documents: &[ActionDocument]) {
        let mut seen = BTreeSet::new();
        for document in documents {
            let at = format!("{at}, action {}", quoted(&document.key));
            if !seen.insert(&document.key) {
                self.report(&at, "a second action of that key", "each key once in its type");
            }
            let key = self.parse(&at, &document.key, ActionKey::parse);
            let section = document.section.as_deref().and_then(|text| self.known_section(&at, text));
            let Some(key) = key else { continue };
            self.actions.push(Action {
                kind,
                key,
                section,
                admin_only: document.admin_only,
                blocked_while_inactive: document.blocked_while_inactive,
                firewall: document.firewall,
            });
        }
        if documents.is_empty() {
            self.report(at, "no action", "at least one");
        }
    }

    fn plans(&mut self, documents: &[PlanDocument]) {
        let mut seen = BTreeSet::new();
        for document in documents {
            let at = format!("plan {}", quoted(&document.key));
            if !seen.insert(&document.key) {
                self.report(&at, "a second plan of that key", "each key once");
            }
            let key = self.parse(&at, &document.key, PlanKey::parse);
            let name = self.parse(&at, &document.name, Name::parse);
            let sections = self.plan_sections(&at, document);
            let limits = self.plan_limits(&at, &document.limits);
            if let (Some(key), Some(name)) = (key, name) {
                self.plans.push(Plan { key, name, sections, limits });
            }
        }
    }

    fn plan_sections(&mut self, at: &str, document: &PlanDocument) -> SectionSet {
        match &document.sections {
            None => self.section_keys.values().copied().collect(),
            Some(keys) => keys.iter().filter_map(|text| self.known_section(at, text)).collect(),
        }
    }

    fn plan_limits(&mut self, at: &str, document: &LimitsDocument) -> Limits {
        let mut resources = BTreeMap::new();
        for (text, &limit) in &document.resources {
            match self.type_keys.get_key_value(text.as_str()) {
                Some((key, _)) => {
                    resources.insert(key.clone(), limit);
                }
                None => {
                    let allowed = listed(self.type_keys.keys().map(TypeKey::as_str));
                    self.report(at, format!("a limit on the unknown type {}", quoted(text)), allowed);
                }
            }
        }
        Limits { members: document.members, resources, api_keys: document.api_keys }
    }

    fn known_section(&mut self, at: &str, text: &str) -> Option<SectionIx> {
        let found = self.section_keys.get(text).copied();
        if found.is_none() {
            let allowed = listed(self.section_keys.keys().map(SectionKey::as_str));
            self.report(at, format!("the unknown section {}", quoted(text)), allowed);
        }
        found
    }

    fn parse<T>(&mut self, at: &str, text: &str, parse: impl Fn(&str) -> Result<T, IdError>) -> Option<T> {
        parse(text)
            .map_err(|error| {
                self.report(at, format!("{} is not a valid {}", quoted(text), error.kind), error.allowed)
            })
            .ok()
    }

    fn report(&mut self, at: &str, what: impl Into<String>, allowed: impl Into<String>) {
        self.problems.push(Problem { at: at.to_owned(), what: what.into(), allowed: allowed.into() });
    }

    fn finish(self, firewall_switch: Option<&str>) -> Result<Catalogue, Vec<Problem>> {
        let firewall_switch = firewall_switch.and_then(|key| self.switch(key));
        let mut plans = self.plans.into_iter();
        let (true, Some(default_plan)) = (self.problems.is_empty(), plans.next()) else {
            return Err(self.problems);
        };
        Ok(Catalogue {
            sections: self.sections,
            parts: self.parts,
            types: self.types,
            actions: self.actions,
            default_plan,
            other_plans: plans.collect(),
            switches: self.switches,
            firewall_switch,
            section_keys: self.section_keys,
            type_keys: self.type_keys,
        })
    }
}

/// A text of another's in backticks: at most 64 bytes of it, and nothing that could act on a terminal.
pub(crate) fn quoted(text: &str) -> String {
    let end = text.floor_char_boundary(64);
    let (shown, more) = (text.get(..end).unwrap_or_default(), if end < text.len() { "…" } else { "" });
    format!("`{}{more}`", shown.escape_debug())
}

/// Names in backticks with commas between.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none: the catalogue has none".to_owned() } else { names.join(", ") }
}

//! The catalogue: what a product has, as data. It knows keys, types and rules of use; it knows no tenant.
//!
//! The engine reads no format: whoever has a file turns it into a [`Document`] first.

mod build;
mod difference;
mod document;
mod index;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use self::build::Problem;
pub(crate) use self::build::{listed, quoted};
pub use self::difference::Removed;
pub use self::document::{
    ActionDocument, Document, LimitsDocument, PartDocument, PlanDocument, SectionDocument, TypeDocument,
};
pub use self::index::{
    ACTIONS_MAX, ActionIx, PARTS_MAX, PLANS_MAX, PartIx, PartSet, SECTIONS_MAX, SWITCHES_MAX, SectionIx,
    SectionSet, SwitchIx, SwitchSet, TYPES_MAX, TypeIx,
};
use crate::id::{ActionKey, Name, PartKey, PlanKey, SectionKey, SwitchKey, TypeKey};
use crate::role::Role;

/// The catalogue that Doorward ships, as TOML.
pub const SHIPPED: &str = include_str!("../catalogue.toml");

/// The resource type that addresses sections; no type of a catalogue may be called so.
pub const SECTION_TYPE: &str = "section";

/// The one action that a section has.
pub const SECTION_ACTION: &str = "view";

/// Who can have a section, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SectionKind {
    /// Only ADMINs; it cannot be granted to a USER.
    AdminOnly,
    /// A toggle per member.
    Configurable,
    /// Every active member; no toggle.
    Always,
    /// Every active member, and open when the subscription has lapsed.
    System,
}

impl SectionKind {
    /// Every type.
    pub const ALL: &[Self] = &[Self::AdminOnly, Self::Configurable, Self::Always, Self::System];

    /// The name used in prose, files and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminOnly => "ADMIN_ONLY",
            Self::Configurable => "CONFIGURABLE",
            Self::Always => "ALWAYS",
            Self::System => "SYSTEM",
        }
    }
}

/// A module of the product's sidebar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its key.
    pub key: SectionKey,
    /// What people call it.
    pub name: Name,
    /// Its type.
    pub kind: SectionKind,
    /// Whether new USERs have it; false for all but CONFIGURABLE sections.
    pub default: bool,
    /// The feature switch that it needs.
    pub switch: Option<SwitchIx>,
    parts: Range<usize>,
}

/// A part of a section, addressed as `section.part`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The section that it is of.
    pub section: SectionIx,
    /// Its key, within its section.
    pub key: PartKey,
    /// What people call it.
    pub name: Name,
    /// The role that it needs: USER means any member.
    pub role: Role,
}

/// A type of resources that tenants register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// Its key.
    pub key: TypeKey,
    /// What people call one.
    pub name: Name,
    actions: Range<usize>,
}

/// What may be done to a resource of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The type that it is of.
    pub kind: TypeIx,
    /// Its key, within its type.
    pub key: ActionKey,
    /// The section that it needs.
    pub section: Option<SectionIx>,
    /// Whether only an ADMIN may.
    pub admin_only: bool,
    /// Whether an INACTIVE resource blocks it.
    pub blocked_while_inactive: bool,
    /// Whether the tenant's firewall applies.
    pub firewall: bool,
}

/// A feature set with limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its key.
    pub key: PlanKey,
    /// What people call it.
    pub name: Name,
    /// Its sections.
    pub sections: SectionSet,
    /// Its limits.
    pub limits: Limits,
}

/// A plan's limits: they block growth and never take away existing access. None: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most seats: members that are PENDING, ACTIVE or DISABLED.
    pub members: Option<u64>,
    /// The most resources of a type that are not deleted; a type without an entry has no limit.
    pub resources: BTreeMap<TypeKey, u64>,
    /// The most live API keys.
    pub api_keys: Option<u64>,
}

/// A catalogue that has been checked. Indexes that it minted mean nothing in another one: facts and questions
/// compiled against a catalogue must be decided with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    sections: Vec<Section>,
    parts: Vec<Part>,
    types: Vec<ResourceType>,
    actions: Vec<Action>,
    default_plan: Plan,
    other_plans: Vec<Plan>,
    switches: Vec<SwitchKey>,
    firewall_switch: Option<SwitchIx>,
    section_keys: BTreeMap<SectionKey, SectionIx>,
    type_keys: BTreeMap<TypeKey, TypeIx>,
}

impl Catalogue {
    /// The section of that key.
    #[must_use]
    pub fn section(&self, key: &str) -> Option<SectionIx> {
        self.section_keys.get(key).copied()
    }

    /// The part of a section with that key.
    #[must_use]
    pub fn part(&self, section: SectionIx, key: &str) -> Option<PartIx> {
        self.parts(section).find(|(_, part)| part.key.as_str() == key).map(|(index, _)| index)
    }

    /// The resource type of that key.
    #[must_use]
    pub fn resource_type(&self, key: &str) -> Option<TypeIx> {
        self.type_keys.get(key).copied()
    }

    /// The action of a resource type with that key.
    #[must_use]
    pub fn action(&self, kind: TypeIx, key: &str) -> Option<ActionIx> {
        self.actions(kind).find(|(_, action)| action.key.as_str() == key).map(|(index, _)| index)
    }

    /// The plan of that key.
    #[must_use]
    pub fn plan(&self, key: &str) -> Option<&Plan> {
        self.plans().find(|plan| plan.key.as_str() == key)
    }

    /// The feature switch of that key.
    #[must_use]
    pub fn switch(&self, key: &str) -> Option<SwitchIx> {
        self.switches().find(|(_, switch)| switch.as_str() == key).map(|(index, _)| index)
    }

    /// The section at an index; none where another catalogue minted it.
    #[must_use]
    pub fn section_at(&self, index: SectionIx) -> Option<&Section> {
        self.sections.get(index.position())
    }

    /// The part at an index; none where another catalogue minted it.
    #[must_use]
    pub fn part_at(&self, index: PartIx) -> Option<&Part> {
        self.parts.get(index.position())
    }

    /// The resource type at an index; none where another catalogue minted it.
    #[must_use]
    pub fn type_at(&self, index: TypeIx) -> Option<&ResourceType> {
        self.types.get(index.position())
    }

    /// The action at an index; none where another catalogue minted it.
    #[must_use]
    pub fn action_at(&self, index: ActionIx) -> Option<&Action> {
        self.actions.get(index.position())
    }

    /// The feature switch at an index; none where another catalogue minted it.
    #[must_use]
    pub fn switch_at(&self, index: SwitchIx) -> Option<&SwitchKey> {
        self.switches.get(index.position())
    }

    /// The sections, in the order of the sidebar.
    pub fn sections(&self) -> impl Iterator<Item = (SectionIx, &Section)> {
        numbered(&self.sections, 0..self.sections.len(), SectionIx::at)
    }

    /// The parts of a section, in the catalogue's order.
    pub fn parts(&self, section: SectionIx) -> impl Iterator<Item = (PartIx, &Part)> {
        let range = self.section_at(section).map_or(0..0, |section| section.parts.clone());
        numbered(&self.parts, range, PartIx::at)
    }

    /// The resource types, in the catalogue's order.
    pub fn types(&self) -> impl Iterator<Item = (TypeIx, &ResourceType)> {
        numbered(&self.types, 0..self.types.len(), TypeIx::at)
    }

    /// The actions of a resource type, in the catalogue's order.
    pub fn actions(&self, kind: TypeIx) -> impl Iterator<Item = (ActionIx, &Action)> {
        let range = self.type_at(kind).map_or(0..0, |kind| kind.actions.clone());
        numbered(&self.actions, range, ActionIx::at)
    }

    /// The plans, in the catalogue's order.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        std::iter::once(&self.default_plan).chain(&self.other_plans)
    }

    /// The plan that new tenants get: the first.
    #[must_use]
    pub fn default_plan(&self) -> &Plan {
        &self.default_plan
    }

    /// The feature switches: those that a section needs, and the firewall's.
    pub fn switches(&self) -> impl Iterator<Item = (SwitchIx, &SwitchKey)> {
        numbered(&self.switches, 0..self.switches.len(), SwitchIx::at)
    }

    /// The feature switch that must be on for firewall rules to bind; none: they bind wherever they exist.
    #[must_use]
    pub fn firewall_switch(&self) -> Option<SwitchIx> {
        self.firewall_switch
    }
}

fn numbered<T, I>(
    things: &[T],
    range: Range<usize>,
    mint: impl Fn(usize) -> Option<I>,
) -> impl Iterator<Item = (I, &T)> {
    let positions = range.clone();
    let slice = things.get(range).unwrap_or_default();
    positions.zip(slice).filter_map(move |(position, thing)| Some((mint(position)?, thing)))
}

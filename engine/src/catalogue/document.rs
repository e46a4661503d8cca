//! The shape of a catalogue file. It knows no format and checks nothing: [`super::Catalogue::build`] does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SectionKind;
use crate::role::Role;

/// A catalogue as it is written, before anything has been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The feature switch that must be on for firewall rules to bind; none: they bind wherever they exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_switch: Option<String>,
    /// The sections, in the order of the sidebar.
    #[serde(default, rename = "section")]
    pub sections: Vec<SectionDocument>,
    /// The resource types.
    #[serde(default, rename = "type")]
    pub types: Vec<TypeDocument>,
    /// The plans; new tenants get the first.
    #[serde(default, rename = "plan")]
    pub plans: Vec<PlanDocument>,
}

/// A section as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionDocument {
    /// Its key.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: SectionKind,
    /// Whether new USERs have it; only for CONFIGURABLE sections, where none means off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// The feature switch that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<String>,
    /// Its parts.
    #[serde(default, rename = "part", skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartDocument>,
}

/// A part of a section as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartDocument {
    /// Its key, within its section.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// The role that it needs: USER means any member.
    pub role: Role,
}

/// A resource type as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeDocument {
    /// Its key.
    pub key: String,
    /// What people call one.
    pub name: String,
    /// What may be done to a resource of the type.
    #[serde(default, rename = "action")]
    pub actions: Vec<ActionDocument>,
}

/// An action as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionDocument {
    /// Its key, within its type.
    pub key: String,
    /// The section that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Whether only an ADMIN may.
    #[serde(default)]
    pub admin_only: bool,
    /// Whether an INACTIVE resource blocks it.
    #[serde(default)]
    pub blocked_while_inactive: bool,
    /// Whether the tenant's firewall applies.
    #[serde(default)]
    pub firewall: bool,
}

/// A plan as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanDocument {
    /// Its key.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// Its sections; none: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<Vec<String>>,
    /// Its limits; none: no limit.
    #[serde(default, skip_serializing_if = "LimitsDocument::is_empty")]
    pub limits: LimitsDocument,
}

/// A plan's limits as they are written. They block growth and never take away existing access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsDocument {
    /// The most seats: members that are PENDING, ACTIVE or DISABLED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// The most live API keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<u64>,
    /// The most resources, by type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
}

impl LimitsDocument {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

//! A resource as it is administered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Name, ResourceRef, Revision};
use crate::instant::Instant;
use crate::status::ResourceStatus;

/// An instance of a resource type that a tenant has registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its type and id.
    #[serde(flatten)]
    pub reference: ResourceRef,
    /// What people call it.
    pub name: Name,
    /// Labels of the caller's: they mean nothing here.
    pub tags: BTreeMap<String, String>,
    /// Its status.
    pub status: ResourceStatus,
    /// When it was registered.
    pub created_at: Instant,
    /// The tenant's revision at which it last changed.
    pub revision: Revision,
}

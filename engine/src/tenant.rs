//! A tenant as it is administered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::firewall::Firewall;
use crate::id::{Name, PlanKey, Revision, SectionKey, Slug, SwitchKey, TenantId};
use crate::instant::Instant;
use crate::status::TenantStatus;
use crate::subscription::Subscription;

/// An isolated workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id, never used twice.
    pub id: TenantId,
    /// Its unique, immutable short name.
    pub slug: Slug,
    /// What people call it.
    pub name: Name,
    /// Its status.
    pub status: TenantStatus,
    /// Its plan.
    pub plan: PlanKey,
    /// Its subscription.
    pub subscription: Subscription,
    /// The feature switches that are on.
    pub switches: BTreeSet<SwitchKey>,
    /// The defaults that it has set itself; other sections take the catalogue's.
    pub defaults: BTreeMap<SectionKey, bool>,
    /// Its firewall rules.
    pub firewall: Firewall,
    /// When it was created.
    pub created_at: Instant,
    /// The tenant's revision at which any of this last changed.
    pub revision: Revision,
}

//! What a decision looks at: facts of one tenant, one subject and one resource, compiled against one catalogue.
//!
//! Stored keys that the catalogue does not have are dropped on the way, and a plan that it does not have has no
//! sections: what is not understood opens nothing. When the catalogue changes, facts must be compiled again.

mod grants;
mod key;
mod member;

use serde::{Deserialize, Serialize};

pub use self::grants::{Grants, PackedGrants};
pub use self::key::{KeyFacts, KeyScope};
pub use self::member::{MemberFacts, Profile};
use crate::catalogue::{Catalogue, SectionIx, SectionSet, SwitchSet};
use crate::firewall::Firewall;
use crate::resource::Resource;
use crate::status::{ResourceStatus, TenantStatus};
use crate::subscription::Subscription;
use crate::tenant::Tenant;

/// Everything that a decision looks at, besides the question and the time.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The catalogue that the facts and the question were compiled against.
    pub catalogue: &'a Catalogue,
    /// The tenant; none: there is none of that id.
    pub tenant: Option<&'a TenantFacts>,
    /// Who asks.
    pub subject: Subject<'a>,
    /// The resource asked for; none: the tenant has none of that type and id, or a section is asked for.
    pub resource: Option<&'a ResourceFacts>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A member; none: nobody in this tenant.
    Member(Option<&'a MemberFacts>),
    /// An API key whose secret was right; none: an unknown or foreign key, or a wrong secret.
    Key(Option<&'a KeyFacts>),
}

/// What is the tenant's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantFacts {
    /// Its status.
    pub status: TenantStatus,
    /// Its subscription.
    pub subscription: Subscription,
    /// The sections of its plan.
    pub plan_sections: SectionSet,
    /// The feature switches that are on.
    pub switches: SwitchSet,
    /// The defaults that it has set itself.
    pub defaults: Toggles,
    /// Its firewall rules.
    pub firewall: Firewall,
}

impl TenantFacts {
    /// Compiles a tenant.
    #[must_use]
    pub fn over(tenant: &Tenant, catalogue: &Catalogue) -> Self {
        let defaults = tenant.defaults.iter().map(|(key, &on)| (key.as_str(), on));
        Self {
            status: tenant.status,
            subscription: tenant.subscription.clone(),
            plan_sections: catalogue
                .plan(tenant.plan.as_str())
                .map_or(SectionSet::EMPTY, |plan| plan.sections),
            switches: tenant.switches.iter().filter_map(|key| catalogue.switch(key.as_str())).collect(),
            defaults: Toggles::over(defaults, catalogue),
            firewall: tenant.firewall.clone(),
        }
    }
}

/// What is a resource's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceFacts {
    /// Its status.
    pub status: ResourceStatus,
}

impl ResourceFacts {
    /// Compiles a resource.
    #[must_use]
    pub fn over(resource: &Resource) -> Self {
        Self { status: resource.status }
    }
}

/// Values of sections: on, off, or nothing stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toggles {
    stored: SectionSet,
    on: SectionSet,
}

impl Toggles {
    /// Compiles stored values.
    #[must_use]
    pub fn over<'k>(values: impl IntoIterator<Item = (&'k str, bool)>, catalogue: &Catalogue) -> Self {
        let mut toggles = Self::default();
        for (key, on) in values {
            if let Some(section) = catalogue.section(key) {
                toggles.set(section, on);
            }
        }
        toggles
    }

    /// The stored value of a section.
    #[must_use]
    pub fn get(&self, section: SectionIx) -> Option<bool> {
        self.stored.contains(section).then(|| self.on.contains(section))
    }

    /// Stores a value.
    pub fn set(&mut self, section: SectionIx, on: bool) {
        self.stored.insert(section);
        if on {
            self.on.insert(section);
        } else {
            self.on.remove(section);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::SHIPPED;

    #[test]
    fn a_value_is_on_or_off_or_not_stored_and_unknown_sections_are_dropped() {
        let catalogue = Catalogue::build(toml::from_str(SHIPPED).unwrap()).unwrap();
        let [logs, eval, traces] = ["logs", "eval", "traces"].map(|key| catalogue.section(key).unwrap());
        let mut toggles = Toggles::over([("logs", true), ("eval", false), ("forgotten", true)], &catalogue);
        assert_eq!([logs, eval, traces].map(|section| toggles.get(section)), [Some(true), Some(false), None]);
        toggles.set(logs, false);
        toggles.set(eval, true);
        assert_eq!([logs, eval].map(|section| toggles.get(section)), [Some(false), Some(true)]);
    }
}

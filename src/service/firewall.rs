//! What a tenant switches on, and the rules of its firewall: from where its members may come.

use doorward_engine::firewall::{CountryRule, DomainRule};
use doorward_engine::id::{SwitchKey, TenantId};
use doorward_engine::tenant::Tenant;

use super::draft::Draft;
use super::error::{Error, Violation};
use super::tenant::TenantAt;
use super::{Backend, Call, Done, Operation, Service};

/// A rule, which takes the place of the one of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirewallRule {
    /// Over countries.
    Country(CountryRule),
    /// Over email domains.
    Domain(DomainRule),
}

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// The one over countries.
    Country,
    /// The one over email domains.
    Domain,
}

impl<B: Backend> Service<B> {
    /// Turns a feature switch.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a switch that the catalogue does not have.
    pub async fn set_feature_switch(
        &self,
        call: Call,
        tenant: TenantId,
        switch: SwitchKey,
        on: bool,
    ) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::SetFeatureSwitch, tenant, move |after, draft| {
            turn(after, draft, switch, on)
        })
        .await
    }

    /// Sets a firewall rule.
    ///
    /// # Errors
    /// Those of every mutation.
    pub async fn set_firewall_rule(
        &self,
        call: Call,
        tenant: TenantId,
        rule: FirewallRule,
    ) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::SetFirewallRule, tenant, move |after, _| {
            match rule {
                FirewallRule::Country(rule) => after.firewall.country = Some(rule),
                FirewallRule::Domain(rule) => after.firewall.domain = Some(rule),
            }
            Ok(())
        })
        .await
    }

    /// Removes a firewall rule, if there is one.
    ///
    /// # Errors
    /// Those of every mutation.
    pub async fn delete_firewall_rule(
        &self,
        call: Call,
        tenant: TenantId,
        kind: RuleKind,
    ) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::DeleteFirewallRule, tenant, move |after, _| {
            match kind {
                RuleKind::Country => after.firewall.country = None,
                RuleKind::Domain => after.firewall.domain = None,
            }
            Ok(())
        })
        .await
    }
}

/// Turns a switch that the catalogue has.
pub(super) fn turn(after: &mut Tenant, draft: &Draft<'_>, switch: SwitchKey, on: bool) -> Result<(), Error> {
    let catalogue = &draft.state.in_force.catalogue;
    if catalogue.switch(switch.as_str()).is_none() {
        let allowed = catalogue.switches().map(|(_, key)| key.as_str());
        return Err(Violation::unknown("switch", "feature switch", switch.as_str(), allowed).into());
    }
    if on {
        after.switches.insert(switch);
    } else {
        after.switches.remove(&switch);
    }
    Ok(())
}

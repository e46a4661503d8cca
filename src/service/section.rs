//! Sections: what each member sees of the product, and what new members begin with.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::catalogue::{Catalogue, Section, SectionKind};
use doorward_engine::id::{MemberId, Name, PartKey, Revision, SectionKey, SwitchKey, TenantId};
use doorward_engine::member::{Member, Origin, SectionValue};
use doorward_engine::role::Role;
use doorward_engine::tenant::Tenant;
use serde::{Deserialize, Serialize};

use super::authority::TenantAdmin;
use super::draft::Draft;
use super::error::Precondition;
use super::{Backend, Call, Done, Error, Operation, Service};
use crate::caller::Caller;
use crate::store::Needs;

/// The most members whom an answer names.
const NAMED_MAX: usize = 1_000;

/// One row of the permission matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionDefault {
    /// The section.
    pub section: SectionKey,
    /// What people call it.
    pub name: Name,
    /// Its type.
    pub kind: SectionKind,
    /// Whether newly invited USERs begin with it; none where it has no toggle.
    pub default: Option<bool>,
    /// Whether the tenant has set that itself.
    pub overridden: bool,
    /// The feature switch that it needs.
    pub switch: Option<SwitchKey>,
    /// Its parts, each with the role that it needs.
    pub parts: Vec<(PartKey, Role)>,
}

/// Whose values are replaced by the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// These members'; ADMINs are passed over.
    Members(BTreeSet<MemberId>),
    /// Every USER's who is not deleted.
    Everyone,
}

/// Which values are replaced by the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those that nobody set on purpose, and those that are missing.
    Untouched,
}

/// Whose values the defaults have replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The members, in order; the first thousand.
    pub changed: Vec<MemberId>,
    /// How many there are.
    pub count: usize,
}

impl<B: Backend> Service<B> {
    /// Switches sections of a member on or off: all of the named ones or none.
    ///
    /// # Errors
    /// [`Error`]: a section that the catalogue does not know, or that has no toggle.
    pub async fn set_section_access(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
        sections: BTreeMap<SectionKey, bool>,
    ) -> Result<Done<Member>, Error> {
        let needs = Needs { members: [member.clone()].into(), ..Needs::default() };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| set_access(draft, &member, &sections);
        self.as_admin(call, Operation::SetSectionAccess, tenant, needs, plan).await
    }

    /// Removes the stored values of a member's sections; none named: all of them.
    ///
    /// # Errors
    /// As [`Self::set_section_access`].
    pub async fn reset_section_access(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
        sections: BTreeSet<SectionKey>,
    ) -> Result<Done<Member>, Error> {
        let needs = Needs { members: [member.clone()].into(), ..Needs::default() };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| reset_access(draft, &member, &sections);
        self.as_admin(call, Operation::ResetSectionAccess, tenant, needs, plan).await
    }

    /// The permission matrix, and the revision of the tenant's record.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_permission_matrix(
        &self,
        caller: &Caller,
        tenant: TenantId,
    ) -> Result<(Vec<SectionDefault>, Revision), Error> {
        let (_, view) = self.reading_admin(caller, Operation::GetPermissionMatrix, &tenant).await?;
        let snapshot = self.tenant_facts(tenant, Vec::new()).await?;
        Ok((matrix(&snapshot.in_force.catalogue, &view.tenant), view.tenant.revision))
    }

    /// Sets what newly invited USERs begin with; answers the permission matrix.
    ///
    /// # Errors
    /// As [`Self::set_section_access`].
    pub async fn set_section_defaults(
        &self,
        call: Call,
        tenant: TenantId,
        defaults: BTreeMap<SectionKey, bool>,
    ) -> Result<Done<Vec<SectionDefault>>, Error> {
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| set_defaults(draft, &defaults);
        self.as_admin(call, Operation::SetSectionDefaults, tenant, Needs::default(), plan).await
    }

    /// Pushes the defaults to existing USERs.
    ///
    /// # Errors
    /// [`Error`]: a named member who is not there, and then nothing is changed.
    pub async fn apply_section_defaults(
        &self,
        call: Call,
        tenant: TenantId,
        whose: Whose,
        which: Which,
    ) -> Result<Done<Applied>, Error> {
        let needs = match &whose {
            Whose::Members(members) => Needs { members: members.clone(), ..Needs::default() },
            Whose::Everyone => Needs { every_user: true, ..Needs::default() },
        };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| apply_defaults(draft, &whose, which);
        self.as_admin(call, Operation::ApplySectionDefaults, tenant, needs, plan).await
    }
}

fn set_access(
    draft: &mut Draft<'_>,
    id: &MemberId,
    sections: &BTreeMap<SectionKey, bool>,
) -> Result<Member, Error> {
    let member = draft.member(id)?;
    draft.compare(member.revision)?;
    let mut after = member.clone();
    for (section, value) in chosen(&draft.state.in_force.catalogue, sections)? {
        // An equal value is no change, wherever it came from.
        if member.sections.get(&section).is_none_or(|before| before.on != value.on) {
            after.sections.insert(section, value);
        }
    }
    Ok(draft.put_member(Some(member), after))
}

fn reset_access(
    draft: &mut Draft<'_>,
    id: &MemberId,
    sections: &BTreeSet<SectionKey>,
) -> Result<Member, Error> {
    let member = draft.member(id)?;
    draft.compare(member.revision)?;
    for section in sections {
        configurable(&draft.state.in_force.catalogue, section)?;
    }
    let mut after = member.clone();
    after.sections.retain(|section, _| !sections.is_empty() && !sections.contains(section));
    Ok(draft.put_member(Some(member), after))
}

fn set_defaults(
    draft: &mut Draft<'_>,
    defaults: &BTreeMap<SectionKey, bool>,
) -> Result<Vec<SectionDefault>, Error> {
    let tenant = draft.tenant()?;
    draft.compare(tenant.revision)?;
    let catalogue = &draft.state.in_force.catalogue;
    for section in defaults.keys() {
        configurable(catalogue, section)?;
    }
    let mut after = tenant.clone();
    after.defaults.extend(defaults.iter().map(|(section, on)| (section.clone(), *on)));
    let after = draft.put_tenant(after);
    Ok(matrix(catalogue, &after))
}

fn apply_defaults(draft: &mut Draft<'_>, whose: &Whose, which: Which) -> Result<Applied, Error> {
    draft.compare_tenant_revision()?;
    let members: Vec<&Member> = match whose {
        Whose::Members(ids) => {
            // Of an id as much as errors repeat of any text.
            let field = |id: &MemberId| format!("member_ids: {:.64}", id.as_str());
            let named = |id: &MemberId| draft.member(id).map_err(|error| error.at(|| field(id)));
            ids.iter().map(named).collect::<Result<_, _>>()?
        }
        Whose::Everyone => draft.state.members.values().filter(|member| member.status.is_live()).collect(),
    };
    let defaults = copied(&draft.state.in_force.catalogue, draft.tenant()?);
    let mut changed = Vec::new();
    for member in members.into_iter().filter(|member| member.role == Role::User) {
        let mut after = member.clone();
        for (section, value) in &defaults {
            let is_set = member.sections.get(section).is_some_and(|before| before.origin == Origin::Set);
            if which == Which::All || !is_set {
                after.sections.insert(section.clone(), *value);
            }
        }
        if after.sections != member.sections {
            changed.push(draft.put_member(Some(member), after).id);
        }
    }
    let count = changed.len();
    changed.truncate(NAMED_MAX);
    Ok(Applied { changed, count })
}

/// What a new USER begins with: a stored value for every CONFIGURABLE section, copied from the defaults of now.
pub(super) fn copied(catalogue: &Catalogue, tenant: &Tenant) -> BTreeMap<SectionKey, SectionValue> {
    let configurable = catalogue.sections().filter(|(_, section)| section.kind == SectionKind::Configurable);
    let value = |section: &Section| {
        let on = tenant.defaults.get(&section.key).copied().unwrap_or(section.default);
        (section.key.clone(), SectionValue { on, origin: Origin::Default })
    };
    configurable.map(|(_, section)| value(section)).collect()
}

/// Values that were named on purpose.
///
/// # Errors
/// A section that the catalogue does not know, or that has no toggle.
pub(super) fn chosen(
    catalogue: &Catalogue,
    sections: &BTreeMap<SectionKey, bool>,
) -> Result<BTreeMap<SectionKey, SectionValue>, Error> {
    let value = |(section, on): (&SectionKey, &bool)| {
        configurable(catalogue, section)?;
        Ok((section.clone(), SectionValue { on: *on, origin: Origin::Set }))
    };
    sections.iter().map(value).collect()
}

fn configurable(catalogue: &Catalogue, key: &SectionKey) -> Result<(), Error> {
    let section = catalogue.section(key.as_str()).and_then(|index| catalogue.section_at(index));
    match section.map(|section| section.kind) {
        Some(SectionKind::Configurable) => Ok(()),
        Some(_) => Err(Precondition::NotConfigurable(key.to_string()).into()),
        None => Err(Error::SectionUnknown(key.to_string())),
    }
}

fn matrix(catalogue: &Catalogue, tenant: &Tenant) -> Vec<SectionDefault> {
    let row = |index, section: &Section| {
        let has_toggle = section.kind == SectionKind::Configurable;
        let own = tenant.defaults.get(&section.key).copied().filter(|_| has_toggle);
        SectionDefault {
            section: section.key.clone(),
            name: section.name.clone(),
            kind: section.kind,
            default: own.or(has_toggle.then_some(section.default)),
            overridden: own.is_some(),
            switch: section.switch.and_then(|switch| catalogue.switch_at(switch)).cloned(),
            parts: catalogue.parts(index).map(|(_, part)| (part.key.clone(), part.role)).collect(),
        }
    };
    catalogue.sections().map(|(index, section)| row(index, section)).collect()
}

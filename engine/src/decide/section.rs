//! Rules 12 to 18, and those of rule 27 that are about sections.

use super::{Case, Note, Witness};
use crate::catalogue::{Part, PartIx, Section, SectionIx, SectionKind};
use crate::question::PartAsked;
use crate::reason::Reason;
use crate::role::Role;
use crate::rule::Rule;
use crate::snapshot::{KeyFacts, MemberFacts, TenantFacts};

/// A section of the catalogue, or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    index: SectionIx,
    section: &'a Section,
    part: Option<(PartIx, &'a Part)>,
}

/// A member asks for a section or a part.
pub(super) fn for_member<W: Witness>(
    case: &Case<'_>,
    tenant: &TenantFacts,
    member: &MemberFacts,
    part: PartAsked,
    w: &mut W,
) -> Result<Reason, Reason> {
    let asked = available(case, tenant, part, w)?;
    part_and_system(asked, member, w)?.map_or_else(|| toggled(asked, tenant, member, w), Ok)
}

/// An API key asks for a section or a part.
pub(super) fn for_key<W: Witness>(
    case: &Case<'_>,
    tenant: &TenantFacts,
    key: &KeyFacts,
    part: PartAsked,
    w: &mut W,
) -> Result<Reason, Reason> {
    let asked = available(case, tenant, part, w)?;
    let named = key.names_section(asked.index, asked.part.map(|(index, part)| (index, part.role)));
    let note =
        |verb: &str| Note::of(format!("the key's scopes {verb} `{}`", asked.path())).with("key", &key.id);
    if named {
        Ok(w.decided(Rule::ApiKey, Reason::KeyScope, || note("name")))
    } else {
        Err(w.decided(Rule::ApiKey, Reason::KeyScopeMissing, || note("do not name")))
    }
}

/// Rules 12 and 13.
pub(super) fn available<'a, W: Witness>(
    case: &Case<'a>,
    tenant: &TenantFacts,
    part: PartAsked,
    w: &mut W,
) -> Result<Asked<'a>, Reason> {
    let Some(asked) = Asked::find(case, part) else {
        let note = || Note::of("the catalogue has no such section or part");
        return Err(w.decided(Rule::SectionKnown, Reason::SectionUnknown, note));
    };
    w.passed(Rule::SectionKnown, || {
        Note::of(format!("`{}` is in the catalogue", asked.path())).with("type", asked.section.kind.name())
    });
    let Some(switch) = asked.section.switch else {
        w.skipped(Rule::SwitchOn, || Note::of(format!("`{}` needs no feature switch", asked.section.key)));
        return Ok(asked);
    };
    let on = tenant.switches.contains(switch);
    let note = || {
        let key = case.facts.catalogue.switch_at(switch).map_or("", |key| key.as_str());
        Note::of(format!("the feature switch `{key}` is {}", on_or_off(on))).with("switch", key)
    };
    if !on {
        return Err(w.decided(Rule::SwitchOn, Reason::FeatureDisabled, note));
    }
    w.passed(Rule::SwitchOn, note);
    Ok(asked)
}

/// Rule 14.
pub(super) fn part_and_system<W: Witness>(
    asked: Asked<'_>,
    member: &MemberFacts,
    w: &mut W,
) -> Result<Option<Reason>, Reason> {
    let needs_admin = asked.part.is_some_and(|(_, part)| part.role == Role::Admin);
    if needs_admin && member.role == Role::User {
        let note = || Note::of(format!("`{}` needs an ADMIN", asked.path())).with("role", member.role.name());
        return Err(w.decided(Rule::PartAndSystem, Reason::AdminRequired, note));
    }
    if asked.section.kind == SectionKind::System {
        let note = || Note::of(format!("`{}` is open to every active member", asked.path()));
        return Ok(Some(w.decided(Rule::PartAndSystem, Reason::SystemSection, note)));
    }
    w.passed(Rule::PartAndSystem, || Note::of("neither a part out of reach nor a SYSTEM section"));
    Ok(None)
}

/// Rules 15 to 18.
pub(super) fn toggled<W: Witness>(
    asked: Asked<'_>,
    tenant: &TenantFacts,
    member: &MemberFacts,
    w: &mut W,
) -> Result<Reason, Reason> {
    let key = &asked.section.key;
    if member.role == Role::Admin {
        let note = || Note::of("an ADMIN has every section; stored values are not read");
        return Ok(w.decided(Rule::AdminSection, Reason::RoleAdmin, note));
    }
    w.passed(Rule::AdminSection, || Note::of("the member is a USER").with("role", member.role.name()));
    let kind = || Note::of(format!("`{key}` is {}", asked.section.kind.name())).with("section", key);
    match asked.section.kind {
        SectionKind::AdminOnly => Err(w.decided(Rule::SectionKind, Reason::SectionAdminOnly, kind)),
        SectionKind::Always => Ok(w.decided(Rule::SectionKind, Reason::SectionAlwaysOpen, kind)),
        // SYSTEM was answered by rule 14.
        SectionKind::Configurable | SectionKind::System => {
            w.passed(Rule::SectionKind, kind);
            configured(asked, tenant, member, w)
        }
    }
}

/// Rules 17 and 18.
fn configured<W: Witness>(
    asked: Asked<'_>,
    tenant: &TenantFacts,
    member: &MemberFacts,
    w: &mut W,
) -> Result<Reason, Reason> {
    let key = &asked.section.key;
    if let Some(on) = member.toggles.get(asked.index) {
        let note = || {
            Note::of(format!("`{key}` is stored as {} for the member", on_or_off(on))).with("section", key)
        };
        return if on {
            Ok(w.decided(Rule::StoredValue, Reason::SectionGranted, note))
        } else {
            Err(w.decided(Rule::StoredValue, Reason::SectionDisabled, note))
        };
    }
    w.passed(Rule::StoredValue, || Note::of(format!("nothing is stored for `{key}`")).with("section", key));
    let own = tenant.defaults.get(asked.index);
    let on = own.unwrap_or(asked.section.default);
    let note = || {
        let whose = if own.is_some() { "tenant" } else { "catalogue" };
        Note::of(format!("the {whose}'s default of `{key}` is {}", on_or_off(on))).with("default_of", whose)
    };
    if on {
        Ok(w.decided(Rule::DefaultValue, Reason::SectionDefaultAllowed, note))
    } else {
        Err(w.decided(Rule::DefaultValue, Reason::SectionDefaultDenied, note))
    }
}

impl<'a> Asked<'a> {
    fn find(case: &Case<'a>, part: PartAsked) -> Option<Self> {
        let (index, section) = case.section?;
        let part = match part {
            PartAsked::None => None,
            PartAsked::Unknown => return None,
            PartAsked::Known(at) => {
                let part = case.facts.catalogue.part_at(at).filter(|part| part.section == index)?;
                Some((at, part))
            }
        };
        Some(Self { index, section, part })
    }

    fn path(&self) -> String {
        let part = self.part.map_or_else(String::new, |(_, part)| format!(".{}", part.key));
        format!("{}{part}", self.section.key)
    }
}

fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

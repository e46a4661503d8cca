//! Sections of members and their defaults, between wire and domain.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::catalogue::SectionKind;
use doorward_engine::id::{MemberId, SectionKey, TenantId};

use super::fields::LIST_MAX;
use super::member::{member, role};
use super::{Context, Fields, answer};
use crate::proto;
use crate::service::section::{SectionDefault, Which, Whose};
use crate::service::{Backend, Error};

pub(in crate::wire) async fn set_section_access<B: Backend>(
    context: Context<B>,
    request: proto::SetSectionAccessRequest,
) -> Result<proto::SetSectionAccessResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let control = fields.control(context.operation, &request);
    let sections = fields.some_toggles("sections", request.sections);
    let (tenant, id, control, sections) = fields.all((tenant, id, control, sections))?;
    let done =
        context.service.set_section_access(context.call(control), tenant.clone(), id, sections).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(SetSectionAccessResponse { member: Some(member(&tenant, &done.answer)) }, tail))
}

pub(in crate::wire) async fn reset_section_access<B: Backend>(
    context: Context<B>,
    request: proto::ResetSectionAccessRequest,
) -> Result<proto::ResetSectionAccessResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let control = fields.control(context.operation, &request);
    let sections = fields.sections("sections", &request.sections);
    let (tenant, id, control, sections) = fields.all((tenant, id, control, sections))?;
    let done =
        context.service.reset_section_access(context.call(control), tenant.clone(), id, sections).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(ResetSectionAccessResponse { member: Some(member(&tenant, &done.answer)) }, tail))
}

pub(in crate::wire) async fn get_permission_matrix<B: Backend>(
    context: Context<B>,
    request: proto::GetPermissionMatrixRequest,
) -> Result<proto::GetPermissionMatrixResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let (tenant,) = fields.all((tenant,))?;
    let (rows, revision) = context.service.get_permission_matrix(&context.caller, tenant).await?;
    Ok(proto::GetPermissionMatrixResponse { sections: matrix_message(rows), revision: revision.0 })
}

pub(in crate::wire) async fn set_section_defaults<B: Backend>(
    context: Context<B>,
    request: proto::SetSectionDefaultsRequest,
) -> Result<proto::SetSectionDefaultsResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let control = fields.control(context.operation, &request);
    let defaults = fields.some_toggles("defaults", request.defaults);
    let (tenant, control, defaults) = fields.all((tenant, control, defaults))?;
    let done = context.service.set_section_defaults(context.call(control), tenant.clone(), defaults).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(SetSectionDefaultsResponse { sections: matrix_message(done.answer) }, tail))
}

pub(in crate::wire) async fn apply_section_defaults<B: Backend>(
    context: Context<B>,
    request: proto::ApplySectionDefaultsRequest,
) -> Result<proto::ApplySectionDefaultsResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let control = fields.control(context.operation, &request);
    let which = match fields.choice("mode", request.mode, "APPLY_MODE_ALL or APPLY_MODE_ONLY_UNTOUCHED") {
        Some(proto::ApplyMode::All) => Some(Which::All),
        Some(proto::ApplyMode::OnlyUntouched) => Some(Which::Untouched),
        Some(proto::ApplyMode::Unspecified) | None => None,
    };
    let whose = fields.whose(request.all, request.member_ids);
    let (tenant, control, which, whose) = fields.all((tenant, control, which, whose))?;
    let call = context.call(control);
    let done = context.service.apply_section_defaults(call, tenant.clone(), whose, which).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let applied = done.answer;
    Ok(answer!(
        ApplySectionDefaultsResponse {
            changed_member_ids: applied.changed.into_iter().map(String::from).collect(),
            changed_count: u32::try_from(applied.count).unwrap_or(u32::MAX),
        },
        tail
    ))
}

impl Fields {
    /// Section keys, each with on or off: one at least.
    fn some_toggles(
        &mut self,
        field: &str,
        sections: BTreeMap<String, bool>,
    ) -> Option<BTreeMap<SectionKey, bool>> {
        if sections.is_empty() {
            self.wrong(
                field,
                format!("is empty: expected 1 to {LIST_MAX} section keys, each with true or false"),
            );
            return None;
        }
        self.toggles(field, sections)
    }

    /// Section keys, none twice; there may be none.
    fn sections(&mut self, field: &str, keys: &[String]) -> Option<BTreeSet<SectionKey>> {
        if keys.len() > LIST_MAX {
            self.wrong(field, format!("has {} entries: expected at most {LIST_MAX}", keys.len()));
            return None;
        }
        self.each_once(field, keys, |fields, path, key| fields.section(path, key))
    }

    fn whose(&mut self, all: bool, members: Vec<String>) -> Option<Whose> {
        match (all, members.is_empty()) {
            (true, true) => Some(Whose::Everyone),
            (true, false) => {
                self.wrong("member_ids", "is given beside `all`: expected one of the two");
                None
            }
            (false, true) => {
                self.wrong("member_ids", format!("is empty: expected 1 to {LIST_MAX} member ids, or `all`"));
                None
            }
            (false, false) => {
                let members = self.list("member_ids", members)?;
                let parse =
                    |fields: &mut Self, path: &str, id: &String| fields.parse(path, id, MemberId::parse);
                self.each_once("member_ids", &members, parse).map(Whose::Members)
            }
        }
    }

    /// A list that names nothing twice, as a set.
    pub(super) fn each_once<E, T: Ord>(
        &mut self,
        field: &str,
        entries: &[E],
        parse: impl Fn(&mut Self, &str, &E) -> Option<T>,
    ) -> Option<BTreeSet<T>> {
        let (mut set, mut is_good) = (BTreeSet::new(), true);
        for (at, entry) in entries.iter().enumerate() {
            let path = format!("{field}[{at}]");
            match parse(self, &path, entry).map(|value| set.insert(value)) {
                Some(true) => continue,
                Some(false) => self.wrong(path, "is named before: expected each once"),
                None => {}
            }
            is_good = false;
        }
        is_good.then_some(set)
    }
}

fn matrix_message(rows: Vec<SectionDefault>) -> Vec<proto::SectionDefault> {
    let part = |(part, needs)| proto::SectionPart { part: String::from(part), role: role(needs).into() };
    let row = |row: SectionDefault| proto::SectionDefault {
        section: row.section.into(),
        name: row.name.into(),
        r#type: type_message(row.kind).into(),
        default_enabled: row.default,
        overridden: row.overridden,
        needs_switch: row.switch.map(String::from).unwrap_or_default(),
        parts: row.parts.into_iter().map(part).collect(),
    };
    rows.into_iter().map(row).collect()
}

pub(super) const fn type_message(kind: SectionKind) -> proto::SectionType {
    match kind {
        SectionKind::AdminOnly => proto::SectionType::AdminOnly,
        SectionKind::Configurable => proto::SectionType::Configurable,
        SectionKind::Always => proto::SectionType::Always,
        SectionKind::System => proto::SectionType::System,
    }
}

//! The catalogue on the wire.

use doorward_engine::catalogue::{Action, Catalogue, Limits, Plan, Section, SectionIx, SectionKind};

use super::member::role;
use super::section::type_message;
use super::{Context, Fields, answer};
use crate::proto;
use crate::service::{Backend, Error};
use crate::store::InForce;
use crate::store::act::PLATFORM;

pub(in crate::wire) async fn get_catalogue<B: Backend>(
    context: Context<B>,
    _: proto::GetCatalogueRequest,
) -> Result<proto::GetCatalogueResponse, Error> {
    let in_force = context.service.get_catalogue(&context.caller).await?;
    Ok(proto::GetCatalogueResponse { catalogue: Some(catalogue(&in_force)) })
}

pub(in crate::wire) async fn apply_catalogue<B: Backend>(
    context: Context<B>,
    request: proto::ApplyCatalogueRequest,
) -> Result<proto::ApplyCatalogueResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let (control,) = fields.all((control,))?;
    let call = context.call(control);
    let done = context.service.apply_catalogue(call, request.document).await?;
    let tail = context.tail(PLATFORM, &done);
    let (catalogue, differences) = (catalogue(&done.answer.in_force), done.answer.differences);
    Ok(answer!(ApplyCatalogueResponse { catalogue: Some(catalogue), differences }, tail))
}

fn catalogue(in_force: &InForce) -> proto::Catalogue {
    let catalogue = &in_force.catalogue;
    let kind = |(index, kind): (_, &doorward_engine::catalogue::ResourceType)| {
        let actions = catalogue.actions(index).map(|(_, known)| action(catalogue, known));
        proto::CatalogueResourceType {
            r#type: kind.key.to_string(),
            name: kind.name.to_string(),
            actions: actions.collect(),
        }
    };
    let mut switches: Vec<_> = catalogue.switches().map(|(_, key)| key.to_string()).collect();
    switches.sort_unstable();
    proto::Catalogue {
        version: in_force.version,
        digest: in_force.digest.clone(),
        document: in_force.document.clone(),
        sections: catalogue.sections().map(|(ix, known)| section(catalogue, ix, known)).collect(),
        resource_types: catalogue.types().map(kind).collect(),
        plans: catalogue.plans().map(|known| plan(catalogue, known)).collect(),
        switches,
        revision: in_force.version,
    }
}

fn section(catalogue: &Catalogue, index: SectionIx, section: &Section) -> proto::CatalogueSection {
    let switch = section.switch.and_then(|switch| catalogue.switch_at(switch));
    let parts = catalogue
        .parts(index)
        .map(|(_, part)| proto::SectionPart { part: part.key.to_string(), role: role(part.role).into() });
    proto::CatalogueSection {
        section: section.key.to_string(),
        name: section.name.to_string(),
        r#type: type_message(section.kind).into(),
        default_enabled: (section.kind == SectionKind::Configurable).then_some(section.default),
        needs_switch: switch.map(ToString::to_string).unwrap_or_default(),
        parts: parts.collect(),
    }
}

fn action(catalogue: &Catalogue, action: &Action) -> proto::CatalogueAction {
    let section = action.section.and_then(|section| catalogue.section_at(section));
    proto::CatalogueAction {
        action: action.key.to_string(),
        needs_section: section.map(|section| section.key.to_string()).unwrap_or_default(),
        admin_only: action.admin_only,
        blocked_while_inactive: action.blocked_while_inactive,
        firewall: action.firewall,
    }
}

fn plan(catalogue: &Catalogue, plan: &Plan) -> proto::CataloguePlan {
    let sections = catalogue.sections().filter(|(index, _)| plan.sections.contains(*index));
    proto::CataloguePlan {
        plan: plan.key.to_string(),
        name: plan.name.to_string(),
        sections: sections.map(|(_, section)| section.key.to_string()).collect(),
        limits: Some(limits(&plan.limits)),
    }
}

fn limits(limits: &Limits) -> proto::PlanLimits {
    let count = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
    proto::PlanLimits {
        members: limits.members.map(count),
        resources: limits.resources.iter().map(|(kind, &limit)| (kind.to_string(), count(limit))).collect(),
        api_keys: limits.api_keys.map(count),
    }
}

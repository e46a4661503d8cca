//! Grants and the grid of members and resources on the wire.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::id::{MemberId, ResourceId, TenantId, TypeKey};
use doorward_engine::member::Grant;
use doorward_engine::role::Role;

use super::fields::LIST_MAX;
use super::list::{Paging, next};
use super::member::member;
use super::{Context, Fields, PageFilter, answer, timestamp};
use crate::proto;
use crate::service::grant::{GrantChange, GrantHeld};
use crate::service::{Backend, Error};
use crate::store::directory::AccessRow;

pub(in crate::wire) async fn set_grants<B: Backend>(
    context: Context<B>,
    request: proto::SetGrantsRequest,
) -> Result<proto::SetGrantsResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let changes = changes(&mut fields, request.changes);
    let (control, tenant, changes) = fields.all((control, tenant, changes))?;
    let call = context.call(control);
    let done = context.service.set_grants(call, tenant.clone(), changes).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let grants = done.answer.grants.into_iter().map(grant).collect();
    Ok(answer!(SetGrantsResponse { grants, changed_count: done.answer.changed }, tail))
}

pub(in crate::wire) async fn copy_access<B: Backend>(
    context: Context<B>,
    request: proto::CopyAccessRequest,
) -> Result<proto::CopyAccessResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let from = fields.parse("from_member_id", &request.from_member_id, MemberId::parse);
    let to = fields.parse("to_member_id", &request.to_member_id, MemberId::parse);
    if from.is_some() && from == to {
        fields.wrong("to_member_id", "is `from_member_id`: expected another member");
    }
    let (control, tenant, from, to) = fields.all((control, tenant, from, to))?;
    let call = context.call(control);
    let done = context.service.copy_access(call, tenant.clone(), from, to).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let member = Some(member(&tenant, &done.answer.member));
    Ok(answer!(CopyAccessResponse { member, grant_count: done.answer.grants }, tail))
}

pub(in crate::wire) async fn get_access_matrix<B: Backend>(
    context: Context<B>,
    request: proto::GetAccessMatrixRequest,
) -> Result<proto::GetAccessMatrixResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let kind = fields.parse("type", &request.r#type, TypeKey::parse);
    let texts: Vec<_> = std::iter::once(&request.r#type).chain(&request.resource_ids).collect();
    let texts: Vec<_> = texts.into_iter().map(String::as_str).collect();
    let filter = PageFilter::new(context.operation, &request.tenant_id, &texts);
    let resources = columns(&mut fields, &request.resource_ids);
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, Some(&filter), MemberId::parse);
    let (tenant, kind, resources, slice) = fields.all((tenant, kind, resources, slice))?;
    let service = &context.service;
    let (caller, id) = (&context.caller, tenant.clone());
    let found = service.get_access_matrix(caller, id, kind, resources, slice).await?;
    Ok(proto::GetAccessMatrixResponse {
        rows: found.items.into_iter().map(|found| row(&tenant, found)).collect(),
        next_page_token: next(&filter, &context.keys, found.next.map(String::from)),
    })
}

fn changes(fields: &mut Fields, changes: Vec<proto::GrantChange>) -> Option<Vec<GrantChange>> {
    let changes = fields.list("changes", changes)?;
    let mut parsed = Vec::with_capacity(changes.len());
    for (at, change) in changes.into_iter().enumerate() {
        parsed.push(change_at(fields, at, change));
    }
    let parsed: Vec<_> = parsed.into_iter().collect::<Option<_>>()?;
    let mut seen = BTreeMap::new();
    let mut is_whole = true;
    for (at, change) in parsed.iter().enumerate() {
        if let Some(first) = seen.insert((&change.member, &change.resource), at) {
            let problem = format!("is about the member and the resource of `changes[{first}]`");
            fields.wrong(format!("changes[{at}]"), problem);
            is_whole = false;
        }
    }
    is_whole.then_some(parsed)
}

fn change_at(fields: &mut Fields, at: usize, change: proto::GrantChange) -> Option<GrantChange> {
    let field = |name: &str| format!("changes[{at}].{name}");
    let member = fields.parse(field("member_id"), &change.member_id, MemberId::parse);
    let resource = fields.resource(field("resource"), change.resource);
    if !change.granted && change.expires_at.is_some() {
        let problem = "is given for a grant that is to be removed: leave it out";
        fields.wrong(field("expires_at"), problem);
        return None;
    }
    let expires_at = fields.instant(field("expires_at"), change.expires_at)?;
    let grant = change.granted.then_some(Grant { expires_at });
    Some(GrantChange { member: member?, resource: resource?, grant })
}

fn columns(fields: &mut Fields, ids: &[String]) -> Option<BTreeSet<ResourceId>> {
    if ids.len() > LIST_MAX {
        let problem = format!("has {} entries: expected at most {LIST_MAX}", ids.len());
        fields.wrong("resource_ids", problem);
        return None;
    }
    fields.each_once("resource_ids", ids, |fields, path, id| fields.parse(path, id, ResourceId::parse))
}

fn grant(held: GrantHeld) -> proto::Grant {
    let resource = proto::Resource { r#type: held.resource.kind.into(), id: held.resource.id.into() };
    proto::Grant {
        member_id: held.member.into(),
        resource: Some(resource),
        expires_at: held.grant.expires_at.map(timestamp),
        revision: held.set_at.map_or(0, |revision| revision.0),
    }
}

fn row(tenant: &TenantId, row: AccessRow) -> proto::AccessMatrixRow {
    let member = member(tenant, &row.member);
    let cell = |(id, grant): (ResourceId, Grant)| proto::AccessMatrixCell {
        resource_id: id.into(),
        expires_at: grant.expires_at.map(timestamp),
    };
    proto::AccessMatrixRow {
        always_on: row.member.role == Role::Admin,
        granted: row.grants.into_iter().map(cell).collect(),
        member: Some(proto::MemberSummary {
            member_id: member.member_id,
            email: member.email,
            display_name: member.display_name,
            role: member.role,
            status: member.status,
        }),
    }
}

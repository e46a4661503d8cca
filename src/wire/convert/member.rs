//! Members after their invitation, between wire and domain.

use doorward_engine::id::{MemberId, Name, TenantId, UserId};
use doorward_engine::member::Member;
use doorward_engine::role::Role;
use doorward_engine::status::MemberStatus;

use super::api_key::api_keys;
use super::list::{Paging, next, paths, search};
use super::{Context, Fields, PageFilter, answer, timestamp};
use crate::proto;
use crate::service::member::Deletion;
use crate::service::{Backend, Error};
use crate::store::directory::MemberFilter;

pub(in crate::wire) async fn change_member_role<B: Backend>(
    context: Context<B>,
    request: proto::ChangeMemberRoleRequest,
) -> Result<proto::ChangeMemberRoleResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let role = fields.role("role", request.role);
    let control = fields.control(context.operation, &request);
    let (tenant, id, role, control) = fields.all((tenant, id, role, control))?;
    let done = context.service.change_member_role(context.call(control), tenant.clone(), id, role).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(ChangeMemberRoleResponse { member: Some(member(&tenant, &done.answer)) }, tail))
}

pub(in crate::wire) async fn disable_member<B: Backend>(
    context: Context<B>,
    request: proto::DisableMemberRequest,
) -> Result<proto::DisableMemberResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let control = fields.control(context.operation, &request);
    let (tenant, id, control) = fields.all((tenant, id, control))?;
    let call = context.call(control);
    let done = context.service.disable_member(call, tenant.clone(), id, request.revoke_keys).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let departed = done.answer;
    Ok(answer!(
        DisableMemberResponse {
            member: Some(member(&tenant, &departed.member)),
            live_keys: api_keys(&tenant, departed.live_keys),
            revoked_keys: api_keys(&tenant, departed.revoked_keys),
        },
        tail
    ))
}

pub(in crate::wire) async fn enable_member<B: Backend>(
    context: Context<B>,
    request: proto::EnableMemberRequest,
) -> Result<proto::EnableMemberResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let control = fields.control(context.operation, &request);
    let (tenant, id, control) = fields.all((tenant, id, control))?;
    let done = context.service.enable_member(context.call(control), tenant.clone(), id).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(EnableMemberResponse { member: Some(member(&tenant, &done.answer)) }, tail))
}

pub(in crate::wire) async fn delete_member<B: Backend>(
    context: Context<B>,
    request: proto::DeleteMemberRequest,
) -> Result<proto::DeleteMemberResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let control = fields.control(context.operation, &request);
    let (tenant, id, control) = fields.all((tenant, id, control))?;
    let call = context.call(control);
    let manner = Deletion { revoke_keys: request.revoke_keys, erase: request.erase };
    let done = context.service.delete_member(call, tenant.clone(), id, manner).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let departed = done.answer;
    Ok(answer!(
        DeleteMemberResponse {
            member: Some(member(&tenant, &departed.member)),
            live_keys: api_keys(&tenant, departed.live_keys),
            revoked_keys: api_keys(&tenant, departed.revoked_keys),
        },
        tail
    ))
}

pub(in crate::wire) async fn update_member<B: Backend>(
    context: Context<B>,
    request: proto::UpdateMemberRequest,
) -> Result<proto::UpdateMemberResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let name = fields.optional("display_name", &request.display_name, Name::parse);
    let control = fields.control(context.operation, &request);
    let mask = paths(&mut fields, request.update_mask, &["display_name"]);
    let (tenant, id, name, control, _) = fields.all((tenant, id, name, control, mask))?;
    let done = context.service.update_member(context.call(control), tenant.clone(), id, name).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(UpdateMemberResponse { member: Some(member(&tenant, &done.answer)) }, tail))
}

pub(in crate::wire) async fn get_member<B: Backend>(
    context: Context<B>,
    request: proto::GetMemberRequest,
) -> Result<proto::GetMemberResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let (tenant, id) = fields.all((tenant, id))?;
    let found = context.service.get_member(&context.caller, tenant.clone(), id).await?;
    Ok(proto::GetMemberResponse { member: Some(member(&tenant, &found)) })
}

pub(in crate::wire) async fn list_members<B: Backend>(
    context: Context<B>,
    request: proto::ListMembersRequest,
) -> Result<proto::ListMembersResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let filter = fields.member_filter(&request);
    let narrowed = [&request.status.to_string(), &request.role.to_string(), &*request.text];
    let list = PageFilter::new(context.operation, &request.tenant_id, &narrowed);
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, Some(&list), MemberId::parse);
    let (tenant, filter, slice) = fields.all((tenant, filter, slice))?;
    let page = context.service.list_members(&context.caller, tenant.clone(), filter, slice).await?;
    Ok(proto::ListMembersResponse {
        members: page.items.iter().map(|found| member(&tenant, found)).collect(),
        next_page_token: next(&list, &context.keys, page.next.map(String::from)),
    })
}

impl Fields {
    /// A role that must be given.
    pub(super) fn role(&mut self, field: &str, value: i32) -> Option<Role> {
        match self.choice(field, value, "ROLE_ADMIN or ROLE_USER")? {
            proto::Role::Admin => Some(Role::Admin),
            proto::Role::User => Some(Role::User),
            proto::Role::Unspecified => None,
        }
    }

    fn member_filter(&mut self, request: &proto::ListMembersRequest) -> Option<MemberFilter> {
        let status = match request.status {
            0 => Some(None),
            value => self.listed_status(value).map(Some),
        };
        let role = match request.role {
            0 => Some(None),
            value => self.role("role", value).map(Some),
        };
        let text = search(self, "text", &request.text);
        Some(MemberFilter { status: status?, role: role?, text: text? })
    }

    fn listed_status(&mut self, value: i32) -> Option<MemberStatus> {
        const ALLOWED: &str = "MEMBER_STATUS_PENDING, MEMBER_STATUS_ACTIVE or MEMBER_STATUS_DISABLED";
        match self.choice("status", value, ALLOWED)? {
            proto::MemberStatus::Pending => Some(MemberStatus::Pending),
            proto::MemberStatus::Active => Some(MemberStatus::Active),
            proto::MemberStatus::Disabled => Some(MemberStatus::Disabled),
            proto::MemberStatus::Unspecified | proto::MemberStatus::Deleted => {
                self.wrong("status", format!("is of members who are not listed: expected {ALLOWED}"));
                None
            }
        }
    }
}

/// A member as the wire says it.
pub(super) fn member(tenant: &TenantId, member: &Member) -> proto::Member {
    let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
    proto::Member {
        tenant_id: tenant.to_string(),
        member_id: member.id.to_string(),
        user_id: text(member.user_id.as_ref().map(UserId::as_str)),
        email: member.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        display_name: text(member.display_name.as_ref().map(Name::as_str)),
        role: role(member.role).into(),
        status: status(member.status).into(),
        sections: member.sections.iter().map(|(section, value)| (section.to_string(), value.on)).collect(),
        create_time: Some(timestamp(member.created_at)),
        invitation_expire_time: member.invitation_expires_at.map(timestamp),
        revision: member.revision.0,
    }
}

/// A role as the wire says it.
pub(super) const fn role(role: Role) -> proto::Role {
    match role {
        Role::Admin => proto::Role::Admin,
        Role::User => proto::Role::User,
    }
}

const fn status(status: MemberStatus) -> proto::MemberStatus {
    match status {
        MemberStatus::Pending => proto::MemberStatus::Pending,
        MemberStatus::Active => proto::MemberStatus::Active,
        MemberStatus::Disabled => proto::MemberStatus::Disabled,
        MemberStatus::Deleted => proto::MemberStatus::Deleted,
    }
}

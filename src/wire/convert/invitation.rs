//! Invitations, between wire and domain. A token passes through and is never repeated in an error.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::id::{MemberId, Name, ResourceRef, SectionKey, TenantId, UserId};
use doorward_engine::member::Grant;
use doorward_engine::role::Role;
use secrecy::{ExposeSecret, SecretString};

use super::fields::{LIST_MAX, echo};
use super::member::member;
use super::{Context, Fields, answer, parse_email, timestamp};
use crate::proto;
use crate::service::invitation::{Invited, Invitee};
use crate::service::{Backend, Error};

/// The most bytes of a token.
const TOKEN_BYTES_MAX: usize = 512;

pub(in crate::wire) async fn invite_member<B: Backend>(
    context: Context<B>,
    request: proto::InviteMemberRequest,
) -> Result<proto::InviteMemberResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let control = fields.creation(context.operation, &request);
    let invitee = proto::Invitee {
        email: request.email,
        role: request.role,
        display_name: request.display_name,
        member_id: request.member_id,
        sections: request.sections,
        grants: request.grants,
        user_id: request.user_id,
    };
    let invitee = fields.invitee("", invitee);
    let (tenant, control, invitee) = fields.all((tenant, control, invitee))?;
    let done = context.service.invite_member(context.call(control), tenant.clone(), invitee).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let invited = invited_message(&tenant, done.answer);
    Ok(answer!(
        InviteMemberResponse {
            member: invited.member,
            invitation_token: invited.invitation_token,
            invitation_expire_time: invited.invitation_expire_time,
        },
        tail
    ))
}

pub(in crate::wire) async fn batch_invite_members<B: Backend>(
    context: Context<B>,
    request: proto::BatchInviteMembersRequest,
) -> Result<proto::BatchInviteMembersResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let control = fields.control(context.operation, &request);
    let invitees = fields.list("invitees", request.invitees).and_then(|invitees| fields.invitees(invitees));
    let (tenant, control, invitees) = fields.all((tenant, control, invitees))?;
    let done = context.service.batch_invite_members(context.call(control), tenant.clone(), invitees).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let invited = done.answer.into_iter().map(|invited| invited_message(&tenant, invited)).collect();
    Ok(answer!(BatchInviteMembersResponse { invited }, tail))
}

pub(in crate::wire) async fn resend_invitation<B: Backend>(
    context: Context<B>,
    request: proto::ResendInvitationRequest,
) -> Result<proto::ResendInvitationResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let control = fields.control(context.operation, &request);
    let (tenant, id, control) = fields.all((tenant, id, control))?;
    let done = context.service.resend_invitation(context.call(control), tenant.clone(), id).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let invited = invited_message(&tenant, done.answer);
    Ok(answer!(
        ResendInvitationResponse {
            member: invited.member,
            invitation_token: invited.invitation_token,
            invitation_expire_time: invited.invitation_expire_time,
        },
        tail
    ))
}

pub(in crate::wire) async fn cancel_invitation<B: Backend>(
    context: Context<B>,
    request: proto::CancelInvitationRequest,
) -> Result<proto::CancelInvitationResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let control = fields.control(context.operation, &request);
    let (tenant, id, control) = fields.all((tenant, id, control))?;
    let done = context.service.cancel_invitation(context.call(control), tenant.clone(), id).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(CancelInvitationResponse { member: Some(member(&tenant, &done.answer)) }, tail))
}

pub(in crate::wire) async fn accept_invitation<B: Backend>(
    context: Context<B>,
    request: proto::AcceptInvitationRequest,
) -> Result<proto::AcceptInvitationResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let control = fields.control(context.operation, &request);
    let token = fields.token(request.token);
    let user = fields.parse("user_id", &request.user_id, UserId::parse);
    let name = fields.optional("display_name", &request.display_name, Name::parse);
    let (tenant, control, token, user, name) = fields.all((tenant, control, token, user, name))?;
    let call = context.call(control);
    let done = context.service.accept_invitation(call, tenant.clone(), &token, user, name).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(AcceptInvitationResponse { member: Some(member(&tenant, &done.answer)) }, tail))
}

pub(in crate::wire) async fn activate_member<B: Backend>(
    context: Context<B>,
    request: proto::ActivateMemberRequest,
) -> Result<proto::ActivateMemberResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let id = fields.parse("member_id", &request.member_id, MemberId::parse);
    let user = fields.parse("user_id", &request.user_id, UserId::parse);
    let control = fields.control(context.operation, &request);
    let (tenant, id, user, control) = fields.all((tenant, id, user, control))?;
    let done = context.service.activate_member(context.call(control), tenant.clone(), id, user).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(ActivateMemberResponse { member: Some(member(&tenant, &done.answer)) }, tail))
}

impl Fields {
    /// Everyone whom a batch invites; nobody in it is anybody else in it.
    fn invitees(&mut self, invitees: Vec<proto::Invitee>) -> Option<Vec<Invitee>> {
        let (mut emails, mut ids, mut users) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut parsed = Vec::with_capacity(invitees.len());
        for (at, invitee) in invitees.into_iter().enumerate() {
            let path = format!("invitees[{at}].");
            let invitee = self.invitee(&path, invitee);
            if invitee.as_ref().is_some_and(|invitee| !emails.insert(invitee.email.key())) {
                self.wrong(format!("{path}email"), "is another invitee's: expected one each");
            }
            let id = invitee.as_ref().and_then(|invitee| invitee.id.clone());
            if id.is_some_and(|id| !ids.insert(id)) {
                self.wrong(format!("{path}member_id"), "is another invitee's: expected one each, or none");
            }
            let user = invitee.as_ref().and_then(|invitee| invitee.user.clone());
            if user.is_some_and(|user| !users.insert(user)) {
                self.wrong(format!("{path}user_id"), "is another invitee's: expected one each, or none");
            }
            parsed.push(invitee);
        }
        parsed.into_iter().collect()
    }

    fn invitee(&mut self, path: &str, invitee: proto::Invitee) -> Option<Invitee> {
        let email = self.parse(format_args!("{path}email"), &invitee.email, parse_email);
        let role = self.role(&format!("{path}role"), invitee.role);
        let display_name =
            self.optional(format_args!("{path}display_name"), &invitee.display_name, Name::parse);
        let id = self.optional(format_args!("{path}member_id"), &invitee.member_id, MemberId::parse);
        let user = self.optional(format_args!("{path}user_id"), &invitee.user_id, UserId::parse);
        let field = format!("{path}sections");
        if role == Some(Role::Admin) && !invitee.sections.is_empty() {
            self.wrong(&field, "is given for an ADMIN, who has every section: expected none");
        }
        let sections = self.toggles(&field, invitee.sections);
        let grants = self.grants(&format!("{path}grants"), invitee.grants);
        Some(Invitee {
            path: path.to_owned(),
            id: id?,
            user: user?,
            email: email?,
            role: role?,
            display_name: display_name?,
            sections: sections?,
            grants: grants?,
        })
    }

    /// Section keys, each with on or off; at most [`LIST_MAX`].
    pub(super) fn toggles(
        &mut self,
        field: &str,
        sections: BTreeMap<String, bool>,
    ) -> Option<BTreeMap<SectionKey, bool>> {
        if sections.len() > LIST_MAX {
            self.wrong(field, format!("has {} entries: expected at most {LIST_MAX}", sections.len()));
            return None;
        }
        let parsed: Vec<_> =
            sections.into_iter().map(|(key, on)| Some((self.section(field, &key)?, on))).collect();
        parsed.into_iter().collect()
    }

    /// A section's key in a list or map.
    pub(super) fn section(&mut self, field: &str, key: &str) -> Option<SectionKey> {
        SectionKey::parse(key).map_err(|error| self.wrong(field, format!("{}: {error}", echo(key)))).ok()
    }

    fn grants(&mut self, field: &str, grants: Vec<proto::GrantInput>) -> Option<Vec<(ResourceRef, Grant)>> {
        if grants.len() > LIST_MAX {
            self.wrong(field, format!("has {} entries: expected at most {LIST_MAX}", grants.len()));
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut parsed = Vec::with_capacity(grants.len());
        for (at, grant) in grants.into_iter().enumerate() {
            let path = format!("{field}[{at}]");
            let grant = self.grant(&path, grant);
            if grant.as_ref().is_some_and(|(resource, _)| !seen.insert(resource.clone())) {
                self.wrong(format!("{path}.resource"), "is named before: expected each once");
            }
            parsed.push(grant);
        }
        parsed.into_iter().collect()
    }

    fn grant(&mut self, path: &str, grant: proto::GrantInput) -> Option<(ResourceRef, Grant)> {
        let expires_at = self.instant(format_args!("{path}.expires_at"), grant.expires_at);
        let resource = self.resource(format_args!("{path}.resource"), grant.resource)?;
        Some((resource, Grant { expires_at: expires_at? }))
    }

    /// The token of an invitation; none of ours has another shape, but only a lookup may say that it is unknown.
    fn token(&mut self, token: String) -> Option<SecretString> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            self.wrong("token", "is missing or too long: expected the `invitation_token` of an invitation");
            return None;
        }
        Some(SecretString::from(token))
    }
}

fn invited_message(tenant: &TenantId, invited: Invited) -> proto::InvitedMember {
    proto::InvitedMember {
        invitation_token: invited.token.map(|token| token.expose_secret().to_owned()).unwrap_or_default(),
        invitation_expire_time: invited.member.invitation_expires_at.map(timestamp),
        member: Some(member(tenant, &invited.member)),
    }
}

//! Tenants on the wire, and the answer that every change of a tenant's record gives.

use std::collections::BTreeMap;

use doorward_engine::firewall::{CountryRule, DomainRule, Firewall, ListMode, OnMissing};
use doorward_engine::id::{MemberId, Name, PlanKey, Slug, TenantId, TypeKey, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::status::TenantStatus;
use doorward_engine::subscription::{Subscription, SubscriptionState};

use super::list::{Paging, narrowing, next, paths, search};
use super::member::member;
use super::{Context, Fields, PageFilter, Tail, answer, parse_email, timestamp};
use crate::proto;
use crate::service::tenant::{NewOwner, NewTenant, TenantAt};
use crate::service::{Backend, Done, Error};
use crate::store::directory::{TenantFilter, TenantUsage};

pub(in crate::wire) async fn create_tenant<B: Backend>(
    context: Context<B>,
    request: proto::CreateTenantRequest,
) -> Result<proto::CreateTenantResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.creation(context.operation, &request);
    let new = new_tenant(&mut fields, request);
    let (control, new) = fields.all((control, new))?;
    let done = context.service.create_tenant(context.call(control), new).await?;
    let created = &done.answer.tenant;
    let tail = context.tail(created.tenant.id.as_str(), &done);
    let owner = member(&created.tenant.id, &done.answer.owner);
    Ok(answer!(CreateTenantResponse { tenant: Some(tenant(created)), owner: Some(owner) }, tail))
}

pub(in crate::wire) async fn get_tenant<B: Backend>(
    context: Context<B>,
    request: proto::GetTenantRequest,
) -> Result<proto::GetTenantResponse, Error> {
    let mut fields = Fields::default();
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let (id,) = fields.all((id,))?;
    let (view, used) = context.service.get_tenant(&context.caller, id.clone()).await?;
    Ok(proto::GetTenantResponse {
        tenant: Some(tenant(&TenantAt { tenant: view.tenant, now: view.now })),
        usage: Some(usage(&used)),
        tenant_revision: view.revision.0,
        revision_token: context.revision_token(id.as_str(), view.revision),
    })
}

pub(in crate::wire) async fn list_tenants<B: Backend>(
    context: Context<B>,
    request: proto::ListTenantsRequest,
) -> Result<proto::ListTenantsResponse, Error> {
    let mut fields = Fields::default();
    let status = status_filter(&mut fields, request.status);
    let text = search(&mut fields, "text", &request.text);
    let texts = [&*request.status.to_string(), &request.text];
    let filter = PageFilter::new(context.operation, "", &texts);
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, Some(&filter), TenantId::parse);
    let (status, text, slice) = fields.all((status, text, slice))?;
    let wanted = TenantFilter { status, text };
    let found = context.service.list_tenants(&context.caller, wanted, slice).await?;
    Ok(proto::ListTenantsResponse {
        tenants: found.items.iter().map(tenant).collect(),
        next_page_token: next(&filter, &context.keys, found.next.map(String::from)),
    })
}

pub(in crate::wire) async fn update_tenant<B: Backend>(
    context: Context<B>,
    request: proto::UpdateTenantRequest,
) -> Result<proto::UpdateTenantResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let name = fields.parse("name", &request.name, Name::parse);
    let mask = paths(&mut fields, request.update_mask, &["name"]);
    let (control, id, name, _) = fields.all((control, id, name, mask))?;
    let done = context.service.update_tenant(context.call(control), id, name).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(UpdateTenantResponse { tenant }, tail))
}

pub(in crate::wire) async fn delete_tenant<B: Backend>(
    context: Context<B>,
    request: proto::DeleteTenantRequest,
) -> Result<proto::DeleteTenantResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let (control, id) = fields.all((control, id))?;
    // Whatever it is: either it is the tenant's slug, or it confirms nothing.
    let confirm = request.confirm_slug;
    let done = context.service.delete_tenant(context.call(control), id, confirm).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(DeleteTenantResponse { tenant }, tail))
}

pub(in crate::wire) async fn suspend_tenant<B: Backend>(
    context: Context<B>,
    request: proto::SuspendTenantRequest,
) -> Result<proto::SuspendTenantResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let (control, id) = fields.all((control, id))?;
    let done = context.service.suspend_tenant(context.call(control), id).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(SuspendTenantResponse { tenant }, tail))
}

pub(in crate::wire) async fn resume_tenant<B: Backend>(
    context: Context<B>,
    request: proto::ResumeTenantRequest,
) -> Result<proto::ResumeTenantResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let (control, id) = fields.all((control, id))?;
    let done = context.service.resume_tenant(context.call(control), id).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(ResumeTenantResponse { tenant }, tail))
}

/// What the answer of every change of a tenant's record has.
pub(super) fn changed<B: Backend>(
    context: &Context<B>,
    done: &Done<TenantAt>,
) -> (Option<proto::Tenant>, Tail) {
    let at = &done.answer;
    (Some(tenant(at)), context.tail(at.tenant.id.as_str(), done))
}

fn status_filter(fields: &mut Fields, status: i32) -> Option<Option<TenantStatus>> {
    let allowed = "ACTIVE or SUSPENDED";
    match narrowing(fields, "status", status, allowed)? {
        None | Some(proto::TenantStatus::Unspecified) => Some(None),
        Some(proto::TenantStatus::Active) => Some(Some(TenantStatus::Active)),
        Some(proto::TenantStatus::Suspended) => Some(Some(TenantStatus::Suspended)),
        Some(proto::TenantStatus::Deleted) => {
            let problem = "is DELETED, and deleted tenants are not listed";
            fields.wrong("status", format!("{problem}: expected {allowed}"));
            None
        }
    }
}

fn new_tenant(fields: &mut Fields, request: proto::CreateTenantRequest) -> Option<NewTenant> {
    let id = fields.optional("tenant_id", &request.tenant_id, TenantId::parse);
    let slug = fields.parse("slug", &request.slug, Slug::parse);
    let name = fields.parse("name", &request.name, Name::parse);
    let plan = fields.optional("plan", &request.plan, PlanKey::parse);
    let owner = fields.message("owner", request.owner)?;
    let owner_id = fields.optional("owner.member_id", &owner.member_id, MemberId::parse);
    let user_id = fields.parse("owner.user_id", &owner.user_id, UserId::parse);
    let email = fields.parse("owner.email", &owner.email, parse_email);
    let display_name = fields.optional("owner.display_name", &owner.display_name, Name::parse);
    let owner = NewOwner { id: owner_id?, user_id: user_id?, email: email?, display_name: display_name? };
    Some(NewTenant { id: id?, slug: slug?, name: name?, owner, plan: plan? })
}

/// A tenant as the wire says it.
pub(super) fn tenant(at: &TenantAt) -> proto::Tenant {
    let TenantAt { tenant, now } = at;
    let status = match tenant.status {
        TenantStatus::Active => proto::TenantStatus::Active,
        TenantStatus::Suspended => proto::TenantStatus::Suspended,
        TenantStatus::Deleted => proto::TenantStatus::Deleted,
    };
    proto::Tenant {
        tenant_id: tenant.id.to_string(),
        name: tenant.name.to_string(),
        slug: tenant.slug.to_string(),
        status: status.into(),
        subscription: Some(subscription(&tenant.subscription, *now)),
        plan: tenant.plan.to_string(),
        switches: tenant.switches.iter().map(ToString::to_string).collect(),
        firewall: Some(firewall(&tenant.firewall)),
        create_time: Some(timestamp(tenant.created_at)),
        revision: tenant.revision.0,
    }
}

fn subscription(subscription: &Subscription, now: Instant) -> proto::Subscription {
    proto::Subscription {
        state: state(subscription.state).into(),
        trial_end: subscription.trial_end.map(timestamp),
        period_end: subscription.period_end.map(timestamp),
        grace_end: subscription.grace_end.map(timestamp),
        access_until: subscription.access_until.map(timestamp),
        complimentary: subscription.complimentary,
        effective_state: state(subscription.in_force(now)).into(),
    }
}

const fn state(state: SubscriptionState) -> proto::SubscriptionState {
    match state {
        SubscriptionState::Trialing => proto::SubscriptionState::Trialing,
        SubscriptionState::Active => proto::SubscriptionState::Active,
        SubscriptionState::PendingRenewal => proto::SubscriptionState::PendingRenewal,
        SubscriptionState::Expired => proto::SubscriptionState::Expired,
        SubscriptionState::Cancelled => proto::SubscriptionState::Cancelled,
    }
}

fn firewall(firewall: &Firewall) -> proto::Firewall {
    let country = |rule: &CountryRule| proto::CountryRule {
        mode: mode(rule.mode).into(),
        countries: rule.countries.iter().map(ToString::to_string).collect(),
        on_missing: match rule.on_missing {
            OnMissing::Skip => proto::OnMissing::Skip,
            OnMissing::Deny => proto::OnMissing::Deny,
        }
        .into(),
    };
    let domain = |rule: &DomainRule| proto::DomainRule {
        mode: mode(rule.mode).into(),
        domains: rule.domains.iter().map(ToString::to_string).collect(),
    };
    proto::Firewall {
        country: firewall.country.as_ref().map(country),
        domain: firewall.domain.as_ref().map(domain),
    }
}

const fn mode(mode: ListMode) -> proto::FirewallMode {
    match mode {
        ListMode::AllowList => proto::FirewallMode::AllowList,
        ListMode::BlockList => proto::FirewallMode::BlockList,
    }
}

fn usage(used: &TenantUsage) -> proto::TenantUsage {
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let of_type = |(kind, used): (&TypeKey, &u64)| (kind.to_string(), count(*used));
    let resources: BTreeMap<_, _> = used.resources.iter().map(of_type).collect();
    proto::TenantUsage { members: count(used.members), resources, api_keys: count(used.api_keys) }
}

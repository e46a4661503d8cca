//! Changes of a subscription and a plan on the wire.

use doorward_engine::id::{PlanKey, TenantId};
use doorward_engine::subscription::SubscriptionState;

use super::tenant::changed;
use super::{Context, Fields, answer};
use crate::proto;
use crate::service::subscription::Wanted;
use crate::service::{Backend, Error};

pub(in crate::wire) async fn set_subscription<B: Backend>(
    context: Context<B>,
    request: proto::SetSubscriptionRequest,
) -> Result<proto::SetSubscriptionResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let wanted = wanted(&mut fields, &request);
    let plan = fields.optional("plan", &request.plan, PlanKey::parse);
    let (control, id, wanted, plan) = fields.all((control, id, wanted, plan))?;
    let call = context.call(control);
    let done = context.service.set_subscription(call, id, wanted, plan).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(SetSubscriptionResponse { tenant }, tail))
}

pub(in crate::wire) async fn renew_subscription<B: Backend>(
    context: Context<B>,
    request: proto::RenewSubscriptionRequest,
) -> Result<proto::RenewSubscriptionResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let period_end = fields.message("period_end", request.period_end);
    let period_end = period_end.and_then(|time| fields.instant("period_end", Some(time)).flatten());
    let grace_end = fields.instant("grace_end", request.grace_end);
    let (control, id, period_end, grace_end) = fields.all((control, id, period_end, grace_end))?;
    let call = context.call(control);
    let done = context.service.renew_subscription(call, id, period_end, grace_end).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(RenewSubscriptionResponse { tenant }, tail))
}

pub(in crate::wire) async fn cancel_subscription<B: Backend>(
    context: Context<B>,
    request: proto::CancelSubscriptionRequest,
) -> Result<proto::CancelSubscriptionResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let (control, id) = fields.all((control, id))?;
    let done = context.service.cancel_subscription(context.call(control), id).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(CancelSubscriptionResponse { tenant }, tail))
}

pub(in crate::wire) async fn set_complimentary<B: Backend>(
    context: Context<B>,
    request: proto::SetComplimentaryRequest,
) -> Result<proto::SetComplimentaryResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let (control, id) = fields.all((control, id))?;
    let call = context.call(control);
    let done = context.service.set_complimentary(call, id, request.complimentary).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(SetComplimentaryResponse { tenant }, tail))
}

pub(in crate::wire) async fn set_plan<B: Backend>(
    context: Context<B>,
    request: proto::SetPlanRequest,
) -> Result<proto::SetPlanResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let id = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let plan = fields.parse("plan", &request.plan, PlanKey::parse);
    let (control, id, plan) = fields.all((control, id, plan))?;
    let done = context.service.set_plan(context.call(control), id, plan).await?;
    let (tenant, tail) = changed(&context, &done);
    Ok(answer!(SetPlanResponse { tenant }, tail))
}

fn wanted(fields: &mut Fields, request: &proto::SetSubscriptionRequest) -> Option<Wanted> {
    let allowed = "TRIALING, ACTIVE, PENDING_RENEWAL, EXPIRED or CANCELLED";
    let state = fields.choice("state", request.state, allowed).and_then(state);
    let trial_end = fields.instant("trial_end", request.trial_end);
    let period_end = fields.instant("period_end", request.period_end);
    let grace_end = fields.instant("grace_end", request.grace_end);
    let access_until = fields.instant("access_until", request.access_until);
    Some(Wanted {
        state: state?,
        trial_end: trial_end?,
        period_end: period_end?,
        grace_end: grace_end?,
        access_until: access_until?,
    })
}

const fn state(state: proto::SubscriptionState) -> Option<SubscriptionState> {
    match state {
        proto::SubscriptionState::Unspecified => None,
        proto::SubscriptionState::Trialing => Some(SubscriptionState::Trialing),
        proto::SubscriptionState::Active => Some(SubscriptionState::Active),
        proto::SubscriptionState::PendingRenewal => Some(SubscriptionState::PendingRenewal),
        proto::SubscriptionState::Expired => Some(SubscriptionState::Expired),
        proto::SubscriptionState::Cancelled => Some(SubscriptionState::Cancelled),
    }
}

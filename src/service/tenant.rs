//! Tenants: their creation, name, suspension and end. Their subscription and firewall have files of their own.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::contact::Email;
use doorward_engine::firewall::Firewall;
use doorward_engine::id::{MemberId, Name, PlanKey, Revision, Slug, TenantId, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::member::Member;
use doorward_engine::role::Role;
use doorward_engine::status::{MemberStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use doorward_engine::tenant::Tenant;
use serde::{Deserialize, Serialize};

use super::authority::{self, Operator, TenantAdmin};
use super::draft::{Draft, fresh_id};
use super::error::{Error, Precondition, Violation};
use super::list::{Page, one_more};
use super::{Backend, Call, Done, Operation, Service};
use crate::caller::Caller;
use crate::store::directory::{Slice, TenantFilter, TenantRows, TenantUsage, TenantView};
use crate::store::{Directory, Needs, Target};

/// A tenant at an instant: what is in force of its subscription depends on the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantAt {
    /// The tenant.
    pub tenant: Tenant,
    /// The instant.
    pub now: Instant,
}

/// A tenant to be created.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Its id; none: a fresh one.
    pub id: Option<TenantId>,
    /// Its slug.
    pub slug: Slug,
    /// Its name.
    pub name: Name,
    /// Its first ADMIN.
    pub owner: NewOwner,
    /// Its plan; none: the catalogue's first.
    pub plan: Option<PlanKey>,
}

/// The first ADMIN of a tenant to be created.
#[derive(Clone, Debug)]
pub struct NewOwner {
    /// The member id; none: a fresh one.
    pub id: Option<MemberId>,
    /// The person's id at the identity provider.
    pub user_id: UserId,
    /// Their address.
    pub email: Email,
    /// What people call them.
    pub display_name: Option<Name>,
}

/// A tenant that was created, with its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founded {
    /// The tenant.
    pub tenant: TenantAt,
    /// The owner.
    pub owner: Member,
}

impl<B: Backend> Service<B> {
    /// Creates a tenant with its owner.
    ///
    /// # Errors
    /// ALREADY_EXISTS for a slug or an id in use, INVALID_ARGUMENT for an unknown plan.
    pub async fn create_tenant(&self, call: Call, new: NewTenant) -> Result<Done<Founded>, Error> {
        let id = new.id.clone().map_or_else(|| fresh_id(TenantId::parse), Ok)?;
        let trial_seconds = self.policy.trial_seconds;
        let target = Target::NewTenant(id.clone());
        let plan = move |_: &Operator, draft: &mut Draft<'_>| found(draft, id, new, trial_seconds);
        self.as_operator(call, Operation::CreateTenant, target, Needs::default(), plan).await
    }

    /// One tenant, with what it uses.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn get_tenant(
        &self,
        caller: &Caller,
        tenant: TenantId,
    ) -> Result<(TenantView, TenantUsage), Error> {
        let (_, view) = self.reading_admin(caller, Operation::GetTenant, &tenant).await?;
        let usage = self.directory.usage(tenant, view.now).await?;
        Ok((view, usage))
    }

    /// A page of tenants.
    ///
    /// # Errors
    /// PERMISSION_DENIED for all but the operator.
    pub async fn list_tenants(
        &self,
        caller: &Caller,
        filter: TenantFilter,
        slice: Slice<TenantId>,
    ) -> Result<Page<TenantAt, TenantId>, Error> {
        authority::operator(caller, Operation::ListTenants, None)?;
        let limit = slice.limit;
        let TenantRows { tenants, now } = self.directory.tenants(filter, one_more(slice)).await?;
        let page = Page::cut(tenants, limit, |tenant| tenant.id.clone());
        Ok(page.map(|tenant| TenantAt { tenant, now }))
    }

    /// Renames a tenant.
    ///
    /// # Errors
    /// Those of every mutation.
    pub async fn update_tenant(
        &self,
        call: Call,
        tenant: TenantId,
        name: Name,
    ) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::UpdateTenant, tenant, move |after, _| {
            after.name = name;
            Ok(())
        })
        .await
    }

    /// Deletes a tenant. The operator may repeat it; for everybody else a deleted tenant is not there.
    ///
    /// # Errors
    /// CONFIRMATION_MISMATCH where `confirm` is not the slug.
    pub async fn delete_tenant(
        &self,
        call: Call,
        tenant: TenantId,
        confirm: String,
    ) -> Result<Done<TenantAt>, Error> {
        let (operation, needs) = (Operation::DeleteTenant, Needs::default());
        if call.caller.is_operator() {
            let plan = move |_: &Operator, draft: &mut Draft<'_>| delete(draft, &confirm);
            return self.as_operator(call, operation, Target::Tenant(tenant), needs, plan).await;
        }
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| delete(draft, &confirm);
        self.as_admin(call, operation, tenant, needs, plan).await
    }

    /// Closes a tenant for a time.
    ///
    /// # Errors
    /// Those of every mutation.
    pub async fn suspend_tenant(&self, call: Call, tenant: TenantId) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::SuspendTenant, tenant, |after, _| {
            after.status = TenantStatus::Suspended;
            Ok(())
        })
        .await
    }

    /// Ends a suspension.
    ///
    /// # Errors
    /// TENANT_NOT_SUSPENDED.
    pub async fn resume_tenant(&self, call: Call, tenant: TenantId) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::ResumeTenant, tenant, |after, _| resume(after)).await
    }

    /// Any mutation of the tenant's own record.
    pub(super) async fn change_tenant<F>(
        &self,
        call: Call,
        operation: Operation,
        tenant: TenantId,
        change: F,
    ) -> Result<Done<TenantAt>, Error>
    where
        F: FnOnce(&mut Tenant, &Draft<'_>) -> Result<(), Error> + Send + 'static,
    {
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| change_with(draft, change);
        self.as_admin(call, operation, tenant, Needs::default(), plan).await
    }
}

fn found(draft: &mut Draft<'_>, id: TenantId, new: NewTenant, trial_seconds: i64) -> Result<Founded, Error> {
    let now = draft.now();
    let plan = match new.plan {
        Some(plan) => known_plan(draft, plan)?,
        None => draft.state.in_force.catalogue.default_plan().key.clone(),
    };
    let owner_id = new.owner.id.map_or_else(|| fresh_id(MemberId::parse), Ok)?;
    let tenant = draft.put_tenant(Tenant {
        id,
        slug: new.slug,
        name: new.name,
        status: TenantStatus::Active,
        plan,
        subscription: Subscription {
            trial_end: Some(now.plus_seconds(trial_seconds)),
            ..Subscription::of(SubscriptionState::Trialing)
        },
        switches: BTreeSet::new(),
        defaults: BTreeMap::new(),
        firewall: Firewall::default(),
        created_at: now,
        revision: Revision::default(),
    });
    let owner = Member {
        id: owner_id,
        user_id: Some(new.owner.user_id),
        email: Some(new.owner.email),
        display_name: new.owner.display_name,
        role: Role::Admin,
        status: MemberStatus::Active,
        sections: BTreeMap::new(),
        created_at: now,
        invitation_expires_at: None,
        person_version: 1,
        revision: Revision::default(),
    };
    let owner = draft.put_member(None, owner);
    Ok(Founded { tenant: TenantAt { tenant, now }, owner })
}

/// The plan, where the catalogue has it.
pub(super) fn known_plan(draft: &Draft<'_>, plan: PlanKey) -> Result<PlanKey, Error> {
    let catalogue = &draft.state.in_force.catalogue;
    if catalogue.plan(plan.as_str()).is_none() {
        let allowed = catalogue.plans().map(|plan| plan.key.as_str());
        return Err(Violation::unknown("plan", "plan", plan.as_str(), allowed).into());
    }
    Ok(plan)
}

/// Compares, changes and answers the tenant.
pub(super) fn change_with(
    draft: &mut Draft<'_>,
    change: impl FnOnce(&mut Tenant, &Draft<'_>) -> Result<(), Error>,
) -> Result<TenantAt, Error> {
    let before = draft.tenant()?;
    draft.compare(before.revision)?;
    let mut after = before.clone();
    change(&mut after, draft)?;
    Ok(TenantAt { tenant: draft.put_tenant(after), now: draft.now() })
}

fn resume(after: &mut Tenant) -> Result<(), Error> {
    if after.status != TenantStatus::Suspended {
        return Err(Precondition::TenantNotSuspended.into());
    }
    after.status = TenantStatus::Active;
    Ok(())
}

fn delete(draft: &mut Draft<'_>, confirm: &str) -> Result<TenantAt, Error> {
    change_with(draft, |after, _| {
        if after.slug.as_str() != confirm {
            return Err(Error::ConfirmationMismatch);
        }
        after.status = TenantStatus::Deleted;
        Ok(())
    })
}

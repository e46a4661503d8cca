//! Tenants: their creation, name, suspension and end. Their subscription and firewall have files of their own.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::contact::Email;
use doorward_engine::firewall::Firewall;
use doorward_engine::id::{
    KeyId, MemberId, Name, PlanKey, ResourceRef, Revision, Slug, TenantId, TypeKey, UserId,
};
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
use crate::clock::Clock;
use crate::store::directory::{ResourceFilter, Slice, TenantFilter, TenantView};
use crate::store::{Directory, Needs, Target};

/// The most rows that are read at once in order to be counted.
const COUNTED_AT_ONCE: u64 = 1_000;
/// Where the last row is, if there may be more.
const LAST_OF_FULL: usize = 999;

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

/// What a tenant uses of its plan's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Seats.
    pub members: u64,
    /// Resources that are not deleted, by type.
    pub resources: BTreeMap<TypeKey, u64>,
    /// API keys that are live.
    pub api_keys: u64,
}

impl<B: Backend> Service<B> {
    /// Creates a tenant with its owner.
    ///
    /// # Errors
    /// ALREADY_EXISTS for a slug or an id in use, INVALID_ARGUMENT for an unknown plan.
    pub async fn create_tenant(&self, call: Call, new: NewTenant) -> Result<Done<Founded>, Error> {
        // The id comes before the transaction that could tell the database's time.
        let fresh = || fresh_id(Clock::real().now(), TenantId::parse);
        let id = new.id.clone().map_or_else(fresh, Ok)?;
        let trial_seconds = self.policy.trial_seconds;
        let target = Target::NewTenant(id.clone());
        let plan = move |_: &Operator, draft: &mut Draft<'_>| found(draft, id, new, trial_seconds);
        self.as_operator(call, Operation::CreateTenant, target, Needs::default(), plan).await
    }

    /// One tenant, with what it uses.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn get_tenant(&self, caller: &Caller, tenant: TenantId) -> Result<(TenantView, Used), Error> {
        let (_, view) = self.reading_admin(caller, Operation::GetTenant, &tenant).await?;
        let used = Used {
            members: view.seats,
            resources: self.count_resources(&tenant).await?,
            api_keys: self.count_keys(&tenant, view.now).await?,
        };
        Ok((view, used))
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
        authority::operator(caller, Operation::ListTenants)?;
        let limit = slice.limit;
        let rows = self.directory.tenants(filter, one_more(slice)).await?;
        let page = Page::cut(rows, limit, |tenant| tenant.id.clone());
        // The clock that checks go by comes with a single tenant only.
        let now = match page.items.first() {
            Some(first) => self.directory.tenant(first.id.clone()).await?.map(|view| view.now),
            None => None,
        };
        let now = now.unwrap_or(Instant::MIN);
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

    async fn count_resources(&self, tenant: &TenantId) -> Result<BTreeMap<TypeKey, u64>, Error> {
        let (mut counts, mut after) = (BTreeMap::new(), None::<ResourceRef>);
        loop {
            let slice = Slice { after, limit: COUNTED_AT_ONCE };
            let filter = ResourceFilter::default();
            let rows = self.directory.resources(tenant.clone(), filter, slice).await?;
            for row in &rows {
                *counts.entry(row.reference.kind.clone()).or_default() += 1;
            }
            match rows.into_iter().nth(LAST_OF_FULL) {
                Some(last) => after = Some(last.reference),
                None => return Ok(counts),
            }
        }
    }

    async fn count_keys(&self, tenant: &TenantId, now: Instant) -> Result<u64, Error> {
        let (mut live, mut after) = (0, None::<KeyId>);
        loop {
            let slice = Slice { after, limit: COUNTED_AT_ONCE };
            let rows = self.directory.keys(tenant.clone(), slice).await?;
            live += rows.iter().map(|key| u64::from(key.is_live(now))).sum::<u64>();
            match rows.into_iter().nth(LAST_OF_FULL) {
                Some(last) => after = Some(last.id),
                None => return Ok(live),
            }
        }
    }
}

fn found(draft: &mut Draft<'_>, id: TenantId, new: NewTenant, trial_seconds: i64) -> Result<Founded, Error> {
    let now = draft.now();
    let plan = match new.plan {
        Some(plan) => known_plan(draft, plan)?,
        None => draft.state.in_force.catalogue.default_plan().key.clone(),
    };
    let owner_id = new.owner.id.map_or_else(|| draft.fresh(MemberId::parse), Ok)?;
    let tenant = draft.put_tenant(Tenant {
        id,
        slug: new.slug,
        name: new.name,
        status: TenantStatus::Active,
        plan,
        subscription: Subscription {
            state: SubscriptionState::Trialing,
            complimentary: false,
            trial_end: Some(now.plus_seconds(trial_seconds)),
            period_end: None,
            grace_end: None,
            access_until: None,
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
        email: new.owner.email,
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

//! The way of every read for administrators: find tenant and actor, mint the authority.

use doorward_engine::id::TenantId;
use doorward_engine::instant::Instant;
use doorward_engine::member::Member;

use super::authority::{self, Concerned, Found, TenantAdmin};
use super::error::Thing;
use super::{Backend, Error, Operation, Service};
use crate::caller::{Caller, Identity};
use crate::store::Directory;
use crate::store::directory::TenantView;
use crate::telemetry::trace;

impl<B: Backend> Service<B> {
    /// Mints an admin's proof for a read, and answers the tenant as it was found.
    pub(super) async fn reading_admin(
        &self,
        caller: &Caller,
        operation: Operation,
        tenant: &TenantId,
    ) -> Result<(TenantAdmin, TenantView), Error> {
        authority::enters(caller, operation, tenant)?;
        let (view, actor) = self.found(caller, tenant).await?;
        let admin = authority::admin(caller, operation, &found(tenant, caller, &view, &actor))?;
        Ok((admin, view.ok_or(Error::NotFound(Thing::Tenant))?))
    }

    /// Mints the proof for what an admin reads of anybody, and a member of themselves.
    pub(super) async fn reading_concerned(
        &self,
        caller: &Caller,
        operation: Operation,
        tenant: &TenantId,
    ) -> Result<(Concerned, TenantView), Error> {
        authority::enters(caller, operation, tenant)?;
        let (view, actor) = self.found(caller, tenant).await?;
        let concerned = authority::concerned(caller, operation, &found(tenant, caller, &view, &actor))?;
        Ok((concerned, view.ok_or(Error::NotFound(Thing::Tenant))?))
    }

    async fn found(
        &self,
        caller: &Caller,
        tenant: &TenantId,
    ) -> Result<(Option<TenantView>, Option<Member>), Error> {
        let view = self.directory.tenant(tenant.clone()).await?;
        if view.is_some() {
            trace::tenant(tenant.as_str());
        }
        let actor = match &caller.actor {
            Some(user) => self.directory.member_by_user(tenant.clone(), user.clone()).await?,
            None => None,
        };
        Ok((view, actor))
    }
}

/// A key is as it was found by its secret, when the call came; where there is no tenant it is nobody's.
fn found<'f>(
    tenant: &'f TenantId,
    caller: &'f Caller,
    view: &'f Option<TenantView>,
    actor: &'f Option<Member>,
) -> Found<'f> {
    let key = match &caller.identity {
        Identity::Key(found) => Some(&found.key),
        Identity::Operator | Identity::Service(_) | Identity::Person => None,
    };
    Found {
        id: tenant,
        tenant: view.as_ref().map(|view| &view.tenant),
        actor: actor.as_ref(),
        key,
        now: view.as_ref().map_or(Instant::MAX, |view| view.now),
    }
}

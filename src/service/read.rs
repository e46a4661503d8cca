//! The way of every read for administrators: find tenant and actor, mint the authority.

use doorward_engine::id::TenantId;

use super::authority::{self, Concerned, TenantAdmin};
use super::error::Thing;
use super::{Backend, Error, Operation, Service};
use crate::caller::Caller;
use crate::store::Directory;
use crate::store::directory::TenantView;

impl<B: Backend> Service<B> {
    /// Mints an admin's proof for a read, and answers the tenant as it was found.
    pub(super) async fn reading_admin(
        &self,
        caller: &Caller,
        operation: Operation,
        tenant: &TenantId,
    ) -> Result<(TenantAdmin, TenantView), Error> {
        let (view, actor) = self.found(caller, tenant).await?;
        let found = view.as_ref().map(|view| &view.tenant);
        let admin = authority::admin(caller, operation, found, actor.as_ref())?;
        Ok((admin, view.ok_or(Error::NotFound(Thing::Tenant))?))
    }

    /// Mints the proof for what an admin reads of anybody, and a member of themselves.
    pub(super) async fn reading_concerned(
        &self,
        caller: &Caller,
        operation: Operation,
        tenant: &TenantId,
    ) -> Result<(Concerned, TenantView), Error> {
        let (view, actor) = self.found(caller, tenant).await?;
        let found = view.as_ref().map(|view| &view.tenant);
        let concerned = authority::concerned(caller, operation, found, actor.as_ref())?;
        Ok((concerned, view.ok_or(Error::NotFound(Thing::Tenant))?))
    }

    async fn found(
        &self,
        caller: &Caller,
        tenant: &TenantId,
    ) -> Result<(Option<TenantView>, Option<doorward_engine::member::Member>), Error> {
        let view = self.directory.tenant(tenant.clone()).await?;
        let actor = match &caller.actor {
            Some(user) => self.directory.member_by_user(tenant.clone(), user.clone()).await?,
            None => None,
        };
        Ok((view, actor))
    }
}

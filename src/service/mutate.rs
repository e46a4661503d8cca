//! The way of every mutation: gather the state, mint the authority, plan, commit.

use doorward_engine::id::{Revision, TenantId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::authority::{self, Concerned, Found, Operator, TenantAdmin};
use super::draft::Draft;
use super::{Backend, Error, Operation, Service};
use crate::caller::Caller;
use crate::store::{Act, Commits, Effect, Needs, RequestKey, State, Target, Wait};
use crate::telemetry::trace;

/// A mutation's caller and what they said about how it is to be done.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// How it is to be done.
    pub control: Control,
}

/// What every mutation may say about how it is to be done.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// The caller's id of the request, and a digest of its body.
    pub request: Option<RequestKey>,
    /// The revision of the entity as it was read.
    pub expected_revision: Option<Revision>,
    /// Run every check, write nothing.
    pub validate_only: bool,
    /// What is waited for after the commit.
    pub wait: Wait,
}

/// A mutation's answer.
#[derive(Debug)]
pub struct Done<A> {
    /// What was asked for.
    pub answer: A,
    /// The tenant's revision.
    pub revision: Revision,
    /// Whether every check that begins now sees the change.
    pub enforced: bool,
    /// What came of it.
    pub effect: Effect,
}

impl<A> Done<A> {
    /// Whether this answers an earlier request.
    #[must_use]
    pub fn replayed(&self) -> bool {
        self.effect == Effect::Replayed
    }

    /// The same, with another answer.
    pub fn map<T>(self, change: impl FnOnce(A) -> T) -> Done<T> {
        Done {
            answer: change(self.answer),
            revision: self.revision,
            enforced: self.enforced,
            effect: self.effect,
        }
    }
}

impl<B: Backend> Service<B> {
    /// A mutation of a tenant that its admins, or (by the table of operations) the operator alone, may do.
    pub(super) async fn as_admin<A, P>(
        &self,
        call: Call,
        operation: Operation,
        tenant: TenantId,
        needs: Needs,
        plan: P,
    ) -> Result<Done<A>, Error>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        P: FnOnce(&TenantAdmin, &mut Draft<'_>) -> Result<A, Error> + Send + 'static,
    {
        authority::enters(&call.caller, operation, &tenant)?;
        let id = tenant.clone();
        let mint = move |caller: &Caller, state: &State| {
            authority::admin(caller, operation, &found(&id, caller, state))
        };
        self.mutate(call, operation, Target::Tenant(tenant), needs, mint, plan).await
    }

    /// A mutation that an admin does to anybody, and a member to themselves.
    pub(super) async fn as_concerned<A, P>(
        &self,
        call: Call,
        operation: Operation,
        tenant: TenantId,
        needs: Needs,
        plan: P,
    ) -> Result<Done<A>, Error>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        P: FnOnce(&Concerned, &mut Draft<'_>) -> Result<A, Error> + Send + 'static,
    {
        authority::enters(&call.caller, operation, &tenant)?;
        let id = tenant.clone();
        let mint = move |caller: &Caller, state: &State| {
            authority::concerned(caller, operation, &found(&id, caller, state))
        };
        self.mutate(call, operation, Target::Tenant(tenant), needs, mint, plan).await
    }

    /// A mutation of the platform, or the creation of a tenant: the operator's.
    pub(super) async fn as_operator<A, P>(
        &self,
        call: Call,
        operation: Operation,
        target: Target,
        needs: Needs,
        plan: P,
    ) -> Result<Done<A>, Error>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        P: FnOnce(&Operator, &mut Draft<'_>) -> Result<A, Error> + Send + 'static,
    {
        // Before the transaction: nobody else takes the platform's lock.
        let tenant = match &target {
            Target::Tenant(id) => Some(id.clone()),
            // What is not there yet is the platform's to make.
            Target::NewTenant(_) | Target::Platform => None,
        };
        authority::operator(&call.caller, operation, tenant.as_ref())?;
        let mint = move |caller: &Caller, _: &State| authority::operator(caller, operation, tenant.as_ref());
        self.mutate(call, operation, target, needs, mint, plan).await
    }

    async fn mutate<A, T, M, P>(
        &self,
        call: Call,
        operation: Operation,
        target: Target,
        mut needs: Needs,
        mint: M,
        plan: P,
    ) -> Result<Done<A>, Error>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        M: FnOnce(&Caller, &State) -> Result<T, Error> + Send + 'static,
        P: FnOnce(&T, &mut Draft<'_>) -> Result<A, Error> + Send + 'static,
    {
        let Call { caller, control } = call;
        // Under the lock it is seen whether the key that calls is still live.
        needs.keys.extend(caller.key().cloned());
        let act = Act {
            target,
            operation: operation.name(),
            caller: caller.name().into_owned(),
            actor: caller.actor.clone(),
            request: control.request,
            validate_only: control.validate_only,
            wait: control.wait,
            peer: caller.peer.map(|peer| peer.to_string()),
            trace_id: caller.trace_id.map(|trace| trace.to_string()),
        };
        let created = match &act.target {
            Target::NewTenant(id) if trace::is_recorded() => Some(id.clone()),
            _ => None,
        };
        let expected = control.expected_revision;
        let planned = move |state: &State| {
            let authority = mint(&caller, state)?;
            if let Some(tenant) = &state.tenant {
                trace::tenant(tenant.id.as_str());
                authority::may_write(&caller, tenant)?;
            }
            let mut draft = Draft::over(state, expected);
            let answer = plan(&authority, &mut draft)?;
            draft.finish(operation, answer)
        };
        let receipt = self.commits.commit(act, needs, planned).await?;
        if let Some(created) = created.filter(|_| receipt.effect != Effect::Validated) {
            trace::tenant(created.as_str());
        }
        Ok(Done {
            answer: receipt.answer,
            revision: receipt.revision,
            enforced: receipt.enforced,
            effect: receipt.effect,
        })
    }
}

/// What the state under the lock says about who calls.
fn found<'f>(tenant: &'f TenantId, caller: &Caller, state: &'f State) -> Found<'f> {
    Found {
        id: tenant,
        tenant: state.tenant.as_ref(),
        actor: state.actor.as_ref(),
        key: caller.key().and_then(|key| state.keys.get(key)),
        now: state.now,
    }
}

//! Credentials of sibling services: made, listed, rotated, revoked. The platform's own, so the operator's.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use doorward_engine::credential::{ServiceCredential, ServiceScope, ServiceSecret};
use doorward_engine::id::{CredentialId, Name, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::member::SecretHash;
use secrecy::{ExposeSecret, SecretString};

use super::authority::{self, Operator};
use super::draft::{Draft, fresh_id};
use super::error::{Taken, Thing};
use super::list::{Page, one_more};
use super::{Backend, Call, Done, Error, Operation, Service};
use crate::caller::{Caller, secret};
use crate::store::directory::Slice;
use crate::store::{Directory, Needs, Target};

/// A credential to be made.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// Its id; none: a fresh one.
    pub id: Option<CredentialId>,
    /// What people call the service.
    pub name: Name,
    /// What it may do.
    pub scopes: BTreeSet<ServiceScope>,
    /// Where; none: in every tenant.
    pub tenants: BTreeSet<TenantId>,
    /// From this instant on its secret is invalid.
    pub expires_at: Option<Instant>,
}

/// How a credential gets another secret.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Which credential.
    pub id: CredentialId,
    /// From this instant on the new secret is invalid.
    pub expires_at: Option<Instant>,
    /// From this instant on the one before is; none: as it was.
    pub previous_expires_at: Option<Instant>,
}

/// A credential, with the text of its new secret where it is shown.
#[derive(Debug)]
pub struct Issued {
    /// The credential.
    pub credential: ServiceCredential,
    /// The text; none where the call is a repetition, or writes nothing.
    pub secret: Option<SecretString>,
}

impl<B: Backend> Service<B> {
    /// Makes a credential.
    ///
    /// # Errors
    /// [`Error`]: an id that was used before.
    pub async fn create_service_credential(
        &self,
        call: Call,
        new: NewCredential,
    ) -> Result<Done<Issued>, Error> {
        let needs = Needs { credentials: new.id.iter().cloned().collect(), ..Needs::default() };
        let plan = move |draft: &mut Draft<'_>, hash| create(draft, &new, hash);
        self.issue(call, Operation::CreateServiceCredential, needs, plan).await
    }

    /// Gives a credential another secret; the one before stays live until its end.
    ///
    /// # Errors
    /// [`Error`]: a credential that is not there, or is revoked.
    pub async fn rotate_service_credential(
        &self,
        call: Call,
        rotation: Rotation,
    ) -> Result<Done<Issued>, Error> {
        let needs = needs_of(&rotation.id);
        let plan = move |draft: &mut Draft<'_>, hash| rotate(draft, &rotation, hash);
        self.issue(call, Operation::RotateServiceCredential, needs, plan).await
    }

    async fn issue<P>(
        &self,
        call: Call,
        operation: Operation,
        needs: Needs,
        plan: P,
    ) -> Result<Done<Issued>, Error>
    where
        P: FnOnce(&mut Draft<'_>, SecretHash) -> Result<ServiceCredential, Error> + Send + 'static,
    {
        let drawn = secret::draw()?;
        let hash = secret::hash(drawn.expose_secret());
        let validate_only = call.control.validate_only;
        let plan = move |_: &Operator, draft: &mut Draft<'_>| plan(draft, hash);
        let done = self.as_operator(call, operation, Target::Platform, needs, plan).await?;
        let shown = !done.replayed() && !validate_only;
        Ok(done.map(|credential| Issued {
            secret: shown.then(|| secret::text(secret::SERVICE, credential.id.as_str(), &drawn)),
            credential,
        }))
    }

    /// Revokes a credential for good; a revoked one stays as it is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn revoke_service_credential(
        &self,
        call: Call,
        id: CredentialId,
    ) -> Result<Done<ServiceCredential>, Error> {
        let needs = needs_of(&id);
        let plan = move |_: &Operator, draft: &mut Draft<'_>| revoke(draft, &id);
        self.as_operator(call, Operation::RevokeServiceCredential, Target::Platform, needs, plan).await
    }

    /// A page of credentials, in the order of their ids.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_service_credentials(
        &self,
        caller: &Caller,
        include_revoked: bool,
        slice: Slice<CredentialId>,
    ) -> Result<Page<ServiceCredential, CredentialId>, Error> {
        authority::operator(caller, Operation::ListServiceCredentials, None)?;
        let limit = slice.limit;
        let found = self.directory.credentials(include_revoked, one_more(slice)).await?;
        Ok(Page::cut(found, limit, |credential| credential.id.clone()))
    }
}

fn needs_of(id: &CredentialId) -> Needs {
    Needs { credentials: [id.clone()].into(), ..Needs::default() }
}

fn create(draft: &mut Draft<'_>, new: &NewCredential, hash: SecretHash) -> Result<ServiceCredential, Error> {
    let id = match &new.id {
        Some(id) => id.clone(),
        None => fresh_id(CredentialId::parse)?,
    };
    if draft.state.credentials.contains_key(&id) {
        return Err(Error::AlreadyExists(Taken::Id));
    }
    let credential = ServiceCredential {
        id,
        name: new.name.clone(),
        scopes: new.scopes.clone(),
        tenants: new.tenants.clone(),
        secrets: vec![fresh(draft.now(), new.expires_at, hash)],
        created_at: draft.now(),
        revoked_at: None,
        revision: draft.state.next(),
    };
    Ok(draft.put_credential(None, credential))
}

fn rotate(draft: &mut Draft<'_>, rotation: &Rotation, hash: SecretHash) -> Result<ServiceCredential, Error> {
    let before = draft.state.credentials.get(&rotation.id);
    // A revoked one is for ever: a new secret would open nothing.
    let before =
        before.filter(|found| found.revoked_at.is_none()).ok_or(Error::NotFound(Thing::Credential))?;
    draft.compare(before.revision)?;
    let mut after = before.clone();
    after.rotate(fresh(draft.now(), rotation.expires_at, hash), rotation.previous_expires_at);
    Ok(draft.put_credential(Some(before), after))
}

fn revoke(draft: &mut Draft<'_>, id: &CredentialId) -> Result<ServiceCredential, Error> {
    let before = draft.state.credentials.get(id).ok_or(Error::NotFound(Thing::Credential))?;
    draft.compare(before.revision)?;
    let revoked_at = before.revoked_at.or(Some(draft.now()));
    // What opens nothing any more need not be kept.
    let secrets = Vec::new();
    Ok(draft.put_credential(Some(before), ServiceCredential { revoked_at, secrets, ..before.clone() }))
}

fn fresh(now: Instant, expires_at: Option<Instant>, hash: SecretHash) -> ServiceSecret {
    ServiceSecret { hash, created_at: now, expires_at, last_used_at: None }
}

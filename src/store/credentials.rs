//! Who may call, as the store knows them: the services' credentials, and API keys by their secrets.

use std::collections::HashMap;
use std::sync::Arc;

use doorward_engine::api_key::ApiKey;
use doorward_engine::credential::ServiceCredential;
use doorward_engine::id::{CredentialId, KeyId, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::member::SecretHash;

use super::{Epoch, StoreError};

/// What authentication asks. Layers (caches) implement it over another of its kind.
pub trait Credentials: Send + Sync + 'static {
    /// Every service that may call. Acknowledged changes are in it.
    ///
    /// # Errors
    /// [`StoreError`] where that cannot be known.
    fn roster(&self) -> impl Future<Output = Result<Known, StoreError>> + Send;

    /// The key with that id and that secret, and whose it is, if it is neither revoked nor expired: straight from the
    /// database.
    ///
    /// # Errors
    /// [`StoreError`] where that cannot be known.
    fn key_by_secret(
        &self,
        key: KeyId,
        secret: SecretHash,
    ) -> impl Future<Output = Result<Option<(TenantId, ApiKey)>, StoreError>> + Send;

    /// Remembers when secrets were used. It is no mutation: nothing is decided by it.
    ///
    /// # Errors
    /// [`StoreError`]; some may be remembered all the same.
    fn used(&self, uses: Vec<Use>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The services that may call.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Those that are not revoked. Secrets that have expired may be among theirs.
    pub services: HashMap<CredentialId, Arc<ServiceCredential>>,
}

/// A roster, and when it is looked at.
#[derive(Clone, Debug)]
pub struct Known {
    /// The services.
    pub roster: Arc<Roster>,
    /// Now, by the database's clock.
    pub now: Instant,
    /// The database's epoch that it is of.
    pub epoch: Epoch,
}

/// That a service's secret was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The service's credential.
    pub credential: CredentialId,
    /// The secret's hash.
    pub secret: SecretHash,
    /// When.
    pub at: Instant,
}

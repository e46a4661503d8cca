//! From a proof to an identity. Whatever is wrong with a proof is one refusal, and takes one time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward_engine::credential::{ServiceCredential, ServiceSecret};
use doorward_engine::id::{CredentialId, KeyId, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::member::SecretHash;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::oidc::{self, Oidc, looks_like_a_jwt};
use super::secret;
use super::{Configured, Identity, TenantKey};
use crate::store::StoreError;
use crate::store::credentials::{Credentials, Use};

/// That a secret was used is noted no more often than this.
const NOTED: Duration = Duration::from_secs(60);
/// How many uses wait to be remembered; more than that are not.
const USES_MAX: usize = 10_000;

/// What a call presents.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'p> {
    /// The token of its one `authorization: Bearer …` header.
    pub bearer: Option<&'p str>,
    /// The names in its connection's client certificate, as `uri:…` and `dns:…`.
    pub names: &'p [String],
}

/// Why nobody was found.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The proof is missing, wrong or over.
    Invalid,
    /// Whether it is right cannot be known now.
    Unavailable(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

impl From<oidc::Refusal> for Refusal {
    fn from(refusal: oidc::Refusal) -> Self {
        match refusal {
            oidc::Refusal::Invalid => Self::Invalid,
            oidc::Refusal::Unavailable(why) => Self::Unavailable(StoreError::Unavailable(why)),
        }
    }
}

/// An identity, and the user that a person is.
pub(crate) type Identified = (Identity, Option<UserId>);

/// Everybody who may call.
#[derive(Debug)]
pub struct Callers<C> {
    operator: Option<SecretHash>,
    configured: ArcSwap<Configured>,
    people: Option<Oidc>,
    stored: C,
    uses: Uses,
}

impl<C: Credentials> Callers<C> {
    /// The operator by a token, where one is set, the configured services, people by their tokens, where there is a
    /// provider, and the services that are stored.
    pub fn over(operator: &SecretString, configured: Configured, people: Option<Oidc>, stored: C) -> Self {
        let operator = operator.expose_secret();
        Self {
            operator: (!operator.is_empty()).then(|| secret::hash(operator)),
            configured: ArcSwap::from_pointee(configured),
            people,
            stored,
            uses: Uses::default(),
        }
    }

    /// Other configured services, from the next call on.
    pub fn configure(&self, configured: Configured) {
        self.configured.store(Arc::new(configured));
    }

    /// Who presents a proof. A token counts before a certificate: one that is wrong is not made good by the other.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn identify(&self, proof: Proof<'_>) -> Result<Identified, Refusal> {
        match proof.bearer {
            Some(token) => self.by_token(token).await,
            None => {
                let service = self.configured.load().by_names(proof.names).ok_or(Refusal::Invalid)?;
                Ok((Identity::Service(service), None))
            }
        }
    }

    async fn by_token(&self, token: &str) -> Result<Identified, Refusal> {
        if let Some((id, hash)) = secret::parse(secret::SERVICE, token) {
            return self.service(id, hash).await.map(|service| (Identity::Service(service), None));
        }
        if let Some((id, hash)) = secret::parse(secret::KEY, token) {
            return self.key(id, hash).await.map(|identity| (identity, None));
        }
        if let Some(people) = self.people.as_ref().filter(|_| looks_like_a_jwt(token)) {
            let person = Box::pin(people.verify(token)).await?;
            return Ok((Identity::Person, Some(person.user)));
        }
        // Hashes are compared, so that neither the token's length nor a common beginning shows.
        let is_operator = self.operator.is_some_and(|own| same(own, secret::hash(token)));
        if is_operator { Ok((Identity::Operator, None)) } else { Err(Refusal::Invalid) }
    }

    async fn service(&self, id: &str, hash: SecretHash) -> Result<Arc<ServiceCredential>, Refusal> {
        if let Some(service) = self.configured.load().by_secret(id, hash) {
            return Ok(service);
        }
        let known = self.stored.roster().await?;
        let service = known.roster.services.get(id);
        let found = service.and_then(|service| secret_of(service, hash));
        let live = found.filter(|secret| secret.is_live(known.now));
        let (service, secret) = service.zip(live).ok_or(Refusal::Invalid)?;
        self.uses.note(&service.id, secret, known.now);
        Ok(Arc::clone(service))
    }

    async fn key(&self, id: &str, hash: SecretHash) -> Result<Identity, Refusal> {
        let id = KeyId::parse(id).map_err(|_| Refusal::Invalid)?;
        let (tenant, key) = Box::pin(self.stored.key_by_secret(id, hash)).await?.ok_or(Refusal::Invalid)?;
        Ok(Identity::Key(Arc::new(TenantKey { tenant, key })))
    }

    /// Remembers which secrets were used since the last time.
    ///
    /// # Errors
    /// [`StoreError`]; what was not remembered is tried again after its next use.
    pub async fn remember_uses(&self) -> Result<(), StoreError> {
        let uses = self.uses.take();
        if uses.is_empty() { Ok(()) } else { self.stored.used(uses).await }
    }
}

/// The secret of a service that has that hash; every one is compared.
pub(super) fn secret_of(service: &ServiceCredential, hash: SecretHash) -> Option<&ServiceSecret> {
    let mut found = None;
    for secret in &service.secrets {
        if same(secret.hash, hash) {
            found = Some(secret);
        }
    }
    found
}

fn same(one: SecretHash, other: SecretHash) -> bool {
    bool::from(one.0.ct_eq(&other.0))
}

/// When secrets were used, as far as that is not remembered yet.
#[derive(Debug, Default)]
struct Uses(Mutex<HashMap<SecretHash, Noted>>);

#[derive(Clone, Debug)]
struct Noted {
    credential: CredentialId,
    at: Instant,
    is_new: bool,
}

impl Uses {
    /// Seldom waits for a lock, and never for long: what is not noted now is at the next use.
    fn note(&self, credential: &CredentialId, secret: &ServiceSecret, now: Instant) {
        let recent = |at: Instant| now.micros().saturating_sub(at.micros()) < NOTED_MICROS;
        if secret.last_used_at.is_some_and(recent) {
            return;
        }
        let Ok(mut uses) = self.0.try_lock() else { return };
        let noted = uses.get(&secret.hash);
        if noted.is_some_and(|noted| recent(noted.at)) {
            return;
        }
        if noted.is_some() || uses.len() < USES_MAX {
            let noted = Noted { credential: credential.clone(), at: now, is_new: true };
            uses.insert(secret.hash, noted);
        }
    }

    fn take(&self) -> Vec<Use> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = uses
            .iter()
            .filter(|(_, noted)| noted.is_new)
            .map(|(secret, noted)| Use {
                credential: noted.credential.clone(),
                secret: *secret,
                at: noted.at,
            })
            .collect();
        uses.values_mut().for_each(|noted| noted.is_new = false);
        taken
    }
}

const NOTED_MICROS: i64 = NOTED.as_micros() as i64;

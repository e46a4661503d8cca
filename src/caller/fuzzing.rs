//! What fuzzing does with proofs of identity: whoever has no secret is nobody, and no error repeats what may be one.

use std::sync::Arc;

use doorward_engine::api_key::ApiKey;
use doorward_engine::id::{KeyId, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::member::SecretHash;
use futures::FutureExt;
use secrecy::{ExposeSecret, SecretString};

use super::{Callers, Configured, Proof, Refusal, secret};
use crate::store::StoreError;
use crate::store::credentials::{Known, Use};
use crate::store::{Credentials, Epoch};

/// The secret of the one service and the token of the operator.
const SECRET: &str = "a-secret-of-the-configuration";
const OPERATOR: &str = "0123456789abcdef";
const ID: &str = "gate_way";
/// In a document of services this stands for what somebody has pasted.
const PASTED: &str = "hunter2";

/// Stores nobody.
struct Nobody;

impl Credentials for Nobody {
    async fn roster(&self) -> Result<Known, StoreError> {
        let now = Instant::from_micros(1);
        Ok(Known { roster: Arc::default(), now, epoch: Epoch::default() })
    }

    async fn key_by_secret(&self, _: KeyId, _: SecretHash) -> Result<Option<(TenantId, ApiKey)>, StoreError> {
        Ok(None)
    }

    async fn used(&self, _: Vec<Use>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What stands after `Bearer `.
pub fn credential(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for prefix in [secret::SERVICE, secret::KEY] {
        let Some((id, hash)) = secret::parse(prefix, text) else { continue };
        let rest = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(id));
        let secret = rest.and_then(|rest| rest.strip_prefix('_')).unwrap_or_default();
        assert!(!secret.contains('_') && secret::hash(secret) == hash);
        let whole = secret::text(prefix, id, &SecretString::from(secret));
        assert_eq!(whole.expose_secret(), text);
    }
    let document = format!(
        "[[service]]\nid = \"{ID}\"\nsecrets = [\"sha256:{}\"]\nscopes = [\"check\"]",
        secret::hex(&secret::hash(SECRET).0)
    );
    let configured = Configured::parse(&document);
    assert!(configured.as_ref().is_ok_and(|configured| configured.len() == 1));
    let people = None;
    let callers =
        Callers::over(&SecretString::from(OPERATOR), configured.unwrap_or_default(), people, Nobody);
    let proof = Proof { bearer: Some(text), names: &[] };
    match callers.identify(proof).now_or_never() {
        Some(Ok(_)) => assert!(text == OPERATOR || text == format!("{}{ID}_{SECRET}", secret::SERVICE)),
        Some(Err(refusal)) => assert!(matches!(refusal, Refusal::Invalid), "{refusal:?}"),
        None => assert!(text.is_empty(), "it waited"),
    }
}

/// A document of services.
pub fn services(bytes: &[u8]) {
    let Ok(document) = std::str::from_utf8(bytes) else { return };
    match Configured::parse(document) {
        Ok(configured) => {
            let wrong = secret::hash("nobody's");
            let is_somebody = |line: &str| configured.by_secret(line.trim(), wrong).is_some();
            assert!(!document.split('"').any(is_somebody) && configured.by_names(&[]).is_none());
        }
        Err(problem) => {
            let text = problem.to_string();
            assert!(text.len() <= 512, "{} bytes: {text}", text.len());
            assert!(!text.contains(PASTED), "it repeats what was pasted: {text}");
        }
    }
}

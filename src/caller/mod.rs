//! Who is asking: a proof presented with a call becomes a caller, or nobody.

use doorward_engine::id::UserId;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Who calls, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who presented the proof.
    pub identity: Identity,
    /// The user on whose behalf they act (`x-doorward-actor`).
    pub actor: Option<UserId>,
    /// The address of their connection.
    pub peer: Option<String>,
    /// The trace that their call belongs to.
    pub trace_id: Option<String>,
}

/// Who presented the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The platform's own administrator, by the one operator token.
    Operator,
}

impl Caller {
    /// The caller as the log names it.
    #[must_use]
    pub fn name(&self) -> String {
        match self.identity {
            Identity::Operator => "operator".to_owned(),
        }
    }

    /// Whether the call is the platform's own, on nobody's behalf.
    #[must_use]
    pub const fn is_operator(&self) -> bool {
        matches!(self.identity, Identity::Operator) && self.actor.is_none()
    }
}

/// The proofs that are accepted.
#[derive(Clone)]
pub struct Credentials {
    operator: [u8; 32],
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(operator)")
    }
}

impl Credentials {
    /// Accepts one operator token.
    #[must_use]
    pub fn operator(token: &SecretString) -> Self {
        Self { operator: hash(token.expose_secret()) }
    }

    /// Who a bearer token belongs to; hashes are compared, in constant time, so that neither the
    /// token's length nor a common beginning shows.
    #[must_use]
    pub fn identify(&self, bearer: &str) -> Option<Identity> {
        bool::from(self.operator.ct_eq(&hash(bearer))).then_some(Identity::Operator)
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

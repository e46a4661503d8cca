//! Who is asking: a proof presented with a call becomes an identity, or nobody. What an identity may do is not known
//! here.

mod callers;
mod configured;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub mod oidc;
pub mod secret;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use doorward_engine::api_key::ApiKey;
use doorward_engine::credential::{ServiceCredential, ServiceScope};
use doorward_engine::id::{KeyId, TenantId, UserId};

use crate::telemetry::trace::TraceId;

pub use self::callers::{Callers, Proof, Refusal};
pub use self::configured::{Configured, Problem};

/// Who calls, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who presented the proof.
    pub identity: Identity,
    /// The user whose authority counts: whom a service or the operator acts for (`x-doorward-actor`), or the person.
    pub actor: Option<UserId>,
    /// The address of their connection.
    pub peer: Option<SocketAddr>,
    /// The trace that their call belongs to.
    pub trace_id: Option<TraceId>,
}

/// Who presented the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The platform's own administrator, by the configured token.
    Operator,
    /// A sibling service, by a secret or a client certificate.
    Service(Arc<ServiceCredential>),
    /// A person, by a token of the identity provider; the caller's actor is who.
    Person,
    /// A tenant's API key.
    Key(Arc<TenantKey>),
}

/// An API key that was found by its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// The key, as it was when the call came.
    pub key: ApiKey,
}

impl Identity {
    /// Whether it may name somebody whom it acts for.
    #[must_use]
    pub const fn may_act(&self) -> bool {
        matches!(self, Self::Operator | Self::Service(_))
    }
}

impl Caller {
    /// The caller as the log names it; a person is named by the log's actor.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match &self.identity {
            Identity::Operator => Cow::Borrowed("operator"),
            Identity::Service(service) => Cow::Owned(format!("service:{}", service.id)),
            Identity::Person => Cow::Borrowed("person"),
            Identity::Key(found) => Cow::Owned(format!("key:{}", found.key.id)),
        }
    }

    /// Whether the call is the platform's own, on nobody's behalf.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.actor.is_none()
            && match &self.identity {
                Identity::Operator => true,
                Identity::Service(service) => service.scopes.contains(&ServiceScope::Operator),
                Identity::Person | Identity::Key(_) => false,
            }
    }

    /// The API key that calls.
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        match &self.identity {
            Identity::Key(found) => Some(&found.key.id),
            Identity::Operator | Identity::Service(_) | Identity::Person => None,
        }
    }
}

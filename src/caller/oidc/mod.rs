//! People: a token of the configured OpenID provider becomes a user id. It knows the provider's keys and nothing of what a
//! person may do.
//!
//! A token is judged by its bytes, the keys at hand, the settings and the service's clock, in [`token::verify_with`];
//! everything else here is about having the keys at hand (docs/decisions/0015-people-are-named-by-tokens.md).

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod jwks;
mod object;
mod refresh;
mod source;
mod token;
mod verified;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use doorward_engine::id::UserId;
use doorward_engine::instant::Instant;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

pub use self::token::looks_like_a_jwt;
pub use crate::settings::JwtAlgorithm as Algorithm;

use self::jwks::KeySet;
use self::refresh::Keys;
use self::source::Source;
use self::token::{Expected, Fault, verify_with};
use self::verified::Verified;
use crate::clock::{Clock, Steady};
use crate::telemetry::{Metrics, Verification};

/// Whose tokens name people.
#[derive(Clone, Debug)]
pub struct Options {
    /// The provider's `iss`, to the letter.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
    /// Where the keys are; none: the provider's description says where.
    pub jwks_url: Option<String>,
    /// The algorithms that are allowed.
    pub algorithms: Vec<Algorithm>,
    /// A PEM file of the authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Why tokens cannot be verified with these options, whatever the provider does.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A URL of another kind.
    #[error("{name} cannot be used; allowed: {allowed}")]
    Url {
        /// The setting.
        name: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// Something is left empty.
    #[error("{0} is empty: without it tokens that were made for others would be taken")]
    Empty(&'static str),
    /// The file of certificate authorities is of no use.
    #[error("auth.oidc_ca_file `{}` cannot be used: {cause}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// There is no TLS.
    #[error("the client for the keys of people's tokens cannot be made: {0}")]
    Client(String),
}

/// A person, as the provider names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The token's `sub`.
    pub user: UserId,
    /// From this instant on the token proves nothing: its `exp` and the leeway of 30 s.
    pub expires_at: Instant,
}

/// Why a token names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Whatever is wrong with it: the log says what.
    #[error("the token is not valid")]
    Invalid,
    /// There have never been keys to verify it with. It says so without naming a host.
    #[error("{0}")]
    Unavailable(String),
}

/// Verifies people's tokens; clones share the keys, which are fetched in the background while one of them lives.
#[derive(Clone)]
pub struct Oidc(Arc<Shared>);

struct Shared {
    expected: Expected,
    keys: Arc<Keys>,
    verified: Verified,
    clock: Clock,
    metrics: Arc<Metrics>,
    _keeping: AbortOnDropHandle<()>,
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.0.expected.issuer).finish_non_exhaustive()
    }
}

impl Oidc {
    /// Begins to fetch the keys on a runtime, and does not wait for them.
    ///
    /// # Errors
    /// [`Problem`]: of the options, never of the network.
    pub fn open(
        options: Options,
        clock: Clock,
        steady: Steady,
        metrics: Arc<Metrics>,
        runtime: Handle,
    ) -> Result<Self, Problem> {
        let source = Source::open(&options)?;
        let Options { issuer, audience, algorithms, .. } = options;
        if audience.is_empty() {
            return Err(Problem::Empty("auth.oidc_audience"));
        }
        let keys = Arc::new(Keys::new(steady, Arc::clone(&metrics), algorithms.clone()));
        let keeping = runtime.spawn({
            let keys = Arc::clone(&keys);
            async move { keys.keep(&source).await }
        });
        Ok(Self(Arc::new(Shared {
            expected: Expected { issuer, audience, algorithms },
            keys,
            verified: Verified::new(),
            clock,
            metrics,
            _keeping: AbortOnDropHandle::new(keeping),
        })))
    }

    /// The person whom a token names.
    ///
    /// It may wait for the provider, at most 5 s and only for a token that is in order but for its key.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn verify(&self, token: &str) -> Result<Person, Refusal> {
        let judged = self.0.judge(token).await;
        let outcome = match &judged {
            Ok((_, outcome)) => *outcome,
            Err(Refusal::Invalid) => Verification::Invalid,
            Err(Refusal::Unavailable(_)) => Verification::Unavailable,
        };
        self.0.metrics.people.token(outcome);
        judged.map(|(person, _)| person)
    }
}

impl Shared {
    async fn judge(&self, token: &str) -> Result<(Person, Verification), Refusal> {
        let mut judged = self.judge_now(token);
        if matches!(judged, Err(Fault::UnknownKey)) {
            self.keys.ask().await;
            judged = self.judge_now(token);
        }
        judged.map_err(|fault| {
            if fault == Fault::UnknownKey && self.keys.known().is_none() {
                let why = "the keys that people's tokens are verified with could not be fetched yet";
                return Refusal::Unavailable(why.to_owned());
            }
            tracing::debug!(%fault, "a person's token was refused");
            Refusal::Invalid
        })
    }

    /// By the keys at hand, none at first.
    fn judge_now(&self, token: &str) -> Result<(Person, Verification), Fault> {
        let now = self.clock.now();
        let Some(known) = self.keys.known() else {
            let person = verify_with(&KeySet::default(), &self.expected, token, now)?;
            return Ok((person, Verification::Verified));
        };
        let hash = Verified::hash(token);
        if let Some(person) = self.verified.find(&hash, known.generation, now) {
            return Ok((person, Verification::Cached));
        }
        let person = verify_with(&known.keys, &self.expected, token, now)?;
        self.verified.keep(hash, known.generation, &person);
        Ok((person, Verification::Verified))
    }
}

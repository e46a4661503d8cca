//! The write door: one mutation is one act, planned by a pure function on the state under the tenant's lock.

use std::collections::BTreeSet;

use doorward_engine::change::{Change, Part};
use doorward_engine::id::{MemberId, Revision, TenantId, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Needs, State, StoreError};

/// The one way to write.
pub trait Commits: Send + Sync + 'static {
    /// Runs an act in one transaction: takes the tenant's lock, gathers the state that `needs` names,
    /// asks `plan` what to change, and writes rows, log and revision together, or nothing.
    ///
    /// A plan without changes makes no revision. A repeated request answers as the first time, unplanned.
    ///
    /// # Errors
    /// [`CommitError`]; nothing has been written then, unless the error is
    /// [`CommitError::Store`] and the commit's own reply was lost.
    fn commit<A, R, P>(
        &self,
        act: Act,
        needs: Needs,
        plan: P,
    ) -> impl Future<Output = Result<Receipt<A>, CommitError<R>>> + Send
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Send + 'static,
        P: FnOnce(&State) -> Result<Planned<A>, R> + Send + 'static;
}

/// Who does what, and how the doing is to be remembered.
#[derive(Clone, Debug)]
pub struct Act {
    /// What is changed.
    pub target: Target,
    /// The RPC's name.
    pub operation: &'static str,
    /// The caller as the log names it, for example `operator`.
    pub caller: String,
    /// The user on whose behalf the caller acts; the log names the member.
    pub actor: Option<UserId>,
    /// The caller's id of the request, where given, and a digest of its body.
    pub request: Option<RequestKey>,
    /// Plan only: nothing is written.
    pub validate_only: bool,
    /// What is waited for after the commit.
    pub wait: Wait,
    /// The address of the caller's connection.
    pub peer: Option<String>,
    /// The trace that the call belongs to.
    pub trace_id: Option<String>,
}

/// What an act waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// That no check which begins after the answer can miss the change.
    #[default]
    Enforced,
    /// The commit alone.
    Committed,
}

/// What an act changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A tenant that may exist.
    Tenant(TenantId),
    /// A tenant that the act creates.
    NewTenant(TenantId),
    /// The platform itself: the catalogue.
    Platform,
}

/// The tenant id under which the log keeps what is the platform's: no tenant can have it.
pub const PLATFORM: &str = "@platform";

impl Target {
    /// The id under which revision and log are kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tenant(id) | Self::NewTenant(id) => id.as_str(),
            Self::Platform => PLATFORM,
        }
    }
}

/// A request by its caller's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The caller's UUID, in its lower-case form.
    pub id: String,
    /// A digest of operation and body: another body under the same id is an error.
    pub digest: [u8; 32],
}

/// What an act came to.
#[derive(Debug)]
pub struct Planned<A> {
    /// The differences to write.
    pub changes: Vec<Change>,
    /// What is to be told to the outside.
    pub letters: Vec<Letter>,
    /// The answer, without secrets: it is kept for repeated requests.
    pub answer: A,
}

/// Something to be told to the outside, written with the change that it tells of.
#[derive(Clone, Debug)]
pub struct Letter {
    /// What it is, for example `invitation`.
    pub kind: &'static str,
    /// Whom it is to: erasing them removes it.
    pub member: MemberId,
    /// Its content, sealed where it holds a secret.
    pub payload: Vec<u8>,
}

/// A finished act.
#[derive(Debug)]
pub struct Receipt<A> {
    /// The plan's answer, or that of the first request.
    pub answer: A,
    /// Whose revision it is: the tenant's id, or [`PLATFORM`]. Of a repeated creation, the tenant that the first made.
    pub scope: String,
    /// The scope's revision now; of a repeated request, the one it had made.
    pub revision: Revision,
    /// What came of it.
    pub effect: Effect,
    /// The parts that it made outdated; none where nothing was changed now.
    pub touched: BTreeSet<Part>,
    /// Whether every check that begins now, on any replica, sees it.
    pub enforced: bool,
}

/// What came of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something was changed.
    Applied,
    /// All was as it was asked for.
    Unchanged,
    /// It could be done, and was not: only its checks were wanted.
    Validated,
    /// It was done before, by the same request.
    Replayed,
}

impl<A> Receipt<A> {
    /// Whether this answers an earlier request.
    #[must_use]
    pub fn replayed(&self) -> bool {
        self.effect == Effect::Replayed
    }
}

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<R> {
    /// The plan refused.
    #[error("refused")]
    Refused(R),
    /// The id of the new tenant was used before.
    #[error("the tenant id has been used before")]
    TenantIdTaken,
    /// The slug of the new tenant is another's.
    #[error("the slug is taken")]
    SlugTaken,
    /// The request id was used with another body.
    #[error("the request id was used for another request")]
    RequestReused,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

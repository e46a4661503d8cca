//! Why a call was not answered: a closed set, mapped once to the wire.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use doorward_engine::id::{Revision, TypeKey};
use doorward_engine::question::QuestionError;

use crate::keys::KeysError;
use crate::store::{CommitError, StoreError};

const MAY_BE_APPLIED: &str = "the deadline has passed, and the change may have been applied: repeating the call with the same \
                              `request_id` is safe, and answers what came of it";

/// When a refused caller may try again, in milliseconds: a span, so that they do not come back all at once.
const RETRY_MS: std::ops::Range<u64> = 100..500;

/// Why a call was not answered. A denial is an answer, and not among these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields that cannot be understood, all of them at once.
    #[error("{}", join(.0))]
    Invalid(Vec<Violation>),
    /// The request id was used for another request.
    #[error("`request_id` was used for another request within 24 hours; a new request needs a new UUID")]
    RequestReused,
    /// `confirm_slug` is not the tenant's slug.
    #[error("`confirm_slug` is not the slug of this tenant; repeat the slug to confirm")]
    ConfirmationMismatch,
    /// A section that the catalogue does not know.
    #[error("section `{0}` is not in the catalogue")]
    SectionUnknown(String),
    /// The catalogue document is not one.
    #[error("the catalogue document is not valid: {}", .0.join("; "))]
    CatalogueInvalid(Vec<String>),
    /// The proof is missing, or nobody's.
    #[error("no valid credential; expected one `authorization: Bearer …`")]
    Unauthenticated,
    /// The service acts for members, and names none.
    #[error(
        "`x-doorward-actor` is missing: a service with scope `admin` says for which ACTIVE ADMIN it acts"
    )]
    ActorRequired,
    /// The caller may not do that here.
    #[error("the caller may not do this in this tenant")]
    PermissionDenied,
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(Thing),
    /// There is no such thing, of those that a request names: which one.
    #[error("`{field}`: there is no such {thing}")]
    NotFoundAt {
        /// What is missing.
        thing: Thing,
        /// The field that names it.
        field: String,
    },
    /// It is another's.
    #[error("{0}")]
    AlreadyExists(Taken),
    /// The entity has changed since it was read.
    #[error("`expected_revision` is out of date: the revision is {current}; read it again")]
    RevisionMismatch {
        /// The entity's revision.
        current: Revision,
    },
    /// The state does not permit it.
    #[error("{0}")]
    Precondition(Precondition),
    /// It would go over a limit of the plan.
    #[error("the plan allows {limit} {what}, and {used} are in use")]
    LimitReached {
        /// What is limited.
        what: Limited,
        /// How many the plan allows.
        limit: u64,
        /// How many are in use.
        used: u64,
    },
    /// What follows a revision is not kept any more.
    #[error(
        "the changes after `after_revision` are not kept any more; the oldest one to resume from is {oldest}"
    )]
    RevisionPruned {
        /// The oldest revision after which all changes are kept.
        oldest: Revision,
    },
    /// There is no such revision yet, or not in this database: it may have been restored.
    #[error("`after_revision` is beyond the newest revision, which is {head}; begin anew from there")]
    RevisionAhead {
        /// The newest revision.
        head: Revision,
    },
    /// Not now; the same call may succeed later.
    #[error("cannot answer now; try again")]
    Unavailable(#[source] StoreError),
    /// A defect: the cause is for the log.
    #[error("internal error")]
    Internal(String),
    /// More calls are in flight than are taken on.
    #[error(
        "more calls are in flight than the server takes on; nothing was done: try again after RetryInfo's time"
    )]
    Overloaded {
        /// After which time.
        retry: Duration,
    },
    /// The caller asks too often.
    #[error(
        "one caller may make {per_second} calls of this kind a second in one tenant; nothing was done: try again after RetryInfo's time"
    )]
    RateLimited {
        /// How many are allowed.
        per_second: u32,
        /// After which time there is room for this one.
        retry: Duration,
    },
    /// The caller's time, or the longest there is, was over.
    #[error("{}", if *.may_be_applied { MAY_BE_APPLIED } else { "the deadline has passed" })]
    DeadlineExceeded {
        /// Whether it is a mutation that goes on.
        may_be_applied: bool,
    },
    /// The bytes are not a message.
    #[error(
        "what was sent is not a message of this RPC: truncated, with a field of a wrong type, or not protobuf"
    )]
    Malformed,
    /// The message is too long.
    #[error("the message is longer than the {limit} bytes that the server accepts")]
    TooLarge {
        /// The longest that is accepted, in bytes.
        limit: usize,
    },
    /// The message is compressed in a way that is not accepted.
    #[error("the message's `grpc-encoding` is not accepted; allowed: `identity`")]
    UnknownEncoding,
    /// There is no such RPC.
    #[error(
        "this server has no such RPC; it has those of `doorward.v1.AccessService`, health and reflection"
    )]
    UnknownMethod,
    /// Health was asked of a service that is not there.
    #[error("there is no such service; allowed: `doorward.v1.AccessService`, or none for the whole server")]
    UnknownService,
}

/// A field that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request, for example `grants[2].resource.id`.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl Violation {
    /// A violation.
    #[must_use]
    pub fn new(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { field: field.into(), problem: problem.to_string() }
    }

    /// A key that the catalogue does not have; `allowed` are those that it has.
    #[must_use]
    pub fn unknown<'k>(
        field: impl Into<String>,
        kind: &str,
        given: &str,
        allowed: impl IntoIterator<Item = &'k str>,
    ) -> Self {
        let allowed: Vec<_> = allowed.into_iter().map(|key| format!("`{key}`")).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        Self::new(field, format!("unknown {kind} `{given}`; allowed: {allowed}"))
    }
}

impl Error {
    /// More are there than are taken on: each is told another time to come back.
    #[must_use]
    pub fn overloaded() -> Self {
        let drawn = RandomState::new().hash_one(());
        let retry = RETRY_MS.start + drawn % (RETRY_MS.end - RETRY_MS.start);
        Self::Overloaded { retry: Duration::from_millis(retry) }
    }

    /// Says which field names what is missing; every other error already says enough.
    #[must_use]
    pub fn at(self, field: impl FnOnce() -> String) -> Self {
        match self {
            Self::NotFound(thing) => Self::NotFoundAt { thing, field: field() },
            other => other,
        }
    }
}

impl From<QuestionError> for Violation {
    fn from(error: QuestionError) -> Self {
        Self::new(error.field, format!("{}; allowed: {}", error.what, error.allowed))
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }
}

fn join(violations: &[Violation]) -> String {
    let lines: Vec<_> = violations.iter().map(|v| format!("`{}`: {}", v.field, v.problem)).collect();
    lines.join("; ")
}

/// What can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A tenant.
    Tenant,
    /// A member.
    Member,
    /// A resource.
    Resource,
    /// An API key.
    ApiKey,
    /// An invitation.
    Invitation,
    /// The credential of a service.
    Credential,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenant => "tenant",
            Self::Member => "member in this tenant",
            Self::Resource => "resource in this tenant",
            Self::ApiKey => "API key in this tenant",
            Self::Invitation => "invitation in this tenant",
            Self::Credential => "service credential",
        })
    }
}

/// What can be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// An id, used now or before.
    Id,
    /// A slug.
    Slug,
    /// The email of a live member.
    Email,
    /// The user id of a live member.
    User,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "the id has been used before; an id is never used twice, even after a deletion",
            Self::Slug => "the slug is another tenant's",
            Self::Email => "a member with this email exists",
            Self::User => "the user is already a member of this tenant",
        })
    }
}

/// What a plan limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Seats: PENDING, ACTIVE and DISABLED members.
    Seats,
    /// Resources of a type.
    Resources(TypeKey),
    /// API keys.
    ApiKeys,
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seats => f.write_str("seats"),
            Self::Resources(kind) => write!(f, "resources of type `{kind}`"),
            Self::ApiKeys => f.write_str("API keys"),
        }
    }
}

/// What the state does not permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It would leave the tenant without an ACTIVE ADMIN.
    LastAdmin,
    /// Nobody does that to themselves.
    SelfForbidden,
    /// Only a PENDING member.
    NotPending,
    /// Only an ACTIVE member.
    NotActive,
    /// Only a DISABLED member.
    NotDisabled,
    /// Not for a PENDING member.
    MemberPending,
    /// The section has no toggle.
    NotConfigurable(String),
    /// The subscription has lapsed, and this grows.
    SubscriptionLapsed,
    /// The subscription does not go from here to there.
    IllegalMove(String),
    /// Only the operator writes in a SUSPENDED tenant.
    TenantSuspended,
    /// Only a SUSPENDED tenant is resumed.
    TenantNotSuspended,
    /// The invitation was used.
    InvitationUsed,
    /// The invitation has expired.
    InvitationExpired,
    /// The invitation was cancelled or replaced.
    InvitationCancelled,
    /// What is in use cannot be removed from the catalogue.
    InUse(Vec<String>),
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigurable(section) => {
                write!(f, "section `{section}` has no toggle: only CONFIGURABLE sections have one")
            }
            Self::IllegalMove(text) => f.write_str(text),
            Self::InUse(what) => {
                write!(f, "in use, and so not to be removed from the catalogue: {}", what.join(", "))
            }
            other => f.write_str(other.text()),
        }
    }
}

impl Precondition {
    const fn text(&self) -> &'static str {
        match self {
            Self::LastAdmin => "the tenant would be left without an ACTIVE ADMIN; make another one first",
            Self::SelfForbidden => "nobody does this to themselves; another ADMIN can",
            Self::NotPending => "only a PENDING member's invitation can be changed",
            Self::NotActive => "only an ACTIVE member can be disabled",
            Self::NotDisabled => "only a DISABLED member can be enabled",
            Self::MemberPending => "the member is PENDING; cancel the invitation, or activate them first",
            Self::SubscriptionLapsed => {
                "the subscription has lapsed: what grows is refused until it is renewed; what reduces stays open"
            }
            Self::TenantSuspended => "the tenant is SUSPENDED: only the operator writes in it",
            Self::TenantNotSuspended => "only a SUSPENDED tenant can be resumed",
            Self::InvitationUsed => "the invitation has been used",
            Self::InvitationExpired => "the invitation has expired; ask for it to be sent again",
            Self::InvitationCancelled => "the invitation was cancelled, or a newer one was sent",
            Self::NotConfigurable(_) | Self::IllegalMove(_) | Self::InUse(_) => "",
        }
    }
}

impl From<Precondition> for Error {
    fn from(precondition: Precondition) -> Self {
        Self::Precondition(precondition)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error),
            StoreError::Busy => Self::overloaded(),
            StoreError::Corrupt(text) => Self::Internal(text),
        }
    }
}

impl From<KeysError> for Error {
    fn from(error: KeysError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<CommitError<Self>> for Error {
    fn from(error: CommitError<Self>) -> Self {
        match error {
            CommitError::Refused(refused) => refused,
            CommitError::TenantIdTaken => Self::AlreadyExists(Taken::Id),
            CommitError::SlugTaken => Self::AlreadyExists(Taken::Slug),
            CommitError::RequestReused => Self::RequestReused,
            CommitError::Store(store) => store.into(),
        }
    }
}

//! The one map from the service's errors to gRPC statuses. Callers see a reason, the log sees the cause.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::proto;
use crate::proto::ErrorReason;
use crate::service::error::{Limited, Precondition, Taken, Thing};
use crate::service::{Error, Operation};

/// The `domain` of every `google.rpc.ErrorInfo`.
const DOMAIN: &str = "doorward";
/// The most bytes of a status's text, of one violation, and of all of them: some clients take no more than 8 KiB of
/// trailers, where the details are base64 and much of a text is three bytes for one.
const TEXT_BYTES_MAX: usize = 1_024;
const VIOLATION_BYTES_MAX: usize = 400;
const VIOLATIONS_BYTES_MAX: usize = 2_048;
/// When a caller may try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The status that a caller sees.
pub(super) fn of(operation: Operation, error: &Error) -> Status {
    named(operation.name(), error)
}

/// The same, of a call that may be none of the service's.
pub(super) fn named(rpc: &str, error: &Error) -> Status {
    let reason = reason(error).as_str_name();
    let reason = reason.strip_prefix("ERROR_REASON_").unwrap_or(reason);
    log(rpc, reason, error);
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, metadata(error));
    let told = violations(error);
    for (field, problem) in &told {
        details.add_bad_request_violation(*field, problem);
    }
    match error {
        Error::LimitReached { what, .. } => {
            details.add_quota_failure_violation(what.to_string(), error.to_string());
        }
        Error::Unavailable(_) => {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        Error::Overloaded { retry } => {
            details.set_retry_info(Some(*retry));
        }
        Error::RateLimited { retry, .. } => {
            details.set_retry_info(Some(*retry));
            details.add_quota_failure_violation("calls of one caller in one tenant", error.to_string());
        }
        _ => {}
    }
    Status::with_error_details(code(error), text(error, told.len()), details)
}

/// What stands for an error in the answer to one of many questions.
pub(super) fn of_question(operation: Operation, error: &Error) -> proto::CheckError {
    let reason = reason(error);
    let name = reason.as_str_name();
    log(operation.name(), name.strip_prefix("ERROR_REASON_").unwrap_or(name), error);
    let told = violations(error).len();
    proto::CheckError { code: code(error).into(), reason: reason.into(), message: text(error, told) }
}

/// What is wrong with each field; of very many, the first ones and the last, which then counts those that have no name.
fn violations(error: &Error) -> Vec<(&str, String)> {
    let mut all: Vec<(&str, String)> = match error {
        Error::Invalid(violations) => {
            violations.iter().map(|violation| (&*violation.field, violation.problem.clone())).collect()
        }
        Error::CatalogueInvalid(lines) => lines.iter().map(|line| ("document", line.clone())).collect(),
        Error::ConfirmationMismatch => vec![("confirm_slug", error.to_string())],
        Error::ActorRequired => vec![("x-doorward-actor", error.to_string())],
        Error::RequestReused => vec![("request_id", error.to_string())],
        _ => Vec::new(),
    };
    let last = all.pop();
    let bytes_of = |(field, problem): &(&str, String)| field.len() + problem.len().min(VIOLATION_BYTES_MAX);
    let mut bytes = last.as_ref().map_or(0, bytes_of);
    let fits = |violation: &(&str, String)| {
        bytes += bytes_of(violation);
        bytes <= VIOLATIONS_BYTES_MAX
    };
    let told = all.into_iter().take_while(fits).chain(last);
    told.map(|(field, problem)| (field, cut(problem, VIOLATION_BYTES_MAX))).collect()
}

/// The text; where it or the details leave something out, it says so.
fn text(error: &Error, told: usize) -> String {
    let all = match error {
        Error::Invalid(violations) => violations.len(),
        Error::CatalogueInvalid(lines) => lines.len(),
        _ => told,
    };
    let text = cut(error.to_string(), TEXT_BYTES_MAX);
    if all > told { format!("{text}; and more") } else { text }
}

/// A text of at most so many bytes.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}

/// The log sees causes, and not what callers wrote: a text that repeats it may hold a person's address.
fn log(rpc: &str, reason: &str, error: &Error) {
    match error {
        Error::Unavailable(cause) => tracing::warn!(rpc, %cause, "unavailable"),
        Error::Internal(cause) => tracing::error!(rpc, %cause, "internal error"),
        _ => tracing::debug!(rpc, reason, "refused"),
    }
}

fn code(error: &Error) -> Code {
    match error {
        Error::Invalid(_)
        | Error::RequestReused
        | Error::ActorRequired
        | Error::ConfirmationMismatch
        | Error::SectionUnknown(_)
        | Error::CatalogueInvalid(_)
        | Error::Malformed => Code::InvalidArgument,
        Error::Unauthenticated => Code::Unauthenticated,
        Error::PermissionDenied => Code::PermissionDenied,
        Error::NotFound(_) | Error::NotFoundAt { .. } | Error::UnknownService => Code::NotFound,
        Error::AlreadyExists(_) => Code::AlreadyExists,
        Error::RevisionMismatch { .. } => Code::Aborted,
        Error::Precondition(_) => Code::FailedPrecondition,
        Error::LimitReached { .. } | Error::TooLarge { .. } | Error::RateLimited { .. } => {
            Code::ResourceExhausted
        }
        Error::RevisionPruned { .. } | Error::RevisionAhead { .. } => Code::OutOfRange,
        Error::Unavailable(_) | Error::Overloaded { .. } => Code::Unavailable,
        Error::DeadlineExceeded { .. } => Code::DeadlineExceeded,
        Error::Internal(_) => Code::Internal,
        Error::UnknownMethod | Error::UnknownEncoding => Code::Unimplemented,
    }
}

fn reason(error: &Error) -> ErrorReason {
    match error {
        Error::Invalid(_) => ErrorReason::InvalidField,
        Error::RequestReused => ErrorReason::RequestIdReused,
        Error::ActorRequired => ErrorReason::ActorRequired,
        Error::ConfirmationMismatch => ErrorReason::ConfirmationMismatch,
        Error::SectionUnknown(_) => ErrorReason::SectionUnknown,
        Error::CatalogueInvalid(_) => ErrorReason::CatalogueInvalid,
        Error::Unauthenticated => ErrorReason::Unauthenticated,
        Error::PermissionDenied => ErrorReason::PermissionDenied,
        Error::NotFound(thing) | Error::NotFoundAt { thing, .. } => not_found_reason(*thing),
        Error::AlreadyExists(Taken::Id) => ErrorReason::IdTaken,
        Error::AlreadyExists(Taken::Slug) => ErrorReason::SlugTaken,
        Error::AlreadyExists(Taken::Email) => ErrorReason::EmailTaken,
        Error::AlreadyExists(Taken::User) => ErrorReason::UserTaken,
        Error::RevisionMismatch { .. } => ErrorReason::RevisionMismatch,
        Error::Precondition(precondition) => precondition_reason(precondition),
        Error::LimitReached { what: Limited::Seats, .. } => ErrorReason::SeatLimit,
        Error::LimitReached { what: Limited::Resources(_), .. } => ErrorReason::ResourceLimit,
        Error::LimitReached { what: Limited::ApiKeys, .. } => ErrorReason::ApiKeyLimit,
        Error::RevisionPruned { .. } => ErrorReason::RevisionPruned,
        Error::RevisionAhead { .. } => ErrorReason::RevisionAhead,
        Error::Unavailable(_) => ErrorReason::StoreUnavailable,
        Error::Internal(_) => ErrorReason::Internal,
        Error::UnknownMethod | Error::UnknownEncoding => ErrorReason::NotImplemented,
        Error::Overloaded { .. } => ErrorReason::Overloaded,
        Error::RateLimited { .. } => ErrorReason::RateLimited,
        Error::DeadlineExceeded { .. } => ErrorReason::DeadlineExceeded,
        Error::Malformed => ErrorReason::MalformedMessage,
        Error::TooLarge { .. } => ErrorReason::MessageTooLarge,
        Error::UnknownService => ErrorReason::ServiceNotFound,
    }
}

const fn not_found_reason(thing: Thing) -> ErrorReason {
    match thing {
        Thing::Tenant => ErrorReason::TenantNotFound,
        Thing::Member => ErrorReason::MemberNotFound,
        Thing::Resource => ErrorReason::ResourceNotFound,
        Thing::ApiKey => ErrorReason::ApiKeyNotFound,
        Thing::Invitation => ErrorReason::InvitationNotFound,
        Thing::Credential => ErrorReason::ServiceCredentialNotFound,
    }
}

fn precondition_reason(precondition: &Precondition) -> ErrorReason {
    match precondition {
        Precondition::LastAdmin => ErrorReason::LastAdmin,
        Precondition::SelfForbidden => ErrorReason::SelfForbidden,
        Precondition::NotPending => ErrorReason::NotPending,
        Precondition::NotActive => ErrorReason::NotActive,
        Precondition::NotDisabled => ErrorReason::NotDisabled,
        Precondition::MemberPending => ErrorReason::MemberPending,
        Precondition::NotConfigurable(_) => ErrorReason::NotConfigurable,
        Precondition::SubscriptionLapsed => ErrorReason::SubscriptionLapsed,
        Precondition::IllegalMove(_) => ErrorReason::IllegalMove,
        Precondition::TenantSuspended => ErrorReason::TenantSuspended,
        Precondition::TenantNotSuspended => ErrorReason::TenantNotSuspended,
        Precondition::InvitationUsed => ErrorReason::InvitationUsed,
        Precondition::InvitationExpired => ErrorReason::InvitationExpired,
        Precondition::InvitationCancelled => ErrorReason::InvitationCancelled,
        Precondition::InUse(_) => ErrorReason::InUse,
    }
}

fn metadata(error: &Error) -> HashMap<String, String> {
    let pairs = match error {
        Error::NotFoundAt { field, .. } => vec![("field", field.clone())],
        Error::RevisionPruned { oldest } => vec![("oldest_revision", oldest.to_string())],
        Error::RevisionAhead { head } => vec![("head_revision", head.to_string())],
        Error::RevisionMismatch { current } => vec![("current_revision", current.to_string())],
        Error::LimitReached { limit, used, .. } => {
            vec![("limit", limit.to_string()), ("used", used.to_string())]
        }
        Error::TooLarge { limit } => vec![("limit", limit.to_string())],
        Error::SectionUnknown(section) | Error::Precondition(Precondition::NotConfigurable(section)) => {
            vec![("section", section.clone())]
        }
        _ => Vec::new(),
    };
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

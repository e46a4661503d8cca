//! What the libraries below answer by themselves, in our words: none of theirs leaves the port.
//!
//! A status of ours carries details, and one of theirs does not: that tells them apart.

use http::HeaderMap;
use tonic::{Code, Status};

use super::route::Target;
use crate::service::Error;
use crate::wire::status;

/// The longest message that the libraries take for health and reflection.
const OTHER_MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// The code in headers or trailers; none: they say nothing of the end.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Puts a status into our words, where it is not; answers the code.
pub(super) fn translate(target: Target, headers: &mut HeaderMap) -> Option<Code> {
    let theirs = code(headers)?;
    if theirs == Code::Ok || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return Some(theirs);
    }
    let names_encodings = headers.contains_key("grpc-accept-encoding");
    Some(write(target, headers, &error(target, theirs, names_encodings)))
}

/// Writes an error over whatever the headers say; answers its code.
pub(super) fn write(target: Target, headers: &mut HeaderMap, error: &Error) -> Code {
    let status = status::named(target.name(), error);
    headers.remove(Status::GRPC_MESSAGE);
    headers.remove(Status::GRPC_STATUS_DETAILS);
    // What cannot be a header is left out; the code always can.
    let _ = status.add_header(headers);
    status.code()
}

fn error(target: Target, theirs: Code, names_encodings: bool) -> Error {
    match theirs {
        Code::Internal | Code::InvalidArgument | Code::DataLoss => Error::Malformed,
        Code::OutOfRange | Code::ResourceExhausted => Error::TooLarge { limit: message_max(target) },
        Code::Unimplemented if names_encodings => Error::UnknownEncoding,
        Code::Unimplemented => Error::UnknownMethod,
        Code::Cancelled | Code::DeadlineExceeded => {
            Error::DeadlineExceeded { may_be_applied: target.is_mutation }
        }
        Code::NotFound => Error::UnknownService,
        other => Error::Internal(format!("a library answered {other:?}")),
    }
}

const fn message_max(target: Target) -> usize {
    match target.route {
        super::route::Route::Rpc(_) => crate::wire::MESSAGE_MAX,
        _ => OTHER_MESSAGE_MAX,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;
    use crate::wire::guard::route::Routes;

    fn translated(path: &str, status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        let code = translate(Routes::new().find(path), &mut headers);
        let status = Status::from_header_map(&headers).unwrap();
        assert_eq!(code, Some(status.code()));
        status
    }

    #[test]
    fn each_of_theirs_becomes_one_of_ours_and_their_text_is_gone() {
        const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
        for (code, expected, reason) in [
            (Code::Internal, Code::InvalidArgument, "MALFORMED_MESSAGE"),
            (Code::OutOfRange, Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            (Code::ResourceExhausted, Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            (Code::Unimplemented, Code::Unimplemented, "NOT_IMPLEMENTED"),
            (Code::Cancelled, Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (Code::NotFound, Code::NotFound, "SERVICE_NOT_FOUND"),
            (Code::Unknown, Code::Internal, "INTERNAL"),
            (Code::Unavailable, Code::Internal, "INTERNAL"),
        ] {
            let status = translated(CHECK, &Status::new(code, "prost: theirs"));
            let info = status.get_details_error_info().unwrap();
            assert_eq!((status.code(), &*info.reason, &*info.domain), (expected, reason, "doorward"));
            assert!(!status.message().contains("theirs"), "{status:?}");
        }
    }

    #[test]
    fn one_of_ours_and_a_good_end_stay_as_they_are() {
        const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
        let ours = status::named("CheckAccess", &Error::PermissionDenied);
        let kept = translated(CHECK, &ours);
        assert_eq!(
            (kept.code(), kept.message(), kept.details()),
            (ours.code(), ours.message(), ours.details())
        );
        let good = translated(CHECK, &Status::ok(""));
        assert_eq!((good.code(), good.details()), (Code::Ok, &[][..]));
        assert_eq!(translate(Routes::new().find(CHECK), &mut HeaderMap::new()), None);
    }

    #[test]
    fn an_encoding_that_is_not_accepted_keeps_the_list_of_those_that_are() {
        let mut theirs = Status::unimplemented("Content is compressed");
        theirs.metadata_mut().insert("grpc-accept-encoding", "identity".parse().unwrap());
        let status = translated("/grpc.health.v1.Health/Check", &theirs);
        assert!(status.message().contains("`identity`"), "{status:?}");
        assert_eq!(status.metadata().get("grpc-accept-encoding").unwrap(), "identity");
    }
}

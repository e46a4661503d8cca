//! From a call's metadata to its caller. The metadata's values are secrets or hostile: none is repeated.

use std::net::SocketAddr;

use doorward_engine::id::UserId;
use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpConnectInfo;

use crate::caller::{Caller, Callers, Proof, Refusal};
use crate::service::{Error, Violation};
use crate::store::Credentials;

/// The member on whose behalf an admin backend acts.
const ACTOR: &str = "x-doorward-actor";

/// Who calls.
///
/// # Errors
/// UNAUTHENTICATED, with one text, for whatever is wrong with the credential; INVALID_ARGUMENT for a bad actor.
pub(super) async fn identify<T, C: Credentials>(
    callers: &Callers<C>,
    request: &Request<T>,
) -> Result<Caller, Error> {
    let metadata = request.metadata();
    let (identity, person) = callers.identify(proof(metadata)?).await.map_err(|refusal| match refusal {
        Refusal::Invalid => Error::Unauthenticated,
        Refusal::Unavailable(cause) => Error::Unavailable(cause),
    })?;
    let actor = actor(metadata)?;
    if actor.is_some() && !identity.may_act() {
        return Err(Violation::new(ACTOR, "is for services and the operator: leave it out").into());
    }
    Ok(Caller {
        identity,
        actor: person.or(actor),
        peer: peer(request).map(|peer| peer.to_string()),
        trace_id: trace_id(metadata),
    })
}

/// A header that is there counts, whatever it holds: only without one does a certificate.
fn proof(metadata: &MetadataMap) -> Result<Proof<'_>, Error> {
    let bearer = match metadata.contains_key("authorization") {
        true => Some(bearer(metadata).ok_or(Error::Unauthenticated)?),
        false => None,
    };
    Ok(Proof { bearer, names: &[] })
}

/// The token of exactly one `authorization: Bearer …` header.
fn bearer(metadata: &MetadataMap) -> Option<&str> {
    let mut headers = metadata.get_all("authorization").iter();
    let (first, second) = (headers.next()?, headers.next());
    let (scheme, token) = first.to_str().ok()?.split_once(' ')?;
    (second.is_none() && scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim_start_matches(' '))
}

fn actor(metadata: &MetadataMap) -> Result<Option<UserId>, Error> {
    let mut headers = metadata.get_all(ACTOR).iter();
    let Some(first) = headers.next() else {
        return Ok(None);
    };
    if headers.next().is_some() {
        return Err(Violation::new(ACTOR, "given more than once; allowed is one user id").into());
    }
    let text = first.to_str().unwrap_or_default();
    UserId::parse(text).map(Some).map_err(|error| Violation::new(ACTOR, error).into())
}

fn peer<T>(request: &Request<T>) -> Option<SocketAddr> {
    request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr)
}

/// The trace id of a W3C `traceparent`.
fn trace_id(metadata: &MetadataMap) -> Option<String> {
    let id = metadata.get("traceparent")?.to_str().ok()?.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_ascii_lowercase())
}

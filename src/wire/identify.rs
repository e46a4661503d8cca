//! From a call's headers to its caller. The headers' values are secrets or hostile: none is repeated.

use doorward_engine::id::UserId;
use http::{Extensions, HeaderMap};

use super::peer::{peer_address, peer_sans};
use crate::caller::{Caller, Callers, Proof, Refusal};
use crate::service::{Error, Violation};
use crate::store::Credentials;
use crate::telemetry::trace;

/// The member on whose behalf an admin backend acts.
const ACTOR: &str = "x-doorward-actor";

/// Who calls.
///
/// # Errors
/// UNAUTHENTICATED, with one text, for whatever is wrong with the credential; INVALID_ARGUMENT for a bad actor.
pub(super) async fn identify<C: Credentials>(
    callers: &Callers<C>,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Caller, Error> {
    let (identity, person) =
        callers.identify(proof(headers, extensions)?).await.map_err(|refusal| match refusal {
            Refusal::Invalid => Error::Unauthenticated,
            Refusal::Unavailable(cause) => Error::Unavailable(cause),
        })?;
    let actor = actor(headers)?;
    if actor.is_some() && !identity.may_act() {
        return Err(Violation::new(ACTOR, "is for services and the operator: leave it out").into());
    }
    Ok(Caller {
        identity,
        actor: person.or(actor),
        peer: peer_address(extensions),
        trace_id: trace::ids().map(|ids| ids.trace),
    })
}

/// A header that is there counts, whatever it holds: only without one does a certificate.
fn proof<'p>(headers: &'p HeaderMap, extensions: &'p Extensions) -> Result<Proof<'p>, Error> {
    let bearer = match headers.contains_key("authorization") {
        true => Some(bearer(headers).ok_or(Error::Unauthenticated)?),
        false => None,
    };
    Ok(Proof { bearer, names: peer_sans(extensions) })
}

/// The token of exactly one `authorization: Bearer …` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all("authorization").iter();
    let (first, second) = (given.next()?, given.next());
    let (scheme, token) = first.to_str().ok()?.split_once(' ')?;
    (second.is_none() && scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim_start_matches(' '))
}

fn actor(headers: &HeaderMap) -> Result<Option<UserId>, Error> {
    let mut given = headers.get_all(ACTOR).iter();
    let Some(first) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(Violation::new(ACTOR, "given more than once; allowed is one user id").into());
    }
    let text = first.to_str().unwrap_or_default();
    UserId::parse(text).map(Some).map_err(|error| Violation::new(ACTOR, error).into())
}

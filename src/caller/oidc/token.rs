//! A token, from the bytes that somebody sent to the person that it names. It knows no network, no clock and no cache:
//! whatever happens to hostile bytes happens in [`verify_with`].

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_engine::id::UserId;
use doorward_engine::instant::Instant;
use serde_json::Value;

use super::jwks::{KeySet, NoKey};
use super::object::Object;
use super::{Algorithm, Person};

/// The most bytes of a token.
const BYTES_MAX: usize = 8 * 1024;
/// How far the provider's clock and ours may be apart, in seconds.
const LEEWAY_SECONDS: i64 = 30;
const MICROS: i64 = 1_000_000;

/// Whether what a caller presented has the form of a signed token: three parts in base64url, none empty. Neither service
/// credentials nor API keys have dots.
#[must_use]
pub fn looks_like_a_jwt(bearer: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    bearer.split('.').count() == 3 && bearer.split('.').all(is_part)
}

/// What a token must say.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) algorithms: Vec<Algorithm>,
}

/// What is wrong with a token: for the log alone, and never with a piece of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is longer than 8 KiB")]
    TooLong,
    #[error("it is not three parts in base64url")]
    Form,
    #[error("its header is not a JSON object without repeated names")]
    Header,
    #[error("its `alg` is not allowed by auth.oidc_algorithms")]
    Algorithm,
    #[error("its `typ` is neither JWT nor at+jwt")]
    Type,
    #[error("its `crit` names what is not understood")]
    Critical,
    #[error("its `kid` is not a text")]
    KeyId,
    #[error("its claims are not a JSON object without repeated names")]
    Claims,
    #[error("its `iss` is not auth.oidc_issuer")]
    Issuer,
    #[error("its `aud` does not contain auth.oidc_audience")]
    Audience,
    #[error("its `exp` is missing or not a number")]
    NoExpiry,
    #[error("it has expired")]
    Expired,
    #[error("its `nbf` or `iat` is in the future or not a number")]
    NotYet,
    #[error("its `sub` is not a user id")]
    Subject,
    #[error("its key is not in the provider's set")]
    UnknownKey,
    #[error("its key is not used with its `alg`, or there is more than one that would do")]
    WrongKey,
    #[error("its signature is wrong")]
    Signature,
}

/// The person whom a token names, by keys that are at hand.
pub(crate) fn verify_with(
    keys: &KeySet,
    expected: &Expected,
    token: &str,
    now: Instant,
) -> Result<Person, Fault> {
    if token.len() > BYTES_MAX {
        return Err(Fault::TooLong);
    }
    if !looks_like_a_jwt(token) {
        return Err(Fault::Form);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Fault::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(Fault::Form)?;
    let header = Header::parse(header, &expected.algorithms)?;
    // What the claims say is looked at first: it costs less than a signature, and whoever made the token knows it.
    let person = person(claims, expected, now)?;
    let key = keys.find(header.kid.as_deref(), header.algorithm).map_err(|none| match none {
        NoKey::Unknown => Fault::UnknownKey,
        NoKey::NotOne => Fault::WrongKey,
    })?;
    if key.has_signed(signed, signature) { Ok(person) } else { Err(Fault::Signature) }
}

/// What a header says that matters; `jku`, `jwk`, `x5u` and `x5c` do not.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
}

impl Header {
    fn parse(part: &str, allowed: &[Algorithm]) -> Result<Self, Fault> {
        let header = object(part).ok_or(Fault::Header)?;
        let algorithm = header.text("alg").and_then(|name| name.parse().ok());
        let algorithm = algorithm.filter(|algorithm| allowed.contains(algorithm)).ok_or(Fault::Algorithm)?;
        if header.has("crit") {
            return Err(Fault::Critical);
        }
        let is_type = |name: &str| ["jwt", "at+jwt"].iter().any(|known| name.eq_ignore_ascii_case(known));
        if header.has("typ") && !header.text("typ").is_some_and(is_type) {
            return Err(Fault::Type);
        }
        let kid = header.text("kid").map(str::to_owned);
        if header.has("kid") && kid.is_none() {
            return Err(Fault::KeyId);
        }
        Ok(Self { algorithm, kid })
    }
}

fn person(part: &str, expected: &Expected, now: Instant) -> Result<Person, Fault> {
    let claims = object(part).ok_or(Fault::Claims)?;
    if claims.text("iss") != Some(expected.issuer.as_str()) {
        return Err(Fault::Issuer);
    }
    if !claims.get("aud").is_some_and(|aud| contains(aud, &expected.audience)) {
        return Err(Fault::Audience);
    }
    let expires_at = claims.get("exp").and_then(micros).ok_or(Fault::NoExpiry)?;
    let expires_at = Instant::from_micros(expires_at).plus_seconds(LEEWAY_SECONDS);
    if now >= expires_at {
        return Err(Fault::Expired);
    }
    let latest = now.plus_seconds(LEEWAY_SECONDS);
    let has_come = |at: &Value| micros(at).is_some_and(|at| Instant::from_micros(at) <= latest);
    if !["nbf", "iat"].iter().filter_map(|name| claims.get(name)).all(has_come) {
        return Err(Fault::NotYet);
    }
    let user = claims.text("sub").and_then(|sub| UserId::parse(sub).ok()).ok_or(Fault::Subject)?;
    Ok(Person { user, expires_at })
}

fn object(part: &str) -> Option<Object> {
    Object::parse(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

/// A text, or a list of texts and nothing else.
fn contains(aud: &Value, audience: &str) -> bool {
    match aud {
        Value::String(one) => one == audience,
        Value::Array(list) => list.iter().all(Value::is_string) && list.iter().any(|one| one == audience),
        _ => false,
    }
}

/// A claim in seconds, which may have a fraction, in microseconds.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit is held at the ends")]
fn micros(claim: &Value) -> Option<i64> {
    let whole = claim.as_i64().map(|seconds| seconds.saturating_mul(MICROS));
    whole.or_else(|| claim.as_f64().map(|seconds| (seconds * MICROS as f64) as i64))
}

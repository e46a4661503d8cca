//! What fuzzing does with people's tokens and with sets of keys: nobody is named but by a token that the one key of ours
//! has signed, and that says what it must. The keys here are nobody's but fuzzing's.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_engine::instant::Instant;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm as Scheme, EncodingKey, crypto};
use serde_json::{Value, json};

use super::Algorithm;
use super::jwks::KeySet;
use super::object::Object;
use super::token::{Expected, verify_with};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "doorward";
/// The time of every token, in seconds.
const NOW: i64 = 1_772_366_400;
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];
/// Public keys whose private halves nobody has: no token of theirs is ever good.
const NOBODYS: &str = include_str!("nobodys.jwks.json");

struct Ours {
    key: EncodingKey,
    /// Its public half, in base64url.
    x: String,
    /// A key that is in no set.
    stranger: EncodingKey,
    set: KeySet,
    expected: Expected,
}

/// A key of Ed25519 from its 32 bytes, in the form of PKCS #8.
fn ed25519(seed: u8) -> EncodingKey {
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    EncodingKey::from_ed_der(&[&HEAD[..], &[seed; 32]].concat())
}

fn ours() -> Option<&'static Ours> {
    static OURS: OnceLock<Option<Ours>> = OnceLock::new();
    OURS.get_or_init(make).as_ref()
}

fn make() -> Option<Ours> {
    let key = ed25519(7);
    let jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Scheme::EdDSA).ok()?).ok()?;
    let x = jwk.get("x")?.as_str()?.to_owned();
    let document = set(&x)?;
    let set = KeySet::parse(document.to_string().as_bytes(), &ALGORITHMS).ok()?;
    let algorithms = ALGORITHMS.to_vec();
    let expected = Expected { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned(), algorithms };
    Some(Ours { key, x, stranger: ed25519(8), set, expected })
}

/// Nobody's keys and ours.
fn set(x: &str) -> Option<Value> {
    let mut document: Value = serde_json::from_str(NOBODYS).ok()?;
    let own = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "ours", "use": "sig" });
    document.get_mut("keys")?.as_array_mut()?.push(own);
    Some(document)
}

fn now() -> Instant {
    Instant::from_micros(NOW * 1_000_000)
}

fn signed(key: &EncodingKey, text: &str) -> Option<String> {
    Some(format!("{text}.{}", crypto::sign(text.as_bytes(), key, Scheme::EdDSA).ok()?))
}

/// A token to the letter; or, where there is a line's end, a header and claims to be signed.
pub fn jwt(bytes: &[u8]) {
    let Some(ours) = ours() else { return };
    let Some(at) = bytes.iter().position(|&byte| byte == b'\n') else {
        return as_given(ours, &String::from_utf8_lossy(bytes));
    };
    let (header, claims) = bytes.split_at(at);
    let claims = claims.get(1..).unwrap_or_default();
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let (Some(good), Some(strange)) = (signed(&ours.key, &text), signed(&ours.stranger, &text)) else {
        return;
    };
    assert!(verify_with(&ours.set, &ours.expected, &strange, now()).is_err(), "a stranger signed it");
    let Ok(person) = verify_with(&ours.set, &ours.expected, &good, now()) else { return };
    says_what_it_must(header, claims, person.user.as_str());
    assert!(person.expires_at > now());
    assert!(verify_with(&ours.set, &ours.expected, &good, person.expires_at).is_err(), "it had expired");
    altered(ours, &good);
}

/// Only what we signed, to the letter: a signature of Ed25519 is the same each time.
fn as_given(ours: &Ours, token: &str) {
    if verify_with(&ours.set, &ours.expected, token, now()).is_ok() {
        let text = token.rsplit_once('.').map_or("", |(text, _)| text);
        assert_eq!(signed(&ours.key, text).as_deref(), Some(token), "we did not sign it");
    }
}

/// A second reading of header and claims, with another reader.
fn says_what_it_must(header: &[u8], claims: &[u8], user: &str) {
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let (header, claims) = (read(header), read(claims));
    assert_eq!(header.get("alg"), Some(&json!("EdDSA")));
    assert!(header.get("crit").is_none());
    assert!(header.get("kid").is_none_or(|kid| kid == "ours"), "{header}");
    assert_eq!(claims.get("iss"), Some(&json!(ISSUER)));
    let audience = claims.get("aud").cloned().unwrap_or_default();
    let is_in = audience.as_array().is_some_and(|list| list.contains(&json!(AUDIENCE)));
    assert!(audience == AUDIENCE || is_in, "{audience}");
    let seconds = |name| claims.get(name).and_then(Value::as_f64);
    assert!(seconds("exp").is_some_and(|exp| exp > (NOW - 31) as f64), "{claims}");
    assert!(["nbf", "iat"].iter().all(|name| {
        claims.get(*name).is_none() || seconds(name).is_some_and(|at| at <= (NOW + 31) as f64)
    }));
    assert_eq!(claims.get("sub").and_then(Value::as_str), Some(user));
}

/// No byte of a good token is without meaning.
fn altered(ours: &Ours, good: &str) {
    let at = good.bytes().fold(7, |at, byte| at * 31 % 65_521 + usize::from(byte)) % good.len();
    let mut bytes = good.as_bytes().to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    let altered = String::from_utf8_lossy(&bytes);
    assert!(verify_with(&ours.set, &ours.expected, &altered, now()).is_err(), "byte {at} was changed");
}

/// A document with the provider's keys.
pub fn jwks(bytes: &[u8]) {
    let Some(ours) = ours() else { return };
    let Ok(set) = KeySet::parse(bytes, &ALGORITHMS) else { return };
    assert!(set.len() <= 100 && Object::parse(bytes).is_some());
    let has_ours = serde_json::from_slice::<Value>(bytes).is_ok_and(|document| {
        let keys = document.get("keys").and_then(Value::as_array);
        keys.is_some_and(|keys| keys.iter().any(|key| key.get("x") == Some(&json!(ours.x))))
    });
    for kid in [None, Some("ours")] {
        for algorithm in ALGORITHMS {
            let _ = set.find(kid, algorithm);
        }
        let mut header = json!({ "alg": "EdDSA" });
        if let (Some(kid), Value::Object(header)) = (kid, &mut header) {
            header.insert("kid".to_owned(), json!(kid));
        }
        let text = format!("{}.{}", encoded(&header), encoded(&claims()));
        let Some(token) = signed(&ours.key, &text) else { return };
        let is_taken = verify_with(&set, &ours.expected, &token, now()).is_ok();
        assert!(!is_taken || has_ours, "a token of ours by a set without our key");
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "auth0|ann", "exp": NOW + 600, "iat": NOW, "nbf": NOW })
}

/// Real tokens, and what they are made of.
pub(crate) fn tokens() -> Vec<(String, Vec<u8>)> {
    let Some(ours) = ours() else { return Vec::new() };
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "ours" });
    let lists = json!({ "iss": ISSUER, "aud": ["other", AUDIENCE], "sub": "ann", "exp": NOW as f64 + 0.5 });
    let mut seeds = Vec::new();
    for (at, claims) in [claims(), lists].into_iter().enumerate() {
        seeds.push((format!("parts-{at}"), format!("{header}\n{claims}").into_bytes()));
        let token = signed(&ours.key, &format!("{}.{}", encoded(&header), encoded(&claims)));
        seeds.extend(token.map(|token| (format!("token-{at}"), token.into_bytes())));
    }
    for (algorithm, kid) in
        [("none", ""), ("HS256", "ours"), ("ES256", "p256"), ("RS256", "rsa"), ("PS512", "rsa")]
    {
        let header = json!({ "alg": algorithm, "kid": kid, "jku": "https://id.example", "jwk": {} });
        seeds.push((format!("parts-{algorithm}"), format!("{header}\n{}", claims()).into_bytes()));
        let text = format!("{}.{}", encoded(&header), encoded(&claims()));
        let length = if kid == "rsa" { 256 } else { 64 };
        let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(vec![1; length]));
        seeds.push((format!("token-{algorithm}"), token.into_bytes()));
    }
    seeds
}

/// Real sets.
pub(crate) fn sets() -> Vec<(String, Vec<u8>)> {
    let Some(ours) = ours() else { return Vec::new() };
    let all = set(&ours.x).unwrap_or_default();
    let keys = all.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
    let each = keys.into_iter().enumerate();
    let one = each.map(|(at, key)| (format!("one-{at}"), json!({ "keys": [key] }).to_string().into_bytes()));
    one.chain([("all".to_owned(), all.to_string().into_bytes())]).collect()
}

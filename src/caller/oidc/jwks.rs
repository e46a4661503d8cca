//! The provider's keys, as its JWKS has them: which are used, and with which algorithms. It knows no network and no token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm as Scheme, DecodingKey, crypto};
use serde_json::Value;

use super::Algorithm;
use super::object::Object;

/// The most keys that a set may have.
const KEYS_MAX: usize = 100;
/// The moduli of RSA that are used, in bits. Longer ones are not verified by the library.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// The most bytes of a public exponent of RSA.
const EXPONENT_BYTES_MAX: usize = 4;

/// The keys of a set that are used.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// A public key, with the algorithms that it is used with: configured, fitting, and not against its own `alg`.
#[derive(Debug)]
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The set does not have it.
    Unknown,
    /// The set has it, and it is not used with that algorithm; or several would do.
    NotOne,
}

/// A key for one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen<'a> {
    key: &'a DecodingKey,
    algorithm: Algorithm,
}

impl KeySet {
    /// The set that a document is. A key that is of no use is passed over; a document that is not a set is an error.
    pub(crate) fn parse(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, &'static str> {
        let document = Object::parse(document).ok_or("it is not a JSON object without repeated names")?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or("it has no list `keys`")?;
        if keys.len() > KEYS_MAX {
            return Err("it has more than 100 keys");
        }
        Ok(Self { keys: keys.iter().filter_map(|jwk| Key::of(jwk, algorithms)).collect() })
    }

    /// How many keys are used.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The one key for a token. A `kid` is compared and nothing else; without one there must be only one that would do.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Chosen<'_>, NoKey> {
        let mut named = self.keys.iter().filter(|key| kid.is_none() || key.kid.as_deref() == kid).peekable();
        if named.peek().is_none() {
            return Err(NoKey::Unknown);
        }
        let mut fitting = named.filter(|key| key.algorithms.contains(&algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(Key { key, .. }), None) => Ok(Chosen { key, algorithm }),
            _ => Err(NoKey::NotOne),
        }
    }
}

impl Chosen<'_> {
    /// Whether the signature, in base64url, is this key's over the text.
    pub(super) fn has_signed(self, text: &str, signature: &str) -> bool {
        crypto::verify(signature, text.as_bytes(), self.key, scheme(self.algorithm)).unwrap_or(false)
    }
}

impl Key {
    fn of(jwk: &Value, configured: &[Algorithm]) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let is_for_signatures = jwk.get("use").is_none_or(|for_what| for_what == "sig");
        let operations = jwk.get("key_ops").map(|operations| operations.as_array());
        let verifies =
            operations.is_none_or(|list| list.is_some_and(|list| list.iter().any(|o| o == "verify")));
        // A private key that stands in public is anybody's.
        let is_public = jwk.get("d").is_none();
        if !(is_for_signatures && verifies && is_public) {
            return None;
        }
        let kid = match jwk.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        let (key, fitting) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (rsa(text("n")?, text("e")?)?, RSA),
            ("EC", Some("P-256")) => (ec(text("x")?, text("y")?, 32)?, &[Algorithm::Es256][..]),
            ("EC", Some("P-384")) => (ec(text("x")?, text("y")?, 48)?, &[Algorithm::Es384][..]),
            ("OKP", Some("Ed25519")) => (ed(text("x")?)?, &[Algorithm::EdDsa][..]),
            _ => return None,
        };
        let own = jwk.get("alg");
        let is_used = |algorithm: &Algorithm| {
            configured.contains(algorithm)
                && own.is_none_or(|own| own == algorithm.name())
                // A point that is not on its curve, say, is an error here.
                && crypto::verify("", b"", &key, scheme(*algorithm)).is_ok()
        };
        let algorithms: Vec<_> = fitting.iter().copied().filter(is_used).collect();
        (!algorithms.is_empty()).then_some(Self { kid, algorithms, key })
    }
}

const RSA: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let (modulus, exponent) = (number(modulus)?, number(exponent)?);
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let is_usable = RSA_BITS.contains(&bits(&modulus))
        && is_odd(&modulus)
        && is_odd(&exponent)
        && exponent.len() <= EXPONENT_BYTES_MAX
        && exponent != [1];
    is_usable.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn ec(x: &str, y: &str, bytes: usize) -> Option<DecodingKey> {
    let is_whole = [x, y].iter().all(|part| decode(part).is_some_and(|part| part.len() == bytes));
    is_whole.then(|| DecodingKey::from_ec_components(x, y).ok()).flatten()
}

/// The library takes the first 32 bytes of a key without looking whether there are as many.
fn ed(x: &str) -> Option<DecodingKey> {
    decode(x).filter(|x| x.len() == 32).and_then(|_| DecodingKey::from_ed_components(x).ok())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A big-endian number without zeros before it.
fn number(text: &str) -> Option<Vec<u8>> {
    Some(decode(text)?.into_iter().skip_while(|&byte| byte == 0).collect())
}

fn bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |first| first.leading_zeros() as usize);
    number.len() * 8 - unused
}

const fn scheme(algorithm: Algorithm) -> Scheme {
    match algorithm {
        Algorithm::Rs256 => Scheme::RS256,
        Algorithm::Rs384 => Scheme::RS384,
        Algorithm::Rs512 => Scheme::RS512,
        Algorithm::Ps256 => Scheme::PS256,
        Algorithm::Ps384 => Scheme::PS384,
        Algorithm::Ps512 => Scheme::PS512,
        Algorithm::Es256 => Scheme::ES256,
        Algorithm::Es384 => Scheme::ES384,
        Algorithm::EdDsa => Scheme::EdDSA,
    }
}

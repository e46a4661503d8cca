//! The form of secrets: `dws_<id>_<secret>` of services, `dwk_<id>_<secret>` of API keys. Knows a secret from its hash,
//! and forgets each at once.

use doorward_engine::member::SecretHash;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::keys::{self, KeysError};

/// How the text of a service's secret begins.
pub const SERVICE: &str = "dws_";
/// How the text of an API key begins.
pub const KEY: &str = "dwk_";
/// The hex digits at the end of a secret: a checksum by which a scanner knows a secret from a look-alike.
const CHECKSUM_DIGITS: usize = 6;

/// The hash by which a secret is known again.
#[must_use]
pub fn hash(text: &str) -> SecretHash {
    SecretHash(Sha256::digest(text.as_bytes()).into())
}

/// The id and the hash of the secret in a text that begins so; none where it is no such text. An id may hold `_`,
/// a secret never does: the last one is between them.
#[must_use]
pub fn parse<'t>(prefix: &str, text: &'t str) -> Option<(&'t str, SecretHash)> {
    let (id, secret) = text.strip_prefix(prefix)?.rsplit_once('_')?;
    Some((id, hash(secret)))
}

/// A fresh secret: 64 hex digits for its 256 bits, then 6 for the first 24 bits of their SHA-256.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn draw() -> Result<SecretString, KeysError> {
    let digits = hex(&keys::random()?);
    let mut checksum = hex(&hash(&digits).0);
    checksum.truncate(CHECKSUM_DIGITS);
    Ok(SecretString::from(digits + &checksum))
}

/// The text that is shown, once.
#[must_use]
pub fn text(prefix: &str, id: &str, secret: &SecretString) -> SecretString {
    SecretString::from(format!("{prefix}{id}_{}", secret.expose_secret()))
}

/// Bytes as lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_at_its_last_underscore() {
        let secret = draw().unwrap();
        let shown = text(SERVICE, "a_b", &secret);
        let (id, found) = parse(SERVICE, shown.expose_secret()).unwrap();
        assert_eq!((id, found), ("a_b", hash(secret.expose_secret())));
        assert!(parse(KEY, shown.expose_secret()).is_none());
        assert!(parse(SERVICE, "dws_").is_none() && parse(SERVICE, "dws_x").is_none());
    }

    #[test]
    fn a_secret_ends_in_a_checksum_of_its_digits() {
        let secret = draw().unwrap();
        let (digits, checksum) = secret.expose_secret().split_at(64);
        assert_eq!(checksum, &hex(&hash(digits).0)[..6]);
        assert_ne!(draw().unwrap().expose_secret(), secret.expose_secret());
    }
}

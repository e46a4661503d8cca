//! Keys derived from the deployment's root: tags on tokens that we hand out, seals on secrets that we keep.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use subtle::ConstantTimeEq;

/// The bytes of a tag.
pub const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// What a key is for: a key of one purpose says nothing about another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Page tokens.
    Page,
    /// Revision tokens.
    Revision,
    /// Secrets that wait in the outbox.
    Outbox,
    /// Facts in the cache that replicas share.
    Cache,
}

impl Purpose {
    fn context(self) -> &'static str {
        match self {
            Self::Page => "doorward 2026 page token",
            Self::Revision => "doorward 2026 revision token",
            Self::Outbox => "doorward 2026 outbox seal",
            Self::Cache => "doorward 2026 far cache",
        }
    }
}

/// The keys of the roots in use: what is new is made with the first, what is old is understood with either.
#[derive(Clone)]
pub struct Keys {
    /// Derived once: every answer carries a tag, and deriving a key takes longer than a check.
    derived: Arc<Derived>,
}

/// For each purpose its own.
struct Derived {
    page: Tags,
    revision: Tags,
    outbox: Tags,
    cache: Tags,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Keys of a root, and of the one that it replaces.
    #[must_use]
    pub fn new(root: [u8; 32], previous: Option<[u8; 32]>) -> Self {
        let roots: Vec<_> = std::iter::once(root).chain(previous).collect();
        let derived = |purpose: Purpose| Tags {
            keys: roots.iter().map(|root| blake3::derive_key(purpose.context(), root)).collect(),
        };
        let derived = Derived {
            page: derived(Purpose::Page),
            revision: derived(Purpose::Revision),
            outbox: derived(Purpose::Outbox),
            cache: derived(Purpose::Cache),
        };
        Self { derived: Arc::new(derived) }
    }

    /// A token that holds a payload, readable by anyone, and a tag that only we can make.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, payload: &[u8]) -> String {
        let mut token = Vec::with_capacity(payload.len() + TAG_BYTES);
        token.extend_from_slice(payload);
        token.extend(self.of(purpose).make(&[payload]));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The payload of a token of ours; none where it is not.
    #[must_use]
    pub fn check(&self, purpose: Purpose, token: &str) -> Option<Vec<u8>> {
        let mut payload = URL_SAFE_NO_PAD.decode(token).ok()?;
        let tag = payload.split_off(payload.len().checked_sub(TAG_BYTES)?);
        self.of(purpose).are_ours(&[&payload], &tag).then_some(payload)
    }

    /// Seals a secret; `context` (what it belongs to) must be the same when it is opened.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn seal(&self, purpose: Purpose, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, KeysError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| KeysError)?;
        let cipher = self.ciphers(purpose).next().ok_or(KeysError)?;
        let sealed = cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: secret, aad: context })
            .map_err(|_| KeysError)?;
        Ok([&nonce[..], &sealed[..]].concat())
    }

    /// Opens what was sealed; none where it is not ours, or belongs to something else.
    #[must_use]
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, msg) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.ciphers(purpose)
            .find_map(|cipher| cipher.decrypt(&Nonce::from(*nonce), Payload { msg, aad: context }).ok())
    }

    /// Tags of one purpose, for those who make and check many.
    #[must_use]
    pub fn tags_of(&self, purpose: Purpose) -> Tags {
        self.of(purpose).clone()
    }

    fn of(&self, purpose: Purpose) -> &Tags {
        match purpose {
            Purpose::Page => &self.derived.page,
            Purpose::Revision => &self.derived.revision,
            Purpose::Outbox => &self.derived.outbox,
            Purpose::Cache => &self.derived.cache,
        }
    }

    fn ciphers(&self, purpose: Purpose) -> impl Iterator<Item = ChaCha20Poly1305> {
        self.of(purpose).keys.iter().map(|key| ChaCha20Poly1305::new(&Key::from(*key)))
    }
}

/// Tags of one purpose: 16 bytes that only we can make over some texts.
#[derive(Clone)]
pub struct Tags {
    keys: Vec<[u8; 32]>,
}

impl Tags {
    /// The tag over texts, one after the other: who splits them in several ways says where they end.
    #[must_use]
    pub fn make(&self, texts: &[&[u8]]) -> [u8; TAG_BYTES] {
        self.keys.first().map(|key| tag(key, texts)).unwrap_or_default()
    }

    /// Whether a tag over texts is ours, of the root in use or of the one before.
    #[must_use]
    pub fn are_ours(&self, texts: &[&[u8]], found: &[u8]) -> bool {
        self.keys.iter().any(|key| bool::from(tag(key, texts).ct_eq(found)))
    }
}

impl std::fmt::Debug for Tags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tags({} live)", self.keys.len())
    }
}

fn tag(key: &[u8; 32], texts: &[&[u8]]) -> [u8; TAG_BYTES] {
    let hash = match texts {
        // At each answer: one text needs no hasher, which is two kilobytes to begin with.
        [text] => blake3::keyed_hash(key, text),
        texts => texts
            .iter()
            .fold(&mut blake3::Hasher::new_keyed(key), |hasher, text| hasher.update(text))
            .finalize(),
    };
    let mut tag = [0; TAG_BYTES];
    tag.iter_mut().zip(hash.as_bytes()).for_each(|(byte, hashed)| *byte = *hashed);
    tag
}

/// No key could be used: the system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct KeysError;

/// 32 fresh random bytes.
///
/// # Errors
/// Where the system gives none.
pub fn random() -> Result<[u8; 32], KeysError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| KeysError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_ours_for_its_purpose_alone() {
        let keys = Keys::new([1; 32], None);
        let token = keys.sign(Purpose::Page, b"after:m1");
        assert_eq!(keys.check(Purpose::Page, &token).as_deref(), Some(&b"after:m1"[..]));
        assert_eq!(keys.check(Purpose::Revision, &token), None);
        assert_eq!(Keys::new([2; 32], None).check(Purpose::Page, &token), None);
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(keys.check(Purpose::Page, &forged), None, "{forged}");
        }
        assert_eq!(keys.check(Purpose::Page, ""), None);
    }

    #[test]
    fn the_root_before_still_opens() {
        let (old, new) = (Keys::new([1; 32], None), Keys::new([2; 32], Some([1; 32])));
        let sealed = old.seal(Purpose::Outbox, b"acme", b"secret").unwrap();
        assert_eq!(new.open(Purpose::Outbox, b"acme", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(new.open(Purpose::Outbox, b"zeta", &sealed), None);
        assert!(new.check(Purpose::Page, &old.sign(Purpose::Page, b"x")).is_some());
    }
}

//! Tokens that have been verified, so that one that comes again costs a hash. It knows neither tokens nor keys: a token is
//! its hash, a set of keys its number.

use doorward_engine::instant::Instant;
use quick_cache::sync::Cache;

use super::Person;

/// The most tokens that are remembered.
const TOKENS_MAX: usize = 10_000;

/// Who was named by which token, by which set of keys.
pub(super) struct Verified(Cache<[u8; 32], (Person, u64)>);

impl Verified {
    pub(super) fn new() -> Self {
        Self(Cache::new(TOKENS_MAX))
    }

    /// What a token is remembered by.
    pub(super) fn hash(token: &str) -> [u8; 32] {
        blake3::hash(token.as_bytes()).into()
    }

    /// The person, if the token was verified by these very keys and has not expired.
    pub(super) fn find(&self, hash: &[u8; 32], generation: u64, now: Instant) -> Option<Person> {
        let (person, verified_by) = self.0.get(hash)?;
        if verified_by == generation && now < person.expires_at {
            return Some(person);
        }
        self.0.remove(hash);
        None
    }

    pub(super) fn keep(&self, hash: [u8; 32], generation: u64, person: &Person) {
        self.0.insert(hash, (person.clone(), generation));
    }
}

#[cfg(test)]
mod tests {
    use doorward_engine::id::UserId;

    use super::*;

    #[test]
    fn a_token_is_remembered_until_it_expires_or_the_keys_are_others() {
        let at = Instant::from_micros;
        let person = Person { user: UserId::parse("ann").unwrap(), expires_at: at(100) };
        let (verified, hash) = (Verified::new(), Verified::hash("token"));
        let found = |generation, now| verified.find(&hash, generation, at(now)).is_some();
        assert!(!found(1, 0));
        verified.keep(hash, 1, &person);
        assert!(found(1, 0) && found(1, 99) && !found(1, 100));
        // It is gone for good.
        assert!(!found(1, 0));
        verified.keep(hash, 1, &person);
        assert!(!found(2, 0) && !found(1, 0));
        assert!(verified.find(&Verified::hash("token2"), 1, at(0)).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let person = Person { user: UserId::parse("ann").unwrap(), expires_at: Instant::MAX };
        let verified = Verified::new();
        for number in 0..25_000 {
            verified.keep(Verified::hash(&number.to_string()), 1, &person);
        }
        assert!(verified.0.len() <= TOKENS_MAX);
    }
}

//! What a view's facts are known by in memory: 16 bytes made of their part, so that a fact's place holds no text.
//!
//! A name is SipHash-2-4 of 128 bits under a key of this process. Two facts of one name in one tenant would be taken for
//! each other: with a thousand million of them the odds are one in 10^20, and nobody who does not know the key can aim at it.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::num::NonZero;

use doorward_engine::change::Part;
use doorward_engine::id::{KeyId, MemberId, ResourceRef, TenantId, UserId};
use siphasher::sip128::{Hasher128, SipHasher24};

/// A part without its own copy of the texts: a lookup allocates nothing. Same variants, in the same order, as [`Part`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PartRef<'a> {
    Tenant,
    Member(&'a MemberId),
    User(&'a UserId),
    Key(&'a KeyId),
    Resource(&'a ResourceRef),
    Catalogue,
    Credentials,
}

impl<'a> From<&'a Part> for PartRef<'a> {
    fn from(part: &'a Part) -> Self {
        match part {
            Part::Tenant => Self::Tenant,
            Part::Member(id) => Self::Member(id),
            Part::User(id) => Self::User(id),
            Part::Key(id) => Self::Key(id),
            Part::Resource(reference) => Self::Resource(reference),
            Part::Catalogue => Self::Catalogue,
            Part::Credentials => Self::Credentials,
        }
    }
}

impl PartRef<'_> {
    /// The part with texts of its own.
    pub(super) fn to_part(self) -> Part {
        match self {
            Self::Tenant => Part::Tenant,
            Self::Member(id) => Part::Member(id.clone()),
            Self::User(id) => Part::User(id.clone()),
            Self::Key(id) => Part::Key(id.clone()),
            Self::Resource(reference) => Part::Resource(reference.clone()),
            Self::Catalogue => Part::Catalogue,
            Self::Credentials => Part::Credentials,
        }
    }
}

/// The name of a fact, or of a tenant. One half is never 0, so that a name that may be missing takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(NonZero<u64>, u64);

impl Name {
    #[cfg(test)]
    pub(super) fn of_halves(one: u64, other: u64) -> Self {
        Self(NonZero::new(one).unwrap(), other)
    }

    /// It is spread already: a table takes it as it is.
    pub(super) fn hash(self) -> u64 {
        self.0.get()
    }

    /// From which of so many homes in a table, a power of two, it is looked for.
    pub(super) fn home(self, homes: usize) -> usize {
        usize::try_from(self.0.get() & (homes as u64).wrapping_sub(1)).unwrap_or_default()
    }

    /// Which of so many parts of a table it belongs into. It has nothing to do with the place there.
    pub(super) fn part(self, parts: usize) -> usize {
        usize::try_from(self.1 % parts as u64).unwrap_or_default()
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(Self::hash(*self));
    }
}

/// How maps by names hash: a name is spread already, and is taken as it is.
pub(super) type AsSpread = BuildHasherDefault<Spread>;

/// The hasher of [`AsSpread`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// No name comes in bytes; what does is spread badly, and found all the same.
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Makes names.
#[derive(Clone, Copy)]
pub(super) struct Names {
    key: [u64; 2],
    /// What each question asks for: it is named once.
    tenant: Name,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Names {
    /// Names under a key of their own.
    pub(super) fn new() -> Self {
        let key = [RandomState::new(), RandomState::new()].map(|random| random.hash_one(0));
        Self { key, tenant: keyed(key, PartRef::Tenant) }
    }

    /// A tenant's name, among the tenants.
    pub(super) fn of_tenant(self, id: &TenantId) -> Name {
        keyed(self.key, id)
    }

    /// A part's name.
    pub(super) fn of(self, part: PartRef<'_>) -> Name {
        if matches!(part, PartRef::Tenant) { self.tenant } else { keyed(self.key, part) }
    }
}

/// Each text that goes into it has an end that no text holds.
fn keyed([one, other]: [u64; 2], named: impl Hash) -> Name {
    let mut hasher = SipHasher24::new_with_keys(one, other);
    named.hash(&mut hasher);
    let hash = hasher.finish128();
    Name(NonZero::new(hash.h1).unwrap_or(NonZero::<u64>::MIN), hash.h2)
}

#[cfg(test)]
mod tests {
    use doorward_engine::id::{ResourceId, TypeKey};

    use super::*;

    fn resource(kind: &str, id: &str) -> Part {
        Part::Resource(ResourceRef {
            kind: TypeKey::parse(kind).unwrap(),
            id: ResourceId::parse(id).unwrap(),
        })
    }

    /// Parts whose texts look alike, one behind the other too.
    fn parts() -> Vec<Part> {
        vec![
            Part::Tenant,
            Part::Member(MemberId::parse("same").unwrap()),
            Part::Member(MemberId::parse("sam").unwrap()),
            Part::User(UserId::parse("same").unwrap()),
            Part::Key(KeyId::parse("same").unwrap()),
            resource("same", "same"),
            resource("sames", "ame"),
            resource("sam", "esame"),
            Part::Catalogue,
            Part::Credentials,
        ]
    }

    #[test]
    fn a_part_has_one_name_and_no_other_has_half_of_it() {
        let names = Names::new();
        for part in &parts() {
            assert_eq!(PartRef::from(part).to_part(), *part);
            let name = names.of(part.into());
            for other in &parts() {
                let named = names.of(other.into());
                let same = usize::from(named.0 == name.0) + usize::from(named.1 == name.1);
                assert_eq!(same, if part == other { 2 } else { 0 }, "{part:?} {other:?}");
            }
        }
    }

    #[test]
    fn names_are_of_one_process() {
        assert_ne!(Names::new().of(PartRef::Tenant), Names::new().of(PartRef::Tenant));
        assert!(!format!("{:?}", Names::new()).contains(char::is_numeric), "the key stays here");
    }
}

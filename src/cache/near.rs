//! The near cache: facts in this process's memory, bounded by bytes. It knows no revision and no lease.

use std::hash::Hash;

use doorward_engine::change::Part;
use doorward_engine::id::{KeyId, MemberId, ResourceRef, UserId};
use doorward_engine::snapshot::{KeyFacts, KeyScope, MemberFacts, TenantFacts};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, OptionsBuilder, Weighter};

use crate::store::{Fact, Value};

/// What an entry takes beside its key and value: its place in the tables of the cache.
const OVERHEAD_BYTES: usize = 64;
/// The least share of a shard, and the most shards.
const SHARE_BYTES: u64 = 16 * 1024 * 1024;
const SHARDS_MAX: usize = 256;
/// A rough entry, for the tables' first size.
const ENTRY_BYTES: u64 = 512;

/// Facts by the view that they belong to and their part. A view's facts are out of reach when it is gone.
#[derive(Debug)]
pub(super) struct Near {
    facts: Cache<Key, Fact, Bytes>,
}

/// A part without its own copy of the names: a lookup allocates nothing. Same variants, in the same order, as [`Part`].
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

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    view: u64,
    part: Part,
}

#[derive(Hash)]
struct Lookup<'a> {
    view: u64,
    part: PartRef<'a>,
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
    /// The part with names of its own.
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

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.view == key.view && self.part == PartRef::from(&key.part)
    }
}

impl Near {
    pub(super) fn new(bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / ENTRY_BYTES).unwrap_or(usize::MAX).max(16);
        // A fact that is heavier than a shard's share would never be kept: shares are larger than any fact.
        let shards = usize::try_from(bytes_max / SHARE_BYTES).unwrap_or(usize::MAX).clamp(1, SHARDS_MAX);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(items)
            .weight_capacity(bytes_max)
            .build();
        let facts = match options {
            Ok(options) => Cache::with_options(options, Bytes, Default::default(), Default::default()),
            Err(_) => Cache::with_weighter(items, bytes_max, Bytes),
        };
        Self { facts }
    }

    pub(super) fn get(&self, view: u64, part: PartRef<'_>) -> Option<Fact> {
        self.facts.get(&Lookup { view, part })
    }

    pub(super) fn insert(&self, view: u64, part: Part, fact: Fact) {
        self.facts.insert(Key { view, part }, fact);
    }

    pub(super) fn remove(&self, view: u64, part: &Part) {
        self.facts.remove(&Lookup { view, part: part.into() });
    }

    pub(super) fn clear(&self) {
        self.facts.clear();
    }

    /// How much the facts take, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.facts.weight()
    }

    /// How many facts there are.
    pub(super) fn len(&self) -> usize {
        self.facts.len()
    }
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Key, Fact> for Bytes {
    fn weight(&self, key: &Key, fact: &Fact) -> u64 {
        let names = match &key.part {
            Part::Tenant | Part::Catalogue | Part::Credentials => 0,
            Part::Member(id) => id.as_str().len(),
            Part::User(id) => id.as_str().len(),
            Part::Key(id) => id.as_str().len(),
            Part::Resource(reference) => reference.kind.as_str().len() + reference.id.as_str().len(),
        };
        let value = match &fact.value {
            Value::Tenant(facts) => facts.as_deref().map_or(0, tenant_bytes),
            Value::Member(facts) => facts.as_deref().map_or(0, member_bytes),
            Value::Key(facts) => facts.as_deref().map_or(0, key_bytes),
            Value::User(member) => member.as_ref().map_or(0, |member| member.as_str().len()),
            Value::Resource(_) => 0,
        };
        (OVERHEAD_BYTES + size_of::<Key>() + size_of::<Fact>() + names + value) as u64
    }
}

/// An entry of a set, with its text.
const LISTED_BYTES: usize = 40;

fn tenant_bytes(facts: &TenantFacts) -> usize {
    let countries = facts.firewall.country.as_ref().map_or(0, |rule| rule.countries.len());
    let domains = facts.firewall.domain.as_ref().map_or(0, |rule| rule.domains.len());
    size_of_val(facts) + LISTED_BYTES * (countries + domains)
}

fn member_bytes(facts: &MemberFacts) -> usize {
    size_of_val(facts) + facts.id.as_str().len() + LISTED_BYTES + facts.grants.bytes()
}

fn key_bytes(facts: &KeyFacts) -> usize {
    let ids = |scope: &KeyScope| scope.ids.as_ref().map_or(0, |ids| ids.len());
    let scopes = facts.resources.iter().map(|scope| size_of_val(scope) + LISTED_BYTES * ids(scope));
    size_of_val(facts) + facts.id.as_str().len() + scopes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use doorward_engine::id::{ResourceId, Revision, TypeKey};

    use super::*;

    fn parts() -> Vec<Part> {
        let kind = TypeKey::parse("agent").unwrap();
        vec![
            Part::Tenant,
            Part::Member(MemberId::parse("same").unwrap()),
            Part::User(UserId::parse("same").unwrap()),
            Part::Key(KeyId::parse("same").unwrap()),
            Part::Resource(ResourceRef { kind, id: ResourceId::parse("same").unwrap() }),
            Part::Catalogue,
        ]
    }

    fn fact(revision: u64) -> Fact {
        Fact { revision: Revision(revision), value: Value::User(None) }
    }

    #[test]
    fn a_part_is_found_by_its_borrowed_form_and_by_no_other() {
        let near = Near::new(1 << 20);
        for (at, part) in (1..).zip(parts()) {
            near.insert(7, part, fact(at));
        }
        for (at, part) in (1..).zip(parts()) {
            assert_eq!(near.get(7, PartRef::from(&part)).map(|fact| fact.revision), Some(Revision(at)));
            assert_eq!(PartRef::from(&part).to_part(), part);
            assert!(near.get(8, PartRef::from(&part)).is_none(), "another view's");
        }
        near.remove(7, &Part::Tenant);
        assert!(near.get(7, PartRef::Tenant).is_none());
        assert_eq!(near.len(), parts().len() - 1);
    }

    #[test]
    fn it_takes_no_more_bytes_than_it_may() {
        let near = Near::new(100_000);
        for id in 0..10_000 {
            near.insert(1, Part::Member(MemberId::parse(&format!("m{id}")).unwrap()), fact(1));
        }
        assert!(near.bytes() <= 100_000, "{}", near.bytes());
        assert!(near.len() > 100, "{}", near.len());
    }
}

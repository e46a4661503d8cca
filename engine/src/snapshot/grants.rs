//! A member's grants in few bytes: tens of thousands of members stay in memory, each with dozens.

use crate::catalogue::{Catalogue, TypeIx};
use crate::id::{ResourceId, ResourceRef};
use crate::instant::Instant;
use crate::member::Grant;

/// A member's grants, ordered by type and id: 8 bytes and the id for each, 16 more for one that expires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Where each id ends in `ids`; it starts where the one before ends.
    entries: Box<[Entry]>,
    ids: Box<str>,
    /// The instants of those that expire, ordered by position.
    expiries: Box<[(u32, Instant)]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    end: u32,
    kind: TypeIx,
}

impl Grants {
    /// Compiles grants; of two on one resource the first counts, and types that the catalogue lacks are dropped.
    #[must_use]
    pub fn over(grants: impl IntoIterator<Item = (ResourceRef, Grant)>, catalogue: &Catalogue) -> Self {
        let known = |(resource, grant): (ResourceRef, Grant)| {
            Some((catalogue.resource_type(resource.kind.as_str())?, resource.id, grant))
        };
        let mut grants: Vec<_> = grants.into_iter().filter_map(known).collect();
        grants.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        grants.dedup_by(|a, b| (a.0, &a.1) == (b.0, &b.1));
        Self::packed(&grants)
    }

    fn packed(grants: &[(TypeIx, ResourceId, Grant)]) -> Self {
        let mut entries = Vec::with_capacity(grants.len());
        let mut ids = String::with_capacity(grants.iter().map(|(_, id, _)| id.as_str().len()).sum());
        let mut expiries = Vec::new();
        for (position, (kind, id, grant)) in (0u32..).zip(grants) {
            // Beyond 4 GiB of ids a grant is left out: absent is safe.
            let Ok(end) = u32::try_from(ids.len() + id.as_str().len()) else {
                break;
            };
            ids.push_str(id.as_str());
            entries.push(Entry { end, kind: *kind });
            expiries.extend(grant.expires_at.map(|instant| (position, instant)));
        }
        Self { entries: entries.into(), ids: ids.into(), expiries: expiries.into() }
    }

    /// The grant on a resource, in force or expired.
    #[must_use]
    pub fn find(&self, kind: TypeIx, id: &ResourceId) -> Option<Grant> {
        let wanted = (kind, id.as_str().as_bytes());
        let (mut low, mut high) = (0, self.entries.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let (kind, id) = self.entry(middle)?;
            match (kind, id.as_bytes()).cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.grant(middle)),
            }
        }
        None
    }

    /// Every grant, ordered by type and id.
    pub fn iter(&self) -> impl Iterator<Item = (TypeIx, &str, Grant)> {
        (0..self.entries.len()).filter_map(|position| {
            let (kind, id) = self.entry(position)?;
            Some((kind, id, self.grant(position)))
        })
    }

    /// How many grants there are, expired ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&self, position: usize) -> Option<(TypeIx, &str)> {
        let entry = self.entries.get(position)?;
        let before = position.checked_sub(1).and_then(|before| self.entries.get(before));
        let start = before.map_or(0, |before| before.end) as usize;
        Some((entry.kind, self.ids.get(start..entry.end as usize)?))
    }

    fn grant(&self, position: usize) -> Grant {
        let found = self.expiries.binary_search_by(|(expiring, _)| (*expiring as usize).cmp(&position));
        Grant { expires_at: found.ok().and_then(|at| self.expiries.get(at)).map(|(_, instant)| *instant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::SHIPPED;
    use crate::id::TypeKey;

    fn grant(kind: &str, id: &str, expires_at: Option<i64>) -> (ResourceRef, Grant) {
        let kind = TypeKey::parse(kind).unwrap();
        let reference = ResourceRef { kind, id: ResourceId::parse(id).unwrap() };
        (reference, Grant { expires_at: expires_at.map(Instant::from_micros) })
    }

    fn shipped() -> Catalogue {
        Catalogue::build(toml::from_str(SHIPPED).unwrap()).unwrap()
    }

    #[test]
    fn every_grant_is_found_with_its_own_expiry() {
        let catalogue = shipped();
        let agent = catalogue.resource_type("agent").unwrap();
        let ids: Vec<String> = (0..200).map(|n| format!("a{n}")).collect();
        let expiry = |n: usize| n.is_multiple_of(3).then_some(n as i64);
        let grants =
            Grants::over(ids.iter().enumerate().map(|(n, id)| grant("agent", id, expiry(n))), &catalogue);
        assert_eq!(grants.len(), 200);
        for (n, id) in ids.iter().enumerate() {
            let found = grants.find(agent, &ResourceId::parse(id).unwrap());
            assert_eq!(found, Some(Grant { expires_at: expiry(n).map(Instant::from_micros) }), "{id}");
        }
        for absent in ["a", "a200", "A1", "z", "a1a"] {
            assert_eq!(grants.find(agent, &ResourceId::parse(absent).unwrap()), None, "{absent}");
        }
    }

    #[test]
    fn ids_that_are_prefixes_of_each_other_stay_apart() {
        let catalogue = shipped();
        let agent = catalogue.resource_type("agent").unwrap();
        let grants = Grants::over(["ab", "a", "abc"].map(|id| grant("agent", id, None)), &catalogue);
        assert_eq!(grants.iter().map(|(_, id, _)| id).collect::<Vec<_>>(), ["a", "ab", "abc"]);
        assert!(grants.find(agent, &ResourceId::parse("abcd").unwrap()).is_none());
    }

    #[test]
    fn the_first_of_two_counts_and_unknown_types_are_dropped() {
        let catalogue = shipped();
        let agent = catalogue.resource_type("agent").unwrap();
        let grants = [grant("agent", "a", Some(1)), grant("agent", "a", None), grant("board", "b", None)];
        let grants = Grants::over(grants, &catalogue);
        let expected = Grant { expires_at: Some(Instant::from_micros(1)) };
        assert_eq!(grants.iter().collect::<Vec<_>>(), [(agent, "a", expected)]);
    }
}

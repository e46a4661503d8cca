//! A member's grants in few bytes: tens of thousands of members stay in memory, each with dozens.

use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};

use crate::catalogue::{Catalogue, TypeIx};
use crate::id::{ResourceId, ResourceRef};
use crate::instant::Instant;
use crate::member::Grant;

/// A member's grants, ordered by type and id, where they are kept: 6 bytes and the id for each, 12 more for one that
/// expires, and all that a search reads lies together.
///
/// How many there are comes first, in 4 bytes, and how many of them expire, in 4; then an entry for each, then the ids,
/// then the instants of those that expire, ordered by position. Bytes that nobody packed are read without a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grants<'a>(&'a [u8]);

/// Grants of one's own, for a member's facts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct PackedGrants(Vec<u8>);

/// Where an id ends among the ids, in 4 bytes, and its type, in 2; it starts where the one before ends.
type PackedEntry = [u8; 6];
/// The position of one that expires, in 4 bytes, and when, in 8.
type PackedExpiry = [u8; 12];

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Entry {
    end: u32,
    kind: TypeIx,
}

/// Grants as they are written, and read back before anything is known of them.
#[derive(Serialize, Deserialize)]
struct Written<T = String> {
    entries: Vec<Entry>,
    ids: T,
    expiries: Vec<(u32, Instant)>,
}

impl Serialize for Grants<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Parts { entries, ids, expiries } = self.parts();
        let entry = |packed: &PackedEntry| {
            let (end, kind) = unpacked(packed);
            Entry { end, kind }
        };
        let ids = std::str::from_utf8(ids).map_err(S::Error::custom)?;
        let expiries = expiries.iter().map(expiring).collect();
        Written { entries: entries.iter().map(entry).collect(), ids, expiries }.serialize(serializer)
    }
}

impl Default for PackedGrants {
    fn default() -> Self {
        Self::of(&[], "", &[])
    }
}

impl TryFrom<Written> for PackedGrants {
    type Error = &'static str;

    /// Only what [`PackedGrants::over`] makes: ids that are there to the last byte, in order, none twice.
    fn try_from(Written { entries, ids, expiries }: Written) -> Result<Self, Self::Error> {
        let ends = entries.last().map_or(0, |last| last.end) as usize;
        let mut start = 0;
        let mut texts =
            entries.iter().map(|entry| ids.get(std::mem::replace(&mut start, entry.end as usize)..start));
        let whole = ends == ids.len() && texts.all(|text| text.is_some());
        let packed = Self::of(&entries, &ids, &expiries);
        let grants = packed.grants();
        let ordered = |(a, b): (usize, usize)| matches!((grants.entry(a), grants.entry(b)), (Some(a), Some(b)) if a < b);
        let sorted = (1..grants.len()).all(|at| ordered((at - 1, at)));
        let in_order = expiries.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0));
        let of_grants = expiries.last().is_none_or(|(last, _)| (*last as usize) < grants.len());
        if whole && sorted && in_order && of_grants { Ok(packed) } else { Err("grants that nobody packed") }
    }
}

impl PackedGrants {
    /// Compiles grants; of two on one resource the first counts, and types that the catalogue lacks are dropped.
    #[must_use]
    pub fn over(grants: impl IntoIterator<Item = (ResourceRef, Grant)>, catalogue: &Catalogue) -> Self {
        let known = |(resource, grant): (ResourceRef, Grant)| {
            Some((catalogue.resource_type(resource.kind.as_str())?, resource.id, grant))
        };
        let mut grants: Vec<_> = grants.into_iter().filter_map(known).collect();
        grants.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        grants.dedup_by(|a, b| (a.0, &a.1) == (b.0, &b.1));
        Self::sorted(&grants)
    }

    fn sorted(grants: &[(TypeIx, ResourceId, Grant)]) -> Self {
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
        Self::of(&entries, &ids, &expiries)
    }

    fn of(entries: &[Entry], ids: &str, expiries: &[(u32, Instant)]) -> Self {
        let size = COUNTS + size_of_val(entries) + ids.len() + size_of::<PackedExpiry>() * expiries.len();
        let mut packed = Vec::with_capacity(size);
        for count in [entries.len(), expiries.len()] {
            packed.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        for entry in entries {
            packed.extend(entry.end.to_le_bytes());
            packed.extend(entry.kind.to_bytes());
        }
        packed.extend(ids.as_bytes());
        for (position, instant) in expiries {
            packed.extend(position.to_le_bytes());
            packed.extend(instant.micros().to_le_bytes());
        }
        Self(packed)
    }

    /// What they are.
    #[must_use]
    pub fn grants(&self) -> Grants<'_> {
        Grants(&self.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How much the counts take, in bytes.
const COUNTS: usize = 8;

/// Grants by their parts.
#[derive(Clone, Copy)]
struct Parts<'a> {
    entries: &'a [PackedEntry],
    ids: &'a [u8],
    expiries: &'a [PackedExpiry],
}

impl<'a> Grants<'a> {
    /// What [`PackedGrants::as_bytes`] gave.
    pub(super) const fn of(packed: &'a [u8]) -> Self {
        Self(packed)
    }

    fn counts(self) -> (usize, usize) {
        let Some(&[a, b, c, d, e, f, g, h]) = self.0.first_chunk::<COUNTS>() else { return (0, 0) };
        (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
    }

    fn parts(self) -> Parts<'a> {
        let (all, expiring) = self.counts();
        let rest = self.0.get(COUNTS..).unwrap_or_default();
        let (entries, rest) = rest.split_at_checked(size_of::<PackedEntry>() * all).unwrap_or_default();
        let ids = rest.len().saturating_sub(size_of::<PackedExpiry>() * expiring);
        let (ids, expiries) = rest.split_at_checked(ids).unwrap_or_default();
        Parts { entries: entries.as_chunks().0, ids, expiries: expiries.as_chunks().0 }
    }

    /// The grant on a resource, in force or expired.
    #[must_use]
    pub fn find(self, kind: TypeIx, id: &ResourceId) -> Option<Grant> {
        let parts = self.parts();
        let wanted = (kind, id.as_str().as_bytes());
        let (mut low, mut high) = (0, parts.entries.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match parts.entry(middle)?.cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(parts.grant(middle)),
            }
        }
        None
    }

    /// Every grant, ordered by type and id.
    pub fn iter(self) -> impl Iterator<Item = (TypeIx, &'a str, Grant)> {
        let parts = self.parts();
        (0..parts.entries.len()).filter_map(move |position| {
            let (kind, id) = parts.entry(position)?;
            Some((kind, std::str::from_utf8(id).ok()?, parts.grant(position)))
        })
    }

    /// How many grants there are, expired ones too.
    #[must_use]
    pub fn len(self) -> usize {
        self.counts().0
    }

    /// How much memory they take, in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn entry(self, position: usize) -> Option<(TypeIx, &'a [u8])> {
        self.parts().entry(position)
    }
}

impl<'a> Parts<'a> {
    fn entry(&self, position: usize) -> Option<(TypeIx, &'a [u8])> {
        let (end, kind) = unpacked(self.entries.get(position)?);
        let before = position.checked_sub(1).and_then(|before| self.entries.get(before));
        let start = before.map_or(0, |before| unpacked(before).0);
        Some((kind, self.ids.get(start as usize..end as usize)?))
    }

    fn grant(&self, position: usize) -> Grant {
        let found = self.expiries.binary_search_by(|packed| (expiring(packed).0 as usize).cmp(&position));
        let expiry = found.ok().and_then(|at| self.expiries.get(at));
        Grant { expires_at: expiry.map(|packed| expiring(packed).1) }
    }
}

fn unpacked(&[a, b, c, d, kind @ ..]: &PackedEntry) -> (u32, TypeIx) {
    (u32::from_le_bytes([a, b, c, d]), TypeIx::from_bytes(kind))
}

fn expiring(&[a, b, c, d, instant @ ..]: &PackedExpiry) -> (u32, Instant) {
    (u32::from_le_bytes([a, b, c, d]), Instant::from_micros(i64::from_le_bytes(instant)))
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
        let packed = PackedGrants::over(
            ids.iter().enumerate().map(|(n, id)| grant("agent", id, expiry(n))),
            &catalogue,
        );
        let grants = packed.grants();
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
        let packed = PackedGrants::over(["ab", "a", "abc"].map(|id| grant("agent", id, None)), &catalogue);
        let grants = packed.grants();
        assert_eq!(grants.iter().map(|(_, id, _)| id).collect::<Vec<_>>(), ["a", "ab", "abc"]);
        assert!(grants.find(agent, &ResourceId::parse("abcd").unwrap()).is_none());
    }

    #[test]
    fn the_first_of_two_counts_and_unknown_types_are_dropped() {
        let catalogue = shipped();
        let agent = catalogue.resource_type("agent").unwrap();
        let grants = [grant("agent", "a", Some(1)), grant("agent", "a", None), grant("board", "b", None)];
        let packed = PackedGrants::over(grants, &catalogue);
        let expected = Grant { expires_at: Some(Instant::from_micros(1)) };
        assert_eq!(packed.grants().iter().collect::<Vec<_>>(), [(agent, "a", expected)]);
    }

    #[test]
    fn what_was_packed_is_read_back_and_what_was_not_is_refused() {
        let kind = |position| TypeIx::at(position).unwrap();
        let entry = |end, position| Entry { end, kind: kind(position) };
        let at = |position| (position, Instant::from_micros(1));
        let read = |entries: &[Entry], ids: &str, expiries: &[(u32, Instant)]| {
            PackedGrants::try_from(Written {
                entries: entries.into(),
                ids: ids.into(),
                expiries: expiries.into(),
            })
        };
        let good = read(&[entry(1, 0), entry(2, 0), entry(3, 1)], "aba", &[at(0), at(2)]).unwrap();
        assert_eq!(good.grants().iter().map(|(_, id, _)| id).collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(read(&[], "", &[]), Ok(PackedGrants::default()));
        for (entries, ids, expiries) in [
            (&[entry(1, 0)][..], "ab", &[][..]),
            (&[entry(2, 0)], "a", &[]),
            (&[entry(u32::MAX, 0)], "a", &[]),
            (&[entry(1, 0)], "é", &[]),
            (&[entry(1, 0), entry(2, 0)], "é", &[]),
            (&[entry(2, 0), entry(1, 0)], "a", &[]),
            (&[entry(2, 0), entry(1, 1), entry(2, 1)], "ab", &[]),
            (&[entry(1, 0), entry(2, 0)], "aa", &[]),
            (&[entry(1, 0), entry(2, 0)], "ba", &[]),
            (&[entry(1, 1), entry(2, 0)], "ab", &[]),
            (&[entry(1, 0)], "a", &[at(1)]),
            (&[entry(1, 0)], "a", &[at(u32::MAX)]),
            (&[entry(1, 0), entry(2, 0)], "ab", &[at(1), at(0)]),
            (&[entry(1, 0), entry(2, 0)], "ab", &[at(1), at(1)]),
            (&[], "a", &[]),
            (&[], "", &[at(0)]),
        ] {
            assert!(read(entries, ids, expiries).is_err(), "{entries:?} {ids} {expiries:?}");
        }
    }
}

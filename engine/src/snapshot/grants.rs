//! A member's grants in few bytes: tens of thousands of members stay in memory, each with dozens.

use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, TypeIx};
use crate::id::{ResourceId, ResourceRef};
use crate::instant::Instant;
use crate::member::Grant;

/// A member's grants, ordered by type and id: 6 bytes and the id for each, 16 more for one that expires. All that a
/// search reads lies together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Packed", into = "Packed")]
pub struct Grants {
    /// An entry for each, and behind them the ids.
    packed: Box<[u8]>,
    count: u32,
    /// The instants of those that expire, ordered by position.
    expiries: Box<[(u32, Instant)]>,
}

/// Where an id ends among the ids, in 4 bytes, and its type, in 2; it starts where the one before ends.
type PackedEntry = [u8; 6];

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Entry {
    end: u32,
    kind: TypeIx,
}

/// Grants as they are written, and read back before anything is known of them.
#[derive(Serialize, Deserialize)]
struct Packed {
    entries: Vec<Entry>,
    ids: String,
    expiries: Box<[(u32, Instant)]>,
}

impl From<Grants> for Packed {
    fn from(grants: Grants) -> Self {
        let (mut entries, mut ids) = (Vec::with_capacity(grants.len()), String::new());
        for (kind, id, _) in grants.iter() {
            ids.push_str(id);
            entries.push(Entry { end: u32::try_from(ids.len()).unwrap_or(u32::MAX), kind });
        }
        Self { entries, ids, expiries: grants.expiries }
    }
}

impl TryFrom<Packed> for Grants {
    type Error = &'static str;

    /// Only what [`Grants::over`] makes: ids that are there to the last byte, in order, none twice.
    fn try_from(Packed { entries, ids, expiries }: Packed) -> Result<Self, Self::Error> {
        let ends = entries.last().map_or(0, |last| last.end) as usize;
        let mut start = 0;
        let mut texts =
            entries.iter().map(|entry| ids.get(std::mem::replace(&mut start, entry.end as usize)..start));
        let whole = ends == ids.len() && texts.all(|text| text.is_some());
        let grants = Self::of(&entries, &ids, expiries);
        let ordered = |(a, b): (usize, usize)| matches!((grants.entry(a), grants.entry(b)), (Some(a), Some(b)) if a < b);
        let sorted = (1..grants.len()).all(|at| ordered((at - 1, at)));
        let in_order = grants.expiries.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0));
        let of_grants = grants.expiries.last().is_none_or(|(last, _)| (*last as usize) < grants.len());
        if whole && sorted && in_order && of_grants { Ok(grants) } else { Err("grants that nobody packed") }
    }
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
        Self::of(&entries, &ids, expiries.into())
    }

    fn of(entries: &[Entry], ids: &str, expiries: Box<[(u32, Instant)]>) -> Self {
        let mut packed = Vec::with_capacity(size_of::<PackedEntry>() * entries.len() + ids.len());
        for entry in entries {
            packed.extend(entry.end.to_le_bytes());
            packed.extend(entry.kind.to_bytes());
        }
        packed.extend(ids.as_bytes());
        Self { packed: packed.into(), count: u32::try_from(entries.len()).unwrap_or(u32::MAX), expiries }
    }

    /// The entries, and the ids.
    fn halves(&self) -> (&[PackedEntry], &[u8]) {
        let (entries, ids) =
            self.packed.split_at_checked(size_of::<PackedEntry>() * self.len()).unwrap_or_default();
        (entries.as_chunks().0, ids)
    }

    /// The grant on a resource, in force or expired.
    #[must_use]
    pub fn find(&self, kind: TypeIx, id: &ResourceId) -> Option<Grant> {
        let wanted = (kind, id.as_str().as_bytes());
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle)?.cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.grant(middle)),
            }
        }
        None
    }

    /// Every grant, ordered by type and id.
    pub fn iter(&self) -> impl Iterator<Item = (TypeIx, &str, Grant)> {
        (0..self.len()).filter_map(|position| {
            let (kind, id) = self.entry(position)?;
            Some((kind, std::str::from_utf8(id).ok()?, self.grant(position)))
        })
    }

    /// How many grants there are, expired ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// How much memory they take beside their own value, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.packed.len() + size_of_val(&*self.expiries)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn entry(&self, position: usize) -> Option<(TypeIx, &[u8])> {
        let (entries, ids) = self.halves();
        let (end, kind) = unpacked(entries.get(position)?);
        let before = position.checked_sub(1).and_then(|before| entries.get(before));
        let start = before.map_or(0, |before| unpacked(before).0);
        Some((kind, ids.get(start..end)?))
    }

    fn grant(&self, position: usize) -> Grant {
        let found = self.expiries.binary_search_by(|(expiring, _)| (*expiring as usize).cmp(&position));
        Grant { expires_at: found.ok().and_then(|at| self.expiries.get(at)).map(|(_, instant)| *instant) }
    }
}

fn unpacked(&[a, b, c, d, kind @ ..]: &PackedEntry) -> (usize, TypeIx) {
    (u32::from_le_bytes([a, b, c, d]) as usize, TypeIx::from_bytes(kind))
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

    #[test]
    fn what_was_packed_is_read_back_and_what_was_not_is_refused() {
        let kind = |position| TypeIx::at(position).unwrap();
        let entry = |end, position| Entry { end, kind: kind(position) };
        let at = |position| (position, Instant::from_micros(1));
        let read = |entries: &[Entry], ids: &str, expiries: &[(u32, Instant)]| {
            Grants::try_from(Packed { entries: entries.into(), ids: ids.into(), expiries: expiries.into() })
        };
        let good = read(&[entry(1, 0), entry(2, 0), entry(3, 1)], "aba", &[at(0), at(2)]).unwrap();
        assert_eq!(good.iter().map(|(_, id, _)| id).collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(read(&[], "", &[]), Ok(Grants::default()));
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

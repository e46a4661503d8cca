//! Whether a chain of log rows is whole: rows one by one, and the first break named. It knows no database.

use std::fmt;

/// How far around its own a row's true revision is looked for.
const MOVED_MAX: u64 = 1_000;

/// What a row says of its place in the chain.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its revision.
    pub revision: u64,
    /// The hash of the row before, as it names it.
    pub prev_hash: [u8; 32],
    /// Its hash, as it names it.
    pub hash: [u8; 32],
}

/// Where and how a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The revision of the first row that is not as it was written.
    pub revision: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first row is not that of revision 1.
    Beginning {
        /// The first one that is there.
        first: u64,
    },
    /// Rows are not there.
    Missing {
        /// The last one of them.
        last: u64,
    },
    /// The row comes again, or after one that is newer.
    OutOfOrder {
        /// The row before it.
        before: u64,
    },
    /// Its hash is not that of its content.
    Changed,
    /// Its content is that of another revision.
    Moved {
        /// The revision that it was written as.
        from: u64,
    },
    /// It does not name the hash of the row before.
    Link,
    /// The newest rows are not there.
    Tail {
        /// The head, as the tenant's row has it.
        head: u64,
    },
    /// It is the head by its revision, and not by its hash.
    Head,
    /// No row has the hash that was kept elsewhere.
    Anchor,
}

impl Fault {
    /// The fault's name, for programs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Beginning { .. } => "beginning",
            Self::Missing { .. } => "missing",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::Changed => "changed",
            Self::Moved { .. } => "moved",
            Self::Link => "link",
            Self::Tail { .. } => "tail",
            Self::Head => "head",
            Self::Anchor => "anchor",
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, fault } = self;
        match fault {
            Fault::Beginning { first } => {
                write!(
                    f,
                    "revision {revision}: the chain begins at revision {first}; what came before is missing"
                )
            }
            Fault::Missing { last } if last == revision => write!(f, "revision {revision}: missing"),
            Fault::Missing { last } => write!(f, "revision {revision}: missing, as are all up to {last}"),
            Fault::OutOfOrder { before } => {
                write!(f, "revision {revision}: reordered or duplicated: it comes after revision {before}")
            }
            Fault::Changed => write!(f, "revision {revision}: changed: its hash does not fit its content"),
            Fault::Moved { from } => {
                write!(f, "revision {revision}: reordered: its content was written as revision {from}")
            }
            Fault::Link => write!(
                f,
                "revision {revision}: broken link: it does not name the hash of the row before, which was \
                 replaced, or it is itself of another chain"
            ),
            Fault::Tail { head } => {
                write!(
                    f,
                    "revision {revision}: missing, with all up to {head}, which the tenant's row names as the head"
                )
            }
            Fault::Head => write!(f, "revision {revision}: it is not the head that the tenant's row names"),
            Fault::Anchor => {
                write!(
                    f,
                    "revision {revision}: no row up to this one has the expected hash: the chain was rewritten"
                )
            }
        }
    }
}

/// The chain so far.
#[derive(Clone, Debug)]
pub struct Chain {
    revision: u64,
    hash: [u8; 32],
    anchor: Option<[u8; 32]>,
    anchored_at: Option<u64>,
    head: Option<([u8; 32], u64)>,
    at_head: Option<[u8; 32]>,
}

impl Chain {
    /// A chain without rows; `anchor`: a hash that one of them must have.
    #[must_use]
    pub fn new(anchor: Option<[u8; 32]>) -> Self {
        let hash = super::audit::NO_HASH;
        let anchored_at = (anchor == Some(hash)).then_some(0);
        Self { revision: 0, hash, anchor, anchored_at, head: None, at_head: None }
    }

    /// How many rows there were.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.revision
    }

    /// Whether there was none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.revision == 0
    }

    /// The hash of the newest row.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The revision of the row that has the expected hash.
    #[must_use]
    pub const fn anchored_at(&self) -> Option<u64> {
        self.anchored_at
    }

    /// The head as it was before the rows that follow were read.
    pub fn expect(&mut self, revision: u64, hash: [u8; 32]) {
        self.head = Some((hash, revision));
        self.at_head = (revision == self.revision).then_some(self.hash);
    }

    /// Takes the next row. `hashed` is the hash that its content gives under a revision and its own `prev_hash`.
    ///
    /// # Errors
    /// [`Break`], the first one.
    pub fn next(&mut self, row: Place, hashed: impl Fn(u64) -> [u8; 32]) -> Result<(), Break> {
        let next = self.revision.saturating_add(1);
        let broken = |revision, fault| Err(Break { revision, fault });
        if row.revision < next {
            return broken(row.revision, Fault::OutOfOrder { before: self.revision });
        }
        if row.revision > next {
            let fault = match self.revision {
                0 => Fault::Beginning { first: row.revision },
                _ => Fault::Missing { last: row.revision - 1 },
            };
            return broken(next, fault);
        }
        if hashed(row.revision) != row.hash {
            let around = next.saturating_sub(MOVED_MAX)..=next.saturating_add(MOVED_MAX);
            let from = around.into_iter().find(|revision| hashed(*revision) == row.hash);
            return broken(next, from.map_or(Fault::Changed, |from| Fault::Moved { from }));
        }
        if row.prev_hash != self.hash {
            return broken(next, Fault::Link);
        }
        self.revision = next;
        self.hash = row.hash;
        if self.anchored_at.is_none() && self.anchor == Some(row.hash) {
            self.anchored_at = Some(next);
        }
        if self.head.is_some_and(|(_, head)| head == next) {
            self.at_head = Some(row.hash);
        }
        Ok(())
    }

    /// Whether the rows went on to the head that was expected, and one of them had the anchor's hash.
    ///
    /// # Errors
    /// [`Break`].
    pub fn finish(&self) -> Result<(), Break> {
        if let Some((hash, head)) = self.head {
            if head > self.revision {
                return Err(Break { revision: self.revision.saturating_add(1), fault: Fault::Tail { head } });
            }
            if self.at_head != Some(hash) {
                return Err(Break { revision: head, fault: Fault::Head });
            }
        }
        if self.anchor.is_some() && self.anchored_at.is_none() {
            return Err(Break { revision: self.revision, fault: Fault::Anchor });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::NO_HASH;

    fn hash(content: u8, revision: u64, before: [u8; 32]) -> [u8; 32] {
        *blake3::hash(&[&[content], &revision.to_le_bytes()[..], &before].concat()).as_bytes()
    }

    /// Rows with contents 1, 2, 3, …
    fn rows(count: u8) -> Vec<(u8, Place)> {
        let mut before = NO_HASH;
        let row = |content: u8| {
            let revision = u64::from(content);
            let row = Place { revision, prev_hash: before, hash: hash(content, revision, before) };
            before = row.hash;
            (content, row)
        };
        (1..=count).map(row).collect()
    }

    fn walk(rows: &[(u8, Place)], head: Option<Place>, anchor: Option<[u8; 32]>) -> Result<u64, Break> {
        let mut chain = Chain::new(anchor);
        if let Some(head) = head {
            chain.expect(head.revision, head.hash);
        }
        for (content, row) in rows {
            chain.next(*row, |revision| hash(*content, revision, row.prev_hash))?;
        }
        chain.finish().map(|()| chain.len())
    }

    fn fault(rows: &[(u8, Place)], head: Option<Place>) -> (u64, &'static str) {
        let broken = walk(rows, head, None).unwrap_err();
        (broken.revision, broken.fault.name())
    }

    #[test]
    fn a_whole_chain_is_whole() {
        let rows = rows(5);
        assert_eq!(walk(&rows, None, None), Ok(5));
        assert_eq!(walk(&rows, Some(rows[4].1), Some(rows[1].1.hash)), Ok(5));
        // Rows that were written after the head was read.
        assert_eq!(walk(&rows, Some(rows[2].1), Some(NO_HASH)), Ok(5));
        assert_eq!(walk(&[], Some(Place { revision: 0, prev_hash: NO_HASH, hash: NO_HASH }), None), Ok(0));
    }

    #[test]
    fn every_fault_is_named_where_it_is() {
        let whole = rows(5);
        let head = Some(whole[4].1);
        let without = |at: usize| {
            let mut rows = whole.clone();
            rows.remove(at);
            rows
        };
        assert_eq!(fault(&without(0), head), (1, "beginning"));
        assert_eq!(fault(&without(2), head), (3, "missing"));
        assert_eq!(fault(&without(4), head), (5, "tail"));
        assert_eq!(fault(&[], head), (1, "tail"));
        let mut changed = whole.clone();
        changed[2].0 = 9;
        assert_eq!(fault(&changed, head), (3, "changed"));
        let mut swapped = whole.clone();
        (swapped[1].1.revision, swapped[2].1.revision) = (3, 2);
        swapped.swap(1, 2);
        assert_eq!(fault(&swapped, head), (2, "moved"));
        let mut twice = whole.clone();
        twice.insert(3, whole[2]);
        assert_eq!(fault(&twice, head), (3, "out_of_order"));
        let mut rehashed = whole.clone();
        rehashed[2].0 = 9;
        rehashed[2].1.hash = hash(9, 3, rehashed[2].1.prev_hash);
        assert_eq!(fault(&rehashed, head), (4, "link"));
        let mut forged = whole.clone();
        forged[0].1.prev_hash = [1; 32];
        forged[0].1.hash = hash(1, 1, [1; 32]);
        assert_eq!(fault(&forged, head), (1, "link"));
        let mut last = whole.clone();
        last[4].0 = 9;
        last[4].1.hash = hash(9, 5, last[4].1.prev_hash);
        assert_eq!(fault(&last, head), (5, "head"));
        assert_eq!(walk(&whole, head, Some([7; 32])).unwrap_err().fault, Fault::Anchor);
    }
}

//! Indexes that a catalogue mints, and sets of them as bits. They mean something in their own catalogue only.

use serde::{Deserialize, Serialize};

/// The most sections in a catalogue.
pub const SECTIONS_MAX: usize = 128;
/// The most parts of all sections together.
pub const PARTS_MAX: usize = 128;
/// The most feature switches.
pub const SWITCHES_MAX: usize = 64;
/// The most resource types.
pub const TYPES_MAX: usize = 256;
/// The most actions of all resource types together.
pub const ACTIONS_MAX: usize = 4096;
/// The most plans.
pub const PLANS_MAX: usize = 256;

macro_rules! indexes {
    ($($(#[$doc:meta])* $name:ident($int:ty);)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($int);

        impl $name {
            /// The index of that position; none beyond what the type can count.
            pub(crate) fn at(position: usize) -> Option<Self> {
                position.try_into().ok().map(Self)
            }

            /// The position in the catalogue.
            pub(crate) fn position(self) -> usize {
                self.0.into()
            }
        }
    )+};
}

indexes! {
    /// A section of a catalogue.
    SectionIx(u8);
    /// A part of any section of a catalogue.
    PartIx(u8);
    /// A feature switch of a catalogue.
    SwitchIx(u8);
    /// A resource type of a catalogue.
    TypeIx(u16);
    /// An action of any resource type of a catalogue.
    ActionIx(u16);
}

impl TypeIx {
    /// As two bytes.
    pub(crate) const fn to_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }

    /// What [`Self::to_bytes`] made.
    pub(crate) const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_le_bytes(bytes))
    }
}

macro_rules! sets {
    ($($(#[$doc:meta])* $name:ident($bits:ty) of $index:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($bits);

        impl $name {
            /// The set of nothing.
            pub const EMPTY: Self = Self(0);

            // An index beyond the width is in no set: it cannot be minted, and reads as absent.
            fn bit(index: $index) -> $bits {
                <$bits>::checked_shl(1, index.0.into()).unwrap_or(0)
            }

            /// Whether the index is in the set.
            #[must_use]
            pub fn contains(self, index: $index) -> bool {
                self.0 & Self::bit(index) != 0
            }

            /// Adds the index.
            pub fn insert(&mut self, index: $index) {
                self.0 |= Self::bit(index);
            }

            /// Takes the index out.
            pub fn remove(&mut self, index: $index) {
                self.0 &= !Self::bit(index);
            }

            /// How many indexes are in the set.
            #[must_use]
            pub const fn len(self) -> usize {
                self.0.count_ones() as usize
            }

            /// Whether nothing is in the set.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The indexes in the set, in the catalogue's order.
            pub fn iter(self) -> impl Iterator<Item = $index> {
                (0..<$bits>::BITS as u8).map($index).filter(move |&index| self.contains(index))
            }
        }

        impl Extend<$index> for $name {
            fn extend<I: IntoIterator<Item = $index>>(&mut self, indexes: I) {
                indexes.into_iter().for_each(|index| self.insert(index));
            }
        }

        impl FromIterator<$index> for $name {
            fn from_iter<I: IntoIterator<Item = $index>>(indexes: I) -> Self {
                let mut set = Self::EMPTY;
                set.extend(indexes);
                set
            }
        }
    )+};
}

sets! {
    /// A set of sections.
    SectionSet(u128) of SectionIx;
    /// A set of parts.
    PartSet(u128) of PartIx;
    /// A set of feature switches.
    SwitchSet(u64) of SwitchIx;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_inserted_and_nothing_else() {
        let mut set = SectionSet::default();
        for position in [0, 1, 63, 64, 127] {
            set.insert(SectionIx::at(position).unwrap());
        }
        assert_eq!(set.len(), 5);
        assert!(set.contains(SectionIx(127)) && !set.contains(SectionIx(2)));
        assert_eq!(set.iter().map(SectionIx::position).collect::<Vec<_>>(), [0, 1, 63, 64, 127]);
        set.remove(SectionIx(63));
        assert_eq!(set, [0, 1, 64, 127].map(SectionIx).into_iter().collect());
    }

    #[test]
    fn an_index_beyond_the_width_is_in_no_set() {
        let mut set = SwitchSet::EMPTY;
        set.insert(SwitchIx(64));
        set.insert(SwitchIx(255));
        assert!(set.is_empty() && !set.contains(SwitchIx(64)));
        assert_eq!(SectionIx::at(256), None);
    }
}

//! Facts by their names: each in the place that its name says, or in the next free one behind it.
//!
//! A lookup waits for memory once. A table with control bytes, as `hashbrown`'s, is one to wait for twice, and where there are
//! many tenants neither is in a cache of the core (docs/decisions/0026).

use super::Slot;
use crate::cache::name::Name;

/// How many homes a table has at least, and how many places behind them at most.
const HOMES_MIN: usize = 4;
const BEHIND_MAX: usize = 32;

/// Slots, each in its home or in the next free place behind it. What is taken out lets those behind it move up, so that no
/// search passes a gap; nothing ever moves from the front to the end.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Table {
    /// Homes, a power of two of them, and behind them fewer places for those who find none free. Empty: no homes.
    places: Box<[Option<Slot>]>,
    len: usize,
}

impl Table {
    #[cfg(test)]
    pub(super) const PLACES_END: usize = std::mem::offset_of!(Self, len);

    fn with_homes(homes: usize) -> Self {
        let behind = (homes / 8).clamp(1, BEHIND_MAX);
        Self { places: (0..homes + behind).map(|_| None).collect(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many places there are.
    pub(super) const fn places(&self) -> usize {
        self.places.len()
    }

    fn homes(&self) -> usize {
        self.places.len().checked_ilog2().map_or(0, |bits| 1 << bits)
    }

    fn place_of(&self, name: Name) -> Option<usize> {
        let mut place = name.home(self.homes());
        while let Some(slot) = self.places.get(place)? {
            if slot.name == name {
                return Some(place);
            }
            place += 1;
        }
        None
    }

    pub(super) fn get(&self, name: Name) -> Option<&Slot> {
        self.places.get(self.place_of(name)?)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, name: Name) -> Option<&mut Slot> {
        self.at_mut(self.place_of(name)?)
    }

    /// What is in a place.
    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut Slot> {
        self.places.get_mut(place)?.as_mut()
    }

    /// Puts in what is not there yet.
    pub(super) fn insert(&mut self, slot: Slot) {
        if 4 * self.len >= 3 * self.homes() {
            self.move_into(2 * self.homes());
        }
        let mut left = self.put(slot);
        while let Some(slot) = left {
            self.move_into(2 * self.homes());
            left = self.put(slot);
        }
    }

    /// Gives back what finds no place.
    fn put(&mut self, slot: Slot) -> Option<Slot> {
        let home = slot.name.home(self.homes());
        let mut places = self.places.iter_mut().skip(home);
        let Some(free) = places.find(|place| place.is_none()) else { return Some(slot) };
        *free = Some(slot);
        self.len += 1;
        None
    }

    pub(super) fn remove(&mut self, name: Name) -> Option<Slot> {
        self.take_at(self.place_of(name)?)
    }

    /// Takes out what is in a place. Another may be in it then.
    pub(super) fn take_at(&mut self, place: usize) -> Option<Slot> {
        let taken = self.places.get_mut(place)?.take()?;
        self.len -= 1;
        let (homes, mut free, mut place) = (self.homes(), place, place + 1);
        while let Some(Some(slot)) = self.places.get(place) {
            if slot.name.home(homes) <= free {
                self.places.swap(free, place);
                free = place;
            }
            place += 1;
        }
        Some(taken)
    }

    /// Gives room back, if it has become much too large.
    pub(super) fn shrink(&mut self) {
        if 4 * self.len < self.homes() && self.homes() > HOMES_MIN {
            self.move_into((2 * self.len).next_power_of_two());
        }
    }

    fn move_into(&mut self, homes: usize) {
        let empty = Self::with_homes(homes.max(HOMES_MIN));
        std::mem::replace(self, empty).into_iter().for_each(|slot| self.insert(slot));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.places.iter().flatten()
    }
}

impl IntoIterator for Table {
    type Item = Slot;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Option<Slot>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.places.into_vec().into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use doorward_engine::id::Revision;
    use proptest::prelude::*;

    use super::*;
    use crate::cache::near::Fact;
    use crate::store::Value;

    fn slot(name: Name, revision: u64) -> Slot {
        Slot::of(name, Fact { revision: Revision(revision), value: Value::Key(None) })
    }

    /// Names that begin at few places, the last among them, so that many stand in each other's way.
    fn name(number: u64) -> Name {
        Name::of_halves(number % 3 * 31 + 1, number)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Remove(u64),
        TakeAt(usize),
        Shrink,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..40_u64).prop_map(Step::Insert),
            4 => (0..40_u64).prop_map(Step::Remove),
            2 => (0..64_usize).prop_map(Step::TakeAt),
            1 => Just(Step::Shrink),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(steps in steps()) {
            let (mut table, mut map) = (Table::default(), BTreeMap::new());
            for (revision, step) in (0..).zip(steps) {
                match step {
                    Step::Insert(number) => {
                        if map.insert(number, revision).is_some() {
                            prop_assert!(table.remove(name(number)).is_some());
                        }
                        table.insert(slot(name(number), revision));
                    }
                    Step::Remove(number) => {
                        let removed = table.remove(name(number)).map(|slot| slot.fact.revision.0);
                        prop_assert_eq!(removed, map.remove(&number));
                    }
                    Step::TakeAt(place) => {
                        let there = table.at_mut(place).map(|slot| slot.name);
                        prop_assert_eq!(table.take_at(place).map(|slot| slot.name), there);
                        map.retain(|&number, _| Some(name(number)) != there);
                    }
                    Step::Shrink => table.shrink(),
                }
                prop_assert_eq!(table.len(), map.len());
                prop_assert!(4 * table.len() <= 3 * table.homes());
                for number in 0..40 {
                    let found = table.get(name(number)).map(|slot| slot.fact.revision.0);
                    prop_assert_eq!(found, map.get(&number).copied(), "{}", number);
                }
            }
            prop_assert_eq!(table.iter().count(), map.len());
            prop_assert_eq!(table.into_iter().count(), map.len());
        }
    }

    #[test]
    fn it_grows_by_doubling_and_gives_back_what_it_does_not_need() {
        let mut table = Table::default();
        assert_eq!((table.homes(), table.get(name(0)).is_none()), (0, true));
        let name = |number| Name::of_halves(number + 1, 0);
        for number in 0..96 {
            table.insert(slot(name(number), number));
        }
        assert_eq!(table.homes(), 128);
        table.insert(slot(name(96), 96));
        assert_eq!(table.homes(), 256);
        for number in 10..97 {
            table.remove(name(number));
        }
        table.shrink();
        assert_eq!((table.homes(), table.len()), (32, 10));
        (0..10).for_each(|number| assert!(table.get(name(number)).is_some(), "{number}"));
        (0..10).for_each(|number| assert!(table.remove(name(number)).is_some()));
        table.shrink();
        assert_eq!(table.homes(), HOMES_MIN);
    }
}

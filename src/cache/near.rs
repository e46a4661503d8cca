//! The near cache: one view's facts in this process's memory, and the room that those of all views share. It knows no
//! revision and no lease.

mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use doorward_engine::snapshot::{KeyFacts, KeyScope, MemberFacts, TenantFacts};

use self::table::Table;
use super::name::Name;
use crate::store;
use crate::store::Value;

/// From so many facts on a table is one of several parts: the largest that grows at once, while its view waits.
const PART_FACTS_MAX: usize = 32_768;
const PARTS: usize = 64;
/// How often a fact is passed over for having been used.
const USES_MAX: u8 = 3;

/// A fact as it is kept.
pub(super) type Fact = store::Fact<UsersMember, MemberHeld>;

/// The member that a user is.
#[derive(Clone, Debug)]
pub(super) struct UsersMember {
    /// What their facts are found by.
    pub(super) name: Name,
    /// Their facts themselves, from [`Near::link`] on and for as long as they are in the table too: one look instead of two.
    pub(super) facts: Option<MemberFacts>,
}

/// A member's facts.
#[derive(Clone, Debug)]
pub(super) struct MemberHeld {
    pub(super) facts: MemberFacts,
    /// The user who leads to them.
    user: Option<Name>,
}

impl UsersMember {
    pub(super) const fn of(name: Name) -> Self {
        Self { name, facts: None }
    }
}

impl MemberHeld {
    pub(super) const fn of(facts: MemberFacts) -> Self {
        Self { facts, user: None }
    }
}

/// Links are no part of what is known.
impl PartialEq for UsersMember {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl PartialEq for MemberHeld {
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts
    }
}

/// What the facts of all views take, and may take.
#[derive(Debug)]
pub(super) struct Room {
    bytes: AtomicU64,
    facts: AtomicU64,
    bytes_max: u64,
}

impl Room {
    pub(super) fn of(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), facts: AtomicU64::new(0), bytes_max }
    }

    /// How much the facts take, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many facts there are.
    pub(super) fn facts(&self) -> u64 {
        self.facts.load(Ordering::Relaxed)
    }

    /// By how much the facts take more than they may, in bytes.
    pub(super) fn excess(&self) -> u64 {
        self.bytes().saturating_sub(self.bytes_max)
    }

    fn take(&self, fact: &Fact) {
        self.bytes.fetch_add(bytes(fact), Ordering::Relaxed);
        self.facts.fetch_add(1, Ordering::Relaxed);
    }

    fn give_back(&self, fact: &Fact) {
        self.bytes.fetch_sub(bytes(fact), Ordering::Relaxed);
        self.facts.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A view's facts by their names, and the hand of the clock that makes room: what was used since the hand last came by
/// stays, the others go.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Near {
    small: Table,
    /// What every question asks for, and its name: it has a place beside the table.
    first: Option<Slot>,
    first_name: Name,
    /// Empty, or all there is: then nothing is in `small`.
    parts: Box<[Table]>,
    hand: Hand,
    room: Arc<Room>,
}

#[derive(Debug)]
struct Slot {
    name: Name,
    fact: Fact,
    uses: AtomicU8,
}

impl Slot {
    const fn of(name: Name, fact: Fact) -> Self {
        Self { name, fact, uses: AtomicU8::new(0) }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Hand {
    part: usize,
    place: usize,
}

impl Near {
    /// Where what says where the table is ends.
    #[cfg(test)]
    pub(super) const PLACES_END: usize = std::mem::offset_of!(Self, small) + Table::PLACES_END;

    /// Nothing yet. `first_name` is what every question asks for.
    pub(super) fn within(room: Arc<Room>, first_name: Name) -> Self {
        let (small, parts, hand) = (Table::default(), Box::default(), Hand::default());
        Self { first: None, first_name, small, parts, hand, room }
    }

    /// The name of what every question asks for.
    pub(super) const fn first_name(&self) -> Name {
        self.first_name
    }

    /// The fact of a name. Nothing is written but that it was used, and that not always: readers do not wait for each other.
    pub(super) fn get(&self, name: Name) -> Option<&Fact> {
        let slot = if name == self.first_name {
            self.first.as_ref()?
        } else {
            let part = self.parts.get(name.part(PARTS)).unwrap_or(&self.small);
            part.get(name)?
        };
        let uses = slot.uses.load(Ordering::Relaxed);
        if uses < USES_MAX {
            slot.uses.store(uses + 1, Ordering::Relaxed);
        }
        Some(&slot.fact)
    }

    pub(super) fn insert(&mut self, name: Name, fact: Fact) {
        self.remove(name);
        self.room.take(&fact);
        let slot = Slot::of(name, fact);
        if name == self.first_name {
            self.first = Some(slot);
            return;
        }
        if self.small.len() >= PART_FACTS_MAX {
            self.divide();
        }
        self.part_mut(name).insert(slot);
    }

    pub(super) fn remove(&mut self, name: Name) {
        let removed =
            if name == self.first_name { self.first.take() } else { self.part_mut(name).remove(name) };
        if let Some(slot) = removed {
            self.let_go(&slot);
        }
    }

    /// Lets a user lead to their member's facts in one step, until one of the two goes. A member has one such user.
    pub(super) fn link(&mut self, user: Name) {
        let Some(member) = self.users_member_mut(user) else { return };
        let name = member.name;
        let Some(held) = self.member_held_mut(name) else { return };
        let (facts, before) = (held.facts.clone(), held.user.replace(user));
        if let Some(another) = before.and_then(|before| self.users_member_mut(before)) {
            another.facts = None;
        }
        if let Some(member) = self.users_member_mut(user) {
            member.facts = Some(facts);
        }
    }

    /// What went out of the table leaves no link, and gives its room back.
    fn let_go(&mut self, slot: &Slot) {
        self.room.give_back(&slot.fact);
        match &slot.fact.value {
            Value::Member(Some(MemberHeld { user: Some(user), .. })) => {
                if let Some(member) = self.users_member_mut(*user) {
                    member.facts = None;
                }
            }
            Value::User(Some(UsersMember { name, facts: Some(_) })) => {
                if let Some(held) = self.member_held_mut(*name) {
                    held.user = None;
                }
            }
            _ => {}
        }
    }

    fn users_member_mut(&mut self, user: Name) -> Option<&mut UsersMember> {
        if let Value::User(member) = &mut self.slot_mut(user)?.fact.value { member.as_mut() } else { None }
    }

    fn member_held_mut(&mut self, member: Name) -> Option<&mut MemberHeld> {
        if let Value::Member(held) = &mut self.slot_mut(member)?.fact.value { held.as_mut() } else { None }
    }

    /// A member who was in use by their user alone goes with them.
    fn remove_unused(&mut self, name: Name) {
        if self.part_mut(name).get_mut(name).is_some_and(is_unused)
            && let Some(slot) = self.part_mut(name).remove(name)
        {
            self.let_go(&slot);
        }
    }

    fn slot_mut(&mut self, name: Name) -> Option<&mut Slot> {
        self.part_mut(name).get_mut(name)
    }

    fn part_mut(&mut self, name: Name) -> &mut Table {
        self.parts.get_mut(name.part(PARTS)).unwrap_or(&mut self.small)
    }

    fn divide(&mut self) {
        self.parts = (0..PARTS).map(|_| Table::default()).collect();
        for slot in std::mem::take(&mut self.small) {
            self.part_mut(slot.name).insert(slot);
        }
    }

    /// Moves the hand over places, so many at most, while there is too little room; what is left of them is not used up.
    /// Whether it came round.
    pub(super) fn sweep(&mut self, places: &mut usize) -> bool {
        while *places > 0 && self.room.excess() > 0 {
            *places -= 1;
            let table = self.parts.get_mut(self.hand.part).unwrap_or(&mut self.small);
            if self.hand.place >= table.places() {
                table.shrink();
                self.hand = Hand { part: self.hand.part + 1, place: 0 };
                if self.hand.part >= self.parts.len() {
                    self.hand = Hand::default();
                    if let Some(slot) = self.first.take_if(is_unused) {
                        self.room.give_back(&slot.fact);
                    }
                    return true;
                }
                continue;
            }
            let place = self.hand.place;
            if table.at_mut(place).is_some_and(is_unused)
                && let Some(slot) = table.take_at(place)
            {
                // The hand stays: another may have moved up.
                self.let_go(&slot);
                if let Value::User(Some(UsersMember { name, facts: Some(_) })) = slot.fact.value {
                    self.remove_unused(name);
                }
            } else {
                self.hand.place += 1;
            }
        }
        false
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        let slots = self.parts.iter().flat_map(Table::iter).chain(self.small.iter()).chain(&self.first);
        slots.for_each(|slot| self.room.give_back(&slot.fact));
    }
}

/// Whether the hand finds it unused; otherwise one use is taken off. A member to whom a user leads is used by the user.
fn is_unused(slot: &mut Slot) -> bool {
    if matches!(&slot.fact.value, Value::Member(Some(MemberHeld { user: Some(_), .. }))) {
        return false;
    }
    let uses = slot.uses.get_mut();
    std::mem::replace(uses, uses.saturating_sub(1)) == 0
}

/// A place in a table; after a table has doubled there are 8 for 3 facts.
const PLACE_BYTES: usize = size_of::<Slot>() * 8 / 3;
/// What stands before a shared value: how many share it.
const SHARED_BYTES: usize = 16;
/// An entry of a set, with its text.
const LISTED_BYTES: usize = 40;

/// What a fact takes, in bytes.
fn bytes(fact: &Fact) -> u64 {
    let value = match &fact.value {
        Value::Tenant(facts) => facts.as_deref().map_or(0, tenant_bytes),
        Value::Member(held) => held.as_ref().map_or(0, |held| member_bytes(&held.facts)),
        Value::Key(facts) => facts.as_deref().map_or(0, key_bytes),
        Value::User(_) | Value::Resource(_) => 0,
    };
    (PLACE_BYTES + value) as u64
}

fn tenant_bytes(facts: &TenantFacts) -> usize {
    let countries = facts.firewall.country.as_ref().map_or(0, |rule| rule.countries.len());
    let domains = facts.firewall.domain.as_ref().map_or(0, |rule| rule.domains.len());
    SHARED_BYTES + size_of_val(facts) + LISTED_BYTES * (countries + domains)
}

fn member_bytes(facts: &MemberFacts) -> usize {
    facts.bytes() + facts.id.as_str().len() + LISTED_BYTES
}

fn key_bytes(facts: &KeyFacts) -> usize {
    let ids = |scope: &KeyScope| scope.ids.as_ref().map_or(0, |ids| ids.len());
    let scopes = facts.resources.iter().map(|scope| size_of_val(scope) + LISTED_BYTES * ids(scope));
    SHARED_BYTES + size_of_val(facts) + facts.id.as_str().len() + scopes.sum::<usize>()
}

#[cfg(test)]
mod tests;

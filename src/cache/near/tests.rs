//! What a table holds, what it counts, and what its clock lets go.

use doorward_engine::id::{MemberId, Revision};

use super::*;
use crate::cache::name::{Names, PartRef};
use crate::cache::samples::{ask, snapshot};
use crate::store::SubjectFacts;

fn fact(revision: u64) -> Fact {
    Fact { revision: Revision(revision), value: Value::User(None) }
}

fn names(count: usize) -> Vec<Name> {
    let names = Names::new();
    let name = |at| names.of(PartRef::Member(&MemberId::parse(&format!("m{at}")).unwrap()));
    (0..count).map(name).collect()
}

fn near(bytes_max: u64) -> (Near, Arc<Room>) {
    let room = Arc::new(Room::of(bytes_max));
    (Near::within(Arc::clone(&room), Names::new().of(PartRef::Tenant)), room)
}

fn revision(near: &Near, name: Name) -> Option<u64> {
    near.get(name).map(|fact| fact.revision.0)
}

/// What is known of a user who is that member, and of the member.
fn pair(member: Name) -> [Fact; 2] {
    let snapshot = snapshot(&ask(), Revision(2));
    let SubjectFacts::Member(Some(facts)) = snapshot.subject else {
        unreachable!("the sample is of a member")
    };
    let user = Value::User(Some(UsersMember::of(member)));
    let member = Value::Member(Some(MemberHeld::of(facts)));
    [user, member].map(|value| Fact { revision: Revision(2), value })
}

/// Whether a user leads to their member in one step; none: there is no such user.
fn leads(near: &Near, user: Name) -> Option<bool> {
    near.get(user).map(|fact| fact.value.user().is_some_and(|member| member.facts.is_some()))
}

#[test]
fn a_place_is_a_line_of_the_processors_cache() {
    assert!(size_of::<Slot>() <= 64, "{}", size_of::<Slot>());
}

#[test]
fn a_user_leads_to_their_member_until_one_of_both_goes() {
    let (mut near, room) = near(1 << 20);
    let [user, another, member] = <[Name; 3]>::try_from(names(3)).unwrap();
    let [of_user, of_member] = pair(member);
    let linked = |near: &mut Near, user| {
        near.link(user);
        leads(near, user)
    };
    near.insert(user, of_user.clone());
    assert_eq!(linked(&mut near, user), Some(false), "the member is not there");
    near.insert(member, of_member.clone());
    assert_eq!(leads(&near, user), Some(false), "not by itself");
    assert_eq!(linked(&mut near, user), Some(true));
    near.insert(member, of_member.clone());
    assert_eq!(leads(&near, user), Some(false), "they are other facts");
    assert_eq!(linked(&mut near, user), Some(true));
    near.remove(member);
    assert_eq!(leads(&near, user), Some(false));
    near.insert(member, of_member);
    near.link(user);
    near.insert(another, of_user.clone());
    assert_eq!(linked(&mut near, another), Some(true));
    assert_eq!(leads(&near, user), Some(false), "a member has one user");
    near.remove(another);
    assert_eq!(linked(&mut near, user), Some(true));
    near.remove(user);
    near.insert(user, of_user);
    assert_eq!(leads(&near, user), Some(false));
    [user, member].into_iter().for_each(|name| near.remove(name));
    assert_eq!((room.facts(), room.bytes()), (0, 0));
}

#[test]
fn who_is_asked_about_as_a_user_stays_with_their_member_and_who_is_not_goes_with_theirs() {
    let (mut near, room) = near(1 << 20);
    let names = names(4_000);
    let pairs: Vec<_> = names.as_chunks().0.iter().map(|&[user, member]| (user, member)).collect();
    for &(user, member) in &pairs {
        let [of_user, of_member] = pair(member);
        near.insert(user, of_user);
        near.insert(member, of_member);
        near.link(user);
    }
    let (used, unused) = pairs.split_at(1_000);
    used.iter().for_each(|&(user, _)| assert_eq!(leads(&near, user), Some(true)));
    near.room = Arc::new(Room::of(0));
    near.room.bytes.store(room.bytes(), Ordering::Relaxed);
    near.room.facts.store(room.facts(), Ordering::Relaxed);
    while !near.sweep(&mut usize::MAX.clone()) {}
    assert_eq!(near.room.facts(), 2 * used.len() as u64, "one round, and both are gone");
    assert!(used.iter().all(|&(user, _)| leads(&near, user) == Some(true)));
    assert!(unused.iter().all(|&(user, member)| near.get(user).is_none() && near.get(member).is_none()));
    assert!(used.iter().all(|&(_, member)| near.get(member).is_some()));
}

#[test]
fn a_fact_is_there_until_it_is_replaced_or_removed() {
    let (mut near, room) = near(1 << 20);
    let names = names(3);
    for (at, &name) in (1..).zip(&names) {
        near.insert(name, fact(at));
    }
    near.insert(names[1], fact(7));
    near.remove(names[2]);
    assert_eq!([0, 1, 2].map(|at| revision(&near, names[at])), [Some(1), Some(7), None]);
    assert_eq!((room.facts(), room.bytes()), (2, 2 * bytes(&fact(1))));
    drop(near);
    assert_eq!((room.facts(), room.bytes()), (0, 0));
}

#[test]
fn a_large_table_is_one_of_parts_and_loses_nothing() {
    let (mut near, room) = near(1 << 30);
    let names = names(PART_FACTS_MAX * 2);
    for (at, &name) in (0..).zip(&names) {
        near.insert(name, fact(at));
    }
    assert_eq!(near.parts.len(), PARTS);
    assert!(near.parts.iter().all(|part| part.len() < PART_FACTS_MAX / 8), "evenly");
    assert!((0..).zip(&names).all(|(at, &name)| revision(&near, name) == Some(at)));
    assert_eq!(room.facts(), names.len() as u64);
    names.iter().for_each(|&name| near.remove(name));
    assert_eq!((room.facts(), room.bytes()), (0, 0));
}

#[test]
fn the_clock_lets_go_what_was_not_used_and_only_as_much_as_it_must() {
    for count in [100, PART_FACTS_MAX + 100] {
        let (mut near, room) = near(bytes(&fact(0)) * (count as u64 / 2));
        let names = names(count);
        let (used, unused) = names.split_at(count / 2);
        for &name in &names {
            near.insert(name, fact(1));
        }
        assert!(used.iter().all(|&name| near.get(name).is_some()));
        let mut rounds = 0;
        while room.excess() > 0 {
            rounds += usize::from(near.sweep(&mut 64));
            assert!(rounds < 2, "one round is enough");
        }
        assert!(used.iter().all(|&name| near.get(name).is_some()), "{count}");
        assert!(unused.iter().all(|&name| near.get(name).is_none()), "{count}");
        let mut places = 64;
        assert!(!near.sweep(&mut places) && places == 64, "there is room");
    }
}

#[test]
fn what_is_used_no_more_goes_after_a_few_rounds_and_the_table_with_it() {
    let (mut near, room) = near(0);
    let names = names(10_000);
    for &name in &names {
        near.insert(name, fact(1));
    }
    (0..100).for_each(|_| assert!(names.iter().all(|&name| near.get(name).is_some())));
    let mut rounds = 0;
    while room.excess() > 0 {
        rounds += u8::from(near.sweep(&mut 1000));
    }
    near.insert(names[0], fact(1));
    while room.excess() > 0 {
        rounds += u8::from(near.sweep(&mut 1000));
    }
    assert_eq!(rounds, USES_MAX + 1);
    assert!(near.small.places() < 200, "{}", near.small.places());
}

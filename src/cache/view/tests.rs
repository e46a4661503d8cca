//! What a view lets through: nothing outdated, nothing of two revisions, and as little lost as can be.

use std::time::Duration;

use doorward_engine::id::{MemberId, UserId};

use super::*;
use crate::cache::samples::{EPOCH, ask, member_id, snapshot};
use crate::cache::{Memory, Options};
use crate::clock::{Clock, Steady};
use crate::store::act::PLATFORM;
use crate::store::feed::Changed;

fn memory() -> Arc<Memory> {
    Memory::new(Options {
        near_bytes: 1 << 20,
        lease: None,
        stale: Duration::ZERO,
        steady: Steady::manual(),
        clock: Clock::real(),
    })
}

fn member(id: &str) -> Part {
    Part::Member(MemberId::parse(id).unwrap())
}

fn changed(scope: &str, revision: u64, parts: Option<Vec<Part>>) -> Changed {
    Changed { scope: scope.to_owned(), revision: Revision(revision), parts }
}

/// A memory whose view was filled at a revision.
fn filled(revision: u64) -> (Arc<Memory>, Arc<View>) {
    let memory = memory();
    let view = memory.views.get_or_insert(&ask().tenant);
    memory.views.fill(&view, &ask(), &snapshot(&ask(), Revision(revision)));
    (memory, view)
}

/// The revision of an answer from the view; none: something is missing.
fn answer(view: &View) -> Option<u64> {
    match view.look(&ask()) {
        Looked::Found(found) => Some(found.revision.0),
        Looked::Missing(_) | Looked::Empty => None,
    }
}

#[test]
fn a_view_answers_from_its_first_load_on_and_not_before() {
    let memory = memory();
    let view = memory.views.get_or_insert(&ask().tenant);
    assert!(matches!(view.look(&ask()), Looked::Empty));
    memory.views.fill(&view, &ask(), &snapshot(&ask(), Revision(4)));
    assert_eq!(answer(&view), Some(4));
}

#[test]
fn what_the_feed_tells_before_the_first_load_returns_is_not_lost() {
    let memory = memory();
    let view = memory.views.get_or_insert(&ask().tenant);
    memory.apply(Some(&[changed("acme", 5, Some(vec![Part::Member(member_id())]))]));
    let late = memory.views.fill(&view, &ask(), &snapshot(&ask(), Revision(4)));
    assert!(late.facts.iter().all(|(part, _)| *part == Part::Tenant), "{:?}", late.facts);
    assert_eq!(answer(&view), None);
    memory.views.fill(&view, &ask(), &snapshot(&ask(), Revision(5)));
    assert_eq!(answer(&view), Some(5));
}

#[test]
fn a_touched_fact_is_gone_and_the_others_stay() {
    let (memory, view) = filled(4);
    memory.apply(Some(&[changed("acme", 5, Some(vec![member("another")]))]));
    assert_eq!(answer(&view), Some(5), "the answer is of the newer revision all the same");
    memory.apply(Some(&[changed("acme", 6, Some(vec![Part::Tenant]))]));
    assert!(matches!(view.look(&ask()), Looked::Missing(parts) if parts == [Part::Tenant]));
}

#[test]
fn a_fact_that_is_ahead_of_the_feed_waits_for_it() {
    let (memory, view) = filled(4);
    memory.apply(Some(&[changed("acme", 5, Some(vec![Part::Member(member_id())]))]));
    let filled = memory.views.fill(&view, &ask(), &snapshot(&ask(), Revision(6)));
    assert!(filled.ahead);
    assert_eq!(answer(&view), None, "an answer would be of two revisions");
    memory.apply(Some(&[changed("acme", 6, Some(vec![Part::Member(member_id())]))]));
    assert_eq!(answer(&view), Some(6));
}

#[test]
fn a_load_that_is_ahead_takes_nothing_away_that_has_not_changed() {
    let (memory, view) = filled(4);
    let filled = memory.views.fill(&view, &ask(), &snapshot(&ask(), Revision(6)));
    assert!(filled.ahead && filled.facts.is_empty(), "at 6 the same is true as at 4");
    assert_eq!(answer(&view), Some(4));
    memory.views.fill(&view, &ask(), &snapshot(&ask(), Revision(7)));
    assert_eq!(answer(&view), None, "at 7 it is not");
}

#[test]
fn facts_in_memory_stay_however_many_others_are_touched_and_late_ones_are_refused() {
    let (memory, view) = filled(1);
    let many = TOUCHED_MAX as u64 * 3;
    for revision in 2..=many {
        memory.apply(Some(&[changed("acme", revision, Some(vec![member(&format!("m{revision}"))]))]));
    }
    assert_eq!(answer(&view), Some(many));
    let far = |id: &str, revision| {
        let fact = Fact { revision: Revision(revision), value: Value::Member(None) };
        view.fill_far(&SubjectRef::Nobody, &[(member(id), fact)]);
        view.read().near.get(view.name(PartRef::from(&member(id)))).is_some()
    };
    assert!(!far("m2", 1), "its touch is forgotten, and the floor has risen above it");
    assert!(!far("never-touched", 1));
    assert!(far("never-touched", many));
    assert!(!far(&format!("m{many}"), many - 1), "touched later");
}

#[test]
fn a_users_member_is_as_recent_as_what_the_feed_tells_of_either() {
    let user = UserId::parse("ann").unwrap();
    let ask = Ask { subject: SubjectRef::User(user.clone()), ..ask() };
    let as_user = Part::User(user);
    let missing = |view: &View| match view.look(&ask) {
        Looked::Missing(parts) => parts,
        Looked::Found(_) => Vec::new(),
        Looked::Empty => unreachable!("it was filled"),
    };
    let leads = |view: &View| {
        let SubjectRef::User(user) = &ask.subject else { unreachable!() };
        let state = view.read();
        let fact = state.near.get(view.name(PartRef::User(user)));
        fact.and_then(|fact| fact.value.user()).is_some_and(|member| member.facts.is_some())
    };
    let one = std::slice::from_ref;
    for touched in [as_user.clone(), Part::Member(member_id())] {
        let memory = memory();
        let view = memory.views.get_or_insert(&ask.tenant);
        let fill = |revision| memory.views.fill(&view, &ask, &snapshot(&ask, Revision(revision)));
        let apply = |revision| memory.apply(Some(&[changed("acme", revision, Some(vec![touched.clone()]))]));
        fill(4);
        assert!(missing(&view).is_empty() && leads(&view));
        apply(5);
        assert_eq!(missing(&view), one(&as_user));
        assert!(!leads(&view));
        fill(4);
        assert_eq!(missing(&view), one(&as_user), "a late load does not bring it back");
        fill(6);
        assert_eq!(missing(&view), one(&as_user), "what is ahead waits");
        apply(6);
        assert!(missing(&view).is_empty());
        fill(7);
        apply(7);
        fill(7);
        assert!(missing(&view).is_empty() && leads(&view));
    }
}

#[test]
fn a_touched_fact_does_not_come_back_when_its_touch_is_forgotten() {
    let (memory, view) = filled(1);
    memory.apply(Some(&[changed("acme", 2, Some(vec![Part::Member(member_id())]))]));
    for revision in 3..TOUCHED_MAX as u64 * 2 {
        memory.apply(Some(&[changed("acme", revision, Some(vec![member(&format!("m{revision}"))]))]));
    }
    assert_eq!(answer(&view), None);
}

#[test]
fn what_cannot_be_told_in_parts_drops_the_view_and_the_catalogue_all_views() {
    let dropped = |changes: Option<&[Changed]>| {
        let (memory, _) = filled(4);
        memory.apply(changes);
        memory.views.get(&ask().tenant).is_none()
    };
    assert!(dropped(None));
    assert!(dropped(Some(&[changed("acme", 5, None)])));
    assert!(dropped(Some(&[changed(PLATFORM, 2, Some(vec![Part::Catalogue]))])));
    assert!(dropped(Some(&[changed(PLATFORM, 2, None)])));
    assert!(!dropped(Some(&[changed(PLATFORM, 2, Some(Vec::new()))])), "it is about no fact");
    assert!(!dropped(Some(&[changed("zeta", 5, None)])), "another tenant's");
}

#[test]
fn the_first_look_at_a_feed_drops_what_was_loaded_before_it() {
    let (memory, before) = filled(4);
    memory.begin(EPOCH);
    assert!(memory.views.get(&ask().tenant).is_none());
    let view = memory.views.get_or_insert(&ask().tenant);
    memory.views.fill(&before, &ask(), &snapshot(&ask(), Revision(4)));
    assert!(matches!(view.look(&ask()), Looked::Empty), "a late load fills the view it was sent under");
}

#[test]
fn all_that_a_lookup_reads_before_the_table_is_in_one_line() {
    let counts = 2 * size_of::<usize>();
    let lock = size_of::<RwLock<State>>() - size_of::<State>();
    let places = std::mem::offset_of!(State, near) + Near::PLACES_END;
    assert!(counts + lock + places <= 64, "{counts} {lock} {places}");
}

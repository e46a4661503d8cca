//! What all views hold, under the bound of their facts.

use doorward_engine::id::{MemberId, Revision};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::Zipf;

use super::*;
use crate::cache::samples::{ask, snapshot};
use crate::cache::view::Looked;
use crate::store::{SubjectRef, Value};

fn tenant(at: usize) -> TenantId {
    TenantId::parse(&format!("t{at}")).unwrap()
}

fn member(at: usize) -> MemberId {
    MemberId::parse(&format!("m{at}")).unwrap()
}

/// Views of so many tenants that a load has filled.
fn filled(near_bytes: u64, tenants: usize) -> (Views, Vec<Arc<View>>) {
    let views = Views::within(near_bytes);
    let fill = |at| {
        let view = views.get_or_insert(&tenant(at));
        let ask = Ask { subject: SubjectRef::Nobody, ..ask() };
        views.fill(&view, &ask, &snapshot(&ask, Revision(1)));
        view
    };
    let all = (0..tenants).map(fill).collect();
    (views, all)
}

fn put(views: &Views, view: &View, at: usize) {
    let fact = Fact { revision: Revision(1), value: Value::Member(None) };
    views.fill_far(view, &SubjectRef::Nobody, &[(Part::Member(member(at)), fact)]);
}

fn is_there(view: &View, at: usize) -> bool {
    let asked = Ask { subject: SubjectRef::Member(member(at)), ..ask() };
    match view.look(&asked) {
        Looked::Found(_) => true,
        Looked::Missing(parts) => !parts.contains(&Part::Member(member(at))),
        Looked::Empty => false,
    }
}

#[test]
fn facts_take_no_more_bytes_than_they_may_whatever_tenants_they_are_of() {
    let bytes_max = 1 << 20;
    let (views, all) = filled(bytes_max, 40);
    for at in 0..20_000 {
        // One tenant has half of them.
        put(&views, &all[if at % 2 == 0 { 0 } else { at % 40 }], at);
        assert!(views.room().bytes() <= bytes_max, "{}", views.room().bytes());
    }
    assert!(views.room().bytes() > bytes_max * 9 / 10, "and no fewer: {}", views.room().bytes());
    let held =
        |view: &Arc<View>, of: usize| (0..20_000).filter(|at| at % 40 == of && is_there(view, *at)).count();
    assert!(held(&all[1], 1) > 20 && held(&all[39], 39) > 20, "none is crowded out");
}

#[test]
fn what_is_asked_about_often_stays() {
    let mut random = SmallRng::seed_from_u64(7);
    let (views, all) = filled(10_000 * 172, 10);
    let members = 100_000;
    let mut ask_for = |count: usize| {
        let mut hits = 0;
        for _ in 0..count {
            let at = random.sample(Zipf::new(members as f64, 0.99).unwrap()) as usize;
            let view = &all[at % 10];
            if is_there(view, at) {
                hits += 1;
            } else {
                put(&views, view, at);
            }
        }
        hits as f64 / count as f64
    };
    ask_for(200_000);
    // The best fixed choice of a tenth has 0.80, those used most recently have 0.72.
    let hits = ask_for(200_000);
    assert!(hits > 0.75, "{hits}");
}

#[test]
fn a_pass_over_many_others_does_not_wash_out_what_is_in_use() {
    let (views, all) = filled(1_000 * 172, 1);
    for at in 0..300 {
        put(&views, &all[0], at);
    }
    for new in 1_000..10_000 {
        put(&views, &all[0], new);
        assert!(is_there(&all[0], new % 300) || new % 300 == 299, "{new}");
    }
}

#[test]
fn a_view_that_is_dropped_gives_its_room_back_and_leaves_the_round() {
    let (views, all) = filled(1 << 20, 100);
    let before = views.room().facts();
    views.drop_one(&tenant(3));
    assert_eq!(views.room().facts(), before, "somebody still looks at it");
    drop(all);
    assert_eq!(views.room().facts(), before - 1);
    for _ in 0..1000 {
        views.drop_one(&tenant(3));
        views.get_or_insert(&tenant(3));
    }
    assert!(views.round().len() < 300, "{}", views.round().len());
    views.drop_all();
    assert_eq!((views.room().facts(), views.room().bytes(), views.round().len()), (0, 0, 0));
}

#[test]
fn of_too_many_views_those_go_that_nobody_looks_for() {
    let views = Views::of(1 << 30, 100);
    let look = |range: std::ops::Range<usize>| range.filter(|&at| views.get(&tenant(at)).is_some()).count();
    for at in 0..100 {
        views.get_or_insert(&tenant(at));
    }
    assert_eq!((views.len(), look(0..100)), (100, 100));
    // All are in use, and one has to go; from then on those that are looked for stay.
    views.get_or_insert(&tenant(100));
    assert_eq!(views.len(), 100);
    for at in 101..1_000 {
        let before = look(0..50);
        assert!(before >= 49, "{before}");
        views.get_or_insert(&tenant(at));
        assert!(views.get(&tenant(at)).is_some(), "a new one stays at first");
    }
    assert_eq!(views.len(), 100);
    assert!(views.round().len() < 300, "{}", views.round().len());
}

#[test]
fn a_fact_that_is_heavier_than_all_may_be_is_not_kept() {
    let (views, all) = filled(100, 3);
    put(&views, &all[0], 1);
    put(&views, &all[1], 1);
    assert_eq!(views.room().bytes(), 0);
}

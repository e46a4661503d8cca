//! What must hold, and what must be possible: knows how to recognise a promise in one moment; takes no step.

use stateright::Property;

use crate::protocol::Protocol;
use crate::scope::Intent;
use crate::state::{Check, Replica, Revision, State, Status, View, Writer, is_on};

/// G1 of the protocol.
pub(crate) const FINAL: &str = "no check that begins after the acknowledgement of a removal is allowed";

/// A correct protocol that can do nothing would be safe too.
pub(crate) fn properties(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let mut properties = vec![Property::always(FINAL, |protocol: &Protocol, state: &State| {
        !serving(protocol, state).any(|replica| is_stale(protocol, state, replica))
    })];
    if protocol.slip.is_some() {
        return properties;
    }
    if protocol.scope.early_checks || protocol.scope.writers.contains(&Intent::Restore) {
        properties.push(Property::sometimes("a cache allows", a_cache_allows));
    }
    properties.push(Property::sometimes("a cache says no after the change", a_cache_denies));
    properties.push(Property::sometimes("acknowledged before a lease has ended", acknowledged_early));
    properties.push(Property::sometimes("acknowledged by the lease alone", acknowledged_late));
    properties.push(Property::sometimes("an outdated fact is refused", an_outdated_fact_is_there));
    if protocol.scope.suspensions && protocol.scope.replicas > 1 {
        properties.push(Property::sometimes("a dead replica keeps nobody waiting", the_dead_are_gone));
    }
    if protocol.scope.outages {
        properties.push(Property::sometimes("without lease and database: unavailable", is_unavailable));
    }
    properties
}

fn serving<'a>(protocol: &Protocol, state: &'a State) -> impl Iterator<Item = &'a Replica> {
    state.replicas.iter().take(protocol.scope.serving)
}

/// Allowed by a fact, though at no moment since the check began, or the acknowledgement before it, was it on.
fn is_stale(protocol: &Protocol, state: &State, replica: &Replica) -> bool {
    let was_on_since = |known: Revision| (known..=state.revision).any(is_on);
    protocol.answers(replica).into_iter().any(|(known, fact)| is_on(fact) && !was_on_since(known))
}

fn from_cache(protocol: &Protocol, state: &State, is_meant: fn(Revision) -> bool) -> bool {
    serving(protocol, state).any(|replica| match replica.check {
        Check::Found { fact, .. } => is_meant(fact) && !protocol.answers(replica).is_empty(),
        _ => false,
    })
}

fn a_cache_allows(protocol: &Protocol, state: &State) -> bool {
    from_cache(protocol, state, is_on)
}

fn a_cache_denies(protocol: &Protocol, state: &State) -> bool {
    from_cache(protocol, state, |fact| !is_on(fact))
}

/// Mutations that could be answered now: whether all rows have acknowledged, and whether the lease has ended.
fn waiting(protocol: &Protocol, state: &State, is_meant: impl Fn(bool, bool) -> bool) -> bool {
    state.writers.iter().any(|writer| match *writer {
        Writer::Committed { revision, since, rows: Some(rows) } if rows != 0 => {
            is_meant(state.missing(revision, rows) == 0, since >= protocol.scope.lease)
        }
        _ => false,
    })
}

fn acknowledged_early(protocol: &Protocol, state: &State) -> bool {
    let all_stand = state.rows.iter().flatten().count() == usize::from(state.boots);
    all_stand && waiting(protocol, state, |applied, ended| applied && !ended)
}

fn acknowledged_late(protocol: &Protocol, state: &State) -> bool {
    waiting(protocol, state, |applied, ended| !applied && ended)
}

fn the_dead_are_gone(protocol: &Protocol, state: &State) -> bool {
    let is_dead = |replica: &Replica| replica.status == Status::Down;
    let dead = state.replicas.iter().take(protocol.scope.replicas).any(is_dead);
    let gone = state.rows.iter().flatten().count() < usize::from(state.boots);
    dead && gone && waiting(protocol, state, |applied, ended| applied && !ended)
}

fn an_outdated_fact_is_there(protocol: &Protocol, state: &State) -> bool {
    serving(protocol, state).any(|replica| {
        let looks = matches!(replica.check, Check::Looking { .. });
        let View::Live { required } = replica.view else { return false };
        let outdated = replica.near.is_some_and(|fact| fact < required) || protocol.scope.far && required > 0;
        looks && outdated
    })
}

fn is_unavailable(protocol: &Protocol, state: &State) -> bool {
    let refused = |replica: &Replica| matches!(replica.check, Check::Loading { .. });
    state.away
        && serving(protocol, state).any(|replica| refused(replica) && replica.fresh >= protocol.scope.lease)
}

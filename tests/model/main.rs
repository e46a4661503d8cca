//! The coherence protocol as a model: every order of its steps in small worlds, and every known slip.
//!
//! Run with `--nocapture` it prints how many states each world has and how a slip breaks the promise.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod check;
mod feed;
mod mutation;
mod promise;
mod protocol;
mod scope;
mod slip;
mod state;

use stateright::{Checker, HasDiscoveries, Model};

use crate::protocol::Protocol;
use crate::scope::Scope;
use crate::slip::Slip;

#[test]
fn it_holds_with_one_replica_and_both_caches() {
    holds(scope::ONE);
}

#[test]
fn it_holds_while_the_database_comes_and_goes() {
    holds(scope::OUTAGE);
}

#[test]
fn it_holds_while_loads_race_with_invalidations() {
    holds(scope::FILLS);
}

#[test]
fn it_holds_with_two_replicas() {
    holds(scope::TWO);
}

#[test]
fn it_holds_when_both_replicas_serve() {
    holds(scope::BOTH);
}

#[test]
fn it_holds_when_a_mutation_is_replayed() {
    holds(scope::REPLAY);
}

#[test]
fn it_holds_when_a_grant_is_restored_and_removed_again() {
    holds(scope::RESTORED);
}

#[test]
fn it_holds_through_boot_and_crash() {
    holds(scope::BOOT);
}

#[test]
fn it_holds_while_rows_are_suspended_and_deleted() {
    holds(scope::EVICTION);
}

#[test]
fn it_holds_through_a_drain() {
    holds(scope::DRAIN);
}

#[test]
fn it_holds_beside_a_dead_replica() {
    holds(scope::DEAD);
}

#[test]
fn every_slip_breaks_it() {
    for slip in Slip::ALL {
        breaks(slip, shown_in(slip));
    }
}

/// A world, as small as may be, in which the slip does harm.
fn shown_in(slip: Slip) -> Scope {
    match slip {
        Slip::ReturnWithoutWaiting
        | Slip::LeaseFromReply
        | Slip::WaitLess
        | Slip::GateWithNewerFresh
        | Slip::GateWithCachedClock
        | Slip::AcknowledgeBeforeApplying
        | Slip::PublishBeforeApplying
        | Slip::FactWithoutRequired => scope::ONE,
        Slip::JoinOlderFlight | Slip::ViewAfterLoad | Slip::FillAnotherView => scope::FILLS,
        Slip::ReturnAfterFirstAcknowledgement => scope::TWO,
        Slip::NoOpWithoutWaiting => scope::REPLAY,
        Slip::SnapshotBeforeRegistering | Slip::RegistryBeforeCommit | Slip::KeepAtFirstSnapshot => {
            scope::BOOT
        }
        Slip::DeleteInOneStep | Slip::RenewBlindly => scope::EVICTION,
        Slip::LeaveBeforeStopping => scope::DRAIN,
    }
}

/// Explores every state, finds no broken promise, and sees everything happen that should be possible.
fn holds(scope: Scope) {
    let checker = Protocol { scope, slip: None }.checker().spawn_bfs().join();
    let (states, steps, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    println!("{}: {states} states, {steps} steps, {depth} deep", scope.name);
    checker.assert_properties();
}

/// Prints the shortest way to harm.
fn breaks(slip: Slip, scope: Scope) {
    let protocol = Protocol { scope, slip: Some(slip) };
    let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    let path = checker.discovery(promise::FINAL).map(|path| path.into_actions());
    assert!(path.is_some(), "{slip:?} is not found in {}, {states} states", scope.name);
    let path = path.unwrap_or_default();
    println!("{slip:?}: found in {}, {states} states, {} deep: {path:?}", scope.name, path.len());
}

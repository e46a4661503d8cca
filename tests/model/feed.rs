//! A replica's life: knows boot, feed, acknowledgement and the end of its registry row; no check and no mutation.

use crate::protocol::Protocol;
use crate::slip::Slip;
use crate::state::{Age, Poll, Replica, Revision, Row, State, Status, View};

/// What a poll does with its reply, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Apply,
    Publish,
    Acknowledge,
}

impl Protocol {
    /// A new process, or one that lost its row: registered before its first snapshot.
    pub(crate) fn boot(&self, state: &mut State, at: usize) -> Option<()> {
        let is_down = state.replicas[at].status == Status::Down;
        (is_down && !state.away && state.boots < self.scope.boots).then_some(())?;
        let row = if self.slips(Slip::SnapshotBeforeRegistering) { None } else { Some(register(state)) };
        state.replicas[at].status = Status::Up { row, synced: false };
        Some(())
    }

    pub(crate) fn register_late(&self, state: &mut State, at: usize) -> Option<()> {
        let unregistered = Status::Up { row: None, synced: true };
        (state.replicas[at].status == unregistered && !state.away).then_some(())?;
        let row = Some(register(state));
        state.replicas[at].status = Status::Up { row, synced: true };
        Some(())
    }

    pub(crate) fn crash(&self, state: &mut State, at: usize) -> Option<()> {
        let may = self.scope.crashes && at + 1 == self.scope.replicas;
        (may && state.replicas[at].status != Status::Down).then_some(())?;
        state.replicas[at] = Replica::down(self.scope.lease);
        Some(())
    }

    /// Checks under way keep the `fresh` that they have read; no other uses a cache from now on.
    pub(crate) fn drain(&self, state: &mut State, at: usize) -> Option<()> {
        let replica = &mut state.replicas[at];
        let Status::Up { row: Some(row), .. } = replica.status else { return None };
        self.scope.drains.then_some(())?;
        if self.slips(Slip::LeaveBeforeStopping) {
            state.rows[usize::from(row)] = None;
            return Some(());
        }
        replica.drop_everything(self.scope.lease);
        replica.status = Status::Leaving { row };
        Some(())
    }

    pub(crate) fn leave(&self, state: &mut State, at: usize) -> Option<()> {
        let Status::Leaving { row } = state.replicas[at].status else { return None };
        (!state.away).then_some(())?;
        state.rows[usize::from(row)] = None;
        state.replicas[at].status = Status::Down;
        Some(())
    }

    pub(crate) fn read_clock(&self, state: &mut State, at: usize) -> Option<()> {
        let replica = &mut state.replicas[at];
        (replica.is_up() && replica.poll == Poll::Idle).then_some(())?;
        replica.poll = Poll::Asking { fresh: self.now(at) };
        Some(())
    }

    /// The poll's one statement.
    pub(crate) fn query(&self, state: &mut State, at: usize) -> Option<()> {
        let Poll::Asking { fresh } = state.replicas[at].poll else { return None };
        let Status::Up { row, .. } = state.replicas[at].status else { return None };
        (!state.away).then_some(())?;
        let stands =
            row.is_none_or(|row| state.rows[usize::from(row)].is_some_and(|row| row.suspended.is_none()));
        let stands = stands || self.slips(Slip::RenewBlindly);
        state.replicas[at].poll = Poll::Replied { fresh, snap: state.revision, stands, done: 0 };
        Some(())
    }

    pub(crate) fn next_of_poll(&self, state: &mut State, at: usize) -> Option<()> {
        let Poll::Replied { fresh, snap, stands, done } = state.replicas[at].poll else { return None };
        let replica = &mut state.replicas[at];
        if !stands {
            replica.drop_everything(self.scope.lease);
            replica.status = Status::Down;
            return Some(());
        }
        let fresh = if self.slips(Slip::LeaseFromReply) && done == 0 { self.now(at) } else { fresh };
        replica.poll = Poll::Replied { fresh, snap, stands, done: done + 1 };
        match self.order()[done] {
            Then::Apply => self.apply(replica, snap),
            Then::Publish => self.publish(replica, fresh),
            Then::Acknowledge => acknowledge(state, at, snap)?,
        }
        if done + 1 == self.order().len() {
            state.replicas[at].poll = Poll::Idle;
        }
        Some(())
    }

    /// The connection breaks before the reply arrives.
    pub(crate) fn lose_reply(&self, state: &mut State, at: usize) -> Option<()> {
        let Poll::Replied { done: 0, .. } = state.replicas[at].poll else { return None };
        state.replicas[at].poll = Poll::Idle;
        Some(())
    }

    fn order(&self) -> [Then; 3] {
        match self.slip {
            Some(Slip::AcknowledgeBeforeApplying) => [Then::Acknowledge, Then::Apply, Then::Publish],
            Some(Slip::PublishBeforeApplying) => [Then::Publish, Then::Apply, Then::Acknowledge],
            _ => [Then::Apply, Then::Publish, Then::Acknowledge],
        }
    }

    /// The first snapshot has none before it, so no row says what has changed since a view was loaded.
    fn apply(&self, replica: &mut Replica, snap: Revision) {
        let Status::Up { row, synced } = replica.status else { return };
        if !synced && !self.slips(Slip::KeepAtFirstSnapshot) {
            replica.drop_view();
        }
        if synced && snap > replica.snap {
            touch(replica, snap);
        }
        replica.snap = snap;
        replica.status = Status::Up { row, synced: true };
    }

    /// Once published, the poll's own copy is of no use: one value for all of them.
    fn publish(&self, replica: &mut Replica, published: Age) {
        replica.fresh = published;
        if let Poll::Replied { fresh, .. } = &mut replica.poll {
            *fresh = self.scope.lease;
        }
    }

    /// Nobody reads the lease of a replica that answers no checks.
    fn now(&self, at: usize) -> Age {
        if at < self.scope.serving { 0 } else { self.scope.lease }
    }

    /// Anyone may find a row dead at any time, and be wrong.
    pub(crate) fn suspend(&self, state: &mut State, at: usize) -> Option<()> {
        (self.scope.suspensions && !state.away).then_some(())?;
        let row = state.rows[at].as_mut()?;
        row.suspended.is_none().then_some(())?;
        row.suspended = Some(0);
        if self.slips(Slip::DeleteInOneStep) {
            state.rows[at] = None;
        }
        Some(())
    }

    pub(crate) fn delete(&self, state: &mut State, at: usize) -> Option<()> {
        let suspended = state.rows[at]?.suspended?;
        (suspended >= self.scope.lease && !state.away).then_some(())?;
        state.rows[at] = None;
        Some(())
    }
}

fn register(state: &mut State) -> u8 {
    let row = state.boots;
    state.rows[usize::from(row)] = Some(Row::new());
    state.boots += 1;
    row
}

/// Records that everything cached is outdated below this revision. Outdated entries are dropped; a load that is still in
/// the air can put one back, and `required` is there for that.
fn touch(replica: &mut Replica, snap: Revision) {
    match &mut replica.view {
        View::Absent => {}
        View::Pending { touched } => *touched = snap,
        View::Live { required } => *required = snap.max(*required),
    }
    replica.near = replica.near.filter(|fact| *fact >= snap);
}

/// An update of the own row; it finds none if the row is gone.
fn acknowledge(state: &mut State, at: usize, snap: Revision) -> Option<()> {
    (!state.away).then_some(())?;
    let Status::Up { row: Some(row), .. } = state.replicas[at].status else { return Some(()) };
    if let Some(row) = &mut state.rows[usize::from(row)] {
        row.applied = snap.max(row.applied);
    }
    Some(())
}

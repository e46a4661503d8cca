//! A mutation: knows commit, registry and wait; of replicas only their rows.

use crate::protocol::Protocol;
use crate::scope::Intent;
use crate::slip::Slip;
use crate::state::{Age, Revision, Row, Rows, State, Writer, is_on};

impl Protocol {
    pub(crate) fn list_early(&self, state: &mut State, at: usize) -> Option<()> {
        let may = self.slips(Slip::RegistryBeforeCommit) && state.writers[at] == Writer::Idle;
        (may && !state.away).then_some(())?;
        state.writers[at] = Writer::Listed { rows: present(state) };
        Some(())
    }

    /// The timer starts here, earlier than the commit's reply can arrive.
    pub(crate) fn commit(&self, state: &mut State, at: usize) -> Option<()> {
        let rows = match state.writers[at] {
            Writer::Listed { rows } => Some(rows),
            Writer::Idle if !self.slips(Slip::RegistryBeforeCommit) => None,
            _ => return None,
        };
        let is_next = !state.writers[..at].iter().any(is_uncommitted);
        (is_next && !state.away).then_some(())?;
        let changes = is_on(state.revision) == (self.scope.writers[at] == Intent::Remove);
        state.revision += Revision::from(changes);
        state.writers[at] = Writer::Committed { revision: state.revision, since: 0, rows };
        if !changes && self.slips(Slip::NoOpWithoutWaiting) {
            done(state, at);
        }
        Some(())
    }

    /// The registry after the commit. A row that comes later belongs to a replica whose first snapshot has the commit.
    pub(crate) fn list(&self, state: &mut State, at: usize) -> Option<()> {
        let found = present(state);
        (!state.away).then_some(())?;
        let Writer::Committed { rows: rows @ None, .. } = &mut state.writers[at] else { return None };
        *rows = Some(found);
        Some(())
    }

    pub(crate) fn reply(&self, state: &mut State, at: usize) -> Option<()> {
        let Writer::Committed { revision, since, rows } = state.writers[at] else { return None };
        let enforced =
            rows.is_some_and(|rows| self.is_applied(state, revision, rows) || since >= self.wait());
        (enforced || self.slips(Slip::ReturnWithoutWaiting)).then_some(())?;
        done(state, at);
        Some(())
    }

    fn is_applied(&self, state: &State, revision: Revision, rows: Rows) -> bool {
        let missing = state.missing(revision, rows);
        let first = self.slips(Slip::ReturnAfterFirstAcknowledgement) && missing != rows;
        missing == 0 || first
    }

    fn wait(&self) -> Age {
        self.scope.lease - Age::from(self.slips(Slip::WaitLess))
    }
}

impl State {
    /// Of these rows, those that stand and have not applied the revision.
    pub(crate) fn missing(&self, revision: Revision, rows: Rows) -> Rows {
        among(self, |row| row.applied < revision) & rows
    }
}

fn is_uncommitted(writer: &Writer) -> bool {
    matches!(writer, Writer::Idle | Writer::Listed { .. })
}

fn present(state: &State) -> Rows {
    among(state, |_| true)
}

fn among(state: &State, is_meant: impl Fn(&Row) -> bool) -> Rows {
    let rows = state.rows.iter().enumerate();
    rows.filter(|(_, row)| row.as_ref().is_some_and(&is_meant)).map(|(at, _)| 1 << at).sum()
}

fn done(state: &mut State, at: usize) {
    if let Writer::Committed { revision, .. } = state.writers[at] {
        state.acknowledged = state.acknowledged.max(revision);
    }
    state.writers[at] = Writer::Done;
}

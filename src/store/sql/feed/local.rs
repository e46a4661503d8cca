//! The feed of SQLite: one process, so it is a list in its memory. Knows what Postgres keeps in `replica` and
//! `change_log`, and answers the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use doorward_engine::id::Revision;
use tokio::sync::Notify;

use super::super::{StoreError, corrupt};
use super::{CHANGES_MAX, PARTS_MAX};
use crate::store::feed::{Changed, Lagging, Mark, Position, Registration, ReplicaId, Standing};

/// What is told to the replicas of this process.
#[derive(Default)]
pub(in super::super) struct Local {
    told: Mutex<Told>,
    heard: Notify,
}

#[derive(Default)]
struct Told {
    /// The number of the newest change.
    newest: u64,
    /// The newest change that is not listed any more.
    dropped: u64,
    /// Those after it, the oldest first.
    changes: VecDeque<Changed>,
    replicas: BTreeMap<ReplicaId, Row>,
}

struct Row {
    replica: Registration,
    standing: Standing,
    applied: Option<u64>,
}

/// What one look told.
pub(super) struct Look {
    pub(super) position: Position,
    pub(super) stands: bool,
    pub(super) changes: Option<Vec<Changed>>,
}

impl Local {
    /// Tells of a change, before anyone can be answered who has seen it.
    pub(in super::super) fn tell(&self, mut changed: Changed) {
        changed.parts = changed.parts.filter(|parts| parts.len() <= PARTS_MAX);
        let mut told = self.told();
        told.newest += 1;
        told.changes.push_back(changed);
        if told.changes.len() > CHANGES_MAX {
            told.drop_oldest();
        }
    }

    pub(super) fn register(&self, replica: Registration) -> Result<(), StoreError> {
        let mut told = self.told();
        if told.replicas.contains_key(&replica.id) {
            return Err(StoreError::Unavailable("the replica's id was used before".to_owned()));
        }
        let row = Row { standing: Standing::Member, applied: None, replica };
        told.replicas.insert(row.replica.id.clone(), row);
        Ok(())
    }

    pub(super) fn poll(&self, replica: &ReplicaId, since: Option<&Position>) -> Result<Look, StoreError> {
        let since = since.map(number).transpose()?;
        let told = self.told();
        let is_member = told.replicas.get(replica).is_some_and(|row| row.standing == Standing::Member);
        Ok(Look {
            position: Position(told.newest.to_string()),
            stands: is_member && since.is_none_or(|since| since <= told.newest),
            changes: match since {
                Some(since) => told.since(since),
                None => Some(Vec::new()),
            },
        })
    }

    pub(super) fn acknowledge(&self, replica: &ReplicaId, position: &Position) -> Result<(), StoreError> {
        let position = number(position)?;
        let mut told = self.told();
        if let Some(row) = told.replicas.get_mut(replica).filter(|row| row.standing == Standing::Member) {
            row.applied = row.applied.max(Some(position));
            told.drop_applied();
        }
        Ok(())
    }

    pub(super) fn leave(&self, replica: &ReplicaId) {
        let mut told = self.told();
        told.replicas.remove(replica);
        told.drop_applied();
    }

    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }

    pub(super) fn hint(&self) {
        self.heard.notify_one();
    }

    pub(super) fn behind(&self, marks: &[Mark]) -> Vec<Vec<Lagging>> {
        let told = self.told();
        marks.iter().map(|mark| told.behind(mark)).collect()
    }

    pub(super) fn suspend(&self, replicas: &[ReplicaId]) {
        let mut told = self.told();
        for id in replicas {
            if let Some(row) = told.replicas.get_mut(id).filter(|row| row.standing == Standing::Member) {
                row.standing = Standing::Suspended;
            }
        }
    }

    pub(super) fn expire(&self, replicas: &[ReplicaId]) {
        let mut told = self.told();
        for id in replicas {
            let Some(row) = told.replicas.get_mut(id).filter(|row| row.standing == Standing::Suspended)
            else {
                continue;
            };
            row.standing = Standing::Expired;
            if row.replica.stale.is_zero() {
                told.replicas.remove(id);
            }
        }
        told.drop_applied();
    }

    pub(super) fn forget(&self, replicas: &[ReplicaId]) {
        let mut told = self.told();
        told.replicas.retain(|id, row| row.standing != Standing::Expired || !replicas.contains(id));
        told.drop_applied();
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// The changes after that number; none: they are not listed any more.
    fn since(&self, since: u64) -> Option<Vec<Changed>> {
        let skipped = since.checked_sub(self.dropped)?;
        Some(self.changes.iter().skip(usize::try_from(skipped).ok()?).cloned().collect())
    }

    fn behind(&self, mark: &Mark) -> Vec<Lagging> {
        if mark.revision == Revision(0) {
            return Vec::new();
        }
        let lags = |row: &&Row| row.applied.is_none_or(|applied| self.is_after(applied, mark));
        let lagging = |row: &Row| Lagging {
            id: row.replica.id.clone(),
            lease: row.replica.lease,
            stale: row.replica.stale,
            standing: row.standing,
        };
        self.replicas.values().filter(lags).map(lagging).collect()
    }

    /// Whether something that the mark covers came after that number; yes, where it is not known any more.
    fn is_after(&self, applied: u64, mark: &Mark) -> bool {
        let covered = |changed: &Changed| changed.scope == mark.scope && changed.revision <= mark.revision;
        self.since(applied).is_none_or(|changes| changes.iter().any(covered))
    }

    /// Nobody asks again for what everybody has applied.
    fn drop_applied(&mut self) {
        let applied = self.replicas.values().map(|row| row.applied.unwrap_or_default()).min();
        let until = applied.unwrap_or(self.newest).min(self.newest);
        while self.dropped < until {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.changes.pop_front();
        self.dropped += 1;
    }
}

fn number(position: &Position) -> Result<u64, StoreError> {
    position.0.parse().map_err(|_| corrupt("position", &position.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use doorward_engine::change::Part;

    use super::*;

    fn changed(revision: u64) -> Changed {
        Changed { scope: "acme".to_owned(), revision: Revision(revision), parts: Some(vec![Part::Tenant]) }
    }

    fn mark(revision: u64) -> Mark {
        Mark { scope: "acme".to_owned(), revision: Revision(revision) }
    }

    /// A replica with this id, and where it is.
    fn booted(local: &Local, id: &str) -> (ReplicaId, Position) {
        let id = ReplicaId(id.to_owned());
        let lease = Duration::from_secs(3);
        local.register(Registration { id: id.clone(), lease, stale: Duration::ZERO }).unwrap();
        let position = local.poll(&id, None).unwrap().position;
        local.acknowledge(&id, &position).unwrap();
        (id, position)
    }

    fn listed(local: &Local) -> usize {
        local.told().changes.len()
    }

    #[test]
    fn what_everybody_has_applied_is_not_kept() {
        let local = Local::default();
        local.tell(changed(1));
        let (one, two) = (booted(&local, "one"), booted(&local, "two"));
        local.tell(changed(2));
        local.tell(changed(3));
        let position = local.poll(&one.0, Some(&one.1)).unwrap().position;
        local.acknowledge(&one.0, &position).unwrap();
        assert_eq!((listed(&local), local.behind(&[mark(3)]).concat().len()), (2, 1));
        local.acknowledge(&two.0, &Position("2".to_owned())).unwrap();
        assert_eq!((listed(&local), local.behind(&[mark(2)]).concat().len()), (1, 0));
        local.leave(&two.0);
        assert_eq!((listed(&local), local.behind(&[mark(3)]).concat().len()), (0, 0));
    }

    #[test]
    fn who_is_too_far_behind_is_told_that_it_is_too_much_and_stays_behind() {
        let local = Local::default();
        let (id, position) = booted(&local, "one");
        for revision in 1..=10_000 {
            local.tell(changed(revision));
        }
        assert_eq!(local.poll(&id, Some(&position)).unwrap().changes.map(|all| all.len()), Some(10_000));
        local.tell(changed(10_001));
        let look = local.poll(&id, Some(&position)).unwrap();
        assert!(look.stands && look.changes.is_none());
        // The first revision is not listed any more: whether it was applied is not known.
        assert_eq!(local.behind(&[mark(1)]).concat().len(), 1);
        local.acknowledge(&id, &look.position).unwrap();
        assert_eq!(local.behind(&[mark(10_001)]).concat(), []);
        assert_eq!(listed(&local), 0);
    }

    #[test]
    fn a_place_that_is_ahead_does_not_stand() {
        let local = Local::default();
        let (id, _) = booted(&local, "one");
        assert!(!local.poll(&id, Some(&Position("1".to_owned()))).unwrap().stands);
        assert!(local.poll(&id, Some(&Position("x".to_owned()))).is_err());
    }
}

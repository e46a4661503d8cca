//! Filling: what a load has read is in memory, and on its way to Redis, before anybody is answered by it.

use std::sync::Arc;

use super::far::{Far, Scope};
use super::memory::Memory;
use crate::store::{Ask, Epoch, Snapshot, Snapshots, StoreError, SubjectRef};

/// The layer that remembers what the one below says.
#[derive(Clone, Debug)]
pub struct Filling<S> {
    below: S,
    memory: Arc<Memory>,
    far: Option<Far>,
}

impl<S: Snapshots> Filling<S> {
    /// A layer over another, which fills what the replica remembers and, where there is one, Redis.
    pub fn over(below: S, memory: Arc<Memory>, far: Option<Far>) -> Self {
        Self { below, memory, far }
    }
}

impl<S: Snapshots> Snapshots for Filling<S> {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        // The view is there before the load is sent.
        let view = self.memory.views.get_or_insert(&ask.tenant);
        let applied = view.applied();
        let loaded = self.below.snapshot(ask.clone()).await?;
        match self.memory.epoch() {
            Some(epoch) if epoch != loaded.epoch => {
                self.memory.poke();
                return Err(StoreError::Unavailable(
                    "the database is another one than a moment ago".to_owned(),
                ));
            }
            Some(_) if loaded.revision < applied => {
                self.memory.doubt();
                return Err(StoreError::Unavailable("the database has lost what it had".to_owned()));
            }
            _ => {}
        }
        self.memory.saw_catalogue(loaded.in_force.version);
        let filled = self.memory.views.fill(&view, &ask, &loaded);
        if filled.ahead {
            self.memory.poke();
        }
        if let (Some(far), false) = (&self.far, filled.facts.is_empty()) {
            let (epoch, catalogue) = (loaded.epoch, loaded.in_force.version);
            // That there is none is not worth a place that others share.
            let facts = filled.facts.into_iter().filter(|(_, fact)| !fact.value.is_none()).collect();
            let scope = Scope { epoch, tenant: ask.tenant, catalogue };
            match &ask.subject {
                SubjectRef::User(user) => far.put_for(&scope, facts, user),
                _ => far.put(&scope, facts),
            }
        }
        Ok(loaded)
    }

    fn epoch(&self) -> Epoch {
        self.below.epoch()
    }
}

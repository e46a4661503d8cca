//! Leased facts: answers from memory or Redis where the lease allows it, and from below where it does not.

mod hand;

use std::sync::Arc;

use doorward_engine::change::Part;
use doorward_engine::id::ResourceRef;

use super::far::{Far, Scope};
use super::lease::{Fresh, Gate};
use super::memory::Memory;
use super::slip::{pause, stall};
use super::view::{Found, Looked, View};
use crate::store::{
    Ask, Asked, AtHand, Epoch, Freshness, Shown, Snapshot, Snapshots, StoreError, SubjectRef, Tier,
};

/// How many parts are asked of Redis at once; a question that lacks more asks the database.
const FAR_PARTS_MAX: usize = 128;

/// The layer that answers from facts; what the one below reads is in memory when it answers.
#[derive(Clone, Debug)]
pub struct Leased<S> {
    below: S,
    memory: Arc<Memory>,
    far: Option<Far>,
}

impl<S: Snapshots> Leased<S> {
    /// A layer over one that fills this memory, with Redis where there is one.
    pub fn over(below: S, memory: Arc<Memory>, far: Option<Far>) -> Self {
        Self { below, memory, far }
    }

    /// The answer of the caches; degraded, it counts only if the database cannot be reached.
    async fn cached(&self, ask: &Ask) -> Option<Snapshot> {
        let mut shared_loaded = false;
        loop {
            // First the lease, then the view, then the facts: what was told before the lease is in the view.
            let fresh = self.memory.lease.read()?;
            pause().await;
            let view = self.memory.views.get(&ask.tenant)?;
            let (looked, tier) = self.look(&fresh, &view, ask).await;
            match looked {
                Looked::Found(found) => return self.pass(&fresh, found, tier, ask.freshness).await,
                Looked::Missing(parts) if !shared_loaded && is_shared(&parts, ask) => {
                    // Many members miss it at once when it changes: one load for all of them.
                    Box::pin(self.below.snapshot(shared(ask, &parts))).await.ok()?;
                    shared_loaded = true;
                }
                Looked::Missing(_) | Looked::Empty => return None,
            }
        }
    }

    /// Looks in memory, and for what is not there in Redis, which is asked once.
    async fn look(&self, fresh: &Fresh, view: &View, ask: &Ask) -> (Looked, Tier) {
        let looked = view.look(ask);
        let (Some(far), Looked::Missing(parts)) = (&self.far, &looked) else { return (looked, Tier::Near) };
        let Some(catalogue) = view.catalogue().filter(|_| parts.len() <= FAR_PARTS_MAX) else {
            return (looked, Tier::Near);
        };
        let scope = Scope { epoch: fresh.epoch, tenant: ask.tenant.clone(), catalogue };
        let found = match &ask.subject {
            SubjectRef::User(user) => Box::pin(far.get_for(&scope, parts, user)).await,
            _ => {
                let facts = Box::pin(far.get(&scope, parts)).await;
                parts.iter().cloned().zip(facts).filter_map(|(part, fact)| Some((part, fact?))).collect()
            }
        };
        if found.is_empty() {
            return (looked, Tier::Near);
        }
        self.memory.views.fill_far(view, &ask.subject, &found);
        (view.look(ask), Tier::Far)
    }

    /// The gate: a last look at the clock.
    async fn pass(&self, fresh: &Fresh, found: Found, tier: Tier, freshness: Freshness) -> Option<Snapshot> {
        stall().await;
        if !freshness.is_met_by(found.revision) {
            return None;
        }
        let (gate, now) = self.memory.lease.gate(fresh);
        let snapshot = found.snapshot(fresh, now, tier);
        match gate {
            Gate::Open => Some(snapshot),
            Gate::Degraded => Some(Snapshot { degraded: true, ..snapshot }),
            Gate::Shut => None,
        }
    }
}

impl<S: Snapshots> Snapshots for Leased<S> {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        let cached = if self.memory.may_answer(ask.freshness) { self.cached(&ask).await } else { None };
        let degraded = match cached {
            Some(snapshot) if !snapshot.degraded || self.memory.away.is(&self.memory.lease.steady) => {
                return Ok(snapshot);
            }
            other => other,
        };
        match (Box::pin(self.below.snapshot(ask)).await, degraded) {
            (Err(StoreError::Unavailable(_)), Some(snapshot)) => {
                self.memory.away.mark(&self.memory.lease.steady);
                Ok(snapshot)
            }
            (loaded, _) => loaded,
        }
    }

    async fn at_hand(&self, asked: &[Asked<'_>]) -> AtHand {
        self.many_at_hand(asked).await
    }

    async fn one_at_hand<T: Send>(
        &self,
        asked: &Asked<'_>,
        see: impl FnOnce(&Shown<'_>) -> T + Send,
    ) -> Option<T> {
        self.this_at_hand(asked, see).await
    }

    fn epoch(&self) -> Epoch {
        self.memory.epoch().unwrap_or_else(|| self.below.epoch())
    }
}

/// Whether what is missing is not the subject's own.
fn is_shared(parts: &[Part], ask: &Ask) -> bool {
    ask.subject != SubjectRef::Nobody
        && parts.iter().all(|part| matches!(part, Part::Tenant | Part::Resource(_)))
}

/// The question for the missing parts alone.
fn shared(ask: &Ask, parts: &[Part]) -> Ask {
    let resource = |part: &Part| match part {
        Part::Resource(reference) => Some(reference.clone()),
        _ => None,
    };
    let resources: Vec<ResourceRef> = parts.iter().filter_map(resource).collect();
    Ask { tenant: ask.tenant.clone(), subject: SubjectRef::Nobody, resources, freshness: ask.freshness }
}

#[cfg(test)]
mod tests;

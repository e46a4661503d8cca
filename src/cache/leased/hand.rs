//! Many questions at once: one lease before all lookups, one gate behind them, and one moment of each tenant's view.

use super::Leased;
use crate::cache::lease::Gate;
use crate::cache::slip::{pause, stall};
use crate::cache::view::Shared;
use crate::store::{Asked, AtHand, Own, Shown, Snapshots, Tier};

impl<S: Snapshots> Leased<S> {
    /// The facts that are in memory; nothing where a single question would not be answered from it, or not for certain.
    pub(super) async fn many_at_hand(&self, asked: &[Asked<'_>]) -> AtHand {
        let nothing = || AtHand::nothing(asked.len());
        let Some(fresh) = self.memory.lease.read() else { return nothing() };
        pause().await;
        let (mut at_hand, shared) = self.look_for_all(asked);
        stall().await;
        let (gate, now) = self.memory.lease.gate(&fresh);
        // A degraded answer is for those who have found the database away: they are asked one by one.
        if gate != Gate::Open {
            return nothing();
        }
        at_hand.shared.extend(shared.into_iter().map(|shared| shared.snapshot(&fresh, now, Tier::Near)));
        at_hand
    }

    /// The same for one question, whose facts stay where they are.
    pub(super) async fn this_at_hand<T>(
        &self,
        asked: &Asked<'_>,
        see: impl FnOnce(&Shown<'_>) -> T,
    ) -> Option<T> {
        if !self.memory.may_answer(asked.freshness) {
            return None;
        }
        let fresh = self.memory.lease.read()?;
        pause().await;
        let pass = |revision| {
            let (gate, now) = self.memory.lease.gate(&fresh);
            (gate == Gate::Open && asked.freshness.is_met_by(revision)).then_some(now)
        };
        let seen = self.memory.views.show(asked, pass, see)?;
        // A test holds answers up where it can: then the gate is behind that.
        let is_late = stall().await && self.memory.lease.gate(&fresh).0 != Gate::Open;
        (!is_late).then_some(seen)
    }

    /// Each question's own facts, and what those of each tenant share.
    fn look_for_all(&self, asked: &[Asked<'_>]) -> (AtHand, Vec<Shared>) {
        let mut at_hand = AtHand::nothing(asked.len());
        let mut shared = Vec::new();
        let may_be_cached = |(_, asked): &(_, &Asked<'_>)| self.memory.may_answer(asked.freshness);
        let mut questions = Vec::with_capacity(asked.len());
        questions.extend(asked.iter().enumerate().filter(may_be_cached));
        questions.sort_unstable_by_key(|(_, asked)| asked.tenant);
        for questions in questions.chunk_by(|(_, one), (_, other)| one.tenant == other.tenant) {
            let Some(view) = questions.first().and_then(|(_, asked)| self.memory.views.get(asked.tenant))
            else {
                continue;
            };
            let place = shared.len();
            shared.extend(view.look_for_each(questions, |(at, asked), revision, (subject, resource)| {
                if let Some(slot) = at_hand.own.get_mut(at).filter(|_| asked.freshness.is_met_by(revision)) {
                    *slot = Some(Own { tenant: place, subject, resource });
                }
            }));
        }
        (at_hand, shared)
    }
}

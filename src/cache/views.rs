//! The views of a replica, and the clock that makes room among their facts.
//!
//! A view is in the map before the load that fills it is sent, so that whatever the feed tells meanwhile is recorded in
//! it. A load fills the very view that it was sent under: one that was dropped is out of reach, with its facts.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use doorward_engine::change::Part;
use doorward_engine::id::TenantId;
use quick_cache::sync::Cache;

use super::name::Names;
use super::near::Room;
use super::view::{Filled, View};
use crate::store::{Ask, Fact, Snapshot};

/// How many tenants have a view.
const VIEWS_MAX: usize = 65_536;
/// How many places a load looks over for room at least, and under how many of them a view is locked at once.
const SWEPT_FOR_A_LOAD: usize = 4096;
const SWEPT_AT_ONCE: usize = 1024;
/// A fact takes more than this, in bytes.
const FACT_BYTES: u64 = 128;

/// The views of a replica.
#[derive(Debug)]
pub(super) struct Views {
    map: Cache<TenantId, Arc<View>>,
    names: Names,
    room: Arc<Room>,
    /// The way of the clock that makes room: its hand is in the first.
    round: Mutex<VecDeque<Weak<View>>>,
}

impl Views {
    /// Views whose facts take at most so many bytes.
    pub(super) fn within(near_bytes: u64) -> Self {
        Self {
            map: Cache::new(VIEWS_MAX),
            names: Names::new(),
            room: Arc::new(Room::of(near_bytes)),
            round: Mutex::default(),
        }
    }

    pub(super) fn get(&self, tenant: &TenantId) -> Option<Arc<View>> {
        self.map.get(tenant)
    }

    /// The tenant's view; a new one is in the map before this returns.
    pub(super) fn get_or_insert(&self, tenant: &TenantId) -> Arc<View> {
        let mut is_new = false;
        let new = || {
            is_new = true;
            Ok::<_, Infallible>(Arc::new(View::new(self.names, Arc::clone(&self.room))))
        };
        let view = match self.map.get_or_insert_with(tenant, new) {
            Ok(view) => view,
            Err(impossible) => match impossible {},
        };
        if is_new {
            let mut round = self.round();
            round.push_back(Arc::downgrade(&view));
            // Those that were dropped are few beside the others.
            if round.len() > 2 * self.map.len() + 64 {
                round.retain(|view| view.strong_count() > 0);
            }
        }
        view
    }

    fn round(&self) -> MutexGuard<'_, VecDeque<Weak<View>>> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn drop_one(&self, tenant: &TenantId) {
        self.map.remove(tenant);
    }

    pub(super) fn drop_all(&self) {
        self.map.clear();
        self.round().clear();
    }

    /// How many tenants have one.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// What their facts take.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Puts in what a load has read, which was sent when this view was in the map.
    pub(super) fn fill(&self, view: &View, ask: &Ask, loaded: &Snapshot) -> Filled {
        let filled = view.fill(ask, loaded);
        self.make_room();
        filled
    }

    /// Puts in what another replica has read.
    pub(super) fn fill_far(&self, view: &View, part: &Part, fact: &Fact) {
        view.fill_far(part, fact);
        self.make_room();
    }

    /// Lets facts go that have not been used since the hand last came by, while they take more than they may. Where all are
    /// in use a load does its share, and the next one goes on.
    fn make_room(&self) {
        let excess = self.room.excess();
        if excess == 0 {
            return;
        }
        // Where another load is at it, that is enough.
        let mut round = match self.round.try_lock() {
            Ok(round) => round,
            Err(TryLockError::Poisoned(round)) => round.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let mut places =
            SWEPT_FOR_A_LOAD.saturating_add(usize::try_from(excess / FACT_BYTES).unwrap_or(usize::MAX));
        while places > 0
            && self.room.excess() > 0
            && let Some(first) = round.pop_front()
        {
            let Some(view) = first.upgrade() else { continue };
            let mut at_once = places.min(SWEPT_AT_ONCE);
            places -= at_once;
            if view.sweep(&mut at_once) {
                round.push_back(first);
            } else {
                round.push_front(first);
            }
            places += at_once;
        }
    }
}

#[cfg(test)]
mod tests;

//! The views of a replica, and the clock that makes room among their facts.
//!
//! A view is in the map before the load that fills it is sent, so that whatever the feed tells meanwhile is recorded in
//! it. A load fills the very view that it was sent under: one that was dropped is out of reach, with its facts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use dashmap::DashMap;
use dashmap::mapref::one::Ref;
use doorward_engine::change::Part;
use doorward_engine::id::{Revision, TenantId};
use doorward_engine::instant::Instant;

use super::name::{AsSpread, Name, Names};
use super::near::Room;
use super::view::{Filled, View};
use crate::store::{Ask, Asked, Fact, Shown, Snapshot, SubjectRef};

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
    map: DashMap<Name, Place, AsSpread>,
    views_max: usize,
    names: Names,
    room: Arc<Room>,
    /// The way of the clock that makes room: its hand is in the first.
    round: Mutex<VecDeque<(Name, Weak<View>)>>,
}

#[derive(Debug)]
struct Place {
    view: Arc<View>,
    /// Whether somebody has looked for it since it last was the first of the round.
    used: AtomicBool,
}

impl Views {
    /// Views whose facts take at most so many bytes.
    pub(super) fn within(near_bytes: u64) -> Self {
        Self::of(near_bytes, VIEWS_MAX)
    }

    fn of(near_bytes: u64, views_max: usize) -> Self {
        Self {
            map: DashMap::default(),
            views_max,
            names: Names::new(),
            room: Arc::new(Room::of(near_bytes)),
            round: Mutex::default(),
        }
    }

    pub(super) fn get(&self, tenant: &TenantId) -> Option<Arc<View>> {
        self.place(tenant).map(|place| Arc::clone(&place.view))
    }

    /// Shows the facts for one question where they lie, if they are all there and `pass` says of their revision what time
    /// it is. The view stays where it is meanwhile: nothing is counted.
    pub(super) fn show<T>(
        &self,
        asked: &Asked<'_>,
        pass: impl FnOnce(Revision) -> Option<Instant>,
        see: impl FnOnce(&Shown<'_>) -> T,
    ) -> Option<T> {
        // Names before the locks: the lookups behind them, with no work between them, wait for memory together.
        let sought = self.names.sought(asked);
        self.place(asked.tenant)?.view.show(&sought, pass, see)
    }

    fn place(&self, tenant: &TenantId) -> Option<Ref<'_, Name, Place>> {
        let place = self.map.get(&self.names.of_tenant(tenant))?;
        if !place.used.load(Ordering::Relaxed) {
            place.used.store(true, Ordering::Relaxed);
        }
        Some(place)
    }

    /// The tenant's view; a new one is in the map before this returns.
    pub(super) fn get_or_insert(&self, tenant: &TenantId) -> Arc<View> {
        let name = self.names.of_tenant(tenant);
        let mut is_new = false;
        let new = || {
            is_new = true;
            let view = Arc::new(View::new(self.names, Arc::clone(&self.room)));
            Place { view, used: AtomicBool::new(true) }
        };
        let view = Arc::clone(&self.map.entry(name).or_insert_with(new).view);
        if is_new {
            let mut round = self.round();
            round.push_back((name, Arc::downgrade(&view)));
            self.drop_unused(&mut round);
            // Those that were dropped are few beside the others.
            if round.len() > 2 * self.map.len() + 64 {
                round.retain(|(_, view)| view.strong_count() > 0);
            }
        }
        view
    }

    /// Drops views that nobody has looked for since they last were in front, while there are too many.
    fn drop_unused(&self, round: &mut VecDeque<(Name, Weak<View>)>) {
        let mut turns = 2 * round.len();
        while turns > 0
            && self.map.len() > self.views_max
            && let Some((name, first)) = round.pop_front()
        {
            turns -= 1;
            // Another view may be in its place by now, with a turn of its own.
            let is_this = |place: &Place| Weak::as_ptr(&first) == Arc::as_ptr(&place.view);
            let is_unused =
                |_: &Name, place: &Place| is_this(place) && !place.used.swap(false, Ordering::Relaxed);
            if self.map.remove_if(&name, is_unused).is_none() && first.strong_count() > 0 {
                round.push_back((name, first));
            }
        }
    }

    fn round(&self) -> MutexGuard<'_, VecDeque<(Name, Weak<View>)>> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn drop_one(&self, tenant: &TenantId) {
        self.map.remove(&self.names.of_tenant(tenant));
    }

    pub(super) fn drop_all(&self) {
        // A view that comes meanwhile is in the map and in the round, or in neither.
        let mut round = self.round();
        self.map.clear();
        round.clear();
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
    pub(super) fn fill_far(&self, view: &View, subject: &SubjectRef, found: &[(Part, Fact)]) {
        view.fill_far(subject, found);
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
            let Some(view) = first.1.upgrade() else { continue };
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

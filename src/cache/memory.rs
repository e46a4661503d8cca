//! What a replica remembers: facts in memory, views, the lease, and which database it is about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use doorward_engine::change::Part;
use doorward_engine::id::TenantId;
use tokio::sync::Notify;

use super::away::Away;
use super::lease::{Fresh, Gate, Lease};
use super::roster::Page;
use super::view::Looked;
use super::views::Views;
use crate::clock::{Clock, Steady};
use crate::store::act::PLATFORM;
use crate::store::feed::Changed;
use crate::store::{Ask, Epoch, Freshness, Snapshot, Tier};

/// How much is remembered, and for how long it is believed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most bytes of facts.
    pub near_bytes: u64,
    /// For how long after a poll facts are believed; none: for ever, for there is one process.
    pub lease: Option<Duration>,
    /// For how long after that they are, degraded, while the database is away.
    pub stale: Duration,
    /// The clock of ages.
    pub steady: Steady,
    /// The clock of decisions.
    pub clock: Clock,
}

/// What the layers of one replica share.
#[derive(Debug)]
pub struct Memory {
    pub(super) views: Views,
    pub(super) lease: Lease,
    pub(super) away: Away,
    /// The services that may call, as far as they are known.
    roster: ArcSwap<Page>,
    epoch: ArcSwapOption<Epoch>,
    /// The catalogue's version that was loaded last.
    catalogue: AtomicU64,
    poke: Notify,
    doubt: Notify,
}

impl Memory {
    /// A memory of nothing.
    #[must_use]
    pub fn new(options: Options) -> Arc<Self> {
        let Options { near_bytes, lease, stale, steady, clock } = options;
        Arc::new(Self {
            views: Views::within(near_bytes),
            lease: Lease::new(lease, stale, steady, clock),
            away: Away::default(),
            roster: ArcSwap::default(),
            epoch: ArcSwapOption::empty(),
            catalogue: AtomicU64::new(0),
            poke: Notify::new(),
            doubt: Notify::new(),
        })
    }

    /// The epoch that the feed is in; none: it has not been looked at yet.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.epoch.load().as_deref().copied()
    }

    /// The catalogue's version, as far as it is known.
    pub(super) fn catalogue(&self) -> u64 {
        self.catalogue.load(Ordering::Relaxed)
    }

    pub(super) fn saw_catalogue(&self, version: u64) {
        self.catalogue.store(version, Ordering::Relaxed);
    }

    /// Whether it may answer at all: a token of another epoch can be met by the database alone.
    pub(super) fn may_answer(&self, freshness: Freshness) -> bool {
        match freshness {
            Freshness::MinimizeLatency => true,
            Freshness::AtLeast(seen) => self.epoch() == Some(seen.epoch),
            Freshness::Fully => false,
        }
    }

    /// The answer, if it is at hand now and the lease holds: the steps of a check that waits for nothing.
    pub(super) fn answer(&self, ask: &Ask) -> Option<Snapshot> {
        if !self.may_answer(ask.freshness) {
            return None;
        }
        let fresh = self.lease.read()?;
        let view = self.views.get(&ask.tenant)?;
        let Looked::Found(found) = view.look(ask) else { return None };
        let (gate, now) = self.lease.gate(&fresh);
        (gate == Gate::Open && ask.freshness.is_met_by(found.revision))
            .then(|| found.snapshot(&fresh, now, Tier::Near))
    }

    /// Takes in a feed's first look, which tells nothing: whatever was loaded before it may be outdated.
    pub(super) fn begin(&self, epoch: Epoch) {
        self.drop_facts();
        self.epoch.store(Some(Arc::new(epoch)));
    }

    /// Takes in what the feed tells; none: more than it can tell.
    pub(super) fn apply(&self, changes: Option<&[Changed]>) {
        let Some(changes) = changes else { return self.drop_facts() };
        for changed in changes {
            self.apply_one(changed);
        }
    }

    fn apply_one(&self, changed: &Changed) {
        if changed.scope == PLATFORM {
            let touches = |part| changed.parts.as_ref().is_none_or(|parts| parts.contains(&part));
            if touches(Part::Credentials) {
                self.roster.store(Arc::default());
            }
            // Every fact is compiled against the catalogue; of what else is the platform's no fact is made.
            if touches(Part::Catalogue) {
                self.drop_facts();
            }
            return;
        }
        let Ok(tenant) = TenantId::parse(&changed.scope) else { return self.drop_facts() };
        match &changed.parts {
            Some(parts) => {
                if let Some(view) = self.views.get(&tenant) {
                    view.apply(changed.revision, parts);
                }
            }
            None => self.views.drop_one(&tenant),
        }
    }

    /// Everything before `fresh` has been taken in.
    pub(super) fn publish(&self, fresh: Fresh) {
        self.lease.publish(fresh);
    }

    /// Forgets everything. Checks that have read the lease may end by it.
    pub(super) fn forget(&self) {
        self.lease.revoke();
        self.epoch.store(None);
        self.drop_facts();
    }

    /// The page that a load of the roster fills: one that was turned is out of reach, with what it says.
    pub(super) fn roster(&self) -> Arc<Page> {
        self.roster.load_full()
    }

    /// The facts go with their views.
    fn drop_facts(&self) {
        self.roster.store(Arc::default());
        self.views.drop_all();
    }

    /// Lets the feed be looked at now.
    pub(super) fn poke(&self) {
        self.poke.notify_one();
    }

    pub(super) async fn poked(&self) {
        self.poke.notified().await;
    }

    /// Something was seen that cannot be in the life of one database: the feed must begin anew.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// How old the newest look at the feed is; none: there is none to go by.
    #[must_use]
    pub fn feed_age(&self) -> Option<Duration> {
        self.lease.age()
    }

    /// What it holds, for metrics.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            bytes: self.views.room().bytes(),
            facts: self.views.room().facts(),
            views: self.views.len() as u64,
            feed_age: self.lease.age(),
        }
    }
}

/// How much a replica remembers.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    /// Bytes of facts.
    pub bytes: u64,
    /// Facts.
    pub facts: u64,
    /// Tenants with a view.
    pub views: u64,
    /// The age of the newest look at the feed; none: there is none to go by.
    pub feed_age: Option<Duration>,
}

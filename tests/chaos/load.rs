//! The load of a phase: writers that switch things, checkers that ask about them, and when they stop.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lab::{Lab, REPLICAS};
use crate::tally::Tally;
use crate::world::World;
use crate::{checker, writer};

/// Who writes and asks how much.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) writers_per_tenant: usize,
    pub(crate) checkers_per_replica: usize,
    /// The replicas through which mutations go.
    pub(crate) written: Vec<usize>,
    /// The replicas that are asked.
    pub(crate) asked: Vec<usize>,
    /// For how many milliseconds a writer leaves a switch off, and then all of its switches on.
    pub(crate) off_ms: Range<u64>,
    pub(crate) on_ms: Range<u64>,
    /// Questions put to each replica as soon as a mutation is acknowledged, whatever the checkers are waiting for.
    pub(crate) probes: usize,
    /// Whether some checks name a consistency of their own. They are loaded, and so freshen what is cached.
    pub(crate) mixed: bool,
    /// The longest pause of a checker, in milliseconds.
    pub(crate) pause_ms: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            writers_per_tenant: 3,
            checkers_per_replica: 5,
            written: (0..REPLICAS).collect(),
            asked: (0..REPLICAS).collect(),
            off_ms: 0..300,
            on_ms: 0..150,
            probes: 1,
            mixed: true,
            pause_ms: 20,
        }
    }
}

/// Mutations that were acknowledged and not yet looked for in the log: tenant, request id, revision.
pub(crate) type Ledger = Mutex<HashMap<(String, String), u64>>;

/// What writers and checkers share.
pub(crate) struct Load {
    pub(crate) lab: Arc<Lab>,
    pub(crate) world: Arc<World>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) plan: Plan,
    pub(crate) stop: CancellationToken,
    /// Whether the first stale allow ends the load.
    pub(crate) until_violation: bool,
    /// An acknowledgement came: now is the moment to ask.
    pub(crate) acknowledged: Notify,
    pub(crate) probes: TaskTracker,
}

impl Load {
    /// Starts writers and checkers; they end, each after its last answer, when `stop` is cancelled.
    pub(crate) fn start(self: &Arc<Self>, seed: u64) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let mut rng = StdRng::seed_from_u64(seed);
        for tenant in 0..self.world.tenants.len() {
            let targets = self.world.tenants[tenant].targets();
            for lane in 0..self.plan.writers_per_tenant {
                let lanes = self.plan.writers_per_tenant;
                let mine: Vec<_> = targets.iter().copied().skip(lane).step_by(lanes).collect();
                tasks.spawn(writer::run(self.clone(), tenant, mine, StdRng::from_rng(&mut rng)));
            }
        }
        for &replica in &self.plan.asked {
            for _ in 0..self.plan.checkers_per_replica {
                tasks.spawn(checker::run(self.clone(), replica, StdRng::from_rng(&mut rng)));
            }
        }
        tasks
    }

    /// Waits, but not beyond the end of the load.
    pub(crate) async fn pause(&self, milliseconds: u64) {
        let _ = tokio::time::timeout(Duration::from_millis(milliseconds), self.stop.cancelled()).await;
    }
}

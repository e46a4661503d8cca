//! A phase of a run: load, faults one after another, healing, and what must be true afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lab::Lab;
use crate::load::{Ledger, Load, Plan};
use crate::metrics::{MISMATCHES, Metrics};
use crate::schedule::{Lane, Step};
use crate::tally::Tally;
use crate::verify;
use crate::world::World;

/// So long after the healing, checks must succeed.
pub(crate) const RECOVERY: Duration = Duration::from_secs(10);

/// What happens in a phase, and for how long.
pub(crate) struct Course {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) faults: Duration,
    /// How long after the recovery the success of checks is measured. Zero: neither recovery nor measuring.
    pub(crate) measured: Duration,
    /// Whether it ends at the first stale allow, and nothing is looked at afterwards.
    pub(crate) until_violation: bool,
}

/// What lasts longer than a phase.
pub(crate) struct Run {
    pub(crate) lab: Arc<Lab>,
    pub(crate) world: Arc<World>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    /// Up to which revision each tenant's log has been looked at.
    pub(crate) verified: Mutex<BTreeMap<String, u64>>,
}

/// A phase that runs.
pub(crate) struct Phase {
    pub(crate) load: Arc<Load>,
    metrics: Arc<Metrics>,
    struck: Mutex<BTreeMap<String, u64>>,
    counted: Mutex<BTreeMap<String, u64>>,
}

/// What came of a phase.
pub(crate) struct Outcome {
    pub(crate) tally: Arc<Tally>,
    /// How often which kind of fault struck.
    pub(crate) struck: BTreeMap<String, u64>,
    /// What the replicas counted.
    pub(crate) counted: BTreeMap<String, u64>,
    /// How long it took to the first stale allow, or to the end of the load.
    pub(crate) lasted: Duration,
}

impl Run {
    /// A world on machines that have just started.
    pub(crate) async fn start(lab: Arc<Lab>, seed: u64) -> Self {
        let run = Self {
            lab,
            world: Arc::new(World::new()),
            ledger: Arc::default(),
            metrics: Arc::default(),
            verified: Mutex::default(),
        };
        let load = Arc::new(run.load(Plan { probes: 0, ..Plan::default() }, false));
        crate::setup::create(&load, seed).await;
        run
    }

    /// A load that has not begun.
    pub(crate) fn load(&self, plan: Plan, until_violation: bool) -> Load {
        Load {
            lab: self.lab.clone(),
            world: self.world.clone(),
            tally: Arc::default(),
            ledger: self.ledger.clone(),
            plan,
            stop: CancellationToken::new(),
            until_violation,
            acknowledged: Notify::new(),
            probes: TaskTracker::new(),
        }
    }

    /// Goes through a phase.
    pub(crate) async fn go_through(&self, course: &Course, plan: Plan, seed: u64) -> Outcome {
        let phase = Phase {
            load: Arc::new(self.load(plan, course.until_violation)),
            metrics: self.metrics.clone(),
            struck: Mutex::default(),
            counted: Mutex::default(),
        };
        let began = Instant::now();
        let tally = phase.load.tally.clone();
        let tasks = phase.load.start(seed);
        phase.break_things(course, seed).await;
        if course.measured > Duration::ZERO {
            phase.load.pause(milliseconds(RECOVERY)).await;
            tally.heal();
            phase.load.pause(milliseconds(course.measured)).await;
        }
        phase.load.stop.cancel();
        let ended = tally.first_stale_allow().map_or_else(Instant::now, |(at, _)| at);
        if !course.until_violation {
            tasks.join_all().await;
            phase.load.probes.close();
            phase.load.probes.wait().await;
            verify::all(self, &phase.load).await;
            join_all((0..self.lab.replicas.len()).map(|replica| phase.scrape(replica, false))).await;
        }
        let counted = phase.counted.into_inner().unwrap();
        tally.mismatches.add(counted.get(MISMATCHES).copied().unwrap_or_default());
        Outcome {
            tally,
            struck: phase.struck.into_inner().unwrap(),
            counted,
            lasted: ended.duration_since(began),
        }
    }
}

impl Phase {
    async fn break_things(&self, course: &Course, seed: u64) {
        let began = Instant::now();
        let mut rng = StdRng::seed_from_u64(seed ^ 0xfa17);
        let lanes = course.lanes.iter().map(|lane| self.walk(lane, began, StdRng::from_rng(&mut rng)));
        let done = async {
            join_all(lanes).await;
            self.load.pause(milliseconds(course.faults.saturating_sub(began.elapsed()))).await;
        };
        tokio::select! {
            () = done => {}
            () = self.remember_now_and_then(StdRng::seed_from_u64(seed ^ 0x01d)) => {}
        }
    }

    /// Keeps a copy of what Redis holds, to be restored when it is old.
    async fn remember_now_and_then(&self, mut rng: StdRng) {
        loop {
            tokio::time::sleep(Duration::from_millis(rng.random_range(1_500..5_000))).await;
            let remember = async { self.load.lab.redis.lock().await.remember().await };
            let _ = tokio::time::timeout(Duration::from_millis(500), remember).await;
        }
    }

    async fn walk(&self, lane: &[Step], began: Instant, mut rng: StdRng) {
        for step in lane {
            self.pause_until(began, step.from_ms).await;
            if self.load.stop.is_cancelled() {
                return;
            }
            step.fault.strike(self, &mut rng).await;
            *self.struck.lock().unwrap().entry(step.fault.kind()).or_default() += 1;
            self.pause_until(began, step.to_ms).await;
            step.fault.heal(&self.load.lab, &mut rng).await;
        }
    }

    async fn pause_until(&self, began: Instant, at_ms: u64) {
        let left = Duration::from_millis(at_ms).saturating_sub(began.elapsed());
        self.load.pause(milliseconds(left)).await;
    }

    /// Counts what a replica has counted, before it ends or at the end of the phase.
    pub(crate) async fn scrape(&self, replica: usize, ends: bool) {
        let text = self.load.lab.replicas[replica].metrics().await.unwrap_or_default();
        let difference = self.metrics.difference(replica, &text, ends);
        let mut counted = self.counted.lock().unwrap();
        for (series, value) in difference {
            *counted.entry(series).or_default() += value;
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

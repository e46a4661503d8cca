//! How long a revocation takes until it is acknowledged, in peace: with each kind of hint, and with none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::lab::{Lab, REPLICAS, Service, Tuning};
use crate::load::Plan;
use crate::phase::Run;
use crate::proxy::Way;
use crate::tally::Spread;
use crate::world::{AGENTS, MEMBERS, Target};
use crate::writer;

const MUTATIONS: usize = 300;

/// What was measured, and how.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) spread: Spread,
}

/// Measures with each kind of hint, and prints it.
pub(crate) async fn measure_all(seed: u64) -> Vec<Measured> {
    let mut all = Vec::new();
    let direct = Tuning { direct: true, ..Tuning::default() };
    let run = Run::start(Lab::start(direct.clone()).await, seed).await;
    all.push(measure("hints by Redis", &run, seed).await);
    let run = Run::start(Lab::start(Tuning { redis: false, ..direct }).await, seed).await;
    all.push(measure("no Redis: hints by NOTIFY", &run, seed).await);
    let lab = Lab::start(Tuning::default()).await;
    let run = Run::start(lab.clone(), seed).await;
    for replica in 0..REPLICAS {
        lab.link(replica, Service::Redis).set(Way::Hole, Way::Hole);
    }
    all.push(measure("Redis black-holed: hints by NOTIFY", &run, seed).await);
    (0..REPLICAS).for_each(|replica| lab.link(replica, Service::Feed).mute(true));
    all.push(measure("no hints: polls alone", &run, seed).await);
    all
}

async fn measure(name: &'static str, run: &Run, seed: u64) -> Measured {
    let load = Arc::new(run.load(Plan { probes: 0, ..Plan::default() }, false));
    let mut rng = StdRng::seed_from_u64(seed);
    let mut took = Vec::new();
    for number in 0..MUTATIONS {
        let target = Target::Grant(number % MEMBERS, number / MEMBERS % AGENTS);
        let began = Instant::now();
        writer::set(&load, 0, target, false, &mut rng).await;
        took.push(began.elapsed());
        writer::set(&load, 0, target, true, &mut rng).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (error, times) in load.tally.codes() {
        println!("  {error}: {times}");
    }
    for failure in load.tally.failures() {
        println!("  FAILURE {failure}");
    }
    let spread = Spread::of(took);
    println!("revocation, {name}: {spread}");
    Measured { name, spread }
}

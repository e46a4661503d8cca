//! Writers: each sets the switches that are its own, one mutation after another, and repeats one until it is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::checker;
use crate::judge::Switch;
use crate::load::Load;
use crate::mutation::{Acknowledged, Mutation};
use crate::world::{Key, Target, Tenant};

/// Longer than a mutation takes where nothing is broken: it waits for a lease at most.
const DEADLINE: Duration = Duration::from_millis(2_500);
/// A mutation that is not acknowledged by then, with everything healed long before, is a failure.
const GIVE_UP: Duration = Duration::from_secs(90);

/// Switches things of one tenant off and on, until the load ends.
pub(crate) async fn run(load: Arc<Load>, tenant: usize, targets: Vec<Target>, mut rng: StdRng) {
    while !load.stop.is_cancelled() {
        let target = *targets.choose(&mut rng).unwrap();
        if load.world.tenants[tenant].switch(target).last() {
            set(&load, tenant, target, false, &mut rng).await;
        }
        load.pause(rng.random_range(load.plan.off_ms.clone())).await;
        // What is off when the load ends stays off until the next: so there is something to read back.
        if !load.stop.is_cancelled() {
            set(&load, tenant, target, true, &mut rng).await;
            load.pause(rng.random_range(load.plan.on_ms.clone())).await;
        }
    }
}

/// Sets a switch, and returns when that was acknowledged.
pub(crate) async fn set(load: &Arc<Load>, tenant: usize, target: Target, on: bool, rng: &mut StdRng) {
    let world = &load.world.tenants[tenant];
    let (key_id, switch) = match (target, on) {
        (Target::Key(slot), true) => new_key(world, slot),
        (Target::Key(slot), false) => (world.key(slot).id.clone(), world.switch(target)),
        _ => (String::new(), world.switch(target)),
    };
    load.world.heat(tenant, target);
    let request_id = uuid(rng);
    let mutation =
        Mutation { tenant: world, target, on, key_id: key_id.clone(), request_id, deadline: DEADLINE };
    let done = deliver(load, &mutation, &switch, rng).await;
    if let (Target::Key(slot), true) = (target, on) {
        let secret = done.and_then(|done| done.secret);
        *world.keys[slot].write().unwrap() = Arc::new(Key { id: key_id, secret, switch });
    }
    load.world.heat(tenant, target);
    load.acknowledged.notify_waiters();
    for &replica in &load.plan.asked {
        for _ in 0..load.plan.probes {
            load.probes.spawn(checker::probe(load.clone(), replica, tenant, target, StdRng::from_rng(rng)));
        }
    }
}

/// The id and the switch of the key that follows. Nobody can ask about it before it is there.
fn new_key(tenant: &Tenant, slot: usize) -> (String, Arc<Switch>) {
    let before = tenant.key(slot);
    let (stem, number) = before.id.rsplit_once('-').unwrap();
    let id = format!("{stem}-{}", number.parse::<u64>().unwrap() + 1);
    let switch = Switch::new(format!("key {id}"), false);
    (id, switch)
}

/// Sends a mutation, the same one through any replica, until it is acknowledged.
async fn deliver(
    load: &Load,
    mutation: &Mutation<'_>,
    switch: &Switch,
    rng: &mut StdRng,
) -> Option<Acknowledged> {
    let began = Instant::now();
    let mut attempts = 0_u32;
    switch.send(mutation.on);
    while began.elapsed() < GIVE_UP {
        let replica = *load.plan.written.choose(rng).unwrap();
        let mut client = load.lab.replicas[replica].client();
        let patience = DEADLINE + Duration::from_millis(500);
        let answer = tokio::time::timeout(patience, mutation.send(&mut client)).await;
        attempts += 1;
        match answer {
            Ok(Ok(done)) => {
                switch.acknowledge(done.enforced);
                record(load, mutation, &done);
                if attempts == 1 {
                    load.tally.took(began);
                }
                return Some(done);
            }
            Ok(Err(status)) => load.tally.code("mutation", &status),
            Err(_) => {}
        }
        load.tally.retries.add(1);
        tokio::time::sleep(Duration::from_millis(rng.random_range(5..80))).await;
    }
    load.tally.lost.add(1);
    load.tally.fail(format!("never acknowledged: {:?} of {}", mutation.target, mutation.tenant.id));
    None
}

fn record(load: &Load, mutation: &Mutation<'_>, done: &Acknowledged) {
    load.tally.mutations.add(1);
    load.tally.replayed.add(u64::from(done.replayed));
    load.tally.unenforced.add(u64::from(!done.enforced));
    let key = (mutation.tenant.id.clone(), mutation.request_id.clone());
    load.ledger.lock().unwrap().insert(key, done.revision);
    mutation.tenant.token.lock().unwrap().clone_from(&done.token);
}

/// A UUID that no other mutation of this process has: random from the seed, but for a number.
fn uuid(rng: &mut StdRng) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let (a, b, c): (u32, u16, u16) = (rng.random(), rng.random(), rng.random());
    let (c, number) = (c & 0x0fff, NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{a:08x}-{b:04x}-4{c:03x}-8000-{number:012x}")
}

//! When which fault strikes and is healed: random plans from a seed. No I/O.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::fault::{Fault, Trouble};
use crate::lab::{REPLICAS, Service};

/// A fault, from one millisecond of the phase to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    pub(crate) fault: Fault,
}

/// Steps that follow each other; lanes run side by side.
pub(crate) type Lane = Vec<Step>;

/// Two lanes of random faults, which never break the same thing at once.
pub(crate) fn random(rng: &mut StdRng, milliseconds: u64) -> Vec<Lane> {
    let first = lane(rng, milliseconds, &[], 300..1_500);
    let second = lane(rng, milliseconds, &first, 1_500..6_000);
    vec![first, second]
}

fn lane(rng: &mut StdRng, milliseconds: u64, beside: &[Step], gap: std::ops::Range<u64>) -> Lane {
    let mut steps = Vec::new();
    let mut from_ms = rng.random_range(gap.clone());
    loop {
        let fault = any(rng);
        let to_ms = from_ms + lasts(&fault, rng);
        if to_ms > milliseconds {
            return steps;
        }
        let step = Step { from_ms, to_ms, fault };
        // A margin, because starting a process takes a while.
        let meets = |other: &&Step| other.from_ms < to_ms + 1_000 && from_ms < other.to_ms + 1_000;
        if beside.iter().filter(meets).all(|other| other.fault.goes_with(&step.fault)) {
            steps.push(step);
            from_ms = to_ms + rng.random_range(gap.clone());
        }
    }
}

fn lasts(fault: &Fault, rng: &mut StdRng) -> u64 {
    match *fault {
        Fault::RedisPause(milliseconds) => milliseconds,
        Fault::RedisFlush | Fault::RedisPoison | Fault::RedisSwap => rng.random_range(100..600),
        Fault::PostgresRestart => rng.random_range(50..2_000),
        Fault::Pause(_) if rng.random_bool(0.5) => rng.random_range(200..1_200),
        Fault::Kill(_) | Fault::Terminate(_) if rng.random_bool(0.5) => rng.random_range(0..500),
        _ => rng.random_range(1_000..6_000),
    }
}

fn any(rng: &mut StdRng) -> Fault {
    let replica = rng.random_range(0..REPLICAS);
    match rng.random_range(0..100) {
        0..12 => Fault::Kill(replica),
        12..26 => Fault::Pause(replica),
        26..32 => Fault::Terminate(replica),
        32..36 => Fault::RedisKill,
        36..40 => Fault::RedisFlush,
        40..46 => Fault::RedisRestore,
        46..51 => Fault::RedisPoison,
        51..56 => Fault::RedisSwap,
        56..59 => Fault::RedisPause(rng.random_range(500..4_000)),
        59..65 => Fault::HintsMuted,
        65..71 => Fault::PostgresRestart,
        71..82 => Fault::Link(replica, Service::Feed, trouble(rng)),
        _ => Fault::Link(replica, *Service::ALL.choose(rng).unwrap(), trouble(rng)),
    }
}

fn trouble(rng: &mut StdRng) -> Trouble {
    let delay = *[20, 100, 300, 700, 900, 1_500].choose(rng).unwrap();
    let any = [
        Trouble::Cut,
        Trouble::Hole,
        Trouble::HoleUp,
        Trouble::HoleDown,
        Trouble::DelayUp(delay),
        Trouble::DelayDown(delay),
    ];
    *any.choose(rng).unwrap()
}

//! What an answer from memory costs, and what the near cache's crate costs beside a sharded map that evicts nothing:
//! `cargo bench --bench near`, on a quiet machine; docs/decisions/0010.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads the clock")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that cannot begin ends")]

#[path = "near/hit.rs"]
mod hit;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Instant;

use criterion::{BatchSize, Criterion};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

const ENTRIES: u64 = 200_000;
const LOOKUPS: usize = 1 << 20;
/// How many of those that are put in and taken out again are there at once.
const HELD: usize = 1000;
const SHARDS: usize = 8;
const WEIGHT: u64 = 300;

type Key = (u64, Box<str>);
type Fact = Arc<[u8; 200]>;

trait Table: Sync {
    fn get(&self, key: &Key) -> Option<Fact>;
    fn insert(&self, key: Key, fact: Fact);
    fn remove(&self, key: &Key);
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Fact> for Bytes {
    fn weight(&self, _: &Key, _: &Fact) -> u64 {
        WEIGHT
    }
}

impl Table for Cache<Key, Fact, Bytes> {
    fn get(&self, key: &Key) -> Option<Fact> {
        Self::get(self, key)
    }

    fn insert(&self, key: Key, fact: Fact) {
        Self::insert(self, key, fact);
    }

    fn remove(&self, key: &Key) {
        Self::remove(self, key);
    }
}

struct Shards {
    hasher: RandomState,
    maps: [RwLock<HashMap<Key, Fact>>; SHARDS],
}

impl Shards {
    fn of(&self, key: &Key) -> &RwLock<HashMap<Key, Fact>> {
        &self.maps[(self.hasher.hash_one(key) >> 32) as usize % SHARDS]
    }
}

impl Table for Shards {
    fn get(&self, key: &Key) -> Option<Fact> {
        self.of(key).read().unwrap().get(key).cloned()
    }

    fn insert(&self, key: Key, fact: Fact) {
        self.of(&key).write().unwrap().insert(key, fact);
    }

    fn remove(&self, key: &Key) {
        self.of(key).write().unwrap().remove(key);
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    hit::measure(&mut criterion);
    let (uniform, zipf) = (order(1, None), [order(3, Some(0.99)), order(4, Some(0.99))]);
    let cache = Cache::with_weighter(ENTRIES as usize, ENTRIES * WEIGHT * 13 / 10, Bytes);
    measure(&mut criterion, "quick_cache", &cache, &uniform, &zipf);
    let map = Shards { hasher: RandomState::new(), maps: Default::default() };
    measure(&mut criterion, "a map", &map, &uniform, &zipf);
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, name: &str, table: &impl Table, uniform: &[Key], zipf: &[Vec<Key>; 2]) {
    let fact: Fact = Arc::new([0; 200]);
    (0..ENTRIES).for_each(|at| table.insert(key(at), Arc::clone(&fact)));
    let mut group = criterion.benchmark_group(name);
    for (what, keys) in [("get, uniform", uniform), ("get, zipf", &zipf[0])] {
        let mut keys = keys.iter().cycle();
        group.bench_function(what, |bencher| bencher.iter(|| keys.next().map(|key| get(table, key))));
    }
    group.bench_function("get, zipf, 2 threads", |bencher| {
        bencher.iter_custom(|count| {
            let start = Instant::now();
            thread::scope(|scope| {
                for keys in zipf {
                    scope.spawn(move || {
                        keys.iter().cycle().zip(0..count).for_each(|(key, _)| get(table, key))
                    });
                }
            });
            start.elapsed()
        });
    });
    let mut ends = (ENTRIES..).map(key);
    group.bench_function("insert, then remove another", |bencher| {
        let mut held = VecDeque::new();
        let next = || ends.next().unwrap();
        bencher.iter_batched(
            next,
            |key| {
                held.push_back(key.clone());
                table.insert(key, Arc::clone(&fact));
                if held.len() > HELD
                    && let Some(oldest) = held.pop_front()
                {
                    table.remove(&oldest);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn get(table: &impl Table, key: &Key) {
    assert!(black_box(table.get(key)).is_some(), "everything fits");
}

fn key(at: u64) -> Key {
    (at % 1000, format!("01932e4c-7a1b-7c2d-8e3f-{at:012x}").into())
}

/// Keys in the order of their lookup: each as likely as the other, or by Zipf's law.
fn order(seed: u64, exponent: Option<f64>) -> Vec<Key> {
    let weight = |rank: u64| exponent.map_or(1.0, |exponent| (rank as f64).powf(-exponent));
    let sums = (1..=ENTRIES).scan(0.0, |sum, rank| {
        *sum += weight(rank);
        Some(*sum)
    });
    let sums: Vec<f64> = sums.collect();
    let mut state = seed;
    let draws = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let point = (state >> 11) as f64 / (1u64 << 53) as f64 * sums[sums.len() - 1];
        // 7,919 is a prime that does not divide the number of keys: what is often asked for lies apart.
        key(sums.partition_point(|&sum| sum < point) as u64 * 7919 % ENTRIES)
    });
    draws.take(LOOKUPS).collect()
}

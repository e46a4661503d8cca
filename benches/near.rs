//! What the near cache's crate costs beside a sharded map that evicts nothing: `cargo bench --bench near`, docs/decisions/0010.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads the clock")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that cannot begin ends")]

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Instant;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

const ENTRIES: u64 = 200_000;
const LOOKUPS: usize = 1 << 20;
/// The caches take turns; what is printed is the median of the rounds.
const ROUNDS: usize = 5;
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
    let orders = [order(1, None), order(2, None)];
    let zipf = [order(3, Some(0.99)), order(4, Some(0.99))];
    let names = ["insert", "get, uniform", "get, zipf", "get, zipf, 2 threads", "remove"];
    let mut rounds: Vec<[[f64; 5]; 2]> = Vec::new();
    for _ in 0..ROUNDS {
        let cache = Cache::with_weighter(ENTRIES as usize, ENTRIES * WEIGHT * 13 / 10, Bytes);
        let map = Shards { hasher: RandomState::new(), maps: Default::default() };
        rounds.push([measure(&cache, &orders, &zipf), measure(&map, &orders, &zipf)]);
    }
    println!("{:<22} quick_cache   map   ratio", "median, ns");
    for (at, name) in names.iter().enumerate() {
        let [cache, map] = [0, 1].map(|table| median(rounds.iter().map(|round| round[table][at])));
        let ratio = median(rounds.iter().map(|round| round[0][at] / round[1][at]));
        println!("{name:<22} {cache:11.0} {map:5.0} {ratio:7.2}");
    }
}

fn measure(table: &impl Table, uniform: &[Vec<Key>; 2], zipf: &[Vec<Key>; 2]) -> [f64; 5] {
    let fresh: Vec<_> = (0..ENTRIES).map(|at| (key(at), Arc::new([0; 200]))).collect();
    let gone: Vec<_> = (0..ENTRIES).step_by(3).map(key).collect();
    let insert = each(ENTRIES as usize, || fresh.into_iter().for_each(|(key, fact)| table.insert(key, fact)));
    let [one, skewed] = [&uniform[0], &zipf[0]].map(|keys| each(LOOKUPS, || look(table, keys)));
    let two = each(LOOKUPS, || {
        thread::scope(|scope| zipf.iter().for_each(|keys| drop(scope.spawn(|| look(table, keys)))));
    });
    let remove = each(gone.len(), || gone.iter().for_each(|key| table.remove(key)));
    [insert, one, skewed, two, remove]
}

fn look(table: &impl Table, keys: &[Key]) {
    assert_eq!(keys.iter().filter(|key| black_box(table.get(key)).is_none()).count(), 0, "everything fits");
}

fn each(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / count as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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

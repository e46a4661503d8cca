//! The targets of fuzzing over their committed seeds, and over the same seeds with changes: what fuzzing has found stays
//! found. It knows seeds as files, and of each target no more than its name.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "how long it may take is part of it")]

#[path = "../it/matrix/requests.rs"]
mod requests;
mod seeds;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use doorward::fuzzing::{TARGETS, Target};

/// How many changed seeds each target is given, if there is time.
const CHANGED: usize = 1_500;
/// As much time has each target for them.
const TIME_MAX: Duration = Duration::from_millis(1_500);
/// The most bytes of an input.
const BYTES_MAX: usize = 4_096;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The seeds, in the order of their names.
fn seeds_of(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<_> =
        fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read =
        |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// Draws the same numbers each time.
struct Draw(u64);

impl Draw {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// One to four changes; a piece of another seed may be among them.
    fn changed(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let to = (at + 1 + self.below(8)).min(bytes.len());
            let byte = [0, b'\n', b'"', 0x7f, 0xff, b'_', self.next().to_le_bytes()[0]][self.below(7)];
            match self.below(6) {
                0 => bytes.insert(at, byte),
                1 if at < to => drop(bytes.drain(at..to)),
                2 if at < to => bytes[at] ^= 1 << self.below(8),
                3 if at < to => bytes[at] = byte,
                4 if at < to => bytes.extend_from_within(at..to),
                _ => {
                    let from = self.below(other.len());
                    bytes.splice(at..at, other[from..].iter().take(32).copied());
                }
            }
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }
}

#[track_caller]
fn run((name, target): Target, from: &str, bytes: &[u8]) {
    let survived = catch_unwind(|| target(bytes)).is_ok();
    assert!(survived, "{name}, {from}: {:?}", bytes.escape_ascii().to_string());
}

#[test]
fn every_target_has_its_file_and_a_few_dozen_small_seeds() {
    for (name, _) in TARGETS {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{name}.rs"));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("doorward::fuzzing::{name}(")), "{name}");
        let seeds = seeds_of(name);
        assert!((4..=100).contains(&seeds.len()), "{name} has {} seeds", seeds.len());
        for (seed, bytes) in seeds {
            assert!(bytes.len() <= 32 * 1024, "{name}/{seed} has {} bytes", bytes.len());
        }
    }
}

#[test]
fn every_seed_does_what_it_should() {
    for target in TARGETS {
        for (seed, bytes) in seeds_of(target.0) {
            run(target, &seed, &bytes);
        }
    }
}

#[test]
fn so_do_seeds_with_changes() {
    for target in TARGETS {
        let (seeds, mut draw, began) = (seeds_of(target.0), Draw(7), Instant::now());
        for _ in 0..CHANGED {
            let (seed, other) = (draw.below(seeds.len()), draw.below(seeds.len()));
            let bytes = draw.changed(&seeds[seed].1, &seeds[other].1);
            run(target, &seeds[seed].0, &bytes);
            if began.elapsed() > TIME_MAX {
                break;
            }
        }
    }
}

/// For those who have added a target or an RPC: `cargo test --features slips,fuzzing --test fuzz_seeds -- --ignored`.
#[test]
#[ignore = "writes the seeds"]
fn seeds_are_written() {
    for (target, name, bytes) in seeds::all() {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(corpus(target).join(name), bytes).unwrap();
    }
}

//! What processes use: memory and time of the processor, as Linux tells; elsewhere nothing is known.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::tally::rate;

/// Ticks of the processor's clock in a second, as Linux shows them to everybody.
const TICKS_PER_S: f64 = 100.0;
const BETWEEN_SAMPLES: Duration = Duration::from_millis(200);

/// The processes of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Processes {
    server: Option<u32>,
    postgres: Option<u32>,
}

/// What was used in a phase; of the processor, in cores.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) server: f64,
    pub(crate) postgres: f64,
    pub(crate) load: f64,
    /// The server's memory at the most, in bytes.
    pub(crate) memory: u64,
}

/// What was used by then.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    ticks: [u64; 3],
    memory: u64,
}

/// Looks at what is used, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<Sample>);

impl Samples {
    /// What was used from then until then.
    pub(crate) fn within(&self, from: Instant, until: Instant) -> Usage {
        let inside: Vec<_> = self.0.iter().filter(|sample| (from..=until).contains(&sample.at)).collect();
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else { return Usage::default() };
        let seconds = (last.at - first.at).as_secs_f64().max(0.001);
        let [server, postgres, load] = std::array::from_fn(|which| {
            rate(last.ticks[which].saturating_sub(first.ticks[which]), seconds) / TICKS_PER_S
        });
        let memory = inside.iter().map(|sample| sample.memory).max().unwrap_or(0);
        Usage { server, postgres, load, memory }
    }
}

/// Work that is watched; it has ended when this is dropped, also by a panic.
struct Watched<'a>(&'a AtomicBool);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Stat {
    name: String,
    parent: u32,
    ticks: u64,
}

impl Processes {
    /// The children of this process that are known by their names.
    pub(crate) fn find() -> Self {
        let all = all();
        let child = |name: &str| {
            let found = all.iter().find(|(_, stat)| stat.parent == std::process::id() && stat.name == name);
            found.map(|(id, _)| *id)
        };
        Self { server: child("doorward"), postgres: child("postgres") }
    }

    /// The server's memory, in bytes.
    pub(crate) fn memory(self) -> u64 {
        let status = self.server.and_then(|id| fs::read_to_string(format!("/proc/{id}/status")).ok());
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Does something, and looks every now and then at what is used.
    pub(crate) fn watch<T>(self, work: impl FnOnce() -> T) -> (T, Samples) {
        let (done, samples) = (AtomicBool::new(false), Mutex::<Vec<Sample>>::default());
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    samples.lock().unwrap().push(self.sample());
                    std::thread::sleep(BETWEEN_SAMPLES);
                }
            });
            let _watched = Watched(&done);
            work()
        });
        let mut samples = samples.into_inner().unwrap();
        samples.push(self.sample());
        (result, Samples(samples))
    }

    fn sample(self) -> Sample {
        Sample { at: Instant::now(), ticks: self.ticks(), memory: self.memory() }
    }

    /// Of the server, of Postgres with its children, of this process.
    fn ticks(self) -> [u64; 3] {
        let all = all();
        let of = |id: Option<u32>| id.and_then(|id| all.get(&id)).map_or(0, |stat| stat.ticks);
        let children = all.values().filter(|stat| Some(stat.parent) == self.postgres);
        let children: u64 = children.map(|stat| stat.ticks).sum();
        [of(self.server), of(self.postgres) + children, of(Some(std::process::id()))]
    }
}

fn all() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let id = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    entries.filter_map(id).filter_map(|id| Some((id, stat(id)?))).collect()
}

/// The name stands in parentheses, and may hold anything.
fn stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (before, after) = text.rsplit_once(')')?;
    let fields: Vec<_> = after.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let name = before.split_once('(')?.1.to_owned();
    Some(Stat { name, parent: fields.get(1)?.parse().ok()?, ticks })
}

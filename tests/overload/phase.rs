//! The course of a run: what the server can do, then less than that, as much, twice and ten times as much, and less again;
//! with cached checks going on all the time.

use std::time::Duration;

use crate::load::{Load, Segment, Stream};
use crate::tally::{Tally, WINDOW};
use crate::usage::{Processes, Usage};
use crate::world::Kind;

/// Of the connections that a flood comes over, on each thread.
const CONNECTIONS: usize = 32;
/// How much worse a window of half the load may be than the worst before, to count as recovered.
const WORSE_MAX: u32 = 2;

/// What a server is flooded with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// How many calls are outstanding while it is found out what the server can do.
    pub(crate) sweep: &'static [usize],
}

/// How long everything takes, and what goes on meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    /// Of each step of the sweep.
    pub(crate) step: Duration,
    /// Of each flood.
    pub(crate) flood: Duration,
    /// Of half the load: before and after.
    pub(crate) half: Duration,
    /// Cached checks in a second.
    pub(crate) cached_rate: f64,
}

/// The parts of a course after the sweep, by how much of the capacity is offered.
pub(crate) const FACTORS: [f64; 6] = [0.0, 0.5, 1.0, 2.0, 10.0, 0.5];

/// A part of the course.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) factor: f64,
    /// Calls due in a second.
    pub(crate) offered: f64,
    pub(crate) flood: Tally,
    pub(crate) cached: Tally,
    pub(crate) usage: Usage,
}

/// What came of a workload.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) workload: Workload,
    /// Good answers in a second, by how many calls were outstanding.
    pub(crate) sweep: Vec<(usize, f64)>,
    /// With how many it was best.
    pub(crate) best: usize,
    /// The same with so many, for as long as a flood.
    pub(crate) capacity: f64,
    /// The same again when all was over: how steady the machine was.
    pub(crate) capacity_after: f64,
    /// In the order of [`FACTORS`].
    pub(crate) phases: Vec<Phase>,
}

impl Outcome {
    /// The part in which so much was offered.
    pub(crate) fn phase(&self, factor: f64) -> &Phase {
        self.phases.iter().find(|phase| phase.factor.total_cmp(&factor).is_eq()).unwrap()
    }

    /// Good answers of a part, as a share of the capacity.
    pub(crate) fn share(&self, factor: f64) -> f64 {
        self.phase(factor).flood.goodput() / self.capacity
    }

    /// By when half the load was answered as before the floods; none: not within the course.
    pub(crate) fn recovered_after(&self) -> Option<Duration> {
        let [_, before, .., after] = self.phases.as_slice() else { return None };
        let p99s = before.flood.windows.iter().filter_map(|window| window.latencies.at(990));
        let worst = p99s.max()? * WORSE_MAX;
        let is_bad = |window: &crate::tally::Window| {
            window.unanswered > 0 || window.latencies.at(990).is_some_and(|p99| p99 > worst)
        };
        // From there on: the next is no worse either. A single later hiccup is the machine's.
        let windows = &after.flood.windows;
        let found = windows.windows(2).position(|pair| !pair.iter().any(is_bad))?;
        Some(WINDOW * u32::try_from(found + 1).ok()?)
    }
}

/// Runs a workload through its course.
pub(crate) fn run(load: &Load, processes: Processes, workload: Workload, course: Course) -> Outcome {
    let cached = |segments| Stream { kind: Kind::Cached, connections: 4, segments };
    let one = |outstanding, lasting| {
        let beside = [cached(vec![Segment { rate: course.cached_rate, lasting }])];
        load.closed(workload.kind, outstanding, lasting, &beside).goodput()
    };
    // The first answers are slow: connections, statements and pages are new.
    one(workload.sweep.first().copied().unwrap_or(1), course.step);
    let sweep = workload.sweep.iter().map(|&outstanding| (outstanding, one(outstanding, course.step)));
    let sweep: Vec<_> = sweep.collect();
    let best = sweep.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap().0;
    // The best of several short steps has been lucky too.
    let capacity = one(best, course.flood);
    println!("{}: {capacity:.0} a second with {best} outstanding", workload.name);
    let lasting = |factor: f64| if factor < 1.0 { course.half } else { course.flood };
    let segments = |rate: &dyn Fn(f64) -> f64| {
        FACTORS.iter().map(|&factor| Segment { rate: rate(factor), lasting: lasting(factor) }).collect()
    };
    let flood = Stream {
        kind: workload.kind,
        connections: CONNECTIONS,
        segments: segments(&|factor| factor * capacity),
    };
    let cached = cached(segments(&|_| course.cached_rate));
    let ((mut tallies, mut began), samples) = processes.watch(|| load.open(&[flood, cached]));
    let (cached, floods) = (tallies.remove(1), tallies.remove(0));
    let phases = FACTORS.iter().zip(floods.into_iter().zip(cached)).map(|(&factor, (flood, cached))| {
        let ended = began + lasting(factor);
        let usage = samples.within(began, ended);
        began = ended;
        Phase { factor, offered: factor * capacity, flood, cached, usage }
    });
    let phases = phases.collect();
    Outcome { workload, sweep, best, capacity, capacity_after: one(best, course.flood), phases }
}

//! Drives a load from threads of its own, each with a runtime and connections, and weighs it: what became of the calls, and
//! what the server used meanwhile.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::Duration;

use tokio::runtime::Builder;

use super::Error;
use super::call::{Call, Calls};
use super::connection::{Connection, Tokens};
use super::figures::Figures;
use super::load::{self, Answers, Pace};
use super::stream::Stream;
use super::tally::Tally;
use super::usage::Usage;

/// From where, and how hard, calls are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drive {
    pub(super) threads: usize,
    /// On all threads together.
    pub(super) connections: usize,
    /// By all threads together.
    pub(super) pace: Pace,
    /// Before it counts.
    pub(super) warmup: Duration,
    pub(super) time: Duration,
    /// Questions go on a stream for each connection, instead of a call each.
    pub(super) is_streaming: bool,
}

/// What calls are sent on.
enum Line {
    Calls(Connection),
    Stream(Stream),
}

impl Answers for Line {
    async fn ask(&self, call: &Call) -> Result<(), String> {
        match self {
            Self::Calls(connection) => connection.ask(call).await,
            Self::Stream(stream) => stream.ask(call).await,
        }
    }
}

impl Drive {
    /// Sends each of the calls once.
    pub(super) fn once(self) -> Self {
        Self { warmup: Duration::ZERO, time: Duration::MAX, ..self }
    }

    /// Sends calls, and weighs.
    pub(super) fn run(
        self,
        (address, tokens): (SocketAddr, &Tokens),
        calls: &Calls,
        usage: impl Fn() -> Option<Usage>,
    ) -> Result<Figures, Error> {
        let threads = self.threads.clamp(1, self.connections.max(1));
        let (ready, begun) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
        let part = Part { drive: self, threads, address, tokens, calls, ready: &ready, begun: &begun };
        let (before, tallies) = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|at| scope.spawn(move || part.run(at))).collect();
            ready.wait();
            let before = usage();
            begun.wait();
            let ended = running.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err("a thread of the load ended in a panic".to_owned()))
            });
            (before, ended.collect::<Vec<_>>())
        });
        let after = usage();
        let mut sum = Tally::default();
        for tally in tallies {
            sum.add(&tally.map_err(Error)?);
        }
        Ok(Figures::of(&sum, before.zip(after)))
    }
}

/// What every thread is given.
#[derive(Clone, Copy)]
struct Part<'a> {
    drive: Drive,
    threads: usize,
    address: SocketAddr,
    tokens: &'a Tokens,
    calls: &'a Calls,
    /// Passed when all are warm.
    ready: &'a Barrier,
    /// Passed when it counts.
    begun: &'a Barrier,
}

impl Part<'_> {
    fn run(self, at: usize) -> Result<Tally, String> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string());
        let warm = runtime.and_then(|runtime| {
            let connections = runtime.block_on(self.warm(at))?;
            Ok((runtime, connections))
        });
        // The others wait for this one, whatever became of it.
        self.ready.wait();
        self.begun.wait();
        let (runtime, connections) = warm?;
        Ok(runtime.block_on(load::run(&connections, self.calls, self.pace(), self.drive.time)))
    }

    async fn warm(self, at: usize) -> Result<Vec<Line>, String> {
        let mut connections = Vec::new();
        for _ in (at..self.drive.connections.max(1)).step_by(self.threads) {
            connections.push(if self.drive.is_streaming {
                Line::Stream(Stream::open(self.address, self.tokens).await?)
            } else {
                Line::Calls(Connection::open(self.address, self.tokens).await?)
            });
        }
        if !self.drive.warmup.is_zero() {
            load::run(&connections, self.calls, self.pace(), self.drive.warmup).await;
        }
        Ok(connections)
    }

    fn pace(self) -> Pace {
        match self.drive.pace {
            Pace::Open(rate) => Pace::Open(rate / self.threads as f64),
            closed => closed,
        }
    }
}

//! Load: calls that follow each other (closed loop), and calls that are due at instants fixed in advance, whatever becomes of
//! those before them (open loop). A latency counts from the instant at which its call was due. It knows no socket.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::time::timeout;

use super::call::{Call, Calls};
use super::pace::Pacer;
use super::tally::Tally;
use crate::clock::Stopwatch;

/// The most calls that one thread of an open loop has outstanding; what is due beyond them is told, and not sent.
const OUTSTANDING_MAX: usize = 4_096;
/// How long the last answers are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whoever answers calls.
pub(super) trait Answers {
    /// Sends a call and waits for its end; an error is a text that all that failed alike have.
    fn ask(&self, call: &Call) -> impl Future<Output = Result<(), String>>;
}

/// When calls are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// On each connection so many follow each other.
    Closed(usize),
    /// So many in a second, by one thread.
    Open(f64),
}

/// One thread's part: until the time is over, or there are no calls any more.
pub(super) async fn run(answers: &[impl Answers], calls: &Calls, pace: Pace, time: Duration) -> Tally {
    let load = Load { watch: Stopwatch::start(), calls, tally: RefCell::default() };
    let sent = match pace {
        Pace::Closed(in_flight) => load.closed(answers, in_flight, time).await,
        Pace::Open(rate) => load.open(answers, rate, time).await,
    };
    let mut tally = load.tally.into_inner();
    tally.time = load.watch.elapsed();
    let ended = tally.calls() + tally.failures();
    tally.failed("no answer".to_owned(), sent.saturating_sub(ended));
    tally
}

struct Load<'a> {
    watch: Stopwatch,
    calls: &'a Calls,
    tally: RefCell<Tally>,
}

impl Load<'_> {
    /// Sends a call that was due then.
    async fn ask(&self, answers: &impl Answers, call: &Call, due: Duration) {
        let answer = answers.ask(call).await;
        let latency = self.watch.elapsed().saturating_sub(due);
        self.tally.borrow_mut().ended(call, latency, answer);
    }

    async fn closed(&self, answers: &[impl Answers], in_flight: usize, time: Duration) -> u64 {
        let sent = Cell::new(0);
        let lanes = answers.iter().flat_map(|answers| std::iter::repeat_n(answers, in_flight.max(1)));
        let lanes = lanes.map(|answers| self.lane(answers, time, &sent));
        // Those that do not end are told as not answered.
        let _ = timeout(time.saturating_add(PATIENCE), join_all(lanes)).await;
        sent.into_inner()
    }

    async fn lane(&self, answers: &impl Answers, time: Duration, sent: &Cell<u64>) {
        while self.watch.elapsed() < time {
            let Some(call) = self.calls.next() else { break };
            sent.set(sent.get() + 1);
            self.ask(answers, call, self.watch.elapsed()).await;
        }
    }

    async fn open(&self, answers: &[impl Answers], rate: f64, time: Duration) -> u64 {
        let period = Duration::from_secs_f64(1.0 / rate.clamp(0.001, 1e9));
        let mut pacer = match Pacer::every(period) {
            Ok(pacer) => pacer,
            Err(error) => {
                self.tally.borrow_mut().failed(format!("no timer: {error}"), 1);
                return 0;
            }
        };
        let (mut due, mut sent, mut outstanding) = (1_u32, 0_u64, FuturesUnordered::new());
        loop {
            tokio::select! {
                Some(()) = outstanding.next() => continue,
                _ = pacer.tick() => {}
            }
            let now = self.watch.elapsed();
            while due < u32::MAX && period * due <= now.min(time) {
                let (at, in_turn) = (period * due, due as usize % answers.len().max(1));
                due += 1;
                if outstanding.len() >= OUTSTANDING_MAX {
                    self.tally.borrow_mut().unsent += 1;
                } else if let (Some(answers), Some(call)) = (answers.get(in_turn), self.calls.next()) {
                    self.tally.borrow_mut().lateness.record(now.saturating_sub(at));
                    sent += 1;
                    outstanding.push(self.ask(answers, call, at));
                }
            }
            if now >= time {
                break;
            }
        }
        let rest = async { while outstanding.next().await.is_some() {} };
        // Those that do not end are told as not answered.
        let _ = timeout(PATIENCE, rest).await;
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::Rpc;
    use super::*;

    /// Answers at once, but for one call: while that one waits, all others wait for it.
    struct Stalling {
        asked: Cell<u32>,
        free: tokio::sync::Mutex<()>,
    }

    impl Answers for Stalling {
        async fn ask(&self, _: &Call) -> Result<(), String> {
            self.asked.set(self.asked.get() + 1);
            let is_the_one = self.asked.get() == 20;
            let _turn = self.free.lock().await;
            if is_the_one {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Ok(())
        }
    }

    fn micros_at(pace: Pace, part: f64) -> (u64, f64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let service = [Stalling { asked: Cell::new(0), free: tokio::sync::Mutex::new(()) }];
        let time = Duration::from_millis(600);
        let tally = runtime.block_on(run(&service, &Calls::floor(), pace, time));
        assert_eq!((tally.failures(), tally.unsent), (0, 0));
        (tally.calls(), tally.latencies[&Rpc::Floor].micros_at(part).unwrap())
    }

    #[test]
    fn an_open_loop_counts_what_a_stall_did_to_those_who_came_meanwhile() {
        let (calls, median) = micros_at(Pace::Open(200.0), 0.75);
        // Half of all came during the stall, and waited half of it in the middle.
        assert!((115..=122).contains(&calls), "{calls}");
        assert!(median > 100_000.0, "{median}");
    }

    #[test]
    fn a_closed_loop_sends_nothing_meanwhile() {
        let (_, median) = micros_at(Pace::Closed(1), 0.75);
        assert!(median < 50_000.0, "{median}");
    }

    #[test]
    fn calls_that_are_sent_once_end_the_run() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let service = [Stalling { asked: Cell::new(1_000), free: tokio::sync::Mutex::new(()) }];
        let calls = Calls::floor().once();
        let tally = runtime.block_on(run(&service, &calls, Pace::Closed(4), Duration::MAX));
        assert_eq!((tally.calls(), tally.failures()), (1, 0));
    }
}

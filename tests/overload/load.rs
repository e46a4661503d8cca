//! Load: calls that are due at instants fixed in advance, whatever becomes of those before them; and, to find what a
//! server can do, calls that follow each other. Knows no target.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::connection::Connections;
use crate::tally::Tally;
use crate::world::{Kind, World};

/// How many calls are sent before others have their turn on the thread.
const BURST: usize = 32;

/// Who asks whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) world: World,
    pub(crate) threads: usize,
    /// The deadline of a call, and after which time an answer is no good any more.
    pub(crate) patience: Duration,
}

/// Calls at a rate for a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// In a second; 0: none.
    pub(crate) rate: f64,
    pub(crate) lasting: Duration,
}

/// Calls of a kind, over connections of their own.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    /// For each thread.
    pub(crate) connections: usize,
    pub(crate) segments: Vec<Segment>,
}

/// What each thread must know of the others.
struct Together {
    thread: usize,
    connected: Arc<Barrier>,
    began: Arc<OnceLock<Instant>>,
}

impl Together {
    /// The same instant for all threads, once all of them are connected.
    fn begin(&self) -> Instant {
        self.connected.wait();
        *self.began.get_or_init(Instant::now)
    }
}

impl Load {
    /// Calls that are due when they are due: for each stream and each of its segments, what became of them; and when
    /// the first was due.
    pub(crate) fn open(&self, streams: &[Stream]) -> (Vec<Vec<Tally>>, Instant) {
        let began = Arc::new(OnceLock::new());
        let all = self.on_threads(&began, async |together| self.streams(streams, &together).await);
        (all, began.get().copied().unwrap())
    }

    /// So many calls outstanding at all times, beside calls that are due when they are due.
    pub(crate) fn closed(
        &self,
        kind: Kind,
        outstanding: usize,
        lasting: Duration,
        beside: &[Stream],
    ) -> Tally {
        let outstanding = outstanding.div_ceil(self.threads);
        let closed = async |together| {
            let followed = self.follow(kind, outstanding, lasting, &together);
            vec![vec![join(followed, self.streams(beside, &together)).await.0]]
        };
        self.on_threads(&Arc::default(), closed).remove(0).remove(0)
    }

    fn on_threads(
        &self,
        began: &Arc<OnceLock<Instant>>,
        work: impl AsyncFn(Together) -> Vec<Vec<Tally>> + Sync,
    ) -> Vec<Vec<Tally>> {
        let connected = Arc::new(Barrier::new(self.threads));
        let run = |thread| {
            let (connected, began) = (Arc::clone(&connected), Arc::clone(began));
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work(Together { thread, connected, began }))
        };
        let run = &run;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|thread| scope.spawn(move || run(thread))).collect();
            let mut all = threads.into_iter().map(|thread| thread.join().unwrap());
            let mut sum = all.next().unwrap();
            for more in all {
                for (sum, more) in sum.iter_mut().flatten().zip(more.iter().flatten()) {
                    sum.add(more);
                }
            }
            sum
        })
    }

    async fn streams(&self, streams: &[Stream], together: &Together) -> Vec<Vec<Tally>> {
        let opened = streams.iter().map(|s| Connections::open(self.address, s.connections, self.patience));
        let opened = join_all(opened).await;
        let (began, thread) = (together.begin(), together.thread);
        let paced = streams.iter().zip(&opened).map(|(stream, connections)| async move {
            let (mut tallies, mut calls, mut began) = (Vec::new(), JoinSet::new(), began);
            for segment in &stream.segments {
                let tally = Arc::default();
                self.pace(stream.kind, segment, (began, thread), connections, (&mut calls, &tally)).await;
                tallies.push(tally);
                began += segment.lasting;
            }
            while calls.join_next().await.is_some() {}
            let taken = |(tally, segment): (Arc<Mutex<Tally>>, &Segment)| {
                let tally = std::mem::take(&mut *tally.lock().unwrap());
                Tally { seconds: segment.lasting.as_secs_f64(), ..tally }
            };
            tallies.into_iter().zip(&stream.segments).map(taken).collect()
        });
        join_all(paced).await
    }

    /// Sends what is due of a segment, and waits for no answer.
    async fn pace(
        &self,
        kind: Kind,
        segment: &Segment,
        (began, thread): (Instant, usize),
        connections: &Connections,
        (calls, tally): (&mut JoinSet<()>, &Arc<Mutex<Tally>>),
    ) {
        if segment.rate <= 0.0 {
            return tokio::time::sleep_until((began + segment.lasting).into()).await;
        }
        let mut burst = 0;
        for number in (thread..).step_by(self.threads) {
            let due = Duration::from_secs_f64(number as f64 / segment.rate).min(segment.lasting);
            if began + due > Instant::now() {
                tokio::time::sleep_until((began + due).into()).await;
                burst = 0;
            }
            if due >= segment.lasting {
                return;
            }
            let Some(connection) = connections.free() else {
                tally.lock().unwrap().unsent += 1;
                tokio::task::yield_now().await;
                continue;
            };
            let (question, tally) = (self.world.question(self.address, kind, number), Arc::clone(tally));
            let (patience, at) = (self.patience, began + due);
            calls.spawn(async move {
                tally.lock().unwrap().sent(at.elapsed());
                let end = connection.call(question).await;
                tally.lock().unwrap().ended(due, &end, at.elapsed(), patience);
            });
            burst += 1;
            if burst == BURST {
                burst = 0;
                while calls.try_join_next().is_some() {}
                tokio::task::yield_now().await;
            }
        }
    }

    async fn follow(&self, kind: Kind, outstanding: usize, lasting: Duration, together: &Together) -> Tally {
        let connections = Connections::open(self.address, outstanding.div_ceil(8), self.patience).await;
        let (began, tally) = (together.begin(), Mutex::<Tally>::default());
        let followers = (0..outstanding).map(|follower| {
            let (connections, tally) = (&connections, &tally);
            async move {
                let step = outstanding * self.threads;
                for number in (follower * self.threads + together.thread..).step_by(step) {
                    let (due, at) = (began.elapsed(), Instant::now());
                    if due >= lasting {
                        break;
                    }
                    let connection = connections.free().unwrap();
                    let end = connection.call(self.world.question(self.address, kind, number)).await;
                    // An answer that comes after the end belongs to none.
                    if began.elapsed() < lasting {
                        tally.lock().unwrap().ended(due, &end, at.elapsed(), self.patience);
                    }
                }
            }
        });
        join_all(followers).await;
        Tally { seconds: lasting.as_secs_f64(), ..tally.into_inner().unwrap() }
    }
}

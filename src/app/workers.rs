//! gRPC workers: a thread each, with a single-threaded runtime and a socket of its own.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use super::breather::Breather;
use super::door::Door;
use super::serving::{Limits, Served, Serving};
use crate::telemetry::Metrics;

/// The threads that answer gRPC.
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
}

/// What every worker is given.
#[derive(Clone)]
pub(super) struct Work {
    /// Ends them.
    pub(super) stop: CancellationToken,
    /// How long calls in flight may take then.
    pub(super) grace: Duration,
    /// What a connection may do.
    pub(super) limits: Limits,
    /// What the door counts.
    pub(super) metrics: Arc<Metrics>,
    /// Through which connections come.
    pub(super) door: Arc<Door>,
    /// What is answered, and the door before it.
    pub(super) served: Served,
}

impl Workers {
    /// Starts a worker for each socket. They end with the stop, and at the latest when the grace is over.
    pub(super) fn start(listeners: Vec<TcpListener>, work: &Work) -> io::Result<Self> {
        let mut workers = Self { threads: Vec::with_capacity(listeners.len()) };
        for (at, listener) in listeners.into_iter().enumerate() {
            let given = work.clone();
            let started =
                thread::Builder::new().name(format!("doorward-grpc-{at}")).spawn(|| run(listener, given));
            match started {
                Ok(thread) => workers.threads.push(thread),
                Err(error) => {
                    work.stop.cancel();
                    workers.join();
                    return Err(error);
                }
            }
        }
        Ok(workers)
    }

    /// Waits until all have ended.
    pub(super) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a gRPC worker ended in a panic");
            }
        }
    }
}

/// How often a worker looks first for tasks that another thread has woken: at each turn. These are calls whose facts have
/// come from the database. There are never more of them than the database answers, but when there are more calls to
/// refuse than time, tokio's own 31 would let each answer wait for 31 refusals.
const ELSEWHERE_EVERY: u32 = 1;

fn run(listener: TcpListener, work: Work) {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().global_queue_interval(ELSEWHERE_EVERY);
    let breather = Breather::new(Arc::clone(&work.metrics));
    builder.on_thread_park(move || breather.breathe());
    let served = builder.build().and_then(|runtime| {
        // What is still served when this ends is cut off with the runtime.
        runtime.block_on(serve(listener, work))
    });
    if let Err(error) = served {
        tracing::error!(%error, "a gRPC worker ended");
    }
}

async fn serve(listener: TcpListener, work: Work) -> io::Result<()> {
    let Work { stop, grace, limits, door, served, metrics: _ } = work;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let serving = Serving::new(limits, door, served, stop.clone());
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        () = serving.run(listener) => {}
        () = too_late => tracing::warn!("calls in flight were cut off at the end of the grace"),
    }
    Ok(())
}

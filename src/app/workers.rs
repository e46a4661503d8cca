//! gRPC workers: a thread each, with a single-threaded runtime and a socket of its own.

use std::io;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::Door;
use crate::proto::FILE_DESCRIPTOR_SET;

/// The threads that answer gRPC.
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a worker for each socket. They end with `stop`, and at the latest when the grace is over.
    pub(super) fn start(
        listeners: Vec<TcpListener>,
        stop: &CancellationToken,
        grace: Duration,
        routes: &Routes,
        guard: &Door,
    ) -> io::Result<Self> {
        let mut workers = Self { threads: Vec::with_capacity(listeners.len()) };
        for (at, listener) in listeners.into_iter().enumerate() {
            let worker =
                Worker { listener, stop: stop.clone(), grace, routes: routes.clone(), guard: guard.clone() };
            let started = thread::Builder::new().name(format!("doorward-grpc-{at}")).spawn(|| worker.run());
            match started {
                Ok(thread) => workers.threads.push(thread),
                Err(error) => {
                    stop.cancel();
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

struct Worker {
    listener: TcpListener,
    stop: CancellationToken,
    grace: Duration,
    routes: Routes,
    guard: Door,
}

impl Worker {
    fn run(self) {
        let served = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.serve()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = served {
            tracing::error!(%error, "a gRPC worker ended");
        }
    }

    async fn serve(self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        // Without it a small answer waits for the acknowledgement of the one before: 40 ms.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let served = Server::builder()
            .layer(self.guard.layer())
            .add_routes(self.routes)
            .serve_with_incoming_shutdown(incoming, self.stop.clone().cancelled_owned());
        let too_late = async {
            self.stop.cancelled().await;
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            served = served => served?,
            () = too_late => tracing::warn!("calls in flight were cut off at the end of the grace"),
        }
        Ok(())
    }
}

/// Reflection, as old and new clients ask for it.
pub(super) fn with_reflection(routes: Routes) -> Result<Routes, tonic_reflection::server::Error> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

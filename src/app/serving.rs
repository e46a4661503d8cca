//! What a worker does: accepts connections, opens each in a task of its own, serves it, and ends it when it is old or the
//! service stops. It knows limits of connections, and no call.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;
use tower::{Layer, Service};

use super::caches::{Layers, LayersGuard};
use super::connection::Connection;
use super::direct;
use super::door::{Door, Opening, Place, Turn};
use crate::proto::FILE_DESCRIPTOR_SET;
use crate::proto::access_service_server::SERVICE_NAME;
use crate::settings;
use crate::telemetry::{Cut, Refusal};
use crate::wire::{self, Grpc, Guarded};

/// The most bytes of a call's headers.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// After how long without a word a client is asked whether it is there, and how long it may take to say so.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
/// How long calls in flight may take on a connection that is asked to end for its age.
const AGE_GRACE: Duration = Duration::from_secs(30);
/// What a client may send ahead: on a call its largest message, on a connection two. Half of the latter is what h2 allows
/// of unread small frames, 256 bytes each: 4,096 messages of a stream.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 2 * STREAM_WINDOW;
/// How long nothing is accepted after the system refused to: it has no file descriptor left, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection may do.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    streams_max: u32,
    age_max: Duration,
}

impl From<&settings::Server> for Limits {
    fn from(server: &settings::Server) -> Self {
        Self { streams_max: server.streams_max, age_max: Duration::from_secs(server.connection_age_s) }
    }
}

/// The service, what else is answered, and the door before both.
pub(super) type Served = (Arc<Grpc<Layers>>, Routes, LayersGuard);

/// Serves a connection until it ends, asked to by a future or by the client.
type Http = Box<dyn Fn(Connection, BoxFuture<'static, ()>) -> Ended + Send + Sync>;
type Ended = BoxFuture<'static, Result<(), tonic::transport::Error>>;

/// What is served: the service over `grpc`, health and reflection beside it, and `guard` before them; and who says how
/// the service is.
pub(super) fn served(
    grpc: Grpc<Layers>,
    guard: LayersGuard,
) -> Result<(Served, HealthReporter), tonic_reflection::server::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    Ok(((Arc::new(grpc), with_reflection(Routes::new(health))?.prepare(), guard), reporter))
}

/// The same for calls that come on no connection.
pub(super) fn calls(
    served: &Served,
) -> impl Service<Request<Body>, Response = Response<Guarded>, Error = Infallible> + Clone + use<> {
    let (grpc, others, guard) = served.clone();
    guard.layer().layer(direct::past(SERVICE_NAME, wire::served(grpc)).layer(others))
}

/// Reflection, as old and new clients ask for it.
fn with_reflection(routes: Routes) -> Result<Routes, tonic_reflection::server::Error> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

/// One worker's part.
pub(super) struct Serving {
    limits: Limits,
    door: Arc<Door>,
    http: Http,
    stop: CancellationToken,
    opening: Opening,
}

impl Serving {
    pub(super) fn new(
        limits: Limits,
        door: Arc<Door>,
        (grpc, others, guard): Served,
        stop: CancellationToken,
    ) -> Self {
        let router = Server::builder()
            .max_concurrent_streams(limits.streams_max)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_adaptive_window(Some(false))
            .layer(guard.layer())
            .layer(direct::past(SERVICE_NAME, wire::served(grpc)))
            .add_routes(others);
        let http: Http = Box::new(move |connection, ended| {
            let only = stream::iter([Ok::<_, Infallible>(connection)]).chain(stream::pending());
            router.clone().serve_with_incoming_shutdown(only, ended).boxed()
        });
        Self { limits, door, http, stop, opening: Opening::default() }
    }

    /// Serves until the stop, and then until the last connection has ended.
    pub(super) async fn run(self, listener: TcpListener) {
        let this = Arc::new(self);
        let mut connections = JoinSet::new();
        let mut is_refused = false;
        loop {
            let accepted = tokio::select! {
                () = this.stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    is_refused = false;
                    if let Some(place) = this.door.place() {
                        let turn = this.opening.turn();
                        connections.spawn(Arc::clone(&this).connect(stream, address, (place, turn)));
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_refused, true) {
                        tracing::warn!(%error, "connections are not accepted for the moment");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Nobody new is kept waiting while the others end.
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn connect(self: Arc<Self>, stream: TcpStream, address: SocketAddr, (place, turn): (Place, Turn)) {
        let opened = tokio::select! {
            opened = self.door.open(stream, address, place) => opened,
            () = turn.lost() => Err(Refusal::Crowded),
            () = self.stop.cancelled() => return,
        };
        drop(turn);
        match opened {
            Ok(connection) => self.serve(connection).await,
            Err(refusal) => self.door.refuse(refusal),
        }
    }

    /// Serves one connection: tonic's own limit of age cuts it without a warning where calls are given a grace.
    async fn serve(&self, connection: Connection) {
        let end = connection.end();
        let age_max = around(self.limits.age_max);
        let (stop, over, ending) = (self.stop.clone(), Arc::clone(&end), connection.ending());
        let asked_to_end = async move {
            tokio::select! {
                () = sleep(age_max) => {}
                () = stop.cancelled() => {}
                () = over.over() => {}
            }
            ending.cancel();
        };
        let mut served = (self.http)(connection, asked_to_end.boxed());
        tokio::select! {
            served = &mut served => return told(served),
            () = sleep(age_max + AGE_GRACE) => {}
        }
        self.door.cut(Cut::Old);
        end.cut();
        told(served.await);
    }
}

fn told(served: Result<(), tonic::transport::Error>) {
    if let Err(error) = served {
        tracing::error!(%error, "a connection was not served");
    }
}

/// Ten percent more or less, so that connections opened at once do not end at once.
fn around(age: Duration) -> Duration {
    let mut bytes = [0; 2];
    // Without randomness all are as old as the setting says.
    let part = getrandom::fill(&mut bytes).map_or(0.5, |()| f64::from(u16::from_be_bytes(bytes)) / 65_535.0);
    age.mul_f64(0.9 + 0.2 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_over_ten_percent_each_way() {
        let ages: Vec<_> = (0..200).map(|_| around(Duration::from_secs(1_000)).as_secs()).collect();
        assert!(ages.iter().all(|age| (900..=1_100).contains(age)), "{ages:?}");
        assert!(ages.iter().any(|age| *age < 970) && ages.iter().any(|age| *age > 1_030), "{ages:?}");
    }
}

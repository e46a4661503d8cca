//! The floor: a gRPC service that does nothing, on the layout of threads that the real one has, or on the one that tonic's
//! examples have. What a call costs there is what a check cannot cost less than. It knows no message of ours.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Builder;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;

const BACKLOG: i32 = 1_024;

/// How the threads of a floor are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the service's own: a thread for each core, each with a single-threaded runtime and a socket.
    Cores,
    /// As tonic's examples: one runtime with several threads, one socket.
    Threads,
}

/// Serves on a free port of this machine, which is told once it listens, and never ends by itself.
///
/// # Errors
/// The system gives no socket or no thread.
pub fn serve(layout: Layout, listening: impl FnOnce(SocketAddr)) -> io::Result<()> {
    match layout {
        Layout::Threads => {
            let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false)?;
            listening(listener.local_addr()?);
            Builder::new_multi_thread().enable_all().build()?.block_on(run(listener))
        }
        Layout::Cores => {
            let first = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), true)?;
            let address = first.local_addr()?;
            let cores = std::thread::available_parallelism()?.get();
            let others: Vec<_> = (1..cores).map(|_| bind(address, true)).collect::<Result<_, _>>()?;
            listening(address);
            std::thread::scope(|scope| {
                for listener in others {
                    scope.spawn(|| on_one_thread(listener));
                }
                on_one_thread(first)
            })
        }
    }
}

fn on_one_thread(listener: TcpListener) -> io::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(run(listener))
}

async fn run(listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().add_service(Floor).serve_with_incoming(incoming).await.map_err(io::Error::other)
}

fn bind(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The service, as tonic generates one.
#[derive(Clone, Copy, Debug)]
struct Floor;

impl NamedService for Floor {
    const NAME: &'static str = "doorward.bench.Floor";
}

impl Service<Request<Body>> for Floor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        async move {
            let mut grpc = Grpc::new(ProstCodec::<(), ()>::default());
            Ok(grpc.unary(Ask, request).await)
        }
        .boxed()
    }
}

/// Its one method.
struct Ask;

impl UnaryService<()> for Ask {
    type Response = ();
    type Future = Ready<Result<tonic::Response<()>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<()>) -> Self::Future {
        ready(Ok(tonic::Response::new(())))
    }
}

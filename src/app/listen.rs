//! Sockets: one for the admin port, and one per worker on the gRPC port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use super::StartError;

const BACKLOG: i32 = 1024;
/// How often the system chooses a port at most.
const CHOICES_MAX: u32 = 8;

/// A socket of its own.
pub(super) fn one(address: SocketAddr) -> Result<TcpListener, StartError> {
    bind(address, Sharing::No).map_err(|cause| StartError::Listen { address, cause })
}

/// Several sockets on one port: the system spreads connections over them.
pub(super) fn shared(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, StartError> {
    // A port that the system has chosen may be taken by others before it is shared: then it chooses again.
    let mut choices = if address.port() == 0 { CHOICES_MAX } else { 1 };
    loop {
        choices -= 1;
        match share(address, count) {
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse && choices > 0 => {}
            shared => return shared.map_err(|cause| StartError::Listen { address, cause }),
        }
    }
}

fn share(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Sockets that share a port would also share it with another process of ours, silently: look first.
    let probe = bind(address, Sharing::No)?;
    let address = probe.local_addr()?;
    drop(probe);
    (0..count).map(|_| bind(address, Sharing::Yes)).collect()
}

/// The address that they listen on.
pub(super) fn address(listeners: &[TcpListener], asked: SocketAddr) -> Result<SocketAddr, StartError> {
    Ok(listeners.first().map(TcpListener::local_addr).transpose()?.unwrap_or(asked))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Yes,
    No,
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Yes)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves metrics and probes until the stop.
pub(super) async fn serve_admin(listener: TcpListener, router: axum::Router, stop: CancellationToken) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the admin port is not served"),
    };
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin port is not served any more");
    }
}

//! From an accepted socket to a connection that may call: a place among those that are open, the TLS handshake, the
//! greeting. Knows how many and how long, and no call.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::greeting;
use super::socket::Socket;
use super::tls::Tls;
use crate::settings;
use crate::telemetry::{Cut, Metrics, Refusal};
use crate::wire::peer::Peer;

/// How many connections a worker opens at once; one more takes the turn of the oldest, so that clients who say nothing
/// keep out nobody.
const OPENING_MAX: usize = 512;

/// What all workers share.
pub(super) struct Door {
    places: Arc<Semaphore>,
    tls: Option<Arc<Tls>>,
    greeting_max: Duration,
    stall_max: Duration,
    metrics: Arc<Metrics>,
}

/// A place among the open connections; dropped, it is free again.
pub(super) struct Place {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Its connection is cut.
    pub(super) fn cut(&self, why: Cut) {
        self.metrics.connections.cut(why);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.closed();
    }
}

impl Door {
    pub(super) fn new(server: &settings::Server, tls: Option<Arc<Tls>>, metrics: Arc<Metrics>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(server.connections_max)),
            tls,
            greeting_max: Duration::from_millis(server.greeting_ms),
            stall_max: Duration::from_millis(server.stall_ms),
            metrics,
        }
    }

    /// A place, while there is one.
    pub(super) fn place(&self) -> Option<Place> {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            self.refuse(Refusal::Full);
            return None;
        };
        self.metrics.connections.opened();
        Some(Place { metrics: Arc::clone(&self.metrics), _permit: permit })
    }

    /// A connection is turned away.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.metrics.connections.refused(refusal);
    }

    /// A connection was cut by whoever serves it.
    pub(super) fn cut(&self, why: Cut) {
        self.metrics.connections.cut(why);
    }

    /// Shakes hands and reads the greeting, both within the time for a greeting.
    pub(super) async fn open(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        place: Place,
    ) -> Result<Connection, Refusal> {
        let opened = timeout(self.greeting_max, async {
            let mut socket = self.shake_hands(stream).await?;
            greeting::read(&mut socket).await.map_err(|_| Refusal::Greeting)?;
            Ok(socket)
        });
        let socket = opened.await.map_err(|_| Refusal::Late)??;
        let peer = Peer::new(address, socket.certificate());
        Ok(Connection::over(socket, peer, self.stall_max, place))
    }

    async fn shake_hands(&self, stream: TcpStream) -> Result<Socket, Refusal> {
        // Without it a small answer waits for the acknowledgement of the one before: 40 ms.
        stream.set_nodelay(true).map_err(|_| Refusal::Handshake)?;
        let Some(tls) = &self.tls else { return Ok(Socket::Plain(stream)) };
        let shaken = TlsAcceptor::from(tls.current()).accept(stream).await;
        let stream = shaken.map_err(|error| {
            // What the other end sent is in no error of rustls.
            tracing::debug!(%error, "a TLS handshake failed");
            Refusal::Handshake
        })?;
        Ok(Socket::Tls(Box::new(stream)))
    }
}

/// The connections that one worker is opening, the oldest first.
#[derive(Clone, Default)]
pub(super) struct Opening(Arc<Mutex<Turns>>);

#[derive(Default)]
struct Turns {
    next: u64,
    waiting: VecDeque<(u64, CancellationToken)>,
}

/// The turn of one of them; dropped, it is opened or refused.
pub(super) struct Turn {
    number: u64,
    lost: CancellationToken,
    all: Opening,
}

impl Opening {
    /// A turn; where all are taken, the oldest's.
    pub(super) fn turn(&self) -> Turn {
        let lost = CancellationToken::new();
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.waiting.len() >= OPENING_MAX
            && let Some((_, oldest)) = turns.waiting.pop_front()
        {
            oldest.cancel();
        }
        let number = turns.next;
        turns.next += 1;
        turns.waiting.push_back((number, lost.clone()));
        Turn { number, lost, all: self.clone() }
    }
}

impl Turn {
    /// Waits until a younger one has taken it.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(at) = turns.waiting.binary_search_by_key(&self.number, |(number, _)| *number) {
            turns.waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_too_many_loses_its_turn() {
        let opening = Opening::default();
        let mut turns: Vec<_> = (0..OPENING_MAX).map(|_| opening.turn()).collect();
        drop(turns.remove(7));
        let fits = opening.turn();
        assert!(!turns[0].lost.is_cancelled());
        let one_more = opening.turn();
        assert!(turns[0].lost.is_cancelled() && !turns[1].lost.is_cancelled());
        drop((turns, fits, one_more));
        assert!(opening.0.lock().unwrap().waiting.is_empty());
    }
}

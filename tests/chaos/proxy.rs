//! A TCP link that can be cut, delayed or black-holed in each direction: knows bytes, and of what they say only LISTEN.
//!
//! A black hole holds what is sent into it, as a network that drops packets does: TCP sends them again, so after the
//! healing they arrive late. A cut resets what is open and what is opened.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What a connection says that wants notifications.
const LISTEN: &[u8] = b"LISTEN ";

/// What happens to bytes that go one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    #[default]
    Pass,
    Delay(Duration),
    Hole,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// From the replica to the service.
    pub(crate) up: Way,
    /// From the service to the replica.
    pub(crate) down: Way,
    pub(crate) cut: bool,
    /// Nothing comes down over a connection that listens to Postgres's notifications.
    pub(crate) mute: bool,
    /// Each number is a generation of connections: another one resets those of before.
    generation: u32,
}

/// A link between a replica and a service.
pub(crate) struct Link {
    port: u16,
    traffic: watch::Sender<Traffic>,
    _accepting: JoinSet<()>,
}

impl Link {
    /// Listens on a free port for what goes to `service`.
    pub(crate) async fn open(service: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (traffic, seen) = watch::channel(Traffic::default());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, service, seen));
        Self { port, traffic, _accepting: accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on, what is held by a black hole included.
    pub(crate) fn set(&self, up: Way, down: Way) {
        self.traffic.send_modify(|traffic| (traffic.up, traffic.down) = (up, down));
    }

    /// Whether notifications are held.
    pub(crate) fn mute(&self, mute: bool) {
        self.traffic.send_modify(|traffic| traffic.mute = mute);
    }

    /// Resets every connection, and refuses new ones.
    pub(crate) fn cut(&self) {
        self.traffic.send_modify(|traffic| traffic.cut = true);
    }

    /// All passes again. With `reset`, the connections of before do not.
    pub(crate) fn heal(&self, reset: bool) {
        self.traffic.send_modify(|traffic| {
            let generation = traffic.generation + u32::from(reset);
            *traffic = Traffic { generation, mute: traffic.mute, ..Traffic::default() };
        });
    }
}

async fn accept(listener: TcpListener, service: SocketAddr, traffic: watch::Receiver<Traffic>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((replica, _)) = accepted else { continue };
                if !traffic.borrow().cut {
                    open.spawn(carry(replica, service, traffic.clone()));
                }
            }
            Some(_) = open.join_next() => {}
        }
    }
}

/// One connection, until an end closes it or the link is cut.
async fn carry(replica: TcpStream, service: SocketAddr, mut traffic: watch::Receiver<Traffic>) {
    let generation = traffic.borrow().generation;
    let Ok(service) = TcpStream::connect(service).await else { return };
    let _ = (replica.set_nodelay(true), service.set_nodelay(true));
    let (from_replica, to_replica) = replica.into_split();
    let (from_service, to_service) = service.into_split();
    let listens = AtomicBool::new(false);
    let sees = |bytes: &[u8]| {
        if bytes.windows(LISTEN.len()).any(|window| window == LISTEN) {
            listens.store(true, Ordering::Relaxed);
        }
    };
    let muted = |traffic: &Traffic| traffic.mute && listens.load(Ordering::Relaxed);
    let down = |traffic: &Traffic| if muted(traffic) { Way::Hole } else { traffic.down };
    let up = one_way(from_replica, to_service, traffic.clone(), sees, |traffic| traffic.up);
    let down = one_way(from_service, to_replica, traffic.clone(), |_| {}, down);
    let cut = traffic.wait_for(|traffic| traffic.cut || traffic.generation != generation);
    tokio::select! {
        ((), ()) = async { tokio::join!(up, down) } => {}
        _ = cut => {}
    }
}

type Chunk = (Instant, Vec<u8>);

async fn one_way(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    traffic: watch::Receiver<Traffic>,
    sees: impl Fn(&[u8]),
    way: impl Fn(&Traffic) -> Way,
) {
    let (sender, chunks) = mpsc::channel::<Chunk>(4096);
    let read = async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            sees(&buffer[..length]);
            if sender.send((Instant::now(), buffer[..length].to_vec())).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(read, write(chunks, to, traffic, way));
}

async fn write(
    mut chunks: mpsc::Receiver<Chunk>,
    mut to: OwnedWriteHalf,
    mut traffic: watch::Receiver<Traffic>,
    way: impl Fn(&Traffic) -> Way,
) {
    while let Some((read_at, bytes)) = chunks.recv().await {
        loop {
            let now = way(&traffic.borrow_and_update());
            match now {
                Way::Hole => drop(traffic.changed().await),
                Way::Delay(delay) if read_at.elapsed() < delay => {
                    let due = tokio::time::Instant::from_std(read_at + delay);
                    let _ = tokio::time::timeout_at(due, traffic.changed()).await;
                }
                Way::Pass | Way::Delay(_) => break,
            }
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // The end of the stream passes as the bytes do.
    let _ = traffic.wait_for(|traffic| way(traffic) != Way::Hole).await;
    let _ = to.shutdown().await;
}

//! An open connection, as tonic is given it: it begins with the greeting that was already read, and is cut when it is told
//! to be, when the client floods it, and when the client takes nothing of what it is sent. Knows bytes, and no call.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::door::Place;
use super::greeting::PREFACE;
use super::meter::Meter;
use super::socket::Socket;
use crate::telemetry::Cut;
use crate::wire::peer::Peer;

/// A connection whose greeting was good.
pub(super) struct Connection {
    socket: Socket,
    /// What of the greeting has still to be read again.
    greeting: &'static [u8],
    peer: Peer,
    meter: Meter,
    stall_max: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    end: Arc<End>,
    place: Place,
}

/// The end of a connection, for those who do not hold it.
#[derive(Debug, Default)]
pub(super) struct End {
    is_cut: AtomicBool,
    waiting: AtomicWaker,
    over: CancellationToken,
}

impl End {
    /// Ends it now, whatever is in flight.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.waiting.wake();
    }

    /// Waits until it is over, for whatever reason.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }
}

impl Connection {
    /// A connection over a socket from which the greeting has been read.
    pub(super) fn over(socket: Socket, peer: Peer, stall_max: Duration, place: Place) -> Self {
        Self {
            socket,
            greeting: PREFACE,
            peer,
            meter: Meter::default(),
            stall_max,
            stalled: None,
            end: Arc::default(),
            place,
        }
    }

    /// Its end.
    pub(super) fn end(&self) -> Arc<End> {
        Arc::clone(&self.end)
    }

    /// To be cancelled when it is asked to end.
    pub(super) fn ending(&self) -> CancellationToken {
        self.peer.ending()
    }

    fn is_cut(&self, cx: &Context<'_>) -> bool {
        self.end.waiting.register(cx.waker());
        self.end.is_cut.load(Ordering::Acquire)
    }

    fn cut<T>(&self, why: Cut) -> Poll<io::Result<T>> {
        self.place.cut(why);
        self.end.cut();
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// A write that is pending for too long ends the connection. HTTP/2's own keepalive cannot: it says goodbye first,
    /// and waits until that is taken.
    fn timed<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Socket>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.end.is_cut.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = write(Pin::new(&mut self.socket), cx);
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        if self.is_cut(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let stall_max = self.stall_max;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
        ready!(timer.as_mut().poll(cx));
        self.cut(Cut::Stalled)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end.over.cancel();
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.end.is_cut.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !this.greeting.is_empty() {
            let (now, later) = this.greeting.split_at(this.greeting.len().min(buf.remaining()));
            buf.put_slice(now);
            this.greeting = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Ready(Ok(()))
                if this.meter.is_flooded_by(buf.filled().get(before..).unwrap_or_default()) =>
            {
                this.cut(Cut::Flood)
            }
            Poll::Pending if this.is_cut(cx) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            read => read,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(this.timed(cx, |socket, cx| socket.poll_write(cx, buf)))?;
        this.meter.sent(buf.get(..length).unwrap_or_default());
        Poll::Ready(Ok(length))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(this.timed(cx, |socket, cx| socket.poll_write_vectored(cx, bufs)))?;
        let mut left = length;
        for buf in bufs {
            let sent = left.min(buf.len());
            this.meter.sent(buf.get(..sent).unwrap_or_default());
            left -= sent;
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().timed(cx, |socket, cx| socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().timed(cx, |socket, cx| socket.poll_shutdown(cx))
    }
}

//! A connection that sends calls as bare HTTP/2: nothing of it waits, queues or gives up in the server's place.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, Method, Request};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::server::TOKEN;
use crate::tally::{OK, OVERLOADED};
use crate::world::Question;

/// How many calls may be outstanding on one connection: fewer than a server lets be.
const OUTSTANDING_MAX: usize = 100;
/// After which time a call counts as never answered.
const FOR_EVER: Duration = Duration::from_secs(60);
const STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Ends by the bytes that said so: a refusal is understood once, however often it comes.
type Known = Mutex<HashMap<(Vec<u8>, Vec<u8>), Arc<str>>>;

/// A connection.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    headers: HeaderMap,
    outstanding: AtomicUsize,
    known: Arc<Known>,
    _task: JoinSet<()>,
}

/// Several connections, used in turn.
pub(crate) struct Connections {
    all: Vec<Arc<Connection>>,
    next: AtomicUsize,
}

impl Connections {
    /// Opens so many; each call has so long.
    pub(crate) async fn open(address: SocketAddr, count: usize, deadline: Duration) -> Self {
        let known = Arc::default();
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Arc::new(Connection::open(address, deadline, &known).await));
        }
        Self { all, next: AtomicUsize::new(0) }
    }

    /// One with room for a call, which it is then expected to send.
    pub(crate) fn free(&self) -> Option<Arc<Connection>> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..self.all.len()).map(|step| &self.all[(next + step) % self.all.len()]);
        in_turn.into_iter().find(|connection| connection.reserve()).cloned()
    }
}

impl Connection {
    async fn open(address: SocketAddr, deadline: Duration, known: &Arc<Known>) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let (sender, connection) = builder.handshake(stream).await.unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        headers.insert("te", "trailers".parse().unwrap());
        headers.insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
        headers.insert("grpc-timeout", format!("{}m", deadline.as_millis()).parse().unwrap());
        Self { sender, headers, outstanding: AtomicUsize::new(0), known: Arc::clone(known), _task: task }
    }

    fn reserve(&self) -> bool {
        let one_more = |now| (now < OUTSTANDING_MAX).then_some(now + 1);
        self.outstanding.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Sends a call that has its place; how it ended.
    pub(crate) async fn call(&self, question: Question) -> Arc<str> {
        let ended = timeout(FOR_EVER, self.exchange(question)).await;
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
        match ended {
            Ok(Ok(trailers)) => self.end(&trailers),
            Ok(Err(error)) => format!("connection: {error}").into(),
            Err(_) => "no answer".into(),
        }
    }

    async fn exchange(&self, question: Question) -> Result<HeaderMap, h2::Error> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = question.uri;
        *request.headers_mut() = self.headers.clone();
        let mut sender = self.sender.clone().ready().await?;
        let (answer, mut body) = sender.send_request(request, false)?;
        // A call that is refused at once may be over before its message has been sent.
        let _ = body.send_data(question.message, true);
        let (parts, mut body) = answer.await?.into_parts();
        while let Some(data) = body.data().await {
            let length = data?.len();
            body.flow_control().release_capacity(length)?;
        }
        Ok(body.trailers().await?.unwrap_or(parts.headers))
    }

    fn end(&self, trailers: &HeaderMap) -> Arc<str> {
        let bytes = |name| trailers.get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        let said = (bytes(STATUS), bytes(DETAILS));
        let mut known = self.known.lock().unwrap();
        Arc::clone(known.entry(said).or_insert_with(|| understand(trailers).into()))
    }
}

/// The code, and the reason that we give; a refusal without RetryInfo is another end.
fn understand(trailers: &HeaderMap) -> String {
    let status = Status::from_header_map(trailers).unwrap_or_else(|| Status::new(Code::Unknown, "no status"));
    if status.code() == Code::Ok {
        return OK.to_owned();
    }
    let code = format!("{:?}", status.code()).to_uppercase();
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match format!("{code} {reason}") {
        end if end == OVERLOADED && retry.is_none() => format!("{end} without RetryInfo"),
        end => end,
    }
}

//! Calls of which a test chooses every byte: path, headers, and what is in the body.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;

use h2::client::SendRequest;
use http_body::Body as _;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request};
use tonic::codegen::{Bytes, Service};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::TOKEN;

/// A header with the operator's token.
pub(crate) fn operator() -> (&'static str, String) {
    ("authorization", format!("Bearer {TOKEN}"))
}

/// A message as a frame of gRPC.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// Sends one message, whatever its bytes.
pub(crate) async fn call_raw(
    channel: Channel,
    path: &str,
    message: &[u8],
    metadata: &[(&'static str, String)],
) -> Status {
    call_framed(channel, path, framed(message), metadata).await
}

/// Sends a body as it is: its frames are the test's.
pub(crate) async fn call_framed(
    mut channel: Channel,
    path: &str,
    body: Vec<u8>,
    metadata: &[(&'static str, String)],
) -> Status {
    let request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    let request = metadata.iter().fold(request, |request, (name, value)| request.header(*name, value));
    let request = request.body(Body::new(axum::body::Body::from(body))).unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let (parts, mut body) = channel.call(request).await.unwrap().into_parts();
    assert_eq!(parts.headers["content-type"], "application/grpc", "{parts:?}");
    let mut end = parts.headers;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(trailers) = frame.unwrap().into_trailers() {
            end = trailers;
        }
    }
    status(&end)
}

/// A connection, which ends with its tasks.
pub(crate) async fn connect(address: impl ToSocketAddrs) -> (SendRequest<Bytes>, JoinSet<()>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(connection.await) });
    (sender, tasks)
}

/// Connections that know nothing of deadlines: a gRPC client would answer a call whose time is over by itself.
pub(crate) struct Patient {
    sender: SendRequest<Bytes>,
    address: SocketAddr,
    _connection: JoinSet<()>,
}

impl Patient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let (sender, _connection) = connect(address).await;
        Self { sender, address, _connection }
    }

    /// Sends one message, and waits for the answer for as long as it takes.
    pub(crate) async fn call(
        &self,
        path: &str,
        message: &[u8],
        metadata: &[(&'static str, String)],
    ) -> Status {
        let request = Request::post(format!("http://{}{path}", self.address));
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let request = metadata.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let mut sender = self.sender.clone().ready().await.unwrap();
        let (answer, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
        // A call that is refused at once is over before its message has been sent.
        let _ = body.send_data(framed(message).into(), true);
        let (parts, mut body) = answer.await.unwrap().into_parts();
        while let Some(data) = body.data().await {
            data.unwrap();
        }
        status(&body.trailers().await.unwrap().unwrap_or(parts.headers))
    }
}

fn status(end: &HeaderMap) -> Status {
    Status::from_header_map(end).unwrap_or_else(|| Status::new(Code::Unknown, "no status"))
}

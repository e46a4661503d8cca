//! A connection that sends calls as bare HTTP/2, for the client shares the machine with the server: what is sent was made
//! ready before, and of an answer only the status and the decision are read.

use std::net::SocketAddr;
use std::time::Duration;

use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use tonic::{Code, Status};

use super::call::{Call, Rpc, allows};
use super::load::Answers;

const CONNECT: Duration = Duration::from_secs(5);
/// The deadline that every call carries, as calls in production do.
const DEADLINE: &str = "5S";
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const CONTENT_TYPE: &str = "application/grpc";
const STATUS: &str = "grpc-status";

/// Whom calls are made as.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    /// `authorization` of who checks.
    pub(super) checks: Option<HeaderValue>,
    /// `authorization` of who writes.
    pub(super) writes: Option<HeaderValue>,
}

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    /// By the place of an [`Rpc`].
    heads: Vec<(Uri, HeaderMap)>,
    _task: JoinSet<()>,
}

impl Connection {
    /// Opens one, in a runtime.
    pub(super) async fn open(address: SocketAddr, tokens: &Tokens) -> Result<Self, String> {
        let stream = match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(stream) => stream.map_err(|error| format!("no service answers at {address}: {error}"))?,
            Err(_) => return Err(format!("no service answers at {address} within {CONNECT:?}")),
        };
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let (sender, connection) = builder
            .handshake(stream)
            .await
            .map_err(|error| format!("{address} does not speak HTTP/2: {error}"))?;
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        let heads = Rpc::ALL.map(|rpc| head(address, rpc, tokens));
        let heads = heads.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { sender, heads, _task: task })
    }

    fn request(&self, rpc: Rpc) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        if let Some((uri, headers)) = self.heads.get(rpc as usize) {
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers.clone();
        }
        request
    }

    /// Opens a stream of questions: where it is answered, and where they are sent.
    pub(super) async fn stream(&self) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.sender.clone().ready().await?.send_request(self.request(Rpc::Stream), false)
    }

    /// The answer's first bytes, and what ended it.
    async fn exchange(&self, call: &Call) -> Result<(Bytes, HeaderMap), h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let (answer, mut body) = sender.send_request(self.request(call.rpc), false)?;
        // A call that is refused at once may be over before its message has been sent.
        let _ = body.send_data(call.message.clone(), true);
        let (parts, mut body) = answer.await?.into_parts();
        let mut first = Bytes::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            if first.is_empty() {
                first = data;
            }
        }
        Ok((first, body.trailers().await?.unwrap_or(parts.headers)))
    }
}

impl Answers for Connection {
    async fn ask(&self, call: &Call) -> Result<(), String> {
        let answer = self.exchange(call).await;
        let (frame, trailers) = answer.map_err(|error| format!("connection: {error}"))?;
        if trailers.get(STATUS).is_none_or(|status| status != "0") {
            return Err(refusal(&trailers));
        }
        call.judge(allows(&frame))
    }
}

fn head(address: SocketAddr, rpc: Rpc, tokens: &Tokens) -> Result<(Uri, HeaderMap), String> {
    let uri = format!("http://{address}{}", rpc.path());
    let mut headers = HeaderMap::new();
    for (name, value) in [("content-type", CONTENT_TYPE), ("te", "trailers"), ("grpc-timeout", DEADLINE)] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if rpc == Rpc::Stream {
        // It stays open for as long as it is asked.
        headers.remove("grpc-timeout");
    }
    let token = if rpc.is_operators() { &tokens.writes } else { &tokens.checks };
    if let Some(token) = token {
        headers.insert("authorization", token.clone());
    }
    Ok((uri.parse().map_err(|_| format!("`{uri}` is not an address"))?, headers))
}

/// The status, for people: one text for all that failed alike.
pub(super) fn refusal(trailers: &HeaderMap) -> String {
    let status = Status::from_header_map(trailers).unwrap_or_else(|| Status::new(Code::Unknown, "no status"));
    format!("{:?}: {}", status.code(), status.message())
}

//! A small identity provider on real sockets: it answers what a test tells it to, and counts. It knows no token.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(crate) const KEYS: &str = "/keys";
pub(crate) const DESCRIPTION: &str = "/.well-known/openid-configuration";

/// What is answered at a path.
#[derive(Clone)]
pub(crate) enum Answer {
    /// 200 with this.
    Body(Vec<u8>),
    /// This status line and these headers, without a body.
    Head(String),
    /// The connection stays open, and nothing comes.
    Silence,
    /// An answer without end, a piece every tenth of a second.
    Drip,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    asked: HashMap<String, usize>,
}

/// The provider; its sockets close with it.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), None).await
    }

    pub(crate) async fn start_at(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<State>>::default());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls, Arc::clone(&state)));
        Self { address, scheme, state, _tasks: tasks }
    }

    /// Its name, and the beginning of its URLs.
    pub(crate) fn issuer(&self) -> String {
        let host =
            if self.scheme == "https" { "localhost".to_owned() } else { self.address.ip().to_string() };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer())
    }

    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    /// Answers these keys.
    pub(crate) fn publish(&self, keys: &[Value]) {
        self.answer(KEYS, Answer::Body(json!({ "keys": keys }).to_string().into_bytes()));
    }

    /// Describes itself so.
    pub(crate) fn describe(&self, issuer: &str, jwks_uri: &str) {
        let description = json!({ "issuer": issuer, "jwks_uri": jwks_uri, "x": [] });
        self.answer(DESCRIPTION, Answer::Body(description.to_string().into_bytes()));
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().asked.get(path).copied().unwrap_or(0)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        connections.spawn(async move {
            match tls {
                None => serve(stream, &state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, &state).await;
                    }
                }
            }
        });
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut state = state.lock().unwrap();
        *state.asked.entry(path.clone()).or_default() += 1;
        state.answers.get(&path).cloned()
    };
    let ok =
        |length: usize| format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let bytes = match answer {
        Some(Answer::Body(body)) => [ok(body.len()).into_bytes(), body].concat(),
        Some(Answer::Head(head)) => {
            format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").into_bytes()
        }
        Some(Answer::Silence) => return std::future::pending().await,
        Some(Answer::Drip) => return drip(stream, &ok(100_000)).await,
        None => b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec(),
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

async fn drip(mut stream: impl AsyncWrite + Unpin, head: &str) {
    let mut piece = head.as_bytes();
    while stream.write_all(piece).await.is_ok() {
        piece = b" ";
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

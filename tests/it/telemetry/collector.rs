//! Receivers of traces: one that keeps what it is sent, and those that fail in each way. They know OTLP, and no Doorward.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, span, status};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::transport::certificates::Pair;

/// What a receiver does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It keeps it.
    Takes,
    /// It answers with an error.
    Refuses,
    /// It never answers.
    Hangs,
}

/// A receiver; it ends with the value.
pub(crate) struct Collector {
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    /// Ends with it.
    _task: JoinSet<()>,
}

struct Receiver {
    manner: Manner,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        match self.manner {
            Manner::Takes => self.received.lock().unwrap().push(request.into_inner()),
            Manner::Refuses => return Err(Status::permission_denied("no spans of yours")),
            Manner::Hangs => std::future::pending().await,
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A span as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) is_error: bool,
}

impl Collector {
    pub(crate) async fn start(manner: Manner, tls: Option<Pair>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::default();
        let receiver = Receiver { manner, received: Arc::clone(&received) };
        let mut server = Server::builder();
        if let Some(Pair { cert, key }) = tls {
            let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
            server = server.tls_config(tls).unwrap();
        }
        let routes = server.add_service(TraceServiceServer::new(receiver));
        let mut task = JoinSet::new();
        task.spawn(async {
            routes.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { port, received, _task: task }
    }

    /// Where it listens without TLS.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every span, in the order of their arrival.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        let received = self.received.lock().unwrap();
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let spans = resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
        spans.map(seen).collect()
    }

    /// What is said of whoever sends, each once.
    pub(crate) fn senders(&self) -> BTreeSet<BTreeMap<String, String>> {
        let received = self.received.lock().unwrap();
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        resources.map(|of| attributes(&of.resource.as_ref().unwrap().attributes)).collect()
    }

    /// All of it as text and as it came.
    pub(crate) fn everything(&self) -> String {
        let received = self.received.lock().unwrap();
        let text = |request: &ExportTraceServiceRequest| {
            format!("{request:?}\n{}\n", String::from_utf8_lossy(&request.encode_to_vec()))
        };
        received.iter().map(text).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seen(span: &Span) -> Seen {
    let kind = match span.kind() {
        span::SpanKind::Server => "server",
        span::SpanKind::Client => "client",
        span::SpanKind::Internal => "internal",
        other => panic!("a span of the kind {other:?}"),
    };
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    assert!(span.events.is_empty() && span.links.is_empty(), "only what docs/telemetry.md lists: {span:?}");
    Seen {
        name: span.name.clone(),
        kind,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: attributes(&span.attributes),
        is_error: span.status.as_ref().is_some_and(|status| status.code() == status::StatusCode::Error),
    }
}

fn attributes(given: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("a value of another kind: {other:?}"),
    };
    given.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

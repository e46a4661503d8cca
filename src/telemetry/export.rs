//! Spans on their way out: knows the queue, the batches and the OTLP receiver. Whoever ends a span waits for none of them.
//!
//! One thread with a runtime of its own sends what the queue holds, a batch at a time. What finds no room in the queue is
//! dropped, what the receiver does not take in time is lost; both are counted.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver as Done, sync_channel};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::spans::{SpanOutcome, Spans};
use crate::clock;
use crate::settings::Telemetry;

/// The most spans of a batch, and how long the first of them waits for others.
const BATCH_MAX: usize = 512;
const GATHER: Duration = Duration::from_secs(1);
/// What the end of the process waits for beyond the receiver's time.
const MARGIN: Duration = Duration::from_millis(200);

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file of certificate authorities is of no use.
    #[error("telemetry.otlp_ca_file `{path}` cannot be used: {cause}")]
    CaFile {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The endpoint has the form, and what it says cannot be.
    #[error("telemetry.otlp_endpoint cannot be used: {0}")]
    Endpoint(String),
    /// The system gave no thread.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Spans that are being sent, until the end.
#[derive(Debug)]
pub(super) struct Exporting {
    stop: CancellationToken,
    done: Done<()>,
    patience: Duration,
    provider: SdkTracerProvider,
}

impl Exporting {
    /// Begins to send what ends; connects in the background and for ever.
    pub(super) fn start(settings: &Telemetry, spans: &Spans) -> Result<Self, ExportError> {
        let patience = Duration::from_millis(settings.otlp_timeout_ms);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let resource = resource();
        let exporter = exporter(settings, &resource, &runtime)?;
        let (sender, queue) = channel(settings.trace_queue);
        let processor = Queue { sender, spans: spans.clone() };
        // Whether a call is recorded has been decided by the time that it has a span.
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        let stop = CancellationToken::new();
        let (ended, done) = sync_channel(1);
        let mut sending =
            Sending { exporter, spans: spans.clone(), patience, stop: stop.clone(), is_told: false };
        thread::Builder::new().name("doorward-traces".to_owned()).spawn(move || {
            runtime.block_on(sending.run(queue));
            // Who waits for it may have gone.
            let _ = ended.send(());
        })?;
        Ok(Self { stop, done, patience, provider })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("doorward")
    }

    /// Sends what has ended by now, for as long as the receiver may take.
    pub(super) fn end(self) {
        self.stop.cancel();
        if self.done.recv_timeout(self.patience + MARGIN).is_err() {
            tracing::warn!("the last spans were not sent");
        }
    }
}

/// Who is telling.
fn resource() -> Resource {
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "doorward"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", clock::unique_id()),
        ])
        .build()
}

fn exporter(
    settings: &Telemetry,
    resource: &Resource,
    runtime: &Runtime,
) -> Result<SpanExporter, ExportError> {
    // Its connection is looked after by the runtime.
    let _inside = runtime.enter();
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_protocol(Protocol::Grpc)
        .with_endpoint(settings.otlp_endpoint.as_str())
        .with_timeout(Duration::from_millis(settings.otlp_timeout_ms));
    if settings.otlp_endpoint.starts_with("https://") {
        builder = builder.with_tls_config(tls(settings.otlp_ca_file.as_deref())?);
    }
    let mut exporter = builder.build().map_err(|error| ExportError::Endpoint(error.to_string()))?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// Trusts the authorities of a file, or else the system's.
fn tls(ca_file: Option<&Path>) -> Result<ClientTlsConfig, ExportError> {
    let Some(path) = ca_file else {
        // One that cannot be read is one that is not trusted.
        let known = rustls_native_certs::load_native_certs().certs;
        return Ok(ClientTlsConfig::new().ca_certificates(known.iter().map(|der| pem(der))));
    };
    let pem = std::fs::read(path).map_err(|error| ExportError::CaFile {
        path: path.display().to_string(),
        cause: error.kind().to_string(),
    })?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

fn pem(der: &[u8]) -> Certificate {
    let body = STANDARD.encode(der);
    Certificate::from_pem(format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"))
}

/// Takes spans as they end.
#[derive(Debug)]
struct Queue {
    sender: Sender<SpanData>,
    spans: Spans,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.sender.try_send(span).is_err() {
            self.spans.add(SpanOutcome::Dropped, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends them.
struct Sending {
    exporter: SpanExporter,
    spans: Spans,
    patience: Duration,
    stop: CancellationToken,
    /// The log has been told that the receiver takes nothing.
    is_told: bool,
}

impl Sending {
    async fn run(&mut self, mut queue: Receiver<SpanData>) {
        while !self.stop.is_cancelled() {
            let batch = self.gather(&mut queue).await;
            self.send(batch).await;
        }
        queue.close();
        // All that is left has as long as one batch has.
        let patience = self.patience;
        let left = async {
            let mut batch = Vec::new();
            while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
                self.send(std::mem::take(&mut batch)).await;
            }
        };
        let _ = timeout(patience, left).await;
    }

    /// A whole batch, or what has come within a second of its first span; at the stop what there is.
    async fn gather(&self, queue: &mut Receiver<SpanData>) -> Vec<SpanData> {
        let mut batch = Vec::new();
        tokio::select! {
            _ = queue.recv_many(&mut batch, BATCH_MAX) => {}
            () = self.stop.cancelled() => return batch,
        }
        let mut gathered = std::pin::pin!(sleep(GATHER));
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                _ = queue.recv_many(&mut batch, room) => {}
                () = &mut gathered => break,
                () = self.stop.cancelled() => break,
            }
        }
        batch
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = batch.len();
        if count == 0 {
            return;
        }
        let problem = match timeout(self.patience, self.exporter.export(batch)).await {
            Ok(Ok(())) => {
                self.spans.add(SpanOutcome::Exported, count);
                self.is_told = false;
                return;
            }
            Ok(Err(_)) => "it cannot be reached, or refuses them",
            Err(_) => "it does not answer in time",
        };
        self.spans.add(SpanOutcome::Failed, count);
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(problem, "the receiver of traces takes no spans; they are lost until it does");
        }
    }
}

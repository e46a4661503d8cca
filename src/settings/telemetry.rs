//! Settings of traces: where they go, and which calls are recorded. It knows no span.

use std::path::PathBuf;

/// Where the endpoint may be, for people.
pub(super) const ENDPOINT: &str = "http://HOST:PORT or https://HOST:PORT, without a user or a path";

/// Where traces go, and which calls are recorded.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// An OTLP receiver over gRPC; empty: no call is recorded.
    pub otlp_endpoint: String,
    /// A PEM file of certificate authorities for `https://`; none: the system's.
    pub otlp_ca_file: Option<PathBuf>,
    /// How long the receiver may take to a batch, and the last spans at the end of the process.
    pub otlp_timeout_ms: u64,
    /// The share of the calls without a caller's trace that are recorded, from 0 to 1.
    pub trace_ratio: f64,
    /// The most spans that wait to be sent.
    pub trace_queue: usize,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            otlp_ca_file: None,
            otlp_timeout_ms: 5_000,
            trace_ratio: 0.0,
            trace_queue: 2_048,
        }
    }
}

/// An empty one: it is not set. A user and a password would be told to whoever reads the log of a failure.
pub(super) fn endpoint(slot: &mut String, text: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|start| text.strip_prefix(start));
    let is_authority = |rest: &str| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
    };
    let taken = text.is_empty() || rest.is_some_and(is_authority);
    if taken {
        text.clone_into(slot);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_host() {
        for good in ["", "http://collector:4317", "https://otel.example/", "http://[::1]:4317"] {
            assert!(endpoint(&mut String::new(), good), "{good}");
        }
        for bad in ["collector:4317", "http://", "http:///", "http://u:p@h", "http://h/v1/traces", "grpc://h"]
        {
            assert!(!endpoint(&mut "as it was".to_owned(), bad), "{bad}");
        }
    }
}

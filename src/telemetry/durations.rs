//! How long calls took: one histogram for each RPC and code, shown under the names of OpenTelemetry and under those that
//! dashboards of gRPC know. The latter cost a call nothing: they are summed up when somebody looks.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::trace::SERVICE;

/// Upper bounds of the durations' buckets, in seconds: from 100 µs on, a check's place, to a mutation's deadline.
const BUCKETS: [f64; 15] = [
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    1.0,
    5.0,
    30.0,
    f64::INFINITY,
];

/// What a call was: its RPC, whether that is a stream, and its code as gRPC writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Called {
    /// The RPC.
    pub rpc: &'static str,
    /// `unary`, `server_stream` or `bidi_stream`.
    pub kind: &'static str,
    /// `OK`, `INVALID_ARGUMENT`.
    pub code: &'static str,
}

/// The durations of all calls. A clone is the same ones.
#[derive(Clone, Debug, Default)]
pub struct Durations(Arc<RwLock<HashMap<Called, Series>>>);

/// Those of one RPC and code: to be found once, and kept.
#[derive(Clone, Debug, Default)]
pub struct Series(Arc<Taken>);

impl Series {
    /// A call has ended.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took);
    }
}

impl Durations {
    /// The series of an RPC and a code; it is there from now on.
    #[must_use]
    pub fn of(&self, called: Called) -> Series {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&called).cloned();
        known.unwrap_or_else(|| {
            self.0.write().unwrap_or_else(PoisonError::into_inner).entry(called).or_default().clone()
        })
    }

    fn counted(&self) -> BTreeMap<Called, Counted> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(called, series)| (*called, series.0.counted())).collect()
    }
}

/// How long calls of one kind took.
#[derive(Debug, Default)]
struct Taken {
    /// For each bucket, in their order; none counts in another.
    buckets: [AtomicU64; BUCKETS.len()],
    nanos: AtomicU64,
}

impl Taken {
    fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = BUCKETS.iter().position(|bound| seconds <= *bound);
        if let Some(bucket) = at.and_then(|at| self.buckets.get(at)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn counted(&self) -> Counted {
        let buckets = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        Counted { buckets, seconds: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64() }
    }
}

/// The same at one moment.
#[derive(Clone, Copy, Default)]
struct Counted {
    buckets: [u64; BUCKETS.len()],
    seconds: f64,
}

impl Counted {
    fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn and(mut self, other: &Self) -> Self {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(bucket, more)| *bucket += more);
        self.seconds += other.seconds;
        self
    }

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        let buckets: Vec<_> = BUCKETS.into_iter().zip(self.buckets).collect();
        encoder.encode_histogram::<NoLabelSet>(self.seconds, self.count(), &buckets, None)
    }
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct CallLabels {
    rpc: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct MethodLabels {
    grpc_type: &'static str,
    grpc_service: &'static str,
    grpc_method: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct HandledLabels {
    grpc_type: &'static str,
    grpc_service: &'static str,
    grpc_method: &'static str,
    grpc_code: String,
}

impl Called {
    const fn method(self) -> MethodLabels {
        MethodLabels { grpc_type: self.kind, grpc_service: SERVICE, grpc_method: self.rpc }
    }

    fn handled(self) -> HandledLabels {
        let MethodLabels { grpc_type, grpc_service, grpc_method } = self.method();
        HandledLabels { grpc_type, grpc_service, grpc_method, grpc_code: dashboard_code(self.code) }
    }
}

/// As gRPC for Go writes a code, which is what dashboards ask for: `InvalidArgument`.
fn dashboard_code(code: &str) -> String {
    match code {
        "OK" => "OK".to_owned(),
        "CANCELLED" => "Canceled".to_owned(),
        _ => code.split('_').map(capitalized).collect(),
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().into_iter().chain(letters.map(|letter| letter.to_ascii_lowercase())).collect()
}

impl Collector for Durations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let calls = self.counted();
        if calls.is_empty() {
            return Ok(());
        }
        let help = "How long calls took, by RPC and gRPC status code";
        let mut metric = encoder.encode_descriptor(
            "rpc_server_call_duration",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (Called { rpc, code, .. }, counted) in &calls {
            counted.encode(metric.encode_family(&CallLabels { rpc, code })?)?;
        }
        let help = "Calls that have ended, as dashboards of gRPC know them";
        let mut metric = encoder.encode_descriptor("grpc_server_handled", help, None, MetricType::Counter)?;
        for (called, counted) in &calls {
            metric
                .encode_family(&called.handled())?
                .encode_counter::<NoLabelSet, _, u64>(&counted.count(), None)?;
        }
        let mut methods = BTreeMap::<MethodLabels, Counted>::new();
        for (called, counted) in &calls {
            let of_method = methods.entry(called.method()).or_default();
            *of_method = of_method.and(counted);
        }
        let help = "How long calls took, as dashboards of gRPC know them";
        let mut metric = encoder.encode_descriptor(
            "grpc_server_handling",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        methods.iter().try_for_each(|(labels, counted)| counted.encode(metric.encode_family(labels)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn the_names_of_dashboards_tell_the_same_calls() {
        let metrics = Metrics::new();
        let call = |kind, code, micros| {
            let called = Called { rpc: "CheckAccess", kind, code };
            metrics.durations.of(called).observe(Duration::from_micros(micros));
        };
        call("unary", "OK", 100);
        call("unary", "OK", 150);
        call("unary", "INVALID_ARGUMENT", 2_000_000);
        call("unary", "CANCELLED", 60_000_000);
        let text = metrics.encode();
        let service =
            r#"grpc_type="unary",grpc_service="doorward.v1.AccessService",grpc_method="CheckAccess""#;
        for line in [
            r#"rpc_server_call_duration_seconds_bucket{le="0.0001",rpc="CheckAccess",code="OK"} 1"#
                .to_owned(),
            r#"rpc_server_call_duration_seconds_bucket{le="+Inf",rpc="CheckAccess",code="OK"} 2"#.to_owned(),
            r#"rpc_server_call_duration_seconds_sum{rpc="CheckAccess",code="OK"} 0.00025"#.to_owned(),
            format!(r#"grpc_server_handled_total{{{service},grpc_code="OK"}} 2"#),
            format!(r#"grpc_server_handled_total{{{service},grpc_code="InvalidArgument"}} 1"#),
            format!(r#"grpc_server_handled_total{{{service},grpc_code="Canceled"}} 1"#),
            format!(r#"grpc_server_handling_seconds_bucket{{le="0.00025",{service}}} 2"#),
            format!(r#"grpc_server_handling_seconds_bucket{{le="5.0",{service}}} 3"#),
            format!(r#"grpc_server_handling_seconds_count{{{service}}} 4"#),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}

//! How long calls took, by RPC and code.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the buckets, in seconds: from 100 µs on, a check's place, to a mutation's deadline.
const BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    rpc: &'static str,
    code: &'static str,
}

/// The durations of all calls.
#[derive(Debug)]
pub struct Durations(Family<CallLabels, Histogram, fn() -> Histogram>);

/// Those of one RPC and code: to be found once, and kept.
#[derive(Clone, Debug)]
pub struct Series(Histogram);

impl Durations {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let calls = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register_with_unit(
            "rpc_server_call_duration",
            "How long calls took, by RPC and gRPC status code",
            Unit::Seconds,
            calls.clone(),
        );
        Self(calls)
    }

    /// The series of an RPC and a code; it is there from now on.
    #[must_use]
    pub fn of(&self, rpc: &'static str, code: &'static str) -> Series {
        Series(self.0.get_or_create_owned(&CallLabels { rpc, code }))
    }
}

impl Series {
    /// A call has ended.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

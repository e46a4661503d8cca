//! What the door counts of calls.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tonic::Code;

use crate::service::Operation;
use crate::telemetry::{Called, Metrics, Series};
use crate::wire::code_name;

/// The metrics, and of each RPC, in their order, the series of its good answers: they are found once, and not at each call.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) metrics: Arc<Metrics>,
    answered: Vec<OnceLock<Series>>,
}

impl Counts {
    pub(super) fn over(metrics: Arc<Metrics>) -> Self {
        Self { metrics, answered: Operation::ALL.iter().map(|_| OnceLock::new()).collect() }
    }

    /// A call has ended.
    pub(super) fn call(&self, operation: Operation, code: Code, took: Duration) {
        let series = || self.metrics.durations.of(called(operation, code));
        match self.answered.get(operation as usize).filter(|_| code == Code::Ok) {
            Some(known) => known.get_or_init(series).observe(took),
            None => series().observe(took),
        }
    }
}

fn called(operation: Operation, code: Code) -> Called {
    let kind = match operation {
        Operation::StreamCheckAccess => "bidi_stream",
        Operation::WatchChanges => "server_stream",
        _ => "unary",
    };
    Called { rpc: operation.name(), kind, code: code_name(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_counted_under_its_own_name_and_code() {
        for &operation in Operation::ALL {
            let counts = Counts::over(Arc::new(Metrics::new()));
            counts.call(operation, Code::Ok, Duration::from_micros(150));
            counts.call(operation, Code::Ok, Duration::from_micros(150));
            counts.call(operation, Code::Unavailable, Duration::from_micros(150));
            let text = counts.metrics.encode();
            let counted: Vec<_> = text
                .lines()
                .filter(|line| line.starts_with("rpc_server_call_duration_seconds_count"))
                .collect();
            let name = operation.name();
            let line = |code, count| {
                format!("rpc_server_call_duration_seconds_count{{rpc=\"{name}\",code=\"{code}\"}} {count}")
            };
            assert_eq!(counted.len(), 2, "{counted:?}");
            assert!(
                counted.contains(&&*line("OK", 2)) && counted.contains(&&*line("UNAVAILABLE", 1)),
                "{counted:?}"
            );
        }
    }
}

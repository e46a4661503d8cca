//! Metrics of the database's connections: asked for when somebody looks. It does not know what they are for.

use std::fmt::{self, Error};
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;

/// The connections of a pool, or those of another one that may be used for something, of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The pool's name.
    pub name: &'static str,
    /// Those that are lent.
    pub used: u32,
    /// Those that wait to be.
    pub idle: u32,
}

type Look = Box<dyn Fn() -> Vec<Pool> + Send + Sync>;

/// The connections of all pools. A clone is the same ones.
#[derive(Clone, Default)]
pub struct Pools(Arc<OnceLock<Look>>);

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").field("is_open", &self.0.get().is_some()).finish()
    }
}

impl Pools {
    /// How to look at them; the first one told is kept.
    pub fn opened(&self, look: impl Fn() -> Vec<Pool> + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(look));
    }
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct Labels {
    pool: &'static str,
    state: &'static str,
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let pools = self.0.get().map(|look| look()).unwrap_or_default();
        if pools.is_empty() {
            return Ok(());
        }
        let help = "Connections to the database, by pool and whether they are in use";
        let mut metric =
            encoder.encode_descriptor("doorward_pool_connections", help, None, MetricType::Gauge)?;
        for Pool { name: pool, used, idle } in pools {
            for (state, count) in [("used", used), ("idle", idle)] {
                metric.encode_family(&Labels { pool, state })?.encode_gauge(&count)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn pools_are_seen_from_when_they_are_open() {
        let metrics = Metrics::new();
        assert!(!metrics.encode().contains("doorward_pool"));
        metrics.pools.opened(|| vec![Pool { name: "reads", used: 3, idle: 5 }]);
        let text = metrics.encode();
        assert!(text.contains(r#"doorward_pool_connections{pool="reads",state="used"} 3"#), "{text}");
        assert!(text.contains(r#"doorward_pool_connections{pool="reads",state="idle"} 5"#), "{text}");
    }
}

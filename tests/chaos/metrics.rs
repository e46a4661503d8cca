//! What the replicas count of themselves: the differences between one look at their metrics and the next.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::lab::REPLICAS;

/// The self-check's counter: cached answers that Postgres decided otherwise.
pub(crate) const MISMATCHES: &str = "doorward_decision_mismatch_total";

/// The counters as last seen, and what was added to them since the beginning.
pub(crate) struct Metrics {
    seen: Mutex<Vec<BTreeMap<String, u64>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { seen: Mutex::new(vec![BTreeMap::new(); REPLICAS]) }
    }
}

impl Metrics {
    /// What was counted since the last look, by series. A process that ends counts from zero in its next life.
    pub(crate) fn difference(&self, replica: usize, text: &str, ends: bool) -> BTreeMap<String, u64> {
        let now = parse(text);
        let mut seen = self.seen.lock().unwrap();
        let before = std::mem::take(&mut seen[replica]);
        let since = |(series, &value): (&String, &u64)| {
            let known = before.get(series).copied().filter(|known| *known <= value).unwrap_or(0);
            (series.clone(), value - known)
        };
        let difference = now.iter().map(since).collect();
        if !ends {
            seen[replica] = now;
        }
        difference
    }
}

/// The counters that matter here, under names for people.
fn parse(text: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let label = |name: &str| labels.split(['{', '}', ',']).find_map(|label| label.strip_prefix(name));
        let known = match name {
            MISMATCHES => Some(MISMATCHES.to_owned()),
            "doorward_checks_total" => label("tier=").map(|tier| format!("checks by {tier}")),
            "doorward_far_total" => label("outcome=").map(|outcome| format!("facts in Redis {outcome}")),
            "doorward_self_checks_total" => label("outcome=").map(|outcome| format!("self-checks {outcome}")),
            "doorward_cache_resets_total" => Some("caches dropped".to_owned()),
            "doorward_replicas_suspended_total" => Some("replicas suspended".to_owned()),
            _ => None,
        };
        if let (Some(known), Ok(value)) = (known, value.parse::<u64>()) {
            *found.entry(known.replace('"', "")).or_default() += value;
        }
    }
    found
}

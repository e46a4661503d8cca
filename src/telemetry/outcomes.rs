//! Counters of one name, one for each of a closed set. It does not know what they count.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

type Label = [(&'static str, &'static str); 1];

/// The counters: all of them are there from the start, and none takes a lock. A clone is the same ones.
#[derive(Clone, Debug)]
pub(super) struct Outcomes<const N: usize> {
    family: Family<Label, Counter>,
    /// In the order of their names.
    counters: [Counter; N],
}

impl<const N: usize> Outcomes<N> {
    /// Counters that are told apart by the values of a label.
    pub(super) fn of(label: &'static str, names: [&'static str; N]) -> Self {
        let family = Family::<Label, Counter>::default();
        let counters = names.map(|name| family.get_or_create_owned(&[(label, name)]));
        Self { family, counters }
    }

    /// The same, under a name that is exported.
    pub(super) fn registered(self, registry: &mut Registry, name: &str, help: &str) -> Self {
        registry.register(name, help, self.family.clone());
        self
    }

    /// One more of those at a place in the order.
    pub(super) fn inc(&self, at: usize) {
        self.add(at, 1);
    }

    /// So many more.
    pub(super) fn add(&self, at: usize, count: u64) {
        if let Some(counter) = self.counters.get(at) {
            counter.inc_by(count);
        }
    }
}

/// What was tried was done, or failed: the places of [`DONE_OR_FAILED`].
pub(super) const fn place(is_done: bool) -> usize {
    if is_done { 0 } else { 1 }
}

/// The names of what is done or fails.
pub(super) const DONE_OR_FAILED: [&str; 2] = ["done", "failed"];

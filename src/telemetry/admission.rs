//! Metrics of the door: how many calls are inside, and which were turned away. It does not know what a call asks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What kind of call it is: each kind has its own bulkhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Questions.
    Checks,
    /// Lists, gets, explanations.
    Reads,
    /// Mutations.
    Writes,
    /// Long-lived: watching changes, reflection.
    Streams,
    /// A look at the health.
    Health,
    /// Watching the health.
    HealthWatch,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 6] =
        [Self::Checks, Self::Reads, Self::Writes, Self::Streams, Self::Health, Self::HealthWatch];

    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Streams => "streams",
            Self::Health => "health",
            Self::HealthWatch => "health_watch",
        }
    }
}

/// Why a call was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decline {
    /// Too many are in flight.
    Overloaded,
    /// Its caller asks too often.
    RateLimited,
    /// Its time was over.
    Deadline,
}

impl Decline {
    /// Every refusal.
    pub const ALL: [Self; 3] = [Self::Overloaded, Self::RateLimited, Self::Deadline];

    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::Deadline => "deadline",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InFlightLabels {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    class: &'static str,
    reason: &'static str,
}

/// The metrics of the door: all of them are there from the start, and none takes a lock.
#[derive(Debug)]
pub struct Admissions {
    /// For each class, in their order.
    in_flight: [Gauge; Class::ALL.len()],
    /// For each class and refusal, in their order.
    refused: [[Counter; Decline::ALL.len()]; Class::ALL.len()],
}

impl Admissions {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let in_flight = Family::<InFlightLabels, Gauge>::default();
        registry.register("doorward_calls_in_flight", "Calls in flight, by class", in_flight.clone());
        let refused = Family::<RefusedLabels, Counter>::default();
        registry.register(
            "doorward_calls_refused",
            "Calls turned away at the door, by class and reason",
            refused.clone(),
        );
        let labels =
            |class: Class, refusal: Decline| RefusedLabels { class: class.name(), reason: refusal.name() };
        Self {
            in_flight: Class::ALL
                .map(|class| in_flight.get_or_create_owned(&InFlightLabels { class: class.name() })),
            refused: Class::ALL.map(|class| {
                Decline::ALL.map(|refusal| refused.get_or_create_owned(&labels(class, refusal)))
            }),
        }
    }

    /// A call came in.
    pub fn entered(&self, class: Class) {
        if let Some(gauge) = self.in_flight.get(class as usize) {
            gauge.inc();
        }
    }

    /// A call has gone.
    pub fn left(&self, class: Class) {
        if let Some(gauge) = self.in_flight.get(class as usize) {
            gauge.dec();
        }
    }

    /// A call was turned away.
    pub fn refused(&self, class: Class, refusal: Decline) {
        let of_class = self.refused.get(class as usize);
        if let Some(counter) = of_class.and_then(|counters| counters.get(refusal as usize)) {
            counter.inc();
        }
    }

    /// How many calls found no room, of all classes.
    #[must_use]
    pub fn overloaded(&self) -> u64 {
        let of_class = self.refused.iter().filter_map(|of_class| of_class.get(Decline::Overloaded as usize));
        of_class.map(Counter::get).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn each_class_and_each_refusal_has_its_own_series() {
        for class in Class::ALL {
            for refusal in Decline::ALL {
                let metrics = Metrics::new();
                metrics.admissions.entered(class);
                metrics.admissions.entered(class);
                metrics.admissions.left(class);
                metrics.admissions.refused(class, refusal);
                let text = metrics.encode();
                let of_door = text.lines().filter(|line| line.starts_with("doorward_calls_"));
                let counted: Vec<_> = of_door.filter(|line| !line.ends_with(" 0")).collect();
                let (class, reason) = (class.name(), refusal.name());
                let in_flight = format!("doorward_calls_in_flight{{class=\"{class}\"}} 1");
                let refused =
                    format!("doorward_calls_refused_total{{class=\"{class}\",reason=\"{reason}\"}} 1");
                assert_eq!(counted, [in_flight, refused]);
            }
        }
    }
}

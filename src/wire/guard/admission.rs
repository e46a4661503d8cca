//! How many calls are taken on at once: who finds no place is told so at once, and nobody waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::service::Error;
use crate::settings::Limits;
use crate::telemetry::{Class, Metrics};

/// The most looks at the health at once, and the most who watch it: it is open to everybody, so they get no more.
const HEALTH_MAX: usize = 64;

/// The places there are, shared by all workers.
#[derive(Debug)]
pub(super) struct Admission {
    /// All but health, which must answer when nothing else does.
    all: Bulkhead,
    /// For each class, in their order.
    classes: [Bulkhead; Class::ALL.len()],
    metrics: Arc<Metrics>,
}

impl Admission {
    pub(super) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let classes = Class::ALL.map(|class| Bulkhead::new(places(limits, class)));
        Self { all: Bulkhead::new(limits.in_flight), classes, metrics }
    }

    /// So many places from now on. Nobody who is inside is put out.
    pub(super) fn limit(&self, limits: &Limits) {
        self.all.max.store(limits.in_flight, Ordering::Relaxed);
        for (class, bulkhead) in Class::ALL.into_iter().zip(&self.classes) {
            bulkhead.max.store(places(limits, class), Ordering::Relaxed);
        }
    }

    /// A place, or none.
    ///
    /// # Errors
    /// OVERLOADED.
    pub(super) fn enter(self: &Arc<Self>, class: Class) -> Result<Permit, Error> {
        let own = self.classes.get(class as usize);
        if !own.is_some_and(Bulkhead::enter) {
            return Err(Error::overloaded());
        }
        if counts(class) && !self.all.enter() {
            own.map(Bulkhead::leave);
            return Err(Error::overloaded());
        }
        self.metrics.admissions.entered(class);
        Ok(Permit { admission: Arc::clone(self), class })
    }
}

const fn places(limits: &Limits, class: Class) -> usize {
    match class {
        Class::Checks => limits.checks,
        Class::Reads => limits.reads,
        Class::Writes => limits.writes,
        Class::Streams => limits.streams,
        Class::Health | Class::HealthWatch => HEALTH_MAX,
    }
}

/// Whether the class counts among all.
const fn counts(class: Class) -> bool {
    !matches!(class, Class::Health | Class::HealthWatch)
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    class: Class,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let admission = &self.admission;
        admission.classes.get(self.class as usize).map(Bulkhead::leave);
        if counts(self.class) {
            admission.all.leave();
        }
        admission.metrics.admissions.left(self.class);
    }
}

#[derive(Debug)]
struct Bulkhead {
    inside: AtomicUsize,
    max: AtomicUsize,
}

impl Bulkhead {
    const fn new(max: usize) -> Self {
        Self { inside: AtomicUsize::new(0), max: AtomicUsize::new(max) }
    }

    fn enter(&self) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        let one_more = |inside| (inside < max).then_some(inside + 1);
        self.inside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn admission(all: usize, checks: usize, reads: usize) -> Arc<Admission> {
        let limits = Limits { in_flight: all, checks, reads, writes: 1, streams: 1, ..Limits::default() };
        Arc::new(Admission::new(&limits, Arc::new(Metrics::new())))
    }

    #[test]
    fn a_class_that_is_full_leaves_the_others_their_places() {
        let admission = admission(10, 2, 1);
        let reading = admission.enter(Class::Reads).unwrap();
        assert!(admission.enter(Class::Reads).is_err());
        let checking = [admission.enter(Class::Checks).unwrap(), admission.enter(Class::Checks).unwrap()];
        assert!(admission.enter(Class::Checks).is_err());
        drop(reading);
        assert!(admission.enter(Class::Reads).is_ok());
        drop(checking);
        assert!(admission.enter(Class::Checks).is_ok());
    }

    #[test]
    fn limits_change_for_who_comes_next_and_nobody_inside_is_put_out() {
        let admission = admission(10, 2, 1);
        let inside = [admission.enter(Class::Checks).unwrap(), admission.enter(Class::Checks).unwrap()];
        let to = |in_flight, checks| Limits { in_flight, checks, ..Limits::default() };
        admission.limit(&to(10, 1));
        assert!(admission.enter(Class::Checks).is_err());
        admission.limit(&to(10, 3));
        assert!(admission.enter(Class::Checks).is_ok());
        admission.limit(&to(2, 3));
        assert!(admission.enter(Class::Checks).is_err());
        drop(inside);
        assert!(admission.enter(Class::Checks).is_ok());
    }

    #[test]
    fn the_limit_of_all_holds_over_the_classes_and_leaves_health_alone() {
        let admission = admission(2, 2, 2);
        let inside = [admission.enter(Class::Checks).unwrap(), admission.enter(Class::Reads).unwrap()];
        for class in [Class::Checks, Class::Reads, Class::Writes, Class::Streams] {
            assert!(admission.enter(class).is_err(), "{class:?}");
        }
        assert!(admission.enter(Class::Health).is_ok());
        drop(inside);
        // Whoever was refused by the limit of all has given back the place in their class.
        let one_write = admission.enter(Class::Writes).unwrap();
        assert!(admission.enter(Class::Streams).is_ok());
        drop(one_write);
    }

    #[test]
    fn many_threads_never_find_more_places_than_there_are() {
        let admission = admission(7, 7, 1);
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if let Ok(permit) = admission.enter(Class::Checks) {
                            most.fetch_max(admission.all.inside.load(Ordering::Relaxed), Ordering::Relaxed);
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert!(most.into_inner() <= 7);
        assert_eq!(admission.all.inside.load(Ordering::Relaxed), 0);
        let again: Vec<_> = (0..7).map(|_| admission.enter(Class::Checks).unwrap()).collect();
        assert!(admission.enter(Class::Checks).is_err());
        drop(again);
    }

    #[test]
    fn whoever_is_refused_is_told_when_to_come_back_each_at_another_time() {
        let admission = admission(0, 0, 0);
        let times: BTreeSet<_> = (0..100)
            .map(|_| match admission.enter(Class::Checks) {
                Err(Error::Overloaded { retry }) => retry.as_millis(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(times.len() > 30, "{times:?}");
        assert!(times.iter().all(|time| (100..500).contains(time)), "{times:?}");
    }
}

//! A check, and the loads it may need: knows lookup, gate, flights and views; no feed and no mutation.

use crate::protocol::Protocol;
use crate::slip::Slip;
use crate::state::{Age, Check, Flight, Replica, Revision, State, View};

impl Protocol {
    /// The check arrives and reads `fresh`. To read it later is to arrive later.
    pub(crate) fn arrive(&self, state: &mut State, at: usize) -> Option<()> {
        let replica = &mut state.replicas[at];
        (replica.is_up() && replica.check == Check::None).then_some(())?;
        (state.acknowledged > 0 || self.scope.early_checks).then_some(())?;
        replica.check = Check::Looking { known: state.acknowledged, fresh: replica.fresh };
        Some(())
    }

    pub(crate) fn look_near(&self, state: &mut State, at: usize) -> Option<()> {
        let fact = state.replicas[at].near?;
        self.find(&mut state.replicas[at], fact)
    }

    /// Redis may hold any fact that was ever true.
    pub(crate) fn look_far(&self, state: &mut State, at: usize, fact: Revision) -> Option<()> {
        self.scope.far.then_some(())?;
        self.find(&mut state.replicas[at], fact)?;
        self.keep(&mut state.replicas[at], fact);
        Some(())
    }

    fn find(&self, replica: &mut Replica, fact: Revision) -> Option<()> {
        let Check::Looking { known, fresh } = replica.check else { return None };
        self.is_usable(replica, fact).then_some(())?;
        replica.check = Check::Found { known, fresh, fact };
        Some(())
    }

    fn is_usable(&self, replica: &Replica, fact: Revision) -> bool {
        let recent = matches!(replica.view, View::Live { required } if fact >= required);
        recent || self.slips(Slip::FactWithoutRequired)
    }

    /// Any cache may have forgotten, so a lookup may always miss.
    pub(crate) fn miss(&self, state: &mut State, at: usize) -> Option<()> {
        let Check::Looking { known, .. } = state.replicas[at].check else { return None };
        state.replicas[at].check = Check::Loading { known };
        Some(())
    }

    /// A load that another sent has landed: the check arrives anew, with a `fresh` of now.
    pub(crate) fn look_again(&self, state: &mut State, at: usize) -> Option<()> {
        let replica = &mut state.replicas[at];
        let Check::Loading { known } = replica.check else { return None };
        replica.check = Check::Looking { known, fresh: replica.fresh };
        Some(())
    }

    /// Reads the clock again, and answers or loads.
    pub(crate) fn gate(&self, state: &mut State, at: usize) -> Option<()> {
        let replica = &mut state.replicas[at];
        let Check::Found { known, fresh, .. } = replica.check else { return None };
        if self.is_leased(replica, fresh) {
            replica.end_check();
        } else {
            replica.check = Check::Loading { known };
        }
        Some(())
    }

    fn is_leased(&self, replica: &Replica, fresh: Age) -> bool {
        let fresh = if self.slips(Slip::GateWithNewerFresh) { replica.fresh } else { fresh };
        fresh < self.scope.lease
    }

    /// UNAVAILABLE.
    pub(crate) fn refuse(&self, state: &mut State, at: usize) -> Option<()> {
        let waits = matches!(state.replicas[at].check, Check::Loading { .. });
        (waits && state.away).then_some(())?;
        state.replicas[at].end_check();
        Some(())
    }

    /// A load, for the check under way or for anyone else. The view is there before it.
    pub(crate) fn send(&self, state: &mut State, at: usize) -> Option<()> {
        let replica = &mut state.replicas[at];
        let in_the_air = replica.flights.iter().flatten().count();
        (replica.is_up() && in_the_air < self.scope.flights).then_some(())?;
        if replica.view == View::Absent && !self.slips(Slip::ViewAfterLoad) {
            replica.view = View::Pending { touched: 0 };
        }
        let flight = Flight { found: None, after_check: replica.check != Check::None, at_home: true };
        *replica.flights.iter_mut().find(|place| place.is_none())? = Some(flight);
        replica.flights.sort_unstable();
        Some(())
    }

    /// The load's statement runs.
    pub(crate) fn read(&self, state: &mut State, at: usize, flight: usize) -> Option<()> {
        let flying = state.replicas[at].flights[flight].as_mut()?;
        (flying.found.is_none() && !state.away).then_some(())?;
        flying.found = Some(state.revision);
        state.replicas[at].flights.sort_unstable();
        Some(())
    }

    /// The load's reply arrives: it fills the caches and answers the check, if it may.
    pub(crate) fn land(&self, state: &mut State, at: usize, flight: usize) -> Option<()> {
        let replica = &mut state.replicas[at];
        let flying = replica.flights[flight]?;
        let found = flying.found?;
        self.fill(replica, flying, found);
        if self.may_answer(replica, flying) {
            replica.end_check();
        }
        replica.flights[flight] = None;
        replica.flights.sort_unstable();
        Some(())
    }

    fn fill(&self, replica: &mut Replica, flight: Flight, found: Revision) {
        if !flight.at_home && !self.slips(Slip::FillAnotherView) {
            return;
        }
        replica.view = match replica.view {
            View::Absent if self.slips(Slip::ViewAfterLoad) => View::Live { required: found },
            View::Pending { touched } => View::Live { required: found.max(touched) },
            as_it_is => as_it_is,
        };
        if replica.view != View::Absent {
            self.keep(replica, found);
        }
    }

    /// Not asked whether it is outdated: readers ask.
    fn keep(&self, replica: &mut Replica, fact: Revision) {
        if self.scope.near {
            replica.near = replica.near.max(Some(fact));
        }
    }

    fn may_answer(&self, replica: &Replica, flight: Flight) -> bool {
        let waits = matches!(replica.check, Check::Loading { .. });
        waits && (flight.after_check || self.slips(Slip::JoinOlderFlight))
    }

    pub(crate) fn evict_view(&self, state: &mut State, at: usize) -> Option<()> {
        let replica = &mut state.replicas[at];
        (self.scope.view_evictions && replica.view != View::Absent).then_some(())?;
        replica.drop_view();
        Some(())
    }

    /// What the check under way can be answered with now, from a cache or by a load: what was acknowledged when it
    /// began, and the fact.
    pub(crate) fn answers(&self, replica: &Replica) -> Vec<(Revision, Revision)> {
        match replica.check {
            Check::Found { known, fresh, fact } if self.is_leased(replica, fresh) => vec![(known, fact)],
            Check::Loading { known } => {
                let loads =
                    replica.flights.iter().flatten().filter(|flight| self.may_answer(replica, **flight));
                loads.filter_map(|flight| flight.found).map(|found| (known, found)).collect()
            }
            _ => Vec::new(),
        }
    }
}

//! The model that is checked: knows which steps there are; what they do is in `feed`, `check` and `mutation`, and what must
//! hold in `promise`.
//!
//! Everything runs interleaved, so a pause, a partition, a hint lost or late, and a writer that crashes are steps that
//! are never taken, or late. Redis may hold any fact that was ever true.

use stateright::{Model, Property};

use crate::promise;
use crate::scope::Scope;
use crate::slip::Slip;
use crate::state::{FLIGHTS, REPLICAS, ROWS, WRITERS};
use crate::state::{Replica, Row, State, Status, View, Writer};

#[derive(Clone, Copy)]
pub(crate) struct Protocol {
    pub(crate) scope: Scope,
    pub(crate) slip: Option<Slip>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    TickUnseen,
    Outage,
    Suspend(usize),
    Delete(usize),
    Replica(usize, Step),
    ListEarly(usize),
    Commit(usize),
    List(usize),
    Reply(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Boot,
    RegisterLate,
    Crash,
    Drain,
    Leave,
    ReadClock,
    Query,
    NextOfPoll,
    LoseReply,
    EvictView,
    Arrive,
    LookNear,
    LookFar(u8),
    Miss,
    LookAgain,
    Gate,
    Refuse,
    Send,
    Read(usize),
    Land(usize),
}

const FEED_STEPS: [Step; 9] = [
    Step::Boot,
    Step::RegisterLate,
    Step::Crash,
    Step::Drain,
    Step::Leave,
    Step::ReadClock,
    Step::Query,
    Step::NextOfPoll,
    Step::LoseReply,
];

const CHECK_STEPS: [Step; 8] = [
    Step::EvictView,
    Step::Arrive,
    Step::LookNear,
    Step::Miss,
    Step::LookAgain,
    Step::Gate,
    Step::Refuse,
    Step::Send,
];

impl Protocol {
    pub(crate) fn slips(&self, slip: Slip) -> bool {
        self.slip == Some(slip)
    }

    /// `None` where the action cannot be taken now.
    fn take(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Tick => state.grow_older(self.scope.lease),
            Action::TickUnseen => self.grow_older_unseen(state)?,
            Action::Outage => {
                self.scope.outages.then_some(())?;
                state.away = !state.away;
            }
            Action::Suspend(row) => self.suspend(state, row)?,
            Action::Delete(row) => self.delete(state, row)?,
            Action::Replica(replica, step) => self.take_step(state, replica, step)?,
            Action::ListEarly(writer) => self.list_early(state, writer)?,
            Action::Commit(writer) => self.commit(state, writer)?,
            Action::List(writer) => self.list(state, writer)?,
            Action::Reply(writer) => self.reply(state, writer)?,
        }
        Some(())
    }

    fn take_step(&self, state: &mut State, replica: usize, step: Step) -> Option<()> {
        match step {
            Step::Boot => self.boot(state, replica),
            Step::RegisterLate => self.register_late(state, replica),
            Step::Crash => self.crash(state, replica),
            Step::Drain => self.drain(state, replica),
            Step::Leave => self.leave(state, replica),
            Step::ReadClock => self.read_clock(state, replica),
            Step::Query => self.query(state, replica),
            Step::NextOfPoll => self.next_of_poll(state, replica),
            Step::LoseReply => self.lose_reply(state, replica),
            Step::EvictView => self.evict_view(state, replica),
            Step::Arrive => self.arrive(state, replica),
            Step::LookNear => self.look_near(state, replica),
            Step::LookFar(fact) => self.look_far(state, replica, fact),
            Step::Miss => self.miss(state, replica),
            Step::LookAgain => self.look_again(state, replica),
            Step::Gate => self.gate(state, replica),
            Step::Refuse => self.refuse(state, replica),
            Step::Send => self.send(state, replica),
            Step::Read(flight) => self.read(state, replica, flight),
            Step::Land(flight) => self.land(state, replica, flight),
        }
    }

    /// A cached clock: time passes, and the gate's ages do not show it.
    fn grow_older_unseen(&self, state: &mut State) -> Option<()> {
        self.slips(Slip::GateWithCachedClock).then_some(())?;
        let before = state.replicas;
        state.grow_older(self.scope.lease);
        for (replica, before) in state.replicas.iter_mut().zip(before) {
            replica.fresh = before.fresh;
            replica.check = before.check;
        }
        Some(())
    }

    fn first_replica(&self, at: usize) -> Replica {
        let mut first = Replica::down(self.scope.lease);
        if at >= self.scope.replicas || !self.scope.registered {
            return first;
        }
        let (row, warm) = (u8::try_from(at).ok(), self.scope.warm);
        first.status = Status::Up { row, synced: warm };
        if warm && at < self.scope.serving {
            first.view = View::Live { required: 0 };
            first.near = self.scope.near.then_some(0);
        }
        first
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let registered = if self.scope.registered { self.scope.replicas } else { 0 };
        let boots = u8::try_from(registered).unwrap();
        vec![State {
            revision: 0,
            acknowledged: 0,
            away: false,
            rows: std::array::from_fn::<_, ROWS, _>(|at| (at < registered).then(Row::new)),
            boots,
            replicas: std::array::from_fn::<_, REPLICAS, _>(|at| self.first_replica(at)),
            writers: [Writer::Idle; WRITERS],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Tick, Action::TickUnseen, Action::Outage]);
        for row in 0..usize::from(state.boots) {
            actions.extend([Action::Suspend(row), Action::Delete(row)]);
        }
        for replica in 0..self.scope.replicas {
            actions.extend(FEED_STEPS.map(|step| Action::Replica(replica, step)));
        }
        for replica in 0..self.scope.serving {
            actions.extend(CHECK_STEPS.map(|step| Action::Replica(replica, step)));
            actions.extend((0..=state.revision).map(|fact| Action::Replica(replica, Step::LookFar(fact))));
            for flight in 0..FLIGHTS {
                actions.extend(
                    [Step::Read(flight), Step::Land(flight)].map(|step| Action::Replica(replica, step)),
                );
            }
        }
        for writer in 0..self.scope.writers.len() {
            actions.extend([Action::ListEarly(writer), Action::Commit(writer)]);
            actions.extend([Action::List(writer), Action::Reply(writer)]);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        self.take(&mut next, action)?;
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promise::properties(self)
    }
}

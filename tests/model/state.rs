//! One moment of the modelled world: knows what there is, and nothing of how it moves.

pub(crate) const REPLICAS: usize = 2;
pub(crate) const WRITERS: usize = 3;
pub(crate) const ROWS: usize = 4;
pub(crate) const FLIGHTS: usize = 2;

/// How many transactions have committed; each turns the one grant off or on.
pub(crate) type Revision = u8;
/// Ticks since something happened; at the lease it stands still.
pub(crate) type Age = u8;
/// A set of registry rows, a bit each.
pub(crate) type Rows = u8;

/// The grant begins as on.
pub(crate) fn is_on(revision: Revision) -> bool {
    revision.is_multiple_of(2)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) revision: Revision,
    /// The newest revision whose mutation has had its reply.
    pub(crate) acknowledged: Revision,
    /// The database cannot be reached.
    pub(crate) away: bool,
    /// The `replica` table. An id is never used again.
    pub(crate) rows: [Option<Row>; ROWS],
    pub(crate) boots: u8,
    pub(crate) replicas: [Replica; REPLICAS],
    pub(crate) writers: [Writer; WRITERS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) applied: Revision,
    pub(crate) suspended: Option<Age>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replica {
    pub(crate) status: Status,
    /// The last snapshot applied.
    pub(crate) snap: Revision,
    /// Its age; nothing published yet is as old as the lease.
    pub(crate) fresh: Age,
    pub(crate) poll: Poll,
    pub(crate) view: View,
    pub(crate) near: Option<Revision>,
    /// Sorted: which is which does not matter.
    pub(crate) flights: [Option<Flight>; FLIGHTS],
    pub(crate) check: Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Down,
    /// `synced`: the first snapshot is applied. Only a slip is up without a row.
    Up {
        row: Option<u8>,
        synced: bool,
    },
    /// Drains: no cache and no feed any more.
    Leaving {
        row: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Poll {
    Idle,
    /// The clock is read; the query is on its way.
    Asking {
        fresh: Age,
    },
    /// The query has run. `done` counts the steps taken with its result.
    Replied {
        fresh: Age,
        snap: Revision,
        stands: bool,
        done: usize,
    },
}

/// What the replica requires of facts of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum View {
    Absent,
    /// Inserted, with floor infinite: no load has returned yet.
    Pending {
        touched: Revision,
    },
    Live {
        required: Revision,
    },
}

/// A load of the grant from the primary. Who sent it does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Flight {
    /// What it has read, once the statement has run.
    pub(crate) found: Option<Revision>,
    /// Sent after the arrival of the check under way.
    pub(crate) after_check: bool,
    /// The view that it was sent under still stands.
    pub(crate) at_home: bool,
}

/// `known` is what had been acknowledged when the check began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Check {
    None,
    /// `fresh` is read; the lookup comes next.
    Looking {
        known: Revision,
        fresh: Age,
    },
    /// A cached fact is found; the gate comes next.
    Found {
        known: Revision,
        fresh: Age,
        fact: Revision,
    },
    Loading {
        known: Revision,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Writer {
    Idle,
    /// Only a slip reads the registry first.
    Listed {
        rows: Rows,
    },
    /// `rows` are those found in the registry after the commit, `since` the age of the commit.
    Committed {
        revision: Revision,
        since: Age,
        rows: Option<Rows>,
    },
    Done,
}

impl Replica {
    pub(crate) fn down(lease: Age) -> Self {
        Self {
            status: Status::Down,
            snap: 0,
            fresh: lease,
            poll: Poll::Idle,
            view: View::Absent,
            near: None,
            flights: [None; FLIGHTS],
            check: Check::None,
        }
    }

    /// Forgets what it knows. Checks and loads under way go on.
    pub(crate) fn drop_everything(&mut self, lease: Age) {
        self.snap = 0;
        self.fresh = lease;
        self.poll = Poll::Idle;
        self.drop_view();
    }

    pub(crate) fn drop_view(&mut self) {
        self.view = View::Absent;
        self.near = None;
        self.each_flight(|flight| flight.at_home = false);
    }

    pub(crate) fn end_check(&mut self) {
        self.check = Check::None;
        self.each_flight(|flight| flight.after_check = false);
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.status, Status::Up { .. })
    }

    pub(crate) fn each_flight(&mut self, change: impl Fn(&mut Flight)) {
        self.flights.iter_mut().flatten().for_each(change);
        self.flights.sort_unstable();
    }
}

impl Row {
    pub(crate) fn new() -> Self {
        Self { applied: 0, suspended: None }
    }
}

impl State {
    /// A tick passes for everyone; ages that have reached the lease are all alike.
    pub(crate) fn grow_older(&mut self, lease: Age) {
        let older = |age: &mut Age| *age = (*age + 1).min(lease);
        self.rows.iter_mut().flatten().filter_map(|row| row.suspended.as_mut()).for_each(older);
        for writer in &mut self.writers {
            if let Writer::Committed { since, .. } = writer {
                older(since);
            }
        }
        for replica in &mut self.replicas {
            older(&mut replica.fresh);
            if let Poll::Asking { fresh } | Poll::Replied { fresh, .. } = &mut replica.poll {
                older(fresh);
            }
            if let Check::Looking { fresh, .. } | Check::Found { fresh, .. } = &mut replica.check {
                older(fresh);
            }
        }
    }
}

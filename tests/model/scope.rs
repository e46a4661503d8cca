//! How much of the world a run explores: knows sizes and switches, no step of the protocol.

/// What a mutation wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Remove the grant; a no-op if it is off.
    Remove,
    /// Give it again; a no-op if it is on.
    Restore,
}

/// A small world. Time has no bound: only ages are kept, and none grows beyond the lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) name: &'static str,
    /// In ticks.
    pub(crate) lease: u8,
    pub(crate) replicas: usize,
    /// The first so many replicas answer checks; the others have a feed only.
    pub(crate) serving: usize,
    /// Checks are followed that begin before any acknowledgement, too. They promise nothing, and what they do to later
    /// ones, filling the caches, others do as well.
    pub(crate) early_checks: bool,
    /// They commit in this order; each may wait for as long as it likes.
    pub(crate) writers: &'static [Intent],
    /// How many replica ids are ever used: a boot takes one, so this bounds reboots.
    pub(crate) boots: u8,
    /// Replicas begin registered, and not down.
    pub(crate) registered: bool,
    /// Replicas begin with a snapshot applied and the grant cached as on.
    pub(crate) warm: bool,
    pub(crate) near: bool,
    pub(crate) far: bool,
    /// Loads in the air at once in a replica, up to two.
    pub(crate) flights: usize,
    pub(crate) view_evictions: bool,
    /// The last replica may crash.
    pub(crate) crashes: bool,
    /// Any row may be suspended at any time, a live replica's too.
    pub(crate) suspensions: bool,
    pub(crate) drains: bool,
    /// The database can be away.
    pub(crate) outages: bool,
}

const SMALLEST: Scope = Scope {
    name: "one replica",
    lease: 2,
    replicas: 1,
    serving: 1,
    early_checks: false,
    writers: &[Intent::Remove],
    boots: 1,
    registered: true,
    warm: false,
    near: true,
    far: false,
    flights: 1,
    view_evictions: false,
    crashes: false,
    suspensions: false,
    drains: false,
    outages: false,
};

/// The database can be away.
pub(crate) const OUTAGE: Scope = Scope { name: "outage", early_checks: true, outages: true, ..SMALLEST };

/// One replica with a near and a far cache.
pub(crate) const ONE: Scope =
    Scope { name: "one replica", early_checks: true, far: true, lease: 3, ..SMALLEST };

/// Loads that race with each other, with invalidations and with the eviction of their view.
pub(crate) const FILLS: Scope = Scope { name: "fills", flights: 2, view_evictions: true, ..SMALLEST };

/// A replica that serves beside one that only acknowledges.
pub(crate) const TWO: Scope = Scope { name: "two replicas", replicas: 2, boots: 2, ..SMALLEST };

/// Two replicas that serve, each from the far cache.
pub(crate) const BOTH: Scope =
    Scope { name: "both serve", serving: 2, warm: true, flights: 0, near: false, far: true, ..TWO };

/// Two writers of one change: the second finds nothing to do.
pub(crate) const REPLAY: Scope =
    Scope { name: "replay", writers: &[Intent::Remove, Intent::Remove], ..SMALLEST };

/// Off, on and off again, while the far cache holds any of it.
pub(crate) const RESTORED: Scope = Scope {
    name: "restored",
    warm: true,
    flights: 0,
    writers: &[Intent::Remove, Intent::Restore, Intent::Remove],
    near: false,
    far: true,
    ..SMALLEST
};

/// Boot, crash, boot under another id.
pub(crate) const BOOT: Scope =
    Scope { name: "boot", registered: false, boots: 2, crashes: true, view_evictions: true, ..SMALLEST };

/// Rows of dead and of live replicas are suspended and deleted.
pub(crate) const EVICTION: Scope =
    Scope { name: "eviction", boots: 2, crashes: true, suspensions: true, ..SMALLEST };

/// A replica drains.
pub(crate) const DRAIN: Scope = Scope { name: "drain", drains: true, ..SMALLEST };

/// A replica that serves from the far cache beside one that dies.
pub(crate) const DEAD: Scope =
    Scope { name: "a dead replica", serving: 1, crashes: true, suspensions: true, ..BOTH };

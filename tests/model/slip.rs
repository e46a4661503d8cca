//! Ways to get the protocol wrong: knows their names only; each has its effect at one place of the steps.

/// One difference from the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slip {
    /// A mutation replies as soon as it has committed.
    ReturnWithoutWaiting,
    /// `fresh` is read when the feed's reply arrives, not before its query is sent.
    LeaseFromReply,
    /// The gate looks at the `fresh` of now, not at the one read before the lookup.
    GateWithNewerFresh,
    /// A dead replica's row is deleted at once, not suspended for a lease first.
    DeleteInOneStep,
    /// A replica takes its first snapshot, and its row is inserted after that.
    SnapshotBeforeRegistering,
    /// A poll renews the lease though the own row is gone or suspended.
    RenewBlindly,
    /// A mutation that finds nothing to do replies at once.
    NoOpWithoutWaiting,
    /// Any cached fact is used.
    FactWithoutRequired,
    /// A check takes the answer of a load that was sent before the check arrived.
    JoinOlderFlight,
    /// The writer's wait is shorter than the readers' lease.
    WaitLess,
    /// The feed acknowledges a snapshot, then applies it.
    AcknowledgeBeforeApplying,
    /// The registry is read before the commit.
    RegistryBeforeCommit,
    /// The feed publishes `fresh`, then applies the invalidations.
    PublishBeforeApplying,
    /// The gate's clock can stand still while time passes.
    GateWithCachedClock,
    /// One acknowledgement is enough.
    ReturnAfterFirstAcknowledgement,
    /// A view is inserted when the load returns, so that invalidations meanwhile are lost.
    ViewAfterLoad,
    /// A load fills a view that is not the one it was sent under.
    FillAnotherView,
    /// The first snapshot, which has none before it to differ from, keeps what was loaded earlier.
    KeepAtFirstSnapshot,
    /// A replica that drains deletes its row, then stops using its caches.
    LeaveBeforeStopping,
}

impl Slip {
    pub(crate) const ALL: [Self; 19] = [
        Self::ReturnWithoutWaiting,
        Self::LeaseFromReply,
        Self::GateWithNewerFresh,
        Self::DeleteInOneStep,
        Self::SnapshotBeforeRegistering,
        Self::RenewBlindly,
        Self::NoOpWithoutWaiting,
        Self::FactWithoutRequired,
        Self::JoinOlderFlight,
        Self::WaitLess,
        Self::AcknowledgeBeforeApplying,
        Self::RegistryBeforeCommit,
        Self::PublishBeforeApplying,
        Self::GateWithCachedClock,
        Self::ReturnAfterFirstAcknowledgement,
        Self::ViewAfterLoad,
        Self::FillAnotherView,
        Self::KeepAtFirstSnapshot,
        Self::LeaveBeforeStopping,
    ];
}

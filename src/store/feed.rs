//! How replicas learn what has changed, and how a writer learns that they have: the feed and the registry of replicas.

use std::time::Duration;

use doorward_engine::change::Part;
use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;

use super::StoreError;

/// Which life of which database. After a restart, a restore or a failover it is another one, and nothing that was
/// known in the one before counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epoch(pub [u8; 16]);

/// A replica's id; never used again after its row is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub String);

/// What a replica says of itself when it registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its id.
    pub id: ReplicaId,
    /// For how long after a poll it may answer from what that poll left.
    pub lease: Duration,
    /// For how long after its lease it answers, degraded, while the database is away; zero: not at all.
    pub stale: Duration,
}

/// A place in the feed, in the store's own form: everything committed before it is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(pub String);

/// One look at the feed: everything in it is of one moment.
#[derive(Clone, Debug)]
pub struct Poll {
    /// The epoch.
    pub epoch: Epoch,
    /// Where the feed is now.
    pub position: Position,
    /// Whether the replica's own row is there, not suspended, and the feed runs forward.
    pub stands: bool,
    /// What was committed since the position asked about, in no order; none: too much to tell.
    pub changes: Option<Vec<Changed>>,
    /// The database's clock.
    pub now: Instant,
}

/// One revision of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The tenant's id, or [`PLATFORM`](super::act::PLATFORM).
    pub scope: String,
    /// The revision that was made.
    pub revision: Revision,
    /// The parts that it made outdated; none: too many to tell, or not understood: all of them.
    pub parts: Option<Vec<Part>>,
}

/// A replica's side: what has changed.
pub trait Feed: Send + Sync + 'static {
    /// Makes the replica known, durably: from now on mutations wait for it. To be called before the first poll, with
    /// an id that was never used.
    ///
    /// # Errors
    /// [`StoreError`]; the replica may be known all the same.
    fn register(&self, replica: Registration) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What has been committed since a position, in one statement on the primary. Without one nothing is told but
    /// where the feed is.
    ///
    /// # Errors
    /// [`StoreError`], also where the database is no primary.
    fn poll(
        &self,
        replica: &ReplicaId,
        since: Option<&Position>,
    ) -> impl Future<Output = Result<Poll, StoreError>> + Send;

    /// Says that the replica has applied everything up to a position.
    ///
    /// # Errors
    /// [`StoreError`]; the replica may have acknowledged all the same.
    fn acknowledge(
        &self,
        replica: &ReplicaId,
        position: &Position,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes the replica's row away; it must not use a cache any more.
    ///
    /// # Errors
    /// [`StoreError`]; then mutations wait for it until it is found dead.
    fn leave(&self, replica: &ReplicaId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Waits until the store itself says that a poll may find something. It may never say so: polls go on anyway.
    fn hinted(&self) -> impl Future<Output = ()> + Send;
}

/// What a mutation waits for: a revision of a tenant, or of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The tenant's id, or [`PLATFORM`](super::act::PLATFORM).
    pub scope: String,
    /// The revision; 0 is nothing to wait for.
    pub revision: Revision,
}

/// A replica that has not acknowledged a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lagging {
    /// Its id.
    pub id: ReplicaId,
    /// Its lease.
    pub lease: Duration,
    /// For how long after its lease it may answer, degraded; zero: not at all.
    pub stale: Duration,
    /// How far it is on its way out.
    pub standing: Standing,
}

/// How far a replica's row is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in the registry.
    Member,
    /// It was found dead: its next poll ends its lease.
    Suspended,
    /// A lease has passed since: it can answer at most degraded.
    Expired,
}

/// A writer's side: who knows of it.
pub trait Registry: Send + Sync + 'static {
    /// For each mark, the replicas that have not acknowledged it, as of now.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is known.
    fn behind(&self, marks: Vec<Mark>) -> impl Future<Output = Result<Vec<Vec<Lagging>>, StoreError>> + Send;

    /// Marks replicas as suspended, durably.
    ///
    /// # Errors
    /// [`StoreError`]; they may be suspended all the same.
    fn suspend(&self, replicas: Vec<ReplicaId>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// After a lease since their suspension: the rows of those that do not answer degraded are deleted, the others
    /// marked as expired. Rows that are not suspended stay as they are.
    ///
    /// # Errors
    /// [`StoreError`]; they may be expired all the same.
    fn expire(&self, replicas: Vec<ReplicaId>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes the rows of expired replicas, after the time for which they answered degraded.
    ///
    /// # Errors
    /// [`StoreError`]; they may be gone all the same.
    fn forget(&self, replicas: Vec<ReplicaId>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Tells every replica that a poll will find something. It may be lost.
    fn hint(&self) -> impl Future<Output = ()> + Send;
}

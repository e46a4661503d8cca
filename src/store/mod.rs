//! The store's contract: three traits and their words. It knows the engine's records, and no database.
//!
//! Reads of facts go through [`Snapshots`], reads for administrators through [`Directory`], and every write through
//! the one door, [`Commits`]. What was written is told by a [`Feed`]; a [`Registry`] says who has heard it.

pub mod act;
pub mod audit;
pub mod chain;
pub mod credentials;
pub mod denials;
pub mod directory;
pub mod fact;
pub mod feed;
pub mod hand;
pub mod snapshots;
pub mod sql;
pub mod state;

pub use act::{Act, CommitError, Commits, Effect, Letter, Planned, Receipt, RequestKey, Target, Wait};
pub use credentials::Credentials;
pub use directory::Directory;
pub use fact::{Fact, Value};
pub use feed::{Epoch, Feed, Registry};
pub use hand::{AtHand, Own, Shown};
pub use snapshots::{
    Ask, Asked, Freshness, InForce, Seen, Snapshot, Snapshots, SubjectFacts, SubjectOf, SubjectRef, Tier,
};
pub use state::{Needs, State};

/// Why the store gave no answer. Never a denial, never an allow.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached, or not in time; the same call may succeed later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It is asked as much at once as it may be: nothing was asked, and nobody has waited.
    #[error("as many questions are read from the database as may be")]
    Busy,
    /// A row says what no row of ours can say.
    #[error("the database holds what cannot be read: {0}")]
    Corrupt(String),
}

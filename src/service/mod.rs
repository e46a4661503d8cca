//! What may be asked and done, in domain words: it knows the store's traits and the engine, and no wire.

pub mod authority;
pub mod draft;
pub mod error;
pub mod mutate;
pub mod operation;

pub mod api_key;
pub mod audit;
pub mod catalogue;
pub mod check;
pub mod credential;
pub mod denied;
pub mod firewall;
pub mod grant;
pub mod invitation;
pub mod list;
pub mod member;
mod read;
pub mod resource;
pub mod section;
mod self_check;
pub mod subscription;
pub mod tenant;
pub mod watch;

pub use self::error::{Error, Violation};
pub use self::mutate::{Call, Control, Done};
pub use self::operation::Operation;

use std::sync::Arc;

use self::self_check::Doubt;
use crate::keys::Keys;
use crate::resolver::Resolver;
use crate::store::{Commits, Credentials, Directory, Epoch, Snapshots};
use crate::telemetry::Metrics;

/// The layers under the service, composed by the application.
pub trait Backend: Send + Sync + 'static {
    /// Facts for checks.
    type Snapshots: Snapshots;
    /// Reads for administrators.
    type Directory: Directory;
    /// The write door.
    type Commits: Commits;
    /// Who may call.
    type Credentials: Credentials;
}

/// Periods that the operator chooses. In seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A new tenant's trial.
    pub trial_seconds: i64,
    /// From a period's end to the end of its grace.
    pub grace_seconds: i64,
    /// From an invitation to its expiry.
    pub invitation_seconds: i64,
}

impl Default for Policy {
    fn default() -> Self {
        const DAY: i64 = 24 * 60 * 60;
        Self { trial_seconds: 14 * DAY, grace_seconds: 7 * DAY, invitation_seconds: 3 * DAY }
    }
}

/// The service: one method an RPC, in the file of its noun.
#[derive(Debug)]
pub struct Service<B: Backend> {
    pub(crate) resolver: Resolver<B::Snapshots>,
    pub(crate) directory: B::Directory,
    pub(crate) commits: B::Commits,
    pub(crate) policy: Policy,
    pub(crate) keys: Keys,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) doubt: Doubt,
}

impl<B: Backend> Service<B> {
    /// A service over its layers.
    pub fn over(
        resolver: Resolver<B::Snapshots>,
        directory: B::Directory,
        commits: B::Commits,
        policy: Policy,
        keys: Keys,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { resolver, directory, commits, policy, keys, metrics, doubt: Doubt::default() }
    }

    /// The database's epoch, as far as it is known: revisions are of one.
    pub fn epoch(&self) -> Epoch {
        self.resolver.epoch()
    }
}

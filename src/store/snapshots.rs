//! The read trait of checks: one question's facts, gathered at one revision.

use std::sync::Arc;

use doorward_engine::catalogue::Catalogue;
use doorward_engine::id::{KeyId, MemberId, ResourceRef, Revision, TenantId, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::{Facts, KeyFacts, MemberFacts, ResourceFacts, TenantFacts};

use super::feed::Epoch;
use super::{AtHand, Shown, StoreError};

/// Gathers the facts for a question. Layers (caches) implement it over another of its kind.
pub trait Snapshots: Send + Sync + 'static {
    /// The facts of one tenant, one subject and the resources asked for, all of one revision.
    ///
    /// # Errors
    /// [`StoreError`] where the facts cannot be had; what does not exist is a fact, not an error.
    fn snapshot(&self, ask: Ask) -> impl Future<Output = Result<Snapshot, StoreError>> + Send;

    /// The facts for many questions, of those whose facts are at hand: the others have to be asked for one by one. A
    /// layer that has no cache has nothing at hand.
    fn at_hand(&self, asked: &[Asked<'_>]) -> impl Future<Output = AtHand> + Send {
        std::future::ready(AtHand::nothing(asked.len()))
    }

    /// Shows the facts for one question where they lie, if they are at hand: `see` is to be brief, for changes wait for it.
    fn one_at_hand<T: Send>(
        &self,
        _asked: &Asked<'_>,
        _see: impl FnOnce(&Shown<'_>) -> T + Send,
    ) -> impl Future<Output = Option<T>> + Send {
        std::future::ready(None)
    }

    /// The database's epoch, as far as it is known.
    fn epoch(&self) -> Epoch;
}

/// How fresh the facts must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Whatever is usable: acknowledged changes are seen all the same.
    #[default]
    MinimizeLatency,
    /// Not older than this.
    AtLeast(Seen),
    /// Straight from the database.
    Fully,
}

impl Freshness {
    /// Whether facts of this revision are as fresh as asked for, a token being of this epoch.
    #[must_use]
    pub fn is_met_by(self, found: Revision) -> bool {
        !matches!(self, Self::AtLeast(seen) if found < seen.revision)
    }
}

/// What somebody has seen of a tenant. Of another epoch it says nothing about this one's revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The epoch of the database.
    pub epoch: Epoch,
    /// The tenant's revision in it.
    pub revision: Revision,
}

/// Where facts came from; the farthest of a question's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// This process's memory.
    Near,
    /// The cache that replicas share.
    Far,
    /// The database.
    Store,
}

impl Tier {
    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
            Self::Store => "store",
        }
    }
}

/// Whose facts are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The tenant.
    pub tenant: TenantId,
    /// The subject within it.
    pub subject: SubjectRef,
    /// The resources within it; a batch asks for many.
    pub resources: Vec<ResourceRef>,
    /// How fresh they must be; a layer that has no cache answers freshly in any case.
    pub freshness: Freshness,
}

/// Whose facts are asked for, about one resource at most, in words that whoever asks keeps.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The subject within it.
    pub subject: SubjectOf<'a>,
    /// The resource within it; none: a section is asked about.
    pub resource: Option<&'a ResourceRef>,
    /// How fresh they must be.
    pub freshness: Freshness,
}

/// [`SubjectRef`] without its own copy of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectOf<'a> {
    /// A member, by the person's user id.
    User(&'a UserId),
    /// A member, by member id.
    Member(&'a MemberId),
    /// An API key, by its public id; its secret is compared by the resolver.
    Key(&'a KeyId),
    /// No subject.
    Nobody,
}

/// A subject by one of its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubjectRef {
    /// A member, by the person's user id.
    User(UserId),
    /// A member, by member id.
    Member(MemberId),
    /// An API key, by its public id; its secret is compared by the resolver.
    Key(KeyId),
    /// No subject: facts of the tenant and of resources alone are asked for.
    Nobody,
}

impl<'a> From<&'a SubjectRef> for SubjectOf<'a> {
    fn from(subject: &'a SubjectRef) -> Self {
        match subject {
            SubjectRef::User(id) => Self::User(id),
            SubjectRef::Member(id) => Self::Member(id),
            SubjectRef::Key(id) => Self::Key(id),
            SubjectRef::Nobody => Self::Nobody,
        }
    }
}

/// The catalogue in force.
#[derive(Debug)]
pub struct InForce {
    /// Its version, from 1.
    pub version: u64,
    /// The BLAKE3 of the document, in hex.
    pub digest: String,
    /// The document, TOML.
    pub document: String,
    /// The document, understood.
    pub catalogue: Catalogue,
}

/// The facts for a question, all of one revision.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The catalogue that the facts were compiled against.
    pub in_force: Arc<InForce>,
    /// The tenant's; none where it was never created.
    pub tenant: Option<Arc<TenantFacts>>,
    /// The subject's.
    pub subject: SubjectFacts,
    /// Those of the resources that were asked for, in that order; none: there is none (a deleted one may be there, as such).
    pub resources: Vec<Option<ResourceFacts>>,
    /// The tenant's revision; 0 where it was never created.
    pub revision: Revision,
    /// The database's epoch that they are of.
    pub epoch: Epoch,
    /// Now, by the database's clock.
    pub now: Instant,
    /// Where they came from.
    pub tier: Tier,
    /// The database cannot be reached, and these facts may be outdated: the operator has allowed that.
    pub degraded: bool,
}

/// A subject's facts; none: nobody.
#[derive(Clone, Debug)]
pub enum SubjectFacts {
    /// A member's.
    Member(Option<MemberFacts>),
    /// An API key's.
    Key(Option<Arc<KeyFacts>>),
}

impl Snapshot {
    /// What the engine looks at, for a question about the resource that was asked for at that place, or about a section.
    #[must_use]
    pub fn facts(&self, resource: Option<usize>) -> Facts<'_> {
        Facts {
            catalogue: &self.in_force.catalogue,
            tenant: self.tenant.as_deref(),
            subject: self.subject.as_subject(),
            resource: resource.and_then(|at| self.resources.get(at)).and_then(Option::as_ref),
        }
    }
}

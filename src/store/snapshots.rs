//! The read trait of checks: one question's facts, gathered at one revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_engine::catalogue::Catalogue;
use doorward_engine::id::{KeyId, MemberId, ResourceRef, Revision, TenantId, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::{Facts, KeyFacts, MemberFacts, ResourceFacts, Subject, TenantFacts};

use super::StoreError;

/// Gathers the facts for a question. Layers (caches) implement it over another of its kind.
pub trait Snapshots: Send + Sync + 'static {
    /// The facts of one tenant, one subject and the resources asked for, all of one revision.
    ///
    /// # Errors
    /// [`StoreError`] where the facts cannot be had; what does not exist is a fact, not an error.
    fn snapshot(&self, ask: Ask) -> impl Future<Output = Result<Snapshot, StoreError>> + Send;
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
}

/// A subject by one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectRef {
    /// A member, by the person's user id.
    User(UserId),
    /// A member, by member id.
    Member(MemberId),
    /// An API key, by its public id; its secret is compared by the resolver.
    Key(KeyId),
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
    /// Those of the resources that exist (a deleted one may be among them, as such).
    pub resources: BTreeMap<ResourceRef, Arc<ResourceFacts>>,
    /// The tenant's revision; 0 where it was never created.
    pub revision: Revision,
    /// The database's clock when the facts were gathered.
    pub now: Instant,
}

/// A subject's facts; none: nobody.
#[derive(Clone, Debug)]
pub enum SubjectFacts {
    /// A member's.
    Member(Option<Arc<MemberFacts>>),
    /// An API key's.
    Key(Option<Arc<KeyFacts>>),
}

impl Snapshot {
    /// What the engine looks at, for a question about a section or about one of the resources.
    #[must_use]
    pub fn facts(&self, resource: Option<&ResourceRef>) -> Facts<'_> {
        Facts {
            catalogue: &self.in_force.catalogue,
            tenant: self.tenant.as_deref(),
            subject: match &self.subject {
                SubjectFacts::Member(member) => Subject::Member(member.as_deref()),
                SubjectFacts::Key(key) => Subject::Key(key.as_deref()),
            },
            resource: resource.and_then(|resource| self.resources.get(resource)).map(|facts| &**facts),
        }
    }
}

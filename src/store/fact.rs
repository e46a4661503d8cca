//! Facts as caches keep them: at a tenant's revision, a part of it was so. A fact never turns false, only outdated.

use std::sync::Arc;

use doorward_engine::id::{MemberId, Revision};
use doorward_engine::snapshot::{KeyFacts, MemberFacts, ResourceFacts, TenantFacts};

/// A part's value at a revision of its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The tenant's revision at which the part was read.
    pub revision: Revision,
    /// The part as it was.
    pub value: Value,
}

/// What a part is, compiled against one catalogue; that there is none is a fact too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of `Part::Tenant`.
    Tenant(Option<Arc<TenantFacts>>),
    /// Of `Part::Member`.
    Member(Option<Arc<MemberFacts>>),
    /// Of `Part::User`: the member that the user is.
    User(Option<MemberId>),
    /// Of `Part::Key`.
    Key(Option<Arc<KeyFacts>>),
    /// Of `Part::Resource`.
    Resource(Option<Arc<ResourceFacts>>),
}

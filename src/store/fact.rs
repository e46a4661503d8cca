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
    Resource(Option<ResourceFacts>),
}

impl Value {
    /// The tenant's facts.
    #[must_use]
    pub fn into_tenant(self) -> Option<Arc<TenantFacts>> {
        if let Self::Tenant(facts) = self { facts } else { None }
    }

    /// A member's facts.
    #[must_use]
    pub fn into_member(self) -> Option<Arc<MemberFacts>> {
        if let Self::Member(facts) = self { facts } else { None }
    }

    /// The member that a user is.
    #[must_use]
    pub fn into_user(self) -> Option<MemberId> {
        if let Self::User(member) = self { member } else { None }
    }

    /// An API key's facts.
    #[must_use]
    pub fn into_key(self) -> Option<Arc<KeyFacts>> {
        if let Self::Key(facts) = self { facts } else { None }
    }

    /// A resource's facts.
    #[must_use]
    pub fn into_resource(self) -> Option<ResourceFacts> {
        if let Self::Resource(facts) = self { facts } else { None }
    }

    /// Whether it says that there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        match self {
            Self::Tenant(facts) => facts.is_none(),
            Self::Member(facts) => facts.is_none(),
            Self::User(member) => member.is_none(),
            Self::Key(facts) => facts.is_none(),
            Self::Resource(facts) => facts.is_none(),
        }
    }
}

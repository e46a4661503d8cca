//! Facts as caches keep them: at a tenant's revision, a part of it was so. A fact never turns false, only outdated.

use std::sync::Arc;

use doorward_engine::id::{MemberId, Revision};
use doorward_engine::snapshot::{KeyFacts, MemberFacts, ResourceFacts, TenantFacts};

/// A part's value at a revision of its tenant. `M` is how a cache knows a user's member, `F` how it holds a member's facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact<M = MemberId, F = MemberFacts> {
    /// The tenant's revision at which the part was read.
    pub revision: Revision,
    /// The part as it was.
    pub value: Value<M, F>,
}

/// What a part is, compiled against one catalogue; that there is none is a fact too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<M = MemberId, F = MemberFacts> {
    /// Of `Part::Tenant`.
    Tenant(Option<Arc<TenantFacts>>),
    /// Of `Part::Member`.
    Member(Option<F>),
    /// Of `Part::User`: the member that the user is.
    User(Option<M>),
    /// Of `Part::Key`.
    Key(Option<Arc<KeyFacts>>),
    /// Of `Part::Resource`.
    Resource(Option<ResourceFacts>),
}

impl<M, F> Value<M, F> {
    /// The tenant's facts.
    #[must_use]
    pub fn tenant(&self) -> Option<&Arc<TenantFacts>> {
        if let Self::Tenant(facts) = self { facts.as_ref() } else { None }
    }

    /// A member's facts.
    #[must_use]
    pub fn member(&self) -> Option<&F> {
        if let Self::Member(facts) = self { facts.as_ref() } else { None }
    }

    /// The member that a user is.
    #[must_use]
    pub fn user(&self) -> Option<&M> {
        if let Self::User(member) = self { member.as_ref() } else { None }
    }

    /// An API key's facts.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<KeyFacts>> {
        if let Self::Key(facts) = self { facts.as_ref() } else { None }
    }

    /// A resource's facts.
    #[must_use]
    pub fn resource(&self) -> Option<ResourceFacts> {
        if let Self::Resource(facts) = self { *facts } else { None }
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

    /// The same with a user's member known, and a member's facts held, in another way.
    #[must_use]
    pub fn kept<N, G>(self, user: impl FnOnce(M) -> N, member: impl FnOnce(F) -> G) -> Value<N, G> {
        match self {
            Self::Tenant(facts) => Value::Tenant(facts),
            Self::Member(facts) => Value::Member(facts.map(member)),
            Self::User(id) => Value::User(id.map(user)),
            Self::Key(facts) => Value::Key(facts),
            Self::Resource(facts) => Value::Resource(facts),
        }
    }
}

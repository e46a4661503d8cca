//! The facts for many questions at once: what those about one tenant share is there once.

use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::{Facts, ResourceFacts, Subject, TenantFacts};

use super::{InForce, Snapshot, SubjectFacts};

/// The facts for many questions, as far as they are at hand.
#[derive(Debug, Default)]
pub struct AtHand {
    /// What questions about one tenant share: snapshots without a subject and resources.
    pub shared: Vec<Snapshot>,
    /// For each question, in their order, what is its own; none: it has to be asked for by itself.
    pub own: Vec<Option<Own>>,
}

/// What is a question's own.
#[derive(Clone, Debug)]
pub struct Own {
    /// Where in [`AtHand::shared`] its tenant's is.
    pub tenant: usize,
    /// The subject's facts.
    pub subject: SubjectFacts,
    /// Those of the resource; none: there is none, or none is asked about.
    pub resource: Option<ResourceFacts>,
}

/// The facts for one question, where they lie.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The catalogue that the facts were compiled against.
    pub in_force: &'a InForce,
    /// The tenant's; none where it was never created.
    pub tenant: Option<&'a TenantFacts>,
    /// The subject's.
    pub subject: Subject<'a>,
    /// Those of the resource; none: there is none, or none is asked about.
    pub resource: Option<ResourceFacts>,
    /// The tenant's revision.
    pub revision: Revision,
    /// Now, by the database's clock.
    pub now: Instant,
}

impl Shown<'_> {
    /// What the engine looks at.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            catalogue: &self.in_force.catalogue,
            tenant: self.tenant,
            subject: self.subject,
            resource: self.resource.as_ref(),
        }
    }
}

impl AtHand {
    /// None of so many questions has its facts at hand.
    #[must_use]
    pub fn nothing(questions: usize) -> Self {
        Self { shared: Vec::new(), own: vec![None; questions] }
    }

    /// What is shared by a question and others of its tenant, and what is its own.
    #[must_use]
    pub fn get(&self, question: usize) -> Option<(&Snapshot, &Own)> {
        let own = self.own.get(question)?.as_ref()?;
        Some((self.shared.get(own.tenant)?, own))
    }
}

impl Own {
    /// What the engine looks at.
    #[must_use]
    pub fn facts<'a>(&'a self, shared: &'a Snapshot) -> Facts<'a> {
        Facts { subject: self.subject.as_subject(), resource: self.resource.as_ref(), ..shared.facts(None) }
    }
}

impl SubjectFacts {
    /// As the engine takes them.
    #[must_use]
    pub fn as_subject(&self) -> Subject<'_> {
        match self {
            Self::Member(member) => Subject::Member(member.as_ref()),
            Self::Key(key) => Subject::Key(key.as_deref()),
        }
    }
}

//! Questions: one, many at once, and one with its explanation.

use doorward_engine::contact::{Country, Domain};
use doorward_engine::decide::{Decision, decide};
use doorward_engine::explain::{Explanation, explain};
use doorward_engine::id::{ResourceId, ResourceRef, Revision, TenantId, TypeKey};
use doorward_engine::instant::Instant;
use doorward_engine::question::{Question, Target};

use super::error::Violation;
use super::{Backend, Error, Operation, Service, authority};
use crate::caller::Caller;
use crate::resolver::Presented;
use crate::store::{Directory, Freshness, Snapshot, Tier};

/// Who asks about whom, from where, and how fresh the answer must be.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The tenant.
    pub tenant: TenantId,
    /// The subject.
    pub subject: Presented,
    /// The country that the subject asks from.
    pub country: Option<Country>,
    /// The subject's email domain.
    pub email_domain: Option<Domain>,
    /// How fresh the facts must be.
    pub freshness: Freshness,
}

/// One action on one thing; action and type are the catalogue's to know.
#[derive(Clone, Debug)]
pub struct Item {
    /// The action.
    pub action: String,
    /// `section`, or a resource type.
    pub kind: String,
    /// The section, part or resource.
    pub id: ResourceId,
}

/// What was answered, of one revision.
#[derive(Clone, Debug)]
pub struct Checked<T> {
    /// The answer; of many questions, the answers in their order.
    pub answer: T,
    /// The tenant's revision that it describes.
    pub revision: Revision,
    /// Where its facts came from.
    pub tier: Tier,
    /// It may be outdated: the database is away, and the operator has allowed that.
    pub degraded: bool,
}

impl<T> Checked<T> {
    const fn over(snapshot: &Snapshot, answer: T) -> Self {
        let Snapshot { revision, tier, degraded, .. } = *snapshot;
        Self { answer, revision, tier, degraded }
    }
}

/// What became of one of many questions that were asked together.
#[derive(Debug)]
pub enum AtOnce {
    /// It was answered, from facts in memory.
    Answered(Result<Checked<Decision>, Error>),
    /// It has to be asked by itself: [`Service::check_later`].
    Later {
        /// It is one of those that are decided again.
        doubted: bool,
    },
}

impl<B: Backend> Service<B> {
    /// Answers one question.
    ///
    /// # Errors
    /// [`Error`]; a denial is none.
    pub async fn check_access(
        &self,
        caller: &Caller,
        inquiry: Inquiry,
        item: Item,
    ) -> Result<Checked<Decision>, Error> {
        self.may_ask(caller, Operation::CheckAccess, &inquiry).await?;
        self.check(&inquiry, &item, false).await
    }

    /// Answers those of many questions, about anybody and anything, that need nothing but facts in memory: all of them
    /// under one lease. What a caller may only ask as a member of the tenant is not among them.
    pub async fn check_at_once(&self, caller: &Caller, questions: &[(Inquiry, Item)]) -> Vec<AtOnce> {
        let stands =
            |inquiry: &Inquiry| authority::by_standing(caller, Operation::StreamCheckAccess, &inquiry.tenant);
        if !questions.iter().any(|(inquiry, _)| stands(inquiry)) {
            return questions.iter().map(|_| AtOnce::Later { doubted: false }).collect();
        }
        let asked = |(inquiry, item): &(Inquiry, Item)| {
            let resources = Vec::from_iter(item.reference());
            inquiry.subject.asked(inquiry.tenant.clone(), resources, inquiry.freshness)
        };
        let asks: Vec<_> = questions.iter().map(asked).collect();
        let subjects = questions.iter().map(|(inquiry, _)| &inquiry.subject);
        let found = self.resolver.at_hand(&asks, subjects).await;
        let answer = |(snapshot, (inquiry, item)): (Option<Snapshot>, &(Inquiry, Item))| {
            let Some(snapshot) = snapshot.filter(|_| stands(inquiry)) else {
                return AtOnce::Later { doubted: false };
            };
            if self.doubt.is_due() {
                return AtOnce::Later { doubted: true };
            }
            let decided = ask(&snapshot, inquiry, (item, FIRST), decide);
            AtOnce::Answered(decided.map(|decision| Checked::over(&snapshot, decision)).map_err(Error::from))
        };
        found.into_iter().zip(questions).map(answer).collect()
    }

    /// Answers one of many questions that was not answered with the others.
    ///
    /// # Errors
    /// As [`Self::check_access`].
    pub async fn check_later(
        &self,
        caller: &Caller,
        (inquiry, item): &(Inquiry, Item),
        doubted: bool,
    ) -> Result<Checked<Decision>, Error> {
        self.may_ask(caller, Operation::StreamCheckAccess, inquiry).await?;
        self.check(inquiry, item, doubted).await
    }

    async fn check(&self, inquiry: &Inquiry, item: &Item, doubted: bool) -> Result<Checked<Decision>, Error> {
        let snapshot = self.gather(inquiry, Vec::from_iter(item.reference())).await?;
        let decision = ask(&snapshot, inquiry, (item, FIRST), decide).map_err(Error::from)?;
        self.doubt(inquiry, item, &snapshot, &decision, doubted).await;
        Ok(Checked::over(&snapshot, decision))
    }

    /// Answers many questions about one subject.
    ///
    /// # Errors
    /// [`Error`]; one item that cannot be asked fails them all, and every such item is named.
    pub async fn batch_check_access(
        &self,
        caller: &Caller,
        inquiry: Inquiry,
        items: Vec<Item>,
    ) -> Result<Checked<Vec<Decision>>, Error> {
        self.may_ask(caller, Operation::BatchCheckAccess, &inquiry).await?;
        let mut resources = Vec::with_capacity(items.len());
        let mut place = |item: &Item| {
            resources.push(item.reference()?);
            Some(resources.len() - 1)
        };
        let places: Vec<_> = items.iter().map(&mut place).collect();
        let snapshot = self.gather(&inquiry, resources).await?;
        let mut answers = Vec::with_capacity(items.len());
        let mut violations = Vec::new();
        for (at, (item, place)) in items.iter().zip(places).enumerate() {
            match ask(&snapshot, &inquiry, (item, place), decide) {
                Ok(decision) => answers.push(decision),
                Err(violation) => violations.push(Violation {
                    field: format!("checks[{at}].{}", violation.field),
                    problem: violation.problem,
                }),
            }
        }
        if violations.is_empty() {
            Ok(Checked::over(&snapshot, answers))
        } else {
            Err(Error::Invalid(violations))
        }
    }

    /// Answers one question, with every rule that was looked at.
    ///
    /// # Errors
    /// As [`Self::check_access`].
    pub async fn explain_access(
        &self,
        caller: &Caller,
        inquiry: Inquiry,
        item: Item,
    ) -> Result<Checked<Explanation>, Error> {
        self.may_ask(caller, Operation::ExplainAccess, &inquiry).await?;
        let snapshot = self.gather(&inquiry, Vec::from_iter(item.reference())).await?;
        let explanation = ask(&snapshot, &inquiry, (&item, FIRST), explain).map_err(Error::from)?;
        Ok(Checked::over(&snapshot, explanation))
    }

    /// The operator and a service with the scope ask about anybody; a member's admin about the tenant's; a member about themselves.
    pub(super) async fn may_ask(
        &self,
        caller: &Caller,
        operation: Operation,
        inquiry: &Inquiry,
    ) -> Result<(), Error> {
        if authority::by_standing(caller, operation, &inquiry.tenant) {
            return Ok(());
        }
        // In a box: those who ask most have a standing, and the future of their check is small.
        Box::pin(self.may_ask_of(caller, operation, inquiry)).await
    }

    async fn may_ask_of(
        &self,
        caller: &Caller,
        operation: Operation,
        inquiry: &Inquiry,
    ) -> Result<(), Error> {
        let (concerned, _) = self.reading_concerned(caller, operation, &inquiry.tenant).await?;
        match &inquiry.subject {
            Presented::Member(member) => concerned.speaks_of(member),
            Presented::User(user) if caller.actor.as_ref() == Some(user) => Ok(()),
            Presented::User(user) => {
                let member = self.directory.member_by_user(inquiry.tenant.clone(), user.clone()).await?;
                concerned.speaks_of_found(member.as_ref().map(|member| &member.id))
            }
            Presented::Key(..) | Presented::KeyId(_) | Presented::Nobody => concerned.speaks_of_found(None),
        }
    }

    async fn gather(&self, inquiry: &Inquiry, resources: Vec<ResourceRef>) -> Result<Snapshot, Error> {
        let tenant = inquiry.tenant.clone();
        Ok(self.resolver.snapshot(tenant, &inquiry.subject, resources, inquiry.freshness).await?)
    }
}

impl Item {
    /// The resource that it is about; none for a section, and for a type that no catalogue can have.
    pub(super) fn reference(&self) -> Option<ResourceRef> {
        let is_section = self.kind == doorward_engine::catalogue::SECTION_TYPE;
        let kind = TypeKey::parse(&self.kind).ok().filter(|_| !is_section)?;
        Some(ResourceRef { kind, id: self.id.clone() })
    }
}

/// The place of the only resource that was asked for.
pub(super) const FIRST: Option<usize> = Some(0);

/// Puts the question to the engine, with the place of its resource among those that were asked for; none: it is about a section.
/// It is parsed against the catalogue that the facts were compiled against.
pub(super) fn ask<T>(
    snapshot: &Snapshot,
    inquiry: &Inquiry,
    (item, place): (&Item, Option<usize>),
    engine: impl Fn(&doorward_engine::snapshot::Facts<'_>, &Question<'_>, Instant) -> T,
) -> Result<T, Violation> {
    let target = Target::parse(&snapshot.in_force.catalogue, &item.action, &item.kind, &item.id)?;
    let question = Question { target, country: inquiry.country, email_domain: inquiry.email_domain.as_ref() };
    Ok(engine(&snapshot.facts(place), &question, snapshot.now))
}

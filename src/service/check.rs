//! Questions: one, many at once, and one with its explanation.

use doorward_engine::catalogue::SECTION_TYPE;
use doorward_engine::contact::{Country, Domain};
use doorward_engine::decide::{Decision, decide};
use doorward_engine::explain::{Explanation, explain};
use doorward_engine::id::{ResourceId, ResourceRef, Revision, TenantId, TypeKey};
use doorward_engine::instant::Instant;
use doorward_engine::question::{Question, Target};
use doorward_engine::snapshot::Facts;

use super::error::Violation;
use super::{Backend, Error, Operation, Service, authority};
use crate::caller::Caller;
use crate::resolver::{Asking, Presented};
use crate::store::{Directory, Freshness, Own, Shown, Snapshot, Tier};

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
    thing: Thing,
}

#[derive(Clone, Debug)]
enum Thing {
    Resource(ResourceRef),
    /// A section or part, or of a type that no catalogue can have.
    Other(String, ResourceId),
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
        inquiry: &Inquiry,
        item: &Item,
    ) -> Result<Checked<Decision>, Error> {
        let mut doubted = false;
        if authority::by_standing(caller, Operation::CheckAccess, &inquiry.tenant) {
            let see = |seen: &Shown<'_>| {
                let decided =
                    (!self.doubt.is_due()).then(|| put(&seen.facts(), inquiry, item, seen.now, decide));
                (decided, seen.revision)
            };
            match self.resolver.one_at_hand(&inquiry.asking(item), see).await {
                Some((Some(decided), revision)) => {
                    return Ok(Checked { answer: decided?, revision, tier: Tier::Near, degraded: false });
                }
                Some((None, _)) => doubted = true,
                None => {}
            }
        }
        // In a box: most questions are answered by now, and the future of these is small.
        Box::pin(self.check_gathered(caller, (inquiry, item), doubted)).await
    }

    async fn check_gathered(
        &self,
        caller: &Caller,
        (inquiry, item): (&Inquiry, &Item),
        doubted: bool,
    ) -> Result<Checked<Decision>, Error> {
        self.may_ask(caller, Operation::CheckAccess, inquiry).await?;
        self.check(inquiry, item, doubted).await
    }

    /// Answers those of many questions, about anybody and anything, that need nothing but facts in memory: all of them
    /// under one lease. What a caller may only ask as a member of the tenant is not among them.
    pub async fn check_at_once(&self, caller: &Caller, questions: &[(Inquiry, Item)]) -> Vec<AtOnce> {
        let stands =
            |inquiry: &Inquiry| authority::by_standing(caller, Operation::StreamCheckAccess, &inquiry.tenant);
        if !questions.iter().any(|(inquiry, _)| stands(inquiry)) {
            return questions.iter().map(|_| AtOnce::Later { doubted: false }).collect();
        }
        let asking = questions.iter().map(|(inquiry, item)| inquiry.asking(item));
        let mut at_hand = self.resolver.at_hand(asking).await;
        for ((inquiry, _), own) in questions.iter().zip(&mut at_hand.own) {
            if !stands(inquiry) {
                *own = None;
            }
        }
        let count = at_hand.own.iter().flatten().count() as u64;
        let mut until_doubted = self.doubt.until_due(count);
        let answer = |(at, (inquiry, item)): (usize, &(Inquiry, Item))| {
            let Some((shared, own)) = at_hand.get(at) else { return AtOnce::Later { doubted: false } };
            let doubted = until_doubted == Some(0);
            until_doubted = until_doubted.and_then(|until| until.checked_sub(1));
            if doubted {
                return AtOnce::Later { doubted };
            }
            let decided = decide_at_hand(shared, own, inquiry, item);
            AtOnce::Answered(decided.map(|decision| Checked::over(shared, decision)).map_err(Error::from))
        };
        questions.iter().enumerate().map(answer).collect()
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
        let snapshot = self.gather(inquiry, Vec::from_iter(item.reference().cloned())).await?;
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
        let asking = items.iter().map(|item| inquiry.asking(item));
        let at_hand = self.resolver.together(asking).await;
        let snapshot = at_hand.shared.first().filter(|_| at_hand.own.iter().all(Option::is_some));
        let Some(snapshot) = snapshot else {
            return Box::pin(self.batch_gathered(&inquiry, &items)).await;
        };
        let own = at_hand.own.iter().flatten();
        let decided = items.iter().zip(own).map(|(item, own)| decide_at_hand(snapshot, own, &inquiry, item));
        all_of(decided).map(|answers| Checked::over(snapshot, answers))
    }

    /// Where not all is at hand.
    async fn batch_gathered(
        &self,
        inquiry: &Inquiry,
        items: &[Item],
    ) -> Result<Checked<Vec<Decision>>, Error> {
        let mut resources = Vec::with_capacity(items.len());
        let mut place = |item: &Item| {
            resources.push(item.reference()?.clone());
            Some(resources.len() - 1)
        };
        let places: Vec<_> = items.iter().map(&mut place).collect();
        let snapshot = self.gather(inquiry, resources).await?;
        let decided = |(item, place)| ask(&snapshot, inquiry, (item, place), decide);
        all_of(items.iter().zip(places).map(decided)).map(|answers| Checked::over(&snapshot, answers))
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
        let snapshot = self.gather(&inquiry, Vec::from_iter(item.reference().cloned())).await?;
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

impl Inquiry {
    const fn asking<'a>(&'a self, item: &'a Item) -> Asking<'a> {
        Asking {
            tenant: &self.tenant,
            subject: &self.subject,
            resource: item.reference(),
            freshness: self.freshness,
        }
    }
}

impl Item {
    /// An action on a thing: on one of `section`, or of a resource type.
    #[must_use]
    pub fn new(action: String, kind: String, id: ResourceId) -> Self {
        let thing = if kind == SECTION_TYPE {
            Thing::Other(kind, id)
        } else {
            match TypeKey::own(kind) {
                Ok(kind) => Thing::Resource(ResourceRef { kind, id }),
                Err((kind, _)) => Thing::Other(kind, id),
            }
        };
        Self { action, thing }
    }

    /// `section`, or a resource type.
    #[must_use]
    pub fn kind(&self) -> &str {
        match &self.thing {
            Thing::Resource(reference) => reference.kind.as_str(),
            Thing::Other(kind, _) => kind,
        }
    }

    /// The section, part or resource.
    #[must_use]
    pub const fn id(&self) -> &ResourceId {
        match &self.thing {
            Thing::Resource(reference) => &reference.id,
            Thing::Other(_, id) => id,
        }
    }

    /// The resource that it is about; none for a section, and for a type that no catalogue can have.
    pub(super) const fn reference(&self) -> Option<&ResourceRef> {
        match &self.thing {
            Thing::Resource(reference) => Some(reference),
            Thing::Other(..) => None,
        }
    }
}

/// The answers of a batch; or every item that cannot be asked, by its place.
fn all_of(decided: impl Iterator<Item = Result<Decision, Violation>>) -> Result<Vec<Decision>, Error> {
    let mut answers = Vec::with_capacity(decided.size_hint().0);
    let mut violations = Vec::new();
    for (at, decided) in decided.enumerate() {
        match decided {
            Ok(decision) => answers.push(decision),
            Err(violation) => violations.push(Violation {
                field: format!("checks[{at}].{}", violation.field),
                problem: violation.problem,
            }),
        }
    }
    if violations.is_empty() { Ok(answers) } else { Err(Error::Invalid(violations)) }
}

/// The place of the only resource that was asked for.
pub(super) const FIRST: Option<usize> = Some(0);

/// Puts the question to the engine, with the place of its resource among those that were asked for; none: it is about a section.
/// It is parsed against the catalogue that the facts were compiled against.
pub(super) fn ask<T>(
    snapshot: &Snapshot,
    inquiry: &Inquiry,
    (item, place): (&Item, Option<usize>),
    engine: impl Fn(&Facts<'_>, &Question<'_>, Instant) -> T,
) -> Result<T, Violation> {
    put(&snapshot.facts(place), inquiry, item, snapshot.now, engine)
}

/// As [`ask`], of what many questions share and what is one's own.
fn decide_at_hand(
    shared: &Snapshot,
    own: &Own,
    inquiry: &Inquiry,
    item: &Item,
) -> Result<Decision, Violation> {
    put(&own.facts(shared), inquiry, item, shared.now, decide)
}

fn put<T>(
    facts: &Facts<'_>,
    inquiry: &Inquiry,
    item: &Item,
    now: Instant,
    engine: impl Fn(&Facts<'_>, &Question<'_>, Instant) -> T,
) -> Result<T, Violation> {
    let target = Target::parse(facts.catalogue, &item.action, item.kind(), item.id())?;
    let question = Question { target, country: inquiry.country, email_domain: inquiry.email_domain.as_ref() };
    Ok(engine(facts, &question, now))
}

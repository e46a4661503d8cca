//! A view: a tenant's facts as far as they are in memory, and what is required of them, by what the feed has told since
//! it was made. All of it changes under one lock, so that an answer is of one moment.

mod asked;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use doorward_engine::change::Part;
use doorward_engine::id::{ResourceRef, Revision};
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::{KeyFacts, MemberFacts, ResourceFacts, Subject, TenantFacts};

pub(super) use self::asked::Shared;
use self::asked::subject_part;
use super::lease::Fresh;
use super::name::{AsSpread, Name, Names, PartRef};
use super::near::{self, MemberHeld, Near, Room, UsersMember};
use super::slip::{Slip, slips};
use crate::store::{Ask, Fact, InForce, Snapshot, SubjectFacts, SubjectRef, Tier, Value};

/// How many touched parts a view remembers; of the others it knows only that they may have been touched.
const TOUCHED_MAX: usize = 512;

/// One tenant's. Fields are in the order in which a lookup reads them: those of the first line of a processor's cache
/// are all that comes before the table.
#[derive(Debug)]
#[repr(C)]
pub(super) struct View {
    state: RwLock<State>,
    names: Names,
}

#[derive(Debug)]
#[repr(C)]
struct State {
    /// The revision up to which the feed has been applied, and no farther: a fact read later waits for the feed, lest
    /// an answer mix two revisions.
    applied: Revision,
    /// None: no load has returned yet, and no fact is usable.
    in_force: Option<Arc<InForce>>,
    near: Near,
    /// No fact read before this revision is usable.
    floor: Revision,
    /// The revisions that touched parts.
    touched: HashMap<Name, Revision, AsSpread>,
    order: VecDeque<(Revision, Name)>,
}

/// Facts found, all of the view's revision.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) in_force: Arc<InForce>,
    pub(super) revision: Revision,
    tenant: Option<Arc<TenantFacts>>,
    subject: SubjectFacts,
    resources: Vec<Option<ResourceFacts>>,
}

/// A subject's facts where they are kept.
#[derive(Clone, Copy, Debug)]
enum Held<'s> {
    Member(Option<&'s MemberFacts>),
    Key(Option<&'s Arc<KeyFacts>>),
}

impl<'s> Held<'s> {
    fn facts(self) -> SubjectFacts {
        match self {
            Self::Member(facts) => SubjectFacts::Member(facts.cloned()),
            Self::Key(facts) => SubjectFacts::Key(facts.cloned()),
        }
    }

    fn as_subject(self) -> Subject<'s> {
        match self {
            Self::Member(facts) => Subject::Member(facts),
            Self::Key(facts) => Subject::Key(facts.map(Arc::as_ref)),
        }
    }
}

/// What a lookup came to.
#[derive(Debug)]
pub(super) enum Looked {
    Found(Found),
    /// These parts are not there, or outdated. A member who is looked for by their user is not named: the user is.
    Missing(Vec<Part>),
    /// The view has been filled by no load yet.
    Empty,
}

/// What a load left in a view.
#[derive(Debug)]
pub(super) struct Filled {
    /// What was not there before.
    pub(super) facts: Vec<(Part, Fact)>,
    /// Whether the feed has something to tell that the load has seen.
    pub(super) ahead: bool,
}

impl View {
    pub(super) fn new(names: Names, room: Arc<Room>) -> Self {
        let state = State {
            in_force: None,
            floor: Revision::default(),
            applied: Revision::default(),
            near: Near::within(room, names.of(PartRef::Tenant)),
            touched: HashMap::default(),
            order: VecDeque::new(),
        };
        Self { state: RwLock::new(state), names }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the fact of a part is known by in memory.
    fn name(&self, part: PartRef<'_>) -> Name {
        self.names.of(part)
    }

    /// Up to which revision the feed has been applied.
    pub(super) fn applied(&self) -> Revision {
        self.read().applied
    }

    /// The catalogue's version that its facts are compiled against; none: it has no facts.
    pub(super) fn catalogue(&self) -> Option<u64> {
        self.read().in_force.as_ref().map(|in_force| in_force.version)
    }

    /// The facts for a question, as of one moment of the view.
    pub(super) fn look(&self, ask: &Ask) -> Looked {
        let state = self.read();
        let Some(in_force) = &state.in_force else {
            return Looked::Empty;
        };
        let mut missing = Vec::new();
        let part = subject_part((&ask.subject).into());
        let subject = state.held(part.map(|part| self.name(part)));
        if subject.is_none() {
            missing.extend(part.map(PartRef::to_part));
        }
        let mut get = |part: PartRef<'_>| {
            let value = state.usable(self.name(part));
            if value.is_none() {
                missing.push(part.to_part());
            }
            value
        };
        let tenant = get(PartRef::Tenant).and_then(Value::tenant);
        let mut resource = |resource| get(PartRef::Resource(resource)).and_then(Value::resource);
        let resources = ask.resources.iter().map(&mut resource).collect();
        let Some(subject) = subject.filter(|_| missing.is_empty()) else {
            return Looked::Missing(missing);
        };
        Looked::Found(Found {
            in_force: Arc::clone(in_force),
            revision: state.applied,
            tenant: tenant.cloned(),
            subject: subject.facts(),
            resources,
        })
    }

    /// Puts in what a load has read, which was sent when this view was in the map.
    pub(super) fn fill(&self, ask: &Ask, loaded: &Snapshot) -> Filled {
        let mut state = self.write();
        if state.in_force.is_none() {
            state.in_force = Some(Arc::clone(&loaded.in_force));
            state.floor = loaded.revision;
            state.applied = state.applied.max(loaded.revision);
        }
        let same_catalogue =
            state.in_force.as_ref().is_some_and(|in_force| in_force.version == loaded.in_force.version);
        let mut filled = Filled { facts: Vec::new(), ahead: loaded.revision > state.applied };
        if same_catalogue {
            for (part, value) in values(ask, loaded) {
                let fact = Fact { revision: loaded.revision, value };
                if self.keep(&mut state, &part, &fact) {
                    filled.facts.push((part, fact));
                }
            }
            self.link(&mut state, &ask.subject);
        }
        filled
    }

    /// Puts in what another replica has read, for a question about this subject.
    pub(super) fn fill_far(&self, subject: &SubjectRef, found: &[(Part, Fact)]) {
        let mut state = self.write();
        for (part, fact) in found {
            if slips(Slip::FarUnchecked) {
                let (name, kept) = self.as_kept(part, fact);
                let revision = state.applied;
                state.near.insert(name, near::Fact { revision, ..kept });
            } else {
                self.keep(&mut state, part, fact);
            }
        }
        self.link(&mut state, subject);
    }

    /// Lets the user who was asked about lead to their member's facts, where both are usable: they stay so until they are
    /// touched, and then they go.
    fn link(&self, state: &mut State, subject: &SubjectRef) {
        let SubjectRef::User(user) = subject else { return };
        let user = self.name(PartRef::User(user));
        let member = state.usable(user).and_then(Value::user).map(|member| member.name);
        if member.is_some_and(|member| state.usable(member).is_some()) {
            state.near.link(user);
        }
    }

    /// Whether the fact is new.
    fn keep(&self, state: &mut State, part: &Part, fact: &Fact) -> bool {
        let (name, kept) = self.as_kept(part, fact);
        let is_ahead = fact.revision > state.applied;
        let is_new = state.near.get(name).is_none_or(|held| {
            // What is ahead of the feed must wait for it: where nothing has changed, what is usable now stays.
            held.revision < kept.revision && !(is_ahead && held.value == kept.value)
        });
        let recent = fact.revision >= state.required(name);
        if is_new && recent {
            state.near.insert(name, kept);
        }
        is_new && recent
    }

    /// A fact as it is kept in memory, and what it is known by there.
    fn as_kept(&self, part: &Part, fact: &Fact) -> (Name, near::Fact) {
        let user = |member| UsersMember::of(self.name(PartRef::Member(&member)));
        let value = fact.value.clone().kept(user, MemberHeld::of);
        (self.name(part.into()), near::Fact { revision: fact.revision, value })
    }

    /// Takes in what the feed tells of the tenant.
    pub(super) fn apply(&self, revision: Revision, parts: &[Part]) {
        let mut state = self.write();
        state.applied = state.applied.max(revision);
        for part in parts {
            let name = self.name(part.into());
            state.touch(name, revision);
            if state.near.get(name).is_some_and(|fact| fact.revision < revision) {
                state.near.remove(name);
            }
        }
    }

    /// Looks over places of its table for facts that may go, as long as there is too little room: so many fewer are left
    /// to look over. Whether it has been through the whole table.
    pub(super) fn sweep(&self, places: &mut usize) -> bool {
        self.write().near.sweep(places)
    }
}

impl State {
    /// A part's value, if it is there and not outdated.
    fn usable(&self, name: Name) -> Option<&Value<UsersMember, MemberHeld>> {
        self.near.get(name).filter(|fact| self.permits(name, fact)).map(|fact| &fact.value)
    }

    /// Facts of a part are outdated below this revision.
    fn required(&self, part: Name) -> Revision {
        self.touched.get(&part).map_or(self.floor, |touched| self.floor.max(*touched))
    }

    /// Whether a fact in memory is as of the applied revision. It was above the floor when it was put in, and is taken
    /// out when it is touched: the floor, which rises, says nothing about it.
    fn permits(&self, part: Name, fact: &near::Fact) -> bool {
        let outdated = self.touched.get(&part).is_some_and(|touched| fact.revision < *touched);
        !outdated && fact.revision <= self.applied
    }

    fn touch(&mut self, part: Name, revision: Revision) {
        let newest = self.touched.entry(part).or_default();
        *newest = revision.max(*newest);
        self.order.push_back((revision, part));
        while self.order.len() > TOUCHED_MAX
            && let Some((oldest, part)) = self.order.pop_front()
        {
            // What is in memory was taken out when it was touched; what comes from elsewhere must be newer than this.
            self.floor = self.floor.max(oldest);
            if self.touched.get(&part) == Some(&oldest) {
                self.touched.remove(&part);
            }
        }
    }
}

/// A load's facts by their parts.
fn values(ask: &Ask, loaded: &Snapshot) -> Vec<(Part, Value)> {
    let mut values = vec![(Part::Tenant, Value::Tenant(loaded.tenant.clone()))];
    match (&ask.subject, &loaded.subject) {
        (SubjectRef::User(user), SubjectFacts::Member(member)) => {
            let id = member.as_ref().map(|member| member.id.clone());
            values.push((Part::User(user.clone()), Value::User(id.clone())));
            values.extend(id.map(|id| (Part::Member(id), Value::Member(member.clone()))));
        }
        (SubjectRef::Member(id), SubjectFacts::Member(member)) => {
            values.push((Part::Member(id.clone()), Value::Member(member.clone())));
        }
        (SubjectRef::Key(id), SubjectFacts::Key(key)) => {
            values.push((Part::Key(id.clone()), Value::Key(key.clone())));
        }
        // Nobody was asked for, or a layer below answered of another kind of subject.
        _ => {}
    }
    let resource = |(resource, facts): (&ResourceRef, &Option<ResourceFacts>)| {
        (Part::Resource(resource.clone()), Value::Resource(*facts))
    };
    values.extend(ask.resources.iter().zip(&loaded.resources).map(resource));
    values
}

impl Found {
    /// The snapshot that the facts are.
    pub(super) fn snapshot(self, fresh: &Fresh, now: Instant, tier: Tier) -> Snapshot {
        let Self { in_force, revision, tenant, subject, resources } = self;
        Snapshot {
            in_force,
            tenant,
            subject,
            resources,
            revision,
            epoch: fresh.epoch,
            now,
            tier,
            degraded: false,
        }
    }
}

#[cfg(test)]
mod tests;

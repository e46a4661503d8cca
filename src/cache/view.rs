//! Views: what a replica requires of facts of a tenant, by what the feed has told since the view was made.
//!
//! A view is in the map before the load that fills it is sent, so that whatever the feed tells meanwhile is recorded in
//! it. A load fills the very view that it was sent under: one that was dropped is out of reach, with its facts.

mod many;

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use doorward_engine::change::Part;
use doorward_engine::id::{ResourceRef, Revision, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::{ResourceFacts, TenantFacts};
use quick_cache::DefaultHashBuilder;
use quick_cache::sync::Cache;

pub(super) use self::many::Shared;
use super::lease::Fresh;
use super::near::{Near, PartRef};
use super::slip::{Slip, slips};
use crate::store::{Ask, Fact, InForce, Snapshot, SubjectFacts, SubjectRef, Tier, Value};

/// How many tenants have a view.
const VIEWS_MAX: usize = 65_536;
/// How many touched parts a view remembers; of the others it knows only that they may have been touched.
const TOUCHED_MAX: usize = 512;

/// The views of a replica.
#[derive(Debug)]
pub(super) struct Views {
    map: Cache<TenantId, Arc<View>>,
    next: AtomicU64,
    hashes: DefaultHashBuilder,
}

/// One tenant's.
#[derive(Debug)]
pub(super) struct View {
    id: u64,
    hashes: DefaultHashBuilder,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None: no load has returned yet, and no fact is usable.
    in_force: Option<Arc<InForce>>,
    /// No fact read before this revision is usable.
    floor: Revision,
    /// The revision up to which the feed has been applied, and no farther: a fact read later waits for the feed, lest
    /// an answer mix two revisions.
    applied: Revision,
    /// The revisions that touched parts, by the parts' hashes: two parts with one hash cost a miss, no more.
    touched: HashMap<u64, Revision, DefaultHashBuilder>,
    order: VecDeque<(Revision, u64)>,
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

/// What a lookup came to.
#[derive(Debug)]
pub(super) enum Looked {
    Found(Found),
    /// These parts are not there, or outdated. Of a user that is not there, the member is not named.
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

impl Views {
    pub(super) fn new() -> Self {
        Self { map: Cache::new(VIEWS_MAX), next: AtomicU64::new(1), hashes: DefaultHashBuilder::default() }
    }

    pub(super) fn get(&self, tenant: &TenantId) -> Option<Arc<View>> {
        self.map.get(tenant)
    }

    /// The tenant's view; a new one is in the map before this returns.
    pub(super) fn get_or_insert(&self, tenant: &TenantId) -> Arc<View> {
        let new = || {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(Arc::new(View::new(id, self.hashes.clone())))
        };
        match self.map.get_or_insert_with(tenant, new) {
            Ok(view) => view,
            Err(impossible) => match impossible {},
        }
    }

    pub(super) fn drop_one(&self, tenant: &TenantId) {
        self.map.remove(tenant);
    }

    pub(super) fn drop_all(&self) {
        self.map.clear();
    }

    /// How many tenants have one.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }
}

impl View {
    fn new(id: u64, hashes: DefaultHashBuilder) -> Self {
        Self { id, hashes, state: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, part: PartRef<'_>) -> u64 {
        self.hashes.hash_one(part)
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
    pub(super) fn look(&self, near: &Near, ask: &Ask) -> Looked {
        let state = self.read();
        let Some(in_force) = state.in_force.as_ref().map(Arc::clone) else {
            return Looked::Empty;
        };
        let mut missing = Vec::new();
        let mut get = |part: PartRef<'_>| {
            let value = self.usable(&state, near, part);
            if value.is_none() {
                missing.push(part.to_part());
            }
            value
        };
        let tenant = get(PartRef::Tenant).and_then(Value::into_tenant);
        let subject = match &ask.subject {
            SubjectRef::Nobody => SubjectFacts::Member(None),
            SubjectRef::Key(key) => SubjectFacts::Key(get(PartRef::Key(key)).and_then(Value::into_key)),
            SubjectRef::Member(member) => {
                SubjectFacts::Member(get(PartRef::Member(member)).and_then(Value::into_member))
            }
            SubjectRef::User(user) => {
                let member = get(PartRef::User(user)).and_then(Value::into_user);
                SubjectFacts::Member(
                    member.and_then(|id| get(PartRef::Member(&id))).and_then(Value::into_member),
                )
            }
        };
        let mut resource = |resource| get(PartRef::Resource(resource)).and_then(Value::into_resource);
        let resources = ask.resources.iter().map(&mut resource).collect();
        if !missing.is_empty() {
            return Looked::Missing(missing);
        }
        Looked::Found(Found { in_force, revision: state.applied, tenant, subject, resources })
    }

    /// A part's value, if it is there and not outdated.
    fn usable(&self, state: &State, near: &Near, part: PartRef<'_>) -> Option<Value> {
        let fact = near.get(self.id, part).filter(|fact| state.permits(|| self.hash(part), fact));
        fact.map(|fact| fact.value)
    }

    /// Puts in what a load has read, which was sent when this view was in the map.
    pub(super) fn fill(&self, near: &Near, ask: &Ask, loaded: &Snapshot) -> Filled {
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
                if self.keep(&state, near, &part, &fact) {
                    filled.facts.push((part, fact));
                }
            }
        }
        filled
    }

    /// Puts in what another replica has read.
    pub(super) fn fill_far(&self, near: &Near, part: &Part, fact: Fact) {
        let state = self.write();
        if slips(Slip::FarUnchecked) {
            near.insert(self.id, part.clone(), Fact { revision: state.applied, ..fact });
        } else {
            self.keep(&state, near, part, &fact);
        }
    }

    /// The state is locked for writing: nothing is told meanwhile. Whether the fact is new.
    fn keep(&self, state: &State, near: &Near, part: &Part, fact: &Fact) -> bool {
        let reference = PartRef::from(part);
        let is_ahead = fact.revision > state.applied;
        let is_new = near.get(self.id, reference).is_none_or(|held| {
            // What is ahead of the feed must wait for it: where nothing has changed, what is usable now stays.
            held.revision < fact.revision && !(is_ahead && held.value == fact.value)
        });
        let recent = fact.revision >= state.required(self.hash(reference));
        if is_new && recent {
            near.insert(self.id, part.clone(), fact.clone());
        }
        is_new && recent
    }

    /// Takes in what the feed tells of the tenant.
    pub(super) fn apply(&self, near: &Near, revision: Revision, parts: &[Part]) {
        let mut state = self.write();
        state.applied = state.applied.max(revision);
        for part in parts {
            let reference = PartRef::from(part);
            state.touch(self.hash(reference), revision);
            if near.get(self.id, reference).is_some_and(|fact| fact.revision < revision) {
                near.remove(self.id, part);
            }
        }
    }
}

impl State {
    /// Facts of a part are outdated below this revision.
    fn required(&self, part: u64) -> Revision {
        self.touched.get(&part).map_or(self.floor, |touched| self.floor.max(*touched))
    }

    /// Whether a fact in memory is as of the applied revision. It was above the floor when it was put in, and is taken
    /// out when it is touched: the floor, which rises, says nothing about it.
    fn permits(&self, part: impl FnOnce() -> u64, fact: &Fact) -> bool {
        let outdated = !self.touched.is_empty()
            && self.touched.get(&part()).is_some_and(|touched| fact.revision < *touched);
        !outdated && fact.revision <= self.applied
    }

    fn touch(&mut self, part: u64, revision: Revision) {
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

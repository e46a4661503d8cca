//! The facts for one question or many about one tenant, where they lie: all of one moment of its view.

use std::hint::black_box;
use std::sync::Arc;

use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::{MemberFacts, ResourceFacts, TenantFacts};

use super::{Held, Name, Names, PartRef, State, UsersMember, View};
use crate::cache::lease::Fresh;
use crate::store::{Asked, InForce, Shown, Snapshot, SubjectFacts, SubjectOf, Tier, Value};

/// What questions about one tenant share.
#[derive(Debug)]
pub(in crate::cache) struct Shared {
    in_force: Arc<InForce>,
    revision: Revision,
    tenant: Option<Arc<TenantFacts>>,
}

impl View {
    /// Looks for the facts of questions about its tenant, each with its number. `tell` hears, of each whose facts are all
    /// there, of which revision they are and what is its own; none: what they share is not there.
    pub(in crate::cache) fn look_for_each<'a>(
        &self,
        questions: &[(usize, &'a Asked<'_>)],
        mut tell: impl FnMut((usize, &'a Asked<'_>), Revision, (SubjectFacts, Option<ResourceFacts>)),
    ) -> Option<Shared> {
        let state = self.read();
        let in_force = state.in_force.as_ref()?;
        let tenant = state.usable(self.name(PartRef::Tenant))?.tenant();
        // Who asks much often asks about one subject.
        let mut last: Option<(SubjectOf<'_>, Option<Held<'_>>)> = None;
        for &(at, asked) in questions {
            let subject = match last {
                Some((subject, facts)) if subject == asked.subject => facts,
                _ => last.insert((asked.subject, state.held(self.subject(asked.subject)))).1,
            };
            let resource = |resource| state.usable(self.name(PartRef::Resource(resource)));
            let resource = asked.resource.map(resource);
            if let Some(subject) = subject
                && resource.is_none_or(|found| found.is_some())
            {
                let resource = resource.flatten().and_then(Value::resource);
                tell((at, asked), state.applied, (subject.facts(), resource));
            }
        }
        Some(Shared { in_force: Arc::clone(in_force), revision: state.applied, tenant: tenant.cloned() })
    }

    /// Shows the facts for one question where they lie, if they are all there and `pass` says of their revision what time
    /// it is.
    pub(in crate::cache) fn show<T>(
        &self,
        &Sought { subject, resource }: &Sought,
        pass: impl FnOnce(Revision) -> Option<Instant>,
        see: impl FnOnce(&Shown<'_>) -> T,
    ) -> Option<T> {
        let state = self.read();
        let in_force = state.in_force.as_deref()?;
        let tenant = state.usable(state.near.first_name())?.tenant().map(Arc::as_ref);
        tenant.into_iter().for_each(fetch_tenant);
        let subject = state.held(subject)?;
        subject.fetch();
        let resource = match resource {
            Some(resource) => state.usable(resource)?.resource(),
            None => None,
        };
        let (subject, revision) = (subject.as_subject(), state.applied);
        let now = pass(revision)?;
        Some(see(&Shown { in_force, tenant, subject, resource, revision, now }))
    }

    /// What a subject is known by; none: nobody.
    fn subject(&self, subject: SubjectOf<'_>) -> Option<Name> {
        subject_part(subject).map(|part| self.name(part))
    }
}

/// Lets a value of each line that a decision reads come from memory now: it is there when the clock has been looked at,
/// behind which no reading begins before what came before it has ended.
fn fetch_tenant(tenant: &TenantFacts) {
    let TenantFacts { status, plan_sections, subscription, .. } = tenant;
    black_box((*status, plan_sections.is_empty(), subscription.trial_end.is_some()));
}

impl Held<'_> {
    /// See [`fetch_tenant`].
    fn fetch(self) {
        if let Self::Member(Some(member)) = self {
            black_box((member.role, member.grants().len()));
        }
    }
}

/// What a question's own facts are known by.
#[derive(Clone, Copy, Debug)]
pub(in crate::cache) struct Sought {
    /// None: nobody.
    subject: Option<Name>,
    resource: Option<Name>,
}

impl Names {
    /// What the facts for a question are known by.
    pub(in crate::cache) fn sought(self, asked: &Asked<'_>) -> Sought {
        let resource = asked.resource.map(|resource| self.of(PartRef::Resource(resource)));
        Sought { subject: subject_part(asked.subject).map(|part| self.of(part)), resource }
    }
}

/// The part that a subject is looked for by; none: nobody.
pub(super) const fn subject_part(subject: SubjectOf<'_>) -> Option<PartRef<'_>> {
    match subject {
        SubjectOf::Nobody => None,
        SubjectOf::Key(key) => Some(PartRef::Key(key)),
        SubjectOf::Member(id) => Some(PartRef::Member(id)),
        SubjectOf::User(user) => Some(PartRef::User(user)),
    }
}

impl State {
    /// The facts of a subject by what they are known by; none: they are not all there.
    pub(super) fn held(&self, subject: Option<Name>) -> Option<Held<'_>> {
        let Some(name) = subject else { return Some(Held::Member(None)) };
        match self.usable(name)? {
            Value::Key(facts) => Some(Held::Key(facts.as_ref())),
            Value::Member(held) => Some(Held::Member(held.as_ref().map(|held| &held.facts))),
            Value::User(member) => self.member(member.as_ref()).map(Held::Member),
            Value::Tenant(_) | Value::Resource(_) => None,
        }
    }

    /// The facts of the member that a user is.
    fn member<'s>(&'s self, member: Option<&'s UsersMember>) -> Option<Option<&'s MemberFacts>> {
        match member {
            None => Some(None),
            Some(UsersMember { facts: Some(facts), .. }) => Some(Some(facts)),
            Some(UsersMember { name, .. }) => Some(self.usable(*name)?.member().map(|held| &held.facts)),
        }
    }
}

impl Shared {
    /// As a snapshot of nobody and nothing.
    pub(in crate::cache) fn snapshot(self, fresh: &Fresh, now: Instant, tier: Tier) -> Snapshot {
        let Self { in_force, revision, tenant } = self;
        Snapshot {
            in_force,
            tenant,
            subject: SubjectFacts::Member(None),
            resources: Vec::new(),
            revision,
            epoch: fresh.epoch,
            now,
            tier,
            degraded: false,
        }
    }
}

//! The facts for many questions about one tenant, all of one moment of its view.

use std::sync::Arc;

use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::{ResourceFacts, TenantFacts};

use super::{Near, PartRef, State, View};
use crate::cache::lease::Fresh;
use crate::store::{Asked, InForce, Snapshot, SubjectFacts, SubjectOf, Tier, Value};

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
        near: &Near,
        questions: &[(usize, &'a Asked<'_>)],
        mut tell: impl FnMut((usize, &'a Asked<'_>), Revision, (SubjectFacts, Option<ResourceFacts>)),
    ) -> Option<Shared> {
        let state = self.read();
        let in_force = Arc::clone(state.in_force.as_ref()?);
        let tenant = self.usable(&state, near, PartRef::Tenant)?.into_tenant();
        // Who asks much often asks about one subject.
        let mut last: Option<(SubjectOf<'_>, Option<SubjectFacts>)> = None;
        for &(at, asked) in questions {
            let subject = match &last {
                Some((subject, facts)) if *subject == asked.subject => facts.clone(),
                _ => last.insert((asked.subject, self.subject(&state, near, asked.subject))).1.clone(),
            };
            let resource = |resource| self.usable(&state, near, PartRef::Resource(resource));
            let resource = asked.resource.map(resource);
            if let Some(subject) = subject
                && resource.as_ref().is_none_or(Option::is_some)
            {
                let resource = resource.flatten().and_then(Value::into_resource);
                tell((at, asked), state.applied, (subject, resource));
            }
        }
        Some(Shared { in_force, revision: state.applied, tenant })
    }

    fn subject(&self, state: &State, near: &Near, subject: SubjectOf<'_>) -> Option<SubjectFacts> {
        let get = |part| self.usable(state, near, part);
        let member = |id| Some(SubjectFacts::Member(get(PartRef::Member(id))?.into_member()));
        match subject {
            SubjectOf::Nobody => Some(SubjectFacts::Member(None)),
            SubjectOf::Key(key) => Some(SubjectFacts::Key(get(PartRef::Key(key))?.into_key())),
            SubjectOf::Member(id) => member(id),
            SubjectOf::User(user) => match get(PartRef::User(user))?.into_user() {
                Some(id) => member(&id),
                None => Some(SubjectFacts::Member(None)),
            },
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

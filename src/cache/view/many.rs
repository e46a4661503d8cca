//! The facts for many questions about one tenant, all of one moment of its view.

use std::sync::Arc;

use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use doorward_engine::snapshot::{ResourceFacts, TenantFacts};

use super::{Held, PartRef, State, View};
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
                _ => last.insert((asked.subject, self.subject(&state, asked.subject))).1,
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

    fn subject<'s>(&self, state: &'s State, subject: SubjectOf<'_>) -> Option<Held<'s>> {
        let get = |part| state.usable(self.name(part));
        let member = |name| Some(Held::Member(state.usable(name)?.member()));
        match subject {
            SubjectOf::Nobody => Some(Held::Member(None)),
            SubjectOf::Key(key) => Some(Held::Key(get(PartRef::Key(key))?.key())),
            SubjectOf::Member(id) => member(self.name(PartRef::Member(id))),
            SubjectOf::User(user) => match get(PartRef::User(user))?.user() {
                Some(&name) => member(name),
                None => Some(Held::Member(None)),
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

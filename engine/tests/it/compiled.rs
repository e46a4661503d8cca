//! A world compiled for the engine, as a resolver would do it.

use std::collections::BTreeMap;

use doorward_engine::catalogue::Catalogue;
use doorward_engine::contact::{Country, Domain};
use doorward_engine::decide::{Decision, decide};
use doorward_engine::explain::{Explanation, explain};
use doorward_engine::id::ResourceId;
use doorward_engine::instant::Instant;
use doorward_engine::member::SecretHash;
use doorward_engine::question::{Question, QuestionError, Target};
use doorward_engine::snapshot::{Facts, KeyFacts, MemberFacts, ResourceFacts, Subject, TenantFacts};

use crate::support::world::{Ask, Who, Workspace, World};

/// Facts of everything in a world.
pub(crate) struct Compiled<'w> {
    world: &'w World,
    pub(crate) catalogue: Catalogue,
    workspaces: BTreeMap<&'w str, Compartment>,
}

struct Compartment {
    tenant: TenantFacts,
    members: BTreeMap<String, MemberFacts>,
    keys: BTreeMap<String, KeyFacts>,
}

impl<'w> Compiled<'w> {
    pub(crate) fn over(world: &'w World) -> Self {
        let catalogue = Catalogue::build(world.catalogue.clone()).unwrap();
        let compartment = |workspace: &'w Workspace| {
            (workspace.tenant.id.as_str(), Compartment::over(workspace, &catalogue))
        };
        let workspaces = world.workspaces.iter().map(compartment).collect();
        Self { world, workspaces, catalogue }
    }

    /// Gathers the facts for a question and hands them on.
    pub(crate) fn with<T>(
        &self,
        ask: &Ask,
        then: impl FnOnce(&Facts<'_>, &Question<'_>) -> T,
    ) -> Result<T, QuestionError> {
        let id = ResourceId::parse(&ask.id)?;
        let target = Target::parse(&self.catalogue, &ask.action, &ask.kind, &id)?;
        let country = ask.country.as_deref().map(|country| Country::parse(country).unwrap());
        let domain = ask.email_domain.as_deref().map(|domain| Domain::parse(domain).unwrap());
        let question = Question { target, country, email_domain: domain.as_ref() };
        let compartment = self.workspaces.get(ask.tenant.as_str());
        let workspace = self.world.workspace(&ask.tenant);
        let resource = workspace.and_then(|workspace| workspace.resource(&ask.kind, &ask.id));
        let resource = resource.map(ResourceFacts::over);
        let facts = Facts {
            catalogue: &self.catalogue,
            tenant: compartment.map(|compartment| &compartment.tenant),
            subject: subject(&ask.subject, workspace, compartment),
            resource: resource.as_ref(),
        };
        Ok(then(&facts, &question))
    }

    pub(crate) fn decide(&self, ask: &Ask, now: Instant) -> Result<Decision, QuestionError> {
        self.with(ask, |facts, question| decide(facts, question, now))
    }

    pub(crate) fn explain(&self, ask: &Ask, now: Instant) -> Result<Explanation, QuestionError> {
        self.with(ask, |facts, question| explain(facts, question, now))
    }
}

fn subject<'c>(
    who: &Who,
    workspace: Option<&Workspace>,
    compartment: Option<&'c Compartment>,
) -> Subject<'c> {
    let member = |id: &str| compartment.and_then(|compartment| compartment.members.get(id));
    match who {
        Who::Member(id) => Subject::Member(member(id)),
        Who::User(user) => {
            let seat = workspace.and_then(|workspace| workspace.seat_of_user(user));
            Subject::Member(seat.and_then(|seat| member(seat.member.id.as_str())))
        }
        Who::Key { id, secret } => {
            let right = workspace.and_then(|workspace| workspace.key(id, secret)).is_some();
            let key = compartment.and_then(|compartment| compartment.keys.get(id));
            Subject::Key(key.filter(|_| right))
        }
    }
}

impl Compartment {
    fn over(workspace: &Workspace, catalogue: &Catalogue) -> Self {
        let members = workspace.seats.iter().map(|seat| {
            let grants = seat.grants.iter().map(|(resource, grant)| (resource.clone(), *grant));
            (seat.member.id.to_string(), MemberFacts::over(&seat.member, grants, catalogue))
        });
        // The engine never looks at the hash: the secret was compared above.
        let keys = workspace
            .keys
            .iter()
            .map(|key| (key.key.id.to_string(), KeyFacts::over(&key.key, SecretHash([0; 32]), catalogue)));
        Self {
            tenant: TenantFacts::over(&workspace.tenant, catalogue),
            members: members.collect(),
            keys: keys.collect(),
        }
    }
}

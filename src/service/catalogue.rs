//! The catalogue in force, and how another one takes its place: what tenants use may be retyped, not removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_engine::catalogue::{Catalogue, Removed};
use doorward_engine::id::{Revision, TenantId};
use serde::{Deserialize, Serialize};

use super::authority::{self, Operator};
use super::draft::Draft;
use super::error::{Error, Precondition};
use super::{Backend, Call, Done, Operation, Service};
use crate::caller::Caller;
use crate::catalogue::{digest, parse};
use crate::store::state::Usage;
use crate::store::{InForce, Needs, Target};

/// What came of putting a catalogue in force, as it is kept for a repeated request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    version: u64,
    document: String,
    differences: Vec<String>,
}

/// A catalogue that was put in force.
#[derive(Debug)]
pub struct Applied {
    /// The catalogue.
    pub in_force: InForce,
    /// The difference to the one before, a line each.
    pub differences: Vec<String>,
}

impl<B: Backend> Service<B> {
    /// The catalogue in force.
    ///
    /// # Errors
    /// PERMISSION_DENIED for all but the operator.
    pub async fn get_catalogue(&self, caller: &Caller) -> Result<Arc<InForce>, Error> {
        authority::operator(caller, Operation::GetCatalogue, None)?;
        self.in_force().await
    }

    /// Puts a catalogue in force, for all tenants.
    ///
    /// # Errors
    /// CATALOGUE_INVALID with every problem; IN_USE with everything that tenants use and the document lacks.
    pub async fn apply_catalogue(&self, call: Call, document: String) -> Result<Done<Applied>, Error> {
        // Before the document is looked at: nobody else learns what is wrong with it.
        authority::operator(&call.caller, Operation::ApplyCatalogue, None)?;
        let next = parse(&document).map_err(Error::CatalogueInvalid)?;
        let needs = Needs { usage: true, ..Needs::default() };
        let plan = move |_: &Operator, draft: &mut Draft<'_>| apply(draft, &next, document);
        let operation = Operation::ApplyCatalogue;
        let done = self.as_operator(call, operation, Target::Platform, needs, plan).await?;
        let applied = understood(&done.answer)?;
        Ok(done.map(|_| applied))
    }

    /// It comes with the facts of every tenant: here with those of none.
    pub(super) async fn in_force(&self) -> Result<Arc<InForce>, Error> {
        let none = TenantId::parse("none").map_err(|error| Error::Internal(error.to_string()))?;
        Ok(self.tenant_facts(none, Vec::new()).await?.in_force)
    }
}

fn understood(kept: &Kept) -> Result<Applied, Error> {
    let catalogue = parse(&kept.document).map_err(Error::CatalogueInvalid)?;
    let in_force = InForce {
        version: kept.version,
        digest: digest(&kept.document),
        document: kept.document.clone(),
        catalogue,
    };
    Ok(Applied { in_force, differences: kept.differences.clone() })
}

fn apply(draft: &mut Draft<'_>, next: &Catalogue, document: String) -> Result<Kept, Error> {
    let in_force = &draft.state.in_force;
    // A catalogue is compared by its version, which only its own changes move.
    draft.compare(Revision(in_force.version))?;
    let lost = in_use(&in_force.catalogue.removed_by(next), &draft.state.usage);
    if !lost.is_empty() {
        return Err(Precondition::InUse(lost).into());
    }
    let digest = digest(&document);
    let version = in_force.version + u64::from(in_force.digest != digest);
    let differences = in_force.catalogue.difference(next);
    draft.put_catalogue(document.clone(), digest);
    Ok(Kept { version, document, differences })
}

/// What would go and is used, in words.
fn in_use(removed: &Removed, usage: &Usage) -> Vec<String> {
    let actions = removed.actions.iter().map(|(kind, action)| format!("{kind}.{action}"));
    let mut lost = Vec::new();
    let mut note = |what: &str, names: &mut dyn Iterator<Item = String>, used: &BTreeSet<String>| {
        lost.extend(names.filter(|name| used.contains(name)).map(|name| format!("{what} `{name}`")));
    };
    note("section", &mut removed.sections.iter().map(ToString::to_string), &usage.sections);
    note("part", &mut removed.parts.iter().map(ToString::to_string), &usage.sections);
    note("type", &mut removed.types.iter().map(ToString::to_string), &usage.types);
    note("action", &mut actions.into_iter(), &usage.actions);
    note("plan", &mut removed.plans.iter().map(ToString::to_string), &usage.plans);
    note("switch", &mut removed.switches.iter().map(ToString::to_string), &usage.switches);
    lost
}

#[cfg(test)]
mod tests {
    use doorward_engine::catalogue::SHIPPED;

    use super::super::member::sample::{kinds, plan_as, state};
    use super::*;
    use crate::caller::{Caller, Identity};
    use crate::store::{Planned, State};

    /// Without the section `logs`.
    fn without_logs() -> String {
        let logs = "[[section]]\nkey = \"logs\"\nname = \"Logs\"\ntype = \"CONFIGURABLE\"\ndefault = true\n";
        assert!(SHIPPED.contains(logs));
        SHIPPED.replace(logs, "")
    }

    fn in_shipped() -> State {
        let mut state = state();
        let catalogue = parse(SHIPPED).unwrap();
        let (digest, document) = (digest(SHIPPED), SHIPPED.to_owned());
        state.in_force = Arc::new(InForce { version: 3, digest, document, catalogue });
        state
    }

    fn applying(state: &State, expected: Option<u64>, document: &str) -> Result<Planned<Kept>, Error> {
        let operator = Caller { identity: Identity::Operator, actor: None, peer: None, trace_id: None };
        let next = parse(document).unwrap();
        plan_as(&operator, state, expected, |_, draft| apply(draft, &next, document.to_owned()))
    }

    #[test]
    fn an_equal_document_changes_nothing() {
        let planned = applying(&in_shipped(), Some(3), SHIPPED).unwrap();
        assert!(planned.changes.is_empty() && planned.answer.differences.is_empty());
        assert_eq!(planned.answer.version, 3);
    }

    #[test]
    fn a_new_document_is_a_version_more_and_says_what_differs() {
        let planned = applying(&in_shipped(), None, &without_logs()).unwrap();
        assert_eq!(kinds(&planned.changes), ["catalogue"]);
        assert_eq!(planned.answer.version, 4);
        assert!(planned.answer.differences.contains(&"section `logs` removed".to_owned()));
        let comment = applying(&in_shipped(), None, &format!("# A comment.\n{SHIPPED}")).unwrap();
        assert_eq!((comment.changes.len(), comment.answer.differences.len()), (1, 0));
    }

    #[test]
    fn a_catalogue_is_compared_by_its_version() {
        let stale = applying(&in_shipped(), Some(2), SHIPPED);
        assert!(matches!(stale, Err(Error::RevisionMismatch { current: Revision(3) })));
    }

    #[test]
    fn what_is_in_use_may_be_retyped_and_not_removed() {
        let mut state = in_shipped();
        state.usage.sections.insert("logs".to_owned());
        match applying(&state, None, &without_logs()) {
            Err(Error::Precondition(Precondition::InUse(lost))) => {
                assert_eq!(lost, ["section `logs`"])
            }
            other => panic!("{other:?}"),
        }
        let retyped = SHIPPED.replace(
            "name = \"Logs\"\ntype = \"CONFIGURABLE\"\ndefault = true",
            "name = \"Logs\"\ntype = \"ALWAYS\"",
        );
        assert_eq!(applying(&state, None, &retyped).unwrap().changes.len(), 1);
    }

    #[test]
    fn every_kind_of_thing_in_use_is_named() {
        let removed = parse(SHIPPED)
            .unwrap()
            .removed_by(&parse("[[plan]]\nkey = \"other\"\nname = \"Other\"").unwrap());
        let used = |text: &str| BTreeSet::from([text.to_owned()]);
        let usage = Usage {
            sections: BTreeSet::from(["traces".to_owned(), "settings.api_keys".to_owned()]),
            types: used("agent"),
            actions: used("agent.chat"),
            plans: used("standard"),
            switches: used("agentguard"),
        };
        assert_eq!(
            in_use(&removed, &usage),
            [
                "section `traces`",
                "part `settings.api_keys`",
                "type `agent`",
                "action `agent.chat`",
                "plan `standard`",
                "switch `agentguard`",
            ]
        );
        assert!(in_use(&removed, &Usage::default()).is_empty());
    }
}

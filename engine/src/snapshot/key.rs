//! What is an API key's, compiled against a catalogue.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::api_key::{ApiKey, ResourceScope, SectionPath};
use crate::catalogue::{ActionIx, Catalogue, PartIx, PartSet, SectionIx, SectionSet, TypeIx};
use crate::id::{KeyId, ResourceId};
use crate::instant::Instant;
use crate::member::SecretHash;
use crate::role::Role;

/// What is an API key's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Its id.
    pub id: KeyId,
    /// When it was revoked; then it is invalid, whatever the time.
    pub revoked_at: Option<Instant>,
    /// From this instant on it is invalid.
    pub expires_at: Option<Instant>,
    /// The hash of its secret, for whoever gathers the facts to compare: the engine never looks at it.
    pub secret: SecretHash,
    /// Whether it may call the admin RPCs: no rule of a decision reads it.
    pub admin: bool,
    /// The sections that its scopes name.
    pub sections: SectionSet,
    /// The parts that its scopes name.
    pub parts: PartSet,
    /// The actions on resources that its scopes name.
    pub resources: Box<[KeyScope]>,
}

/// An action on resources that a key's scopes name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyScope {
    /// The type of the resources.
    pub kind: TypeIx,
    /// The action.
    pub action: ActionIx,
    /// Only these; none: every one of the type.
    pub ids: Option<BTreeSet<ResourceId>>,
}

impl KeyFacts {
    /// Compiles a key; scopes that the catalogue does not understand are dropped.
    #[must_use]
    pub fn over(key: &ApiKey, secret: SecretHash, catalogue: &Catalogue) -> Self {
        let mut facts = Self {
            id: key.id.clone(),
            revoked_at: key.revoked_at,
            expires_at: key.expires_at,
            secret,
            admin: key.scopes.admin,
            sections: SectionSet::EMPTY,
            parts: PartSet::EMPTY,
            resources: key
                .scopes
                .resources
                .iter()
                .filter_map(|scope| KeyScope::over(scope, catalogue))
                .collect(),
        };
        for path in &key.scopes.sections {
            facts.add(path, catalogue);
        }
        facts
    }

    fn add(&mut self, path: &SectionPath, catalogue: &Catalogue) {
        let Some(section) = catalogue.section(path.section.as_str()) else {
            return;
        };
        match &path.part {
            None => self.sections.insert(section),
            Some(part) => self.parts.extend(catalogue.part(section, part.as_str())),
        }
    }

    /// Whether the scopes name a section: as a whole, or one of its parts. A part that needs an ADMIN must be named
    /// itself.
    #[must_use]
    pub fn names_section(&self, section: SectionIx, part: Option<(PartIx, Role)>) -> bool {
        match part {
            None => self.sections.contains(section),
            Some((part, Role::Admin)) => self.parts.contains(part),
            Some((part, Role::User)) => self.parts.contains(part) || self.sections.contains(section),
        }
    }

    /// Whether the scopes name an action on a resource.
    #[must_use]
    pub fn names_resource(&self, kind: TypeIx, action: ActionIx, id: &ResourceId) -> bool {
        self.resources.iter().any(|scope| {
            (scope.kind, scope.action) == (kind, action)
                && scope.ids.as_ref().is_none_or(|ids| ids.contains(id))
        })
    }
}

impl KeyScope {
    fn over(scope: &ResourceScope, catalogue: &Catalogue) -> Option<Self> {
        let kind = catalogue.resource_type(scope.kind.as_str())?;
        let action = catalogue.action(kind, scope.action.as_str())?;
        Some(Self { kind, action, ids: scope.ids.clone() })
    }
}

//! A question in domain words: parsed against a catalogue, so that nothing in it is unheard of.

use std::fmt;

use crate::catalogue::{ActionIx, Catalogue, PartIx, SECTION_ACTION, SECTION_TYPE, SectionIx, TypeIx};
use crate::catalogue::{listed, quoted};
use crate::contact::{Country, Domain};
use crate::id::{IdError, ResourceId};

/// May the subject do this? Whose subject and which tenant is said by the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'q> {
    /// What the subject wants to do, and to what.
    pub target: Target<'q>,
    /// The country that the subject asks from.
    pub country: Option<Country>,
    /// The subject's email domain, where the caller knows better than the invitation.
    pub email_domain: Option<&'q Domain>,
}

/// An action on something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'q> {
    /// To view a section, or a part of one.
    Section {
        /// The section; none: no section of the catalogue (rule 12).
        section: Option<SectionIx>,
        /// The part, where one is asked for.
        part: PartAsked,
    },
    /// To act on a resource.
    Resource {
        /// Its type.
        kind: TypeIx,
        /// The action, one of the type's.
        action: ActionIx,
        /// Its id.
        id: &'q ResourceId,
    },
}

/// Which part of a section is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartAsked {
    /// None: the section itself.
    None,
    /// A part of the catalogue.
    Known(PartIx),
    /// A part that the catalogue does not have (rule 12).
    Unknown,
}

impl<'q> Target<'q> {
    /// Parses an action on a resource (or on a section, where the type is `section`); allocates only to fail.
    ///
    /// The id has been parsed before, for sections too: a section id that fits the grammar of ids but names nothing
    /// is no mistake of the caller's, it is answered by rule 12.
    ///
    /// # Errors
    /// [`QuestionError`] where the type or the action is unknown.
    pub fn parse(
        catalogue: &Catalogue,
        action: &str,
        kind: &str,
        id: &'q ResourceId,
    ) -> Result<Self, QuestionError> {
        if kind == SECTION_TYPE {
            return Self::section(catalogue, action, id.as_str());
        }
        let kind = catalogue.resource_type(kind).ok_or_else(|| QuestionError::kind(catalogue, kind))?;
        let action =
            catalogue.action(kind, action).ok_or_else(|| QuestionError::action(catalogue, kind, action))?;
        Ok(Self::Resource { kind, action, id })
    }

    /// Parses an action on a section or part, addressed as `traces` or `settings.api_keys`.
    ///
    /// # Errors
    /// [`QuestionError`] where the action is not `view`.
    pub fn section(catalogue: &Catalogue, action: &str, id: &str) -> Result<Self, QuestionError> {
        if action != SECTION_ACTION {
            return Err(QuestionError::section_action(action));
        }
        let (section, part) = id.split_once('.').map_or((id, None), |(section, part)| (section, Some(part)));
        let section = catalogue.section(section);
        let known = |part| section.and_then(|section| catalogue.part(section, part));
        let part =
            part.map_or(PartAsked::None, |part| known(part).map_or(PartAsked::Unknown, PartAsked::Known));
        Ok(Self::Section { section, part })
    }
}

/// A caller's mistake: the question cannot be put to this catalogue. It is not a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionError {
    /// The field at fault, as in the request: `action`, `resource.type` or `resource.id`.
    pub field: &'static str,
    /// What it is not, with at most 64 bytes of what was given.
    pub what: String,
    /// What is allowed.
    pub allowed: String,
}

impl QuestionError {
    fn kind(catalogue: &Catalogue, kind: &str) -> Self {
        let types = catalogue.types().map(|(_, kind)| kind.key.as_str());
        Self {
            field: "resource.type",
            what: format!("unknown resource type {}", quoted(kind)),
            allowed: listed(std::iter::once(SECTION_TYPE).chain(types)),
        }
    }

    fn action(catalogue: &Catalogue, kind: TypeIx, action: &str) -> Self {
        let key = catalogue.type_at(kind).map_or("", |kind| kind.key.as_str());
        Self {
            field: "action",
            what: format!("unknown action {} of `{key}`", quoted(action)),
            allowed: listed(catalogue.actions(kind).map(|(_, action)| action.key.as_str())),
        }
    }

    fn section_action(action: &str) -> Self {
        Self {
            field: "action",
            what: format!("unknown action {} of a section", quoted(action)),
            allowed: listed(std::iter::once(SECTION_ACTION)),
        }
    }
}

impl From<IdError> for QuestionError {
    fn from(error: IdError) -> Self {
        Self {
            field: "resource.id",
            what: format!("not a valid {}", error.kind),
            allowed: error.allowed.to_owned(),
        }
    }
}

impl fmt::Display for QuestionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; allowed: {}", self.field, self.what, self.allowed)
    }
}

impl std::error::Error for QuestionError {}

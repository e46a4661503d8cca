//! A tenant's API key and its scopes as they are administered.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{
    ActionKey, IdError, KeyId, MemberId, Name, PartKey, ResourceId, Revision, SectionKey, TypeKey,
};
use crate::instant::Instant;

/// A tenant-owned principal with scopes of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its public id, never used twice in its tenant.
    pub id: KeyId,
    /// What people call it.
    pub name: Name,
    /// What it may do.
    pub scopes: Scopes,
    /// The member who created it; none: the operator.
    pub created_by: Option<MemberId>,
    /// When it was created.
    pub created_at: Instant,
    /// From this instant on it is invalid.
    pub expires_at: Option<Instant>,
    /// When it was revoked.
    pub revoked_at: Option<Instant>,
    /// The tenant's revision at which it last changed.
    pub revision: Revision,
}

impl ApiKey {
    /// Whether the key is neither revoked nor expired at an instant.
    #[must_use]
    pub fn is_live(&self, now: Instant) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What an API key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes {
    /// Whether it may call the admin RPCs of its tenant.
    pub admin: bool,
    /// Sections and parts.
    pub sections: BTreeSet<SectionPath>,
    /// Actions on resources.
    pub resources: Vec<ResourceScope>,
}

/// A section, or a part of one: `traces`, `settings.api_keys`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SectionPath {
    /// The section.
    pub section: SectionKey,
    /// The part, where one is meant.
    pub part: Option<PartKey>,
}

impl SectionPath {
    /// Parses `section` or `section.part`.
    ///
    /// # Errors
    /// [`IdError`] where the text has another shape.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let error = |_| IdError {
            kind: "section",
            allowed: "a section key, or section.part, as in settings.api_keys",
        };
        let (section, part) =
            text.split_once('.').map_or((text, None), |(section, part)| (section, Some(part)));
        Ok(Self {
            section: SectionKey::parse(section).map_err(error)?,
            part: part.map(PartKey::parse).transpose().map_err(error)?,
        })
    }
}

impl fmt::Display for SectionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Some(part) => write!(f, "{}.{part}", self.section),
            None => self.section.fmt(f),
        }
    }
}

impl TryFrom<String> for SectionPath {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<SectionPath> for String {
    fn from(path: SectionPath) -> Self {
        path.to_string()
    }
}

/// An action on resources of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceScope {
    /// The type.
    #[serde(rename = "type")]
    pub kind: TypeKey,
    /// The action.
    pub action: ActionKey,
    /// Only these resources; none: every one of the type.
    pub ids: Option<BTreeSet<ResourceId>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_section_or_a_part_of_one() {
        for good in ["traces", "settings.api_keys", "a.b"] {
            assert_eq!(SectionPath::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a.b.c",
            "a..b",
            "A",
            "a.B",
            "a b",
            "a\0",
            "a.b\n",
            "\u{202e}a",
            "a'",
            "a/b",
            &format!("a.{}", "b".repeat(65)),
        ] {
            assert!(SectionPath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_live_until_it_is_revoked_or_expires() {
        let key = |expires_at: Option<i64>, revoked_at: Option<i64>| ApiKey {
            id: KeyId::parse("ci").unwrap(),
            name: Name::parse("CI").unwrap(),
            scopes: Scopes::default(),
            created_by: None,
            created_at: Instant::from_micros(0),
            expires_at: expires_at.map(Instant::from_micros),
            revoked_at: revoked_at.map(Instant::from_micros),
            revision: Revision(1),
        };
        let now = Instant::from_micros(10);
        assert!(key(None, None).is_live(now) && key(Some(11), None).is_live(now));
        assert!(!key(Some(10), None).is_live(now));
        assert!(!key(None, Some(11)).is_live(now), "revoking does not wait for its instant");
    }
}

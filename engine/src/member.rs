//! A member and their invitation as they are administered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contact::Email;
use crate::id::{MemberId, Name, Revision, SectionKey, UserId};
use crate::instant::Instant;
use crate::role::Role;
use crate::status::{InvitationStatus, MemberStatus};

/// A user's membership in one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id, never used twice in its tenant.
    pub id: MemberId,
    /// The person's id at the identity provider; none while PENDING.
    pub user_id: Option<UserId>,
    /// The address by which the person was invited; none once they are erased.
    pub email: Option<Email>,
    /// What people call them.
    pub display_name: Option<Name>,
    /// Their role.
    pub role: Role,
    /// Their status.
    pub status: MemberStatus,
    /// The stored values of sections; a section without one follows the defaults (rule 18).
    pub sections: BTreeMap<SectionKey, SectionValue>,
    /// When they were invited or, for an owner, created.
    pub created_at: Instant,
    /// Until when the invitation may be accepted; only while PENDING.
    pub invitation_expires_at: Option<Instant>,
    /// The version of the personal data (email, display name, user id), from 1.
    pub person_version: u32,
    /// The tenant's revision at which the member, their sections or their grants last changed.
    pub revision: Revision,
}

/// The stored value of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionValue {
    /// Whether the section is on.
    pub on: bool,
    /// Where the value came from.
    pub origin: Origin,
}

/// Where a stored section value came from: [`Origin::Default`] values are "untouched".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Origin {
    /// Copied from the defaults.
    Default,
    /// Set for this member on purpose.
    Set,
}

/// The SHA-256 of a secret; the secret itself is stored nowhere.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretHash(pub [u8; 32]);

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A grant's terms; a grant is present or absent (off).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// From this instant on the grant is absent (rule 29).
    pub expires_at: Option<Instant>,
}

impl Grant {
    /// Whether the grant is in force at an instant.
    #[must_use]
    pub fn is_in_force(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// One token that was sent to a PENDING member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The hash of the token.
    pub token: SecretHash,
    /// Whom it invites.
    pub member: MemberId,
    /// From this instant on it cannot be accepted.
    pub expires_at: Instant,
    /// Its status.
    pub status: InvitationStatus,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_absent_from_its_expiry_on() {
        let grant = |expires_at: Option<i64>| Grant { expires_at: expires_at.map(Instant::from_micros) };
        let now = Instant::from_micros(10);
        assert!(grant(None).is_in_force(now) && grant(None).is_in_force(Instant::MAX));
        assert!(grant(Some(11)).is_in_force(now));
        assert!(!grant(Some(10)).is_in_force(now));
        assert!(!grant(Some(9)).is_in_force(now));
    }

    #[test]
    fn a_hash_does_not_show_itself() {
        assert_eq!(format!("{:?}", SecretHash([7; 32])), "SecretHash(…)");
    }
}

//! What is a member's, with their grants in one piece of memory.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use triomphe::ThinArc;

use super::Toggles;
use super::grants::{Grants, PackedGrants};
use crate::catalogue::Catalogue;
use crate::contact::{Domain, Email};
use crate::id::{MemberId, ResourceRef};
use crate::member::{Grant, Member};
use crate::role::Role;
use crate::status::MemberStatus;

/// What is a member's: their profile, and their grants behind it. Whoever needs it shares it; it is one pointer.
#[derive(Clone, PartialEq, Eq)]
pub struct MemberFacts(ThinArc<Profile, u8>);

/// What is a member's beside their grants. What each decision looks at comes first: it is in one line of a processor's
/// cache, with the count of those who share it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Profile {
    /// The stored values of sections.
    pub toggles: Toggles,
    /// Their role.
    pub role: Role,
    /// Their status.
    pub status: MemberStatus,
    /// The domain of the address by which they were invited; none: it is not known any more.
    pub email_domain: Option<Domain>,
    /// Their id.
    pub id: MemberId,
}

impl MemberFacts {
    /// Compiles a member with their grants. Of two grants on one resource the first counts.
    #[must_use]
    pub fn over(
        member: &Member,
        grants: impl IntoIterator<Item = (ResourceRef, Grant)>,
        catalogue: &Catalogue,
    ) -> Self {
        let stored: BTreeMap<_, _> =
            member.sections.iter().map(|(key, value)| (key.as_str(), value.on)).collect();
        let profile = Profile {
            toggles: Toggles::over(stored, catalogue),
            role: member.role,
            status: member.status,
            email_domain: member.email.as_ref().map(Email::domain),
            id: member.id.clone(),
        };
        Self::of(profile, &PackedGrants::over(grants, catalogue))
    }

    /// A profile with grants.
    #[must_use]
    pub fn of(profile: Profile, grants: &PackedGrants) -> Self {
        Self(ThinArc::from_header_and_slice(profile, grants.as_bytes()))
    }

    /// Their grants, expired ones too.
    #[must_use]
    pub fn grants(&self) -> Grants<'_> {
        Grants::of(&self.0.slice)
    }

    /// How much memory it takes, in bytes, without that of the texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Before the profile is the count, behind it how many bytes the grants are, each as wide as the profile is aligned.
        size_of::<Profile>() + 2 * align_of::<Profile>() + self.grants().bytes()
    }
}

impl Deref for MemberFacts {
    type Target = Profile;

    fn deref(&self) -> &Profile {
        &self.0.header.header
    }
}

impl fmt::Debug for MemberFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberFacts").field("profile", &**self).field("grants", &self.grants()).finish()
    }
}

/// Facts as they are written.
#[derive(Serialize, Deserialize)]
struct Written<I, D, G> {
    id: I,
    role: Role,
    status: MemberStatus,
    toggles: Toggles,
    email_domain: D,
    grants: G,
}

impl Serialize for MemberFacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Profile { toggles, role, status, email_domain, id } = &**self;
        let (role, status, toggles) = (*role, *status, *toggles);
        Written { id, role, status, toggles, email_domain, grants: self.grants() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MemberFacts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { id, role, status, toggles, email_domain, grants } = Written::deserialize(deserializer)?;
        Ok(Self::of(Profile { toggles, role, status, email_domain, id }, &grants))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_takes_little_memory_beyond_their_grants() {
        assert_eq!(size_of::<MemberFacts>(), size_of::<usize>());
        // With an id and a domain on the heap this stays well below the 300 bytes of a cached member.
        assert!(size_of::<Profile>() <= 80, "{}", size_of::<Profile>());
    }

    #[test]
    fn what_each_decision_looks_at_is_in_the_first_line() {
        let end = std::mem::offset_of!(Profile, status) + size_of::<MemberStatus>();
        assert!(align_of::<Profile>() + end <= 64, "{end}");
    }
}

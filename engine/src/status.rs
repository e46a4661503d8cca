//! The lives of tenants, members, resources and invitations, as closed sets of states.

use serde::{Deserialize, Serialize};

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$state_doc:meta])* $state:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$state_doc])* #[serde(rename = $text)] $state),+
        }

        impl $name {
            /// Every state, in the order of a life.
            pub const ALL: &[Self] = &[$(Self::$state),+];

            /// The name used in prose, rows and errors.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$state => $text),+ }
            }

            /// The state of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|state| state.name() == name)
            }
        }
    };
}

states! {
    /// The status of a tenant.
    TenantStatus {
        /// In use.
        Active = "ACTIVE",
        /// Closed by the operator for a time: every check is denied.
        Suspended = "SUSPENDED",
        /// Gone for good.
        Deleted = "DELETED",
    }
}

states! {
    /// The status of a member: PENDING → ACTIVE ⇄ DISABLED → DELETED, or PENDING → DELETED.
    MemberStatus {
        /// Invited, not yet accepted.
        Pending = "PENDING",
        /// In use.
        Active = "ACTIVE",
        /// Denied everything; role, toggles and grants are kept.
        Disabled = "DISABLED",
        /// Gone; the row stays so that the id is never used again.
        Deleted = "DELETED",
    }
}

states! {
    /// The status of a resource.
    ResourceStatus {
        /// In use.
        Active = "ACTIVE",
        /// Paused: actions that the catalogue says so are blocked.
        Inactive = "INACTIVE",
        /// Gone; the row stays so that the id is never used again.
        Deleted = "DELETED",
    }
}

states! {
    /// The status of an invitation token.
    InvitationStatus {
        /// May be accepted until it expires.
        Live = "LIVE",
        /// Was accepted, or the member was activated another way.
        Used = "USED",
        /// Was cancelled, or replaced by a newer one.
        Cancelled = "CANCELLED",
    }
}

impl MemberStatus {
    /// Whether the member holds a seat, an email and a user id: anything but DELETED.
    #[must_use]
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_parsed_by_their_names_alone() {
        for &status in MemberStatus::ALL {
            assert_eq!(MemberStatus::parse(status.name()), Some(status));
        }
        for bad in ["", "pending", "PENDING ", "SUSPENDED"] {
            assert_eq!(MemberStatus::parse(bad), None, "{bad:?}");
        }
        assert_eq!(TenantStatus::parse("SUSPENDED"), Some(TenantStatus::Suspended));
        assert_eq!(ResourceStatus::parse("INACTIVE"), Some(ResourceStatus::Inactive));
        assert_eq!(InvitationStatus::parse("CANCELLED"), Some(InvitationStatus::Cancelled));
    }

    #[test]
    fn all_but_the_deleted_hold_a_seat() {
        let live: Vec<_> = MemberStatus::ALL.iter().filter(|status| status.is_live()).collect();
        assert_eq!(live, [&MemberStatus::Pending, &MemberStatus::Active, &MemberStatus::Disabled]);
    }
}

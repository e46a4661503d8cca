//! The two roles.

use serde::{Deserialize, Serialize};

/// What a member is in their tenant. Exactly one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Tenant Admin: everything that the tenant has.
    Admin,
    /// Tenant User: only what is enabled for them.
    User,
}

impl Role {
    /// The name used in prose, rows and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::User => "USER",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Admin, Self::User].into_iter().find(|role| role.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_parsed_by_their_names_alone() {
        assert_eq!(Role::parse("ADMIN"), Some(Role::Admin));
        assert_eq!(Role::parse("USER"), Some(Role::User));
        for bad in ["", "admin", "ADMIN ", "OWNER", "USER\0"] {
            assert_eq!(Role::parse(bad), None, "{bad:?}");
        }
    }
}

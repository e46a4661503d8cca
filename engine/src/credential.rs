//! The credential of a sibling service as it is administered: scopes, tenants, secrets by their hashes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{CredentialId, Name, Revision, TenantId};
use crate::instant::Instant;
use crate::member::SecretHash;

/// How many secrets of a credential are live at most: the one in use, and the one that replaces it.
pub const SECRETS_MAX: usize = 2;

/// A service that may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCredential {
    /// Its public id, never used twice.
    pub id: CredentialId,
    /// What people call the service.
    pub name: Name,
    /// What it may do.
    pub scopes: BTreeSet<ServiceScope>,
    /// Where it may do that; none: in every tenant, and what is the platform's.
    pub tenants: BTreeSet<TenantId>,
    /// Its secrets, the newest first.
    pub secrets: Vec<ServiceSecret>,
    /// When it was created.
    pub created_at: Instant,
    /// When it was revoked.
    pub revoked_at: Option<Instant>,
    /// The platform's revision at which it last changed.
    pub revision: Revision,
}

/// What a service may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceScope {
    /// Ask checks.
    Check,
    /// Explain, list and read.
    Read,
    /// Administer, on behalf of an ACTIVE ADMIN.
    Admin,
    /// Register, change and delete resources.
    Resources,
    /// Accept invitations, activate members, change their names.
    Identity,
    /// Everything.
    Operator,
}

impl ServiceScope {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Check, Self::Read, Self::Admin, Self::Resources, Self::Identity, Self::Operator];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Read => "read",
            Self::Admin => "admin",
            Self::Resources => "resources",
            Self::Identity => "identity",
            Self::Operator => "operator",
        }
    }

    /// The scope of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// One secret of a service; the secret itself is stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSecret {
    /// Its hash; in no log and no kept answer.
    #[serde(skip)]
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Instant,
    /// From this instant on it is invalid.
    pub expires_at: Option<Instant>,
    /// When it was last used, roughly; no part of what was administered.
    #[serde(skip)]
    pub last_used_at: Option<Instant>,
}

impl ServiceSecret {
    /// Whether it has not expired.
    #[must_use]
    pub fn is_live(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl ServiceCredential {
    /// Puts a new secret before the others. Of what there is by then only [`SECRETS_MAX`] stay, and nothing expired.
    pub fn rotate(&mut self, secret: ServiceSecret, previous_expires_at: Option<Instant>) {
        let now = secret.created_at;
        self.secrets.retain(|secret| secret.is_live(now));
        for previous in &mut self.secrets {
            // An end that was set before is not put off.
            previous.expires_at = match (previous.expires_at, previous_expires_at) {
                (Some(set), Some(wanted)) => Some(set.min(wanted)),
                (set, wanted) => set.or(wanted),
            };
        }
        self.secrets.insert(0, secret);
        self.secrets.truncate(SECRETS_MAX);
        self.secrets.retain(|secret| secret.is_live(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(hash: u8, created: i64, expires: Option<i64>) -> ServiceSecret {
        ServiceSecret {
            hash: SecretHash([hash; 32]),
            created_at: Instant::from_micros(created),
            expires_at: expires.map(Instant::from_micros),
            last_used_at: None,
        }
    }

    fn credential(secrets: Vec<ServiceSecret>) -> ServiceCredential {
        ServiceCredential {
            id: CredentialId::parse("gateway").unwrap(),
            name: Name::parse("Gateway").unwrap(),
            scopes: [ServiceScope::Check].into(),
            tenants: BTreeSet::new(),
            secrets,
            created_at: Instant::from_micros(1),
            revoked_at: None,
            revision: Revision(1),
        }
    }

    fn rotated(
        secrets: Vec<ServiceSecret>,
        new: ServiceSecret,
        previous: Option<i64>,
    ) -> Vec<(u8, Option<i64>)> {
        let mut credential = credential(secrets);
        credential.rotate(new, previous.map(Instant::from_micros));
        let told = |secret: &ServiceSecret| (secret.hash.0[0], secret.expires_at.map(Instant::micros));
        credential.secrets.iter().map(told).collect()
    }

    #[test]
    fn two_secrets_are_live_and_the_oldest_of_three_ends() {
        let one = || secret(1, 1, None);
        assert_eq!(rotated(vec![one()], secret(2, 5, Some(90)), None), [(2, Some(90)), (1, None)]);
        let two = || vec![secret(2, 5, None), one()];
        assert_eq!(rotated(two(), secret(3, 6, None), Some(50)), [(3, None), (2, Some(50))]);
    }

    #[test]
    fn an_end_comes_no_later_than_it_was_set_and_what_has_ended_goes() {
        assert_eq!(
            rotated(vec![secret(1, 1, Some(20))], secret(2, 5, None), Some(50)),
            [(2, None), (1, Some(20))]
        );
        assert_eq!(
            rotated(vec![secret(1, 1, Some(50))], secret(2, 5, None), Some(20)),
            [(2, None), (1, Some(20))]
        );
        assert_eq!(rotated(vec![secret(1, 1, Some(5))], secret(2, 5, None), None), [(2, None)]);
        assert_eq!(rotated(vec![secret(1, 1, None)], secret(2, 5, None), Some(5)), [(2, None)]);
    }

    #[test]
    fn a_scope_is_understood_as_it_is_written_and_no_hash_is() {
        for scope in ServiceScope::ALL {
            assert_eq!(ServiceScope::parse(scope.name()), Some(scope));
            assert_eq!(toml::Value::try_from(scope).unwrap().as_str(), Some(scope.name()));
        }
        assert_eq!(ServiceScope::parse("Check"), None);
        let text = toml::to_string(&credential(vec![secret(7, 1, None)])).unwrap();
        assert!(!text.contains("hash") && !text.contains("[7,7"), "{text}");
    }
}

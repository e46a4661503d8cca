//! The services of the configuration: a TOML file with the hashes of their secrets and the names in their certificates.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use doorward_engine::credential::{ServiceCredential, ServiceScope, ServiceSecret};
use doorward_engine::id::{CredentialId, Name, Revision, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::member::SecretHash;
use serde::Deserialize;

use super::callers::secret_of;

/// How the hash of a secret is written.
const SHA256: &str = "sha256:";

/// What a document is made of.
const FORM: &str = "TOML of `[[service]]` tables, each with the text `id` and the lists of texts `secrets`, `names`, \
    `scopes` and `tenants`, and nothing else";

/// The services of the configuration.
#[derive(Debug, Default)]
pub struct Configured {
    services: HashMap<CredentialId, Arc<ServiceCredential>>,
    names: HashMap<String, Arc<ServiceCredential>>,
}

/// What is wrong with the document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    service: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    scopes: Vec<String>,
    #[serde(default)]
    tenants: Vec<String>,
}

impl Configured {
    /// Reads a document.
    ///
    /// # Errors
    /// The first thing that is wrong: where it is, and what is allowed. No hash is repeated.
    pub fn parse(document: &str) -> Result<Self, Problem> {
        let parsed: Document = toml::from_str(document).map_err(|error| {
            // The parser's own words quote lines, keys and values: any may be what somebody took for a hash.
            let before = error.span().and_then(|span| document.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Problem(format!("line {line}: expected {FORM}"))
        })?;
        let mut configured = Self::default();
        for (at, entry) in parsed.service.into_iter().enumerate() {
            configured.add(entry).map_err(|problem| Problem(format!("service {}: {problem}", at + 1)))?;
        }
        Ok(configured)
    }

    /// How many services there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    fn add(&mut self, entry: Entry) -> Result<(), Problem> {
        let id = CredentialId::parse(&entry.id).map_err(|error| problem("id", error))?;
        let name = Name::parse(&entry.id).map_err(|error| problem("id", error))?;
        if entry.secrets.is_empty() && entry.names.is_empty() {
            return Err(problem(
                "secrets",
                "neither a secret nor a certificate's name: nobody could be this service",
            ));
        }
        let secrets = entry.secrets.iter().map(|text| secret(text)).collect::<Result<_, _>>()?;
        let service = Arc::new(ServiceCredential {
            id: id.clone(),
            name,
            scopes: scopes(&entry.scopes)?,
            tenants: tenants(&entry.tenants)?,
            secrets,
            created_at: Instant::MIN,
            revoked_at: None,
            revision: Revision(0),
        });
        for name in entry.names {
            let is_known =
                ["uri:", "dns:"].iter().any(|kind| name.len() > kind.len() && name.starts_with(kind));
            if !is_known {
                return Err(problem("names", "expected `uri:…` or `dns:…`, a subject alternative name"));
            }
            if self.names.insert(name, Arc::clone(&service)).is_some() {
                return Err(problem("names", "a name stands for another service too"));
            }
        }
        if self.services.insert(id, service).is_some() {
            return Err(problem("id", "is another service's too"));
        }
        Ok(())
    }

    /// The service of an id, if the secret is one of its own.
    pub(super) fn by_secret(&self, id: &str, hash: SecretHash) -> Option<Arc<ServiceCredential>> {
        self.services.get(id).filter(|service| secret_of(service, hash).is_some()).cloned()
    }

    /// The service that one of the names stands for; of two services that they stand for, none.
    pub(super) fn by_names(&self, names: &[String]) -> Option<Arc<ServiceCredential>> {
        let mut found = names.iter().filter_map(|name| self.names.get(name));
        let first = found.next()?;
        found.all(|other| other.id == first.id).then(|| Arc::clone(first))
    }
}

fn problem(field: &str, what: impl fmt::Display) -> Problem {
    Problem(format!("`{field}`: {what}"))
}

fn secret(text: &str) -> Result<ServiceSecret, Problem> {
    let hash = text.strip_prefix(SHA256).and_then(|digits| blake3::Hash::from_hex(digits).ok());
    let hash = hash.ok_or_else(|| {
        problem("secrets", "expected `sha256:` and the 64 hexadecimal digits of the secret's SHA-256")
    })?;
    Ok(ServiceSecret {
        hash: SecretHash(*hash.as_bytes()),
        created_at: Instant::MIN,
        expires_at: None,
        last_used_at: None,
    })
}

fn scopes(names: &[String]) -> Result<BTreeSet<ServiceScope>, Problem> {
    let known = ServiceScope::ALL.map(ServiceScope::name).join(", ");
    let scopes: Option<BTreeSet<_>> = names.iter().map(|name| ServiceScope::parse(name)).collect();
    let scopes = scopes.filter(|scopes| !scopes.is_empty());
    scopes.ok_or_else(|| problem("scopes", format!("expected at least one of {known}, and nothing else")))
}

fn tenants(ids: &[String]) -> Result<BTreeSet<TenantId>, Problem> {
    ids.iter().map(|id| TenantId::parse(id).map_err(|error| problem("tenants", error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::secret;

    fn refused(document: &str) -> String {
        Configured::parse(document).unwrap_err().to_string()
    }

    #[test]
    fn a_service_is_known_by_its_secret_and_by_its_certificates_names() {
        let hash = secret::hex(&secret::hash("s3cret").0);
        let configured = Configured::parse(&format!(
            "[[service]]\nid = \"gateway\"\nsecrets = [\"sha256:{hash}\"]\nnames = [\"uri:spiffe://x/gateway\"]\n\
             scopes = [\"check\"]\ntenants = [\"acme\"]\n[[service]]\nid = \"mesh\"\nnames = [\"dns:mesh\"]\nscopes = [\"read\"]"
        ))
        .unwrap();
        let found = configured.by_secret("gateway", secret::hash("s3cret")).unwrap();
        assert_eq!((found.id.as_str(), found.tenants.len()), ("gateway", 1));
        assert!(configured.by_secret("gateway", secret::hash("other")).is_none());
        assert!(
            configured.by_secret("mesh", SecretHash::default()).is_none(),
            "one without secrets has none"
        );
        assert!(configured.by_secret("nobody", SecretHash::default()).is_none());
        let by = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            configured.by_names(&names).map(|service| service.id.to_string())
        };
        assert_eq!(by(&["dns:other", "uri:spiffe://x/gateway"]).as_deref(), Some("gateway"));
        assert_eq!(by(&["dns:mesh", "uri:spiffe://x/gateway"]), None, "two services at once are none");
        assert_eq!(by(&[]), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_no_hash_is_repeated() {
        let with = |rest: &str| format!("[[service]]\nid = \"a\"\n{rest}");
        assert!(refused(&with("scopes = [\"check\"]")).starts_with("service 1: `secrets`: neither"));
        let text = refused(&with("scopes = [\"check\"]\nsecrets = [\"hunter2\"]"));
        assert!(text.contains("`secrets`: expected `sha256:`") && !text.contains("hunter2"), "{text}");
        assert!(refused(&with("names = [\"dns:a\"]\nscopes = [\"chek\"]")).contains("check, read, admin"));
        assert!(refused(&with("names = [\"dns:a\"]\nscopes = []")).contains("at least one"));
        assert!(refused(&with("names = [\"cn:a\"]\nscopes = [\"check\"]")).contains("uri:…"));
        assert!(
            refused(&with("names = [\"dns:a\"]\nscopes = [\"check\"]\nsecret = \"hunter2\""))
                .contains("line 5")
        );
        for pasted in
            ["secrets = \"hunter2\"", "scopes = \"hunter2\"", "hunter2 = 1", "hunter2", "id = \"hunter2\""]
        {
            let text = refused(&with(pasted));
            assert!(text.contains("line ") && !text.contains("hunter2"), "{pasted}: {text}");
        }
        let twice = with("names = [\"dns:a\"]\nscopes = [\"check\"]\n");
        assert!(refused(&format!("{twice}{twice}")).contains("another service"));
    }
}

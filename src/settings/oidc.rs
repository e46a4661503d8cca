//! Whose tokens name people: the OpenID provider, and the algorithms that it signs with. It knows no token.

use std::path::PathBuf;
use std::str::FromStr;

use super::problem::Problems;
use super::{Auth, Error};

/// What the algorithms may be, for people.
pub(super) const ALGORITHMS: &str =
    "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA, several with commas between them";
/// Where a provider may be.
pub(super) const PROVIDER: &str = "https://HOST or https://HOST/PATH; http:// only for a loopback host";

/// A way to sign that needs no shared secret: there is no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    /// Every algorithm that can be allowed.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];
    /// Those that are allowed where nothing is said.
    pub const USUAL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// Its name in the header of a token.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl FromStr for JwtAlgorithm {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(())
    }
}

/// The provider whose tokens name people, as far as it is set: [`Auth::oidc`] has it whole or not at all.
#[derive(Clone, Debug)]
pub struct Provider {
    /// `auth.oidc_issuer`; empty where it is not set.
    pub issuer: String,
    /// `auth.oidc_audience`; empty where it is not set.
    pub audience: String,
    /// `auth.oidc_jwks_url`; empty where it is not set.
    pub jwks_url: String,
    /// `auth.oidc_algorithms`.
    pub algorithms: Vec<JwtAlgorithm>,
    /// `auth.oidc_ca_file`.
    pub ca_file: Option<PathBuf>,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: String::new(),
            jwks_url: String::new(),
            algorithms: JwtAlgorithm::USUAL.into(),
            ca_file: None,
        }
    }
}

/// The provider whose tokens name people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// Its `iss`, to the letter.
    pub issuer: String,
    /// What `aud` must contain: the service, as the provider knows it.
    pub audience: String,
    /// Where its keys are; none: its own description says where.
    pub jwks_url: Option<String>,
    /// The algorithms that are allowed.
    pub algorithms: Vec<JwtAlgorithm>,
    /// The authorities trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Auth {
    /// The provider whose tokens name people, where there is one.
    ///
    /// # Errors
    /// What is missing: an issuer without an audience would take tokens that were made for others.
    pub fn oidc(&self) -> Result<Option<Oidc>, Error> {
        let mut problems = Problems::default();
        self.check_oidc(&mut problems);
        let Provider { issuer, audience, jwks_url, algorithms, ca_file } = self.provider.clone();
        let is_set = !issuer.is_empty();
        let jwks_url = Some(jwks_url).filter(|url| !url.is_empty());
        problems.or(is_set.then_some(Oidc { issuer, audience, jwks_url, algorithms, ca_file }))
    }

    pub(super) fn check_oidc(&self, problems: &mut Problems) {
        let Provider { issuer, audience, jwks_url, ca_file, .. } = &self.provider;
        if !issuer.is_empty() && audience.is_empty() {
            problems.missing(
                "auth.oidc_audience",
                "auth.oidc_issuer is set, and without an audience its tokens for anybody would be taken",
            );
        }
        let beside = [
            ("auth.oidc_audience", !audience.is_empty()),
            ("auth.oidc_jwks_url", !jwks_url.is_empty()),
            ("auth.oidc_ca_file", ca_file.is_some()),
        ];
        let set: Vec<_> = beside.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect();
        if issuer.is_empty() && !set.is_empty() {
            let why = format!("{} is set, and says nothing without an issuer", set.join(", "));
            problems.missing("auth.oidc_issuer", &why);
        }
    }
}

/// An empty one: it is not set. Whether a host is a loopback host is said by who connects to it.
pub(super) fn url(slot: &mut String, text: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|start| text.strip_prefix(start));
    let is_url = rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()));
    let taken = text.is_empty() || is_url;
    if taken {
        text.clone_into(slot);
    }
    taken
}

pub(super) fn audience(slot: &mut String, text: &str) -> bool {
    let taken = text.len() <= 512 && !text.chars().any(char::is_control);
    if taken {
        text.clone_into(slot);
    }
    taken
}

pub(super) fn algorithms(slot: &mut Vec<JwtAlgorithm>, text: &str) -> bool {
    let parsed = text.split(',').map(|name| name.trim().parse()).collect::<Result<Vec<_>, ()>>();
    if let Ok(algorithms) = &parsed {
        slot.clone_from(algorithms);
    }
    parsed.is_ok()
}

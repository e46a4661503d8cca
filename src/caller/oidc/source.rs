//! Where the provider's keys are, and how they are fetched: over https, following nothing, within bounds. It knows nothing
//! of what a document means but where the keys are.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::object::Object;
use super::{Options, Problem};
use crate::telemetry::KeyFetch;

/// How long a fetch may take in all.
pub(super) const FETCH_MAX: Duration = Duration::from_secs(5);
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
const DESCRIPTION: &str = "/.well-known/openid-configuration";

/// Where keys are fetched from.
pub(super) struct Source {
    client: Client,
    /// The issuer, to the letter.
    issuer: String,
    place: Place,
    /// Whether the provider is on this machine, where http is good enough.
    is_local: bool,
}

enum Place {
    /// The keys themselves.
    Keys(Url),
    /// The provider's description of itself, which says where they are.
    Description(Url),
}

/// Why a fetch brought no keys. The cause is for the log: it may name the provider's host.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: KeyFetch,
    pub(super) cause: String,
}

impl Failure {
    pub(super) fn malformed(cause: &str) -> Self {
        Self { outcome: KeyFetch::Malformed, cause: cause.to_owned() }
    }
}

impl Source {
    pub(super) fn open(options: &Options) -> Result<Self, Problem> {
        let issuer = secure("auth.oidc_issuer", &options.issuer)?;
        if issuer.query().is_some() || issuer.fragment().is_some() {
            return Err(Problem::Url {
                name: "auth.oidc_issuer",
                allowed: "a URL without a query or a fragment",
            });
        }
        let place = match &options.jwks_url {
            Some(url) => Place::Keys(secure("auth.oidc_jwks_url", url)?),
            None => {
                let description = format!("{}{DESCRIPTION}", options.issuer.trim_end_matches('/'));
                Place::Description(secure("auth.oidc_issuer", &description)?)
            }
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls(options.ca_file.as_deref())?)
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .timeout(FETCH_MAX)
            .build()
            .map_err(|error| Problem::Client(said(&error)))?;
        let is_local = issuer.scheme() == "http";
        Ok(Self { client, issuer: options.issuer.clone(), place, is_local })
    }

    /// The document with the keys.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, Failure> {
        let fetched = tokio::time::timeout(FETCH_MAX, async {
            match &self.place {
                Place::Keys(url) => self.get(url).await,
                Place::Description(url) => self.get(&self.described(&self.get(url).await?)?).await,
            }
        });
        let too_long = |_| Failure { outcome: KeyFetch::Timeout, cause: "no answer within 5 s".to_owned() };
        fetched.await.map_err(too_long)?
    }

    /// Where a provider's description says that the keys are.
    fn described(&self, description: &[u8]) -> Result<Url, Failure> {
        let wrong = |what: &str| Failure::malformed(&format!("{DESCRIPTION}: {what}"));
        let description =
            Object::parse(description).ok_or_else(|| wrong("not a JSON object without repeated names"))?;
        if description.text("issuer") != Some(self.issuer.as_str()) {
            return Err(wrong("its `issuer` is not auth.oidc_issuer"));
        }
        let url = description.text("jwks_uri").ok_or_else(|| wrong("it has no `jwks_uri`"))?;
        let url = secure("jwks_uri", url).map_err(|_| wrong("its `jwks_uri` is not https"))?;
        // What comes from another machine leads to no listener of this one.
        if url.scheme() == "http" && !self.is_local {
            return Err(wrong("its `jwks_uri` is not https"));
        }
        Ok(url)
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, Failure> {
        let failed = |error: reqwest::Error| Failure {
            outcome: if error.is_timeout() { KeyFetch::Timeout } else { KeyFetch::Unreachable },
            cause: said(&error),
        };
        let asked = self.client.get(url.clone()).header("accept", "application/json");
        let mut answer = asked.send().await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            let cause = format!("it answered {}; redirects are not followed", answer.status().as_u16());
            return Err(Failure { outcome: KeyFetch::Status, cause });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failure::malformed("it is larger than 512 KiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// A URL over which nobody can put a key into our hands: https, or http to this machine.
fn secure(name: &'static str, text: &str) -> Result<Url, Problem> {
    let refused = |allowed| Problem::Url { name, allowed };
    let url = Url::parse(text).map_err(|_| refused("https://HOST or https://HOST/PATH"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("a URL without a user and a password"));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err(refused("https; http only for a loopback host (localhost, 127.0.0.1, [::1])")),
    }
}

/// Trusts the authorities of a file, or else the system's.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, Problem> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let refused = |cause: String| Problem::CaFile { path: path.to_owned(), cause };
            let pem = std::fs::read(path).map_err(|error| refused(error.kind().to_string()))?;
            let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
            for certificate in certificates.map_err(|error| refused(error.to_string()))? {
                roots.add(certificate).map_err(|error| refused(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(refused("it holds no certificate".to_owned()));
            }
        }
        // One that cannot be read is one that is not trusted.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Problem::Client(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// An error with what it came from.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for good in [
            "https://id.example",
            "https://10.0.0.1/x",
            "http://localhost:1/x",
            "http://127.9.9.9",
            "http://[::1]:5/",
        ] {
            assert!(secure("x", good).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "http://[::2]",
            "http://127.0.0.1@id.example",
            "https://ann:secret@id.example",
            "file:///etc/passwd",
            "ftp://localhost",
            "id.example",
            "",
        ] {
            let problem = secure("auth.oidc_issuer", bad).unwrap_err().to_string();
            assert!(problem.starts_with("auth.oidc_issuer cannot be used; allowed: "), "{bad}: {problem}");
            assert!(!problem.contains("secret"));
        }
    }
}

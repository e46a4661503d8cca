//! The certificate that clients are shown, and the authorities of theirs: read at the start, and again when the files have
//! changed. What cannot be used is not taken. Knows files and rustls, and no connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward_engine::instant::Instant;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use secrecy::{ExposeSecret, SecretSlice};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::settings::{self, ClientAuth};
use crate::telemetry::Metrics;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// More than this is no file of certificates.
const BYTES_MAX: u64 = 1024 * 1024;
const MICROS: i64 = 1_000_000;

/// A file that cannot be used, and why; nothing of what is in it.
#[derive(Debug, thiserror::Error)]
#[error("tls.{setting} `{}` cannot be used: {cause}", path.display())]
pub struct Problem {
    setting: &'static str,
    path: PathBuf,
    cause: String,
}

/// The files, and what they say.
pub(super) struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    client_ca_file: Option<PathBuf>,
    client_auth: ClientAuth,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<ServerConfig>,
    metrics: Arc<Metrics>,
}

/// The files as they were read.
struct Contents {
    cert: Vec<u8>,
    key: SecretSlice<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    /// The same for the same contents only.
    fn mark(&self) -> blake3::Hash {
        let client_ca = self.client_ca.as_deref().unwrap_or_default();
        let parts = [&self.cert, self.key.expose_secret(), client_ca].map(blake3::hash);
        blake3::hash(parts.map(|hash| *hash.as_bytes()).as_flattened())
    }
}

impl Tls {
    /// What the settings name, and a mark of what was read; none where they name nothing.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub(super) fn open(
        settings: &settings::Tls,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<(Arc<Self>, blake3::Hash)>, Problem> {
        let provider = Arc::new(ring::default_provider());
        let Some(files) = Files::named(settings, &provider) else { return Ok(None) };
        let contents = files.read()?;
        let (config, expiry) = files.understand(&contents)?;
        metrics.connections.shown_until(expiry);
        let tls = Self {
            cert_file: files.cert.to_owned(),
            key_file: files.key.to_owned(),
            client_ca_file: settings.client_ca_file.clone(),
            client_auth: settings.client_auth,
            provider: Arc::clone(files.provider),
            current: ArcSwap::from_pointee(config),
            metrics: Arc::clone(metrics),
        };
        Ok(Some((Arc::new(tls), contents.mark())))
    }

    /// When the certificate ends that the settings name; none where they name none.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub(super) fn expiry(settings: &settings::Tls) -> Result<Option<Instant>, Problem> {
        let provider = Arc::new(ring::default_provider());
        let Some(files) = Files::named(settings, &provider) else { return Ok(None) };
        Ok(Some(files.understand(&files.read()?)?.1))
    }

    /// What new connections are given.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Looks at the files again and again, and at once when asked to by a signal.
    pub(super) async fn watch(
        self: Arc<Self>,
        mut seen: blake3::Hash,
        mut asked: Signal,
        stop: CancellationToken,
    ) {
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                _ = asked.recv() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let looked = Arc::clone(&self);
            // Files may lie on a slow disk.
            match tokio::task::spawn_blocking(move || looked.look(seen, is_asked)).await {
                Ok(mark) => seen = mark,
                Err(error) => tracing::error!(%error, "the files of TLS were not looked at"),
            }
        }
    }

    /// Takes what is new in the files; answers a mark of what was found. A failure is told once.
    fn look(&self, seen: blake3::Hash, is_asked: bool) -> blake3::Hash {
        let files = self.files();
        let read = files.read();
        let mark = match &read {
            Ok(contents) => contents.mark(),
            Err(problem) => blake3::hash(problem.to_string().as_bytes()),
        };
        if mark == seen && !is_asked {
            return mark;
        }
        let understood = read.and_then(|contents| files.understand(&contents));
        self.metrics.connections.reloaded(understood.is_ok());
        match understood {
            Ok((config, expiry)) => {
                self.current.store(Arc::new(config));
                self.metrics.connections.shown_until(expiry);
                tracing::info!(cert_file = %self.cert_file.display(), "new connections get what the files of TLS say now");
            }
            Err(problem) => {
                tracing::error!(%problem, "the files of TLS have changed; what they said before stays")
            }
        }
        mark
    }

    fn files(&self) -> Files<'_> {
        Files {
            cert: &self.cert_file,
            key: &self.key_file,
            client_ca: self.client_ca_file.as_deref(),
            client_auth: self.client_auth,
            provider: &self.provider,
        }
    }
}

/// Which files, and what is made of them.
struct Files<'a> {
    cert: &'a Path,
    key: &'a Path,
    client_ca: Option<&'a Path>,
    client_auth: ClientAuth,
    provider: &'a Arc<CryptoProvider>,
}

impl<'a> Files<'a> {
    /// Those that the settings name; none: no TLS.
    fn named(settings: &'a settings::Tls, provider: &'a Arc<CryptoProvider>) -> Option<Self> {
        Some(Self {
            cert: settings.cert_file.as_deref()?,
            key: settings.key_file.as_deref()?,
            client_ca: settings.client_ca_file.as_deref(),
            client_auth: settings.client_auth,
            provider,
        })
    }
}

impl Files<'_> {
    fn read(&self) -> Result<Contents, Problem> {
        Ok(Contents {
            cert: read("cert_file", self.cert)?,
            key: read("key_file", self.key)?.into(),
            client_ca: self.client_ca.map(|path| read("client_ca_file", path)).transpose()?,
        })
    }

    /// The configuration, and when its certificate ends.
    fn understand(&self, contents: &Contents) -> Result<(ServerConfig, Instant), Problem> {
        let chain = certificates("cert_file", self.cert, &contents.cert)?;
        let bad_cert = |cause: &str| problem("cert_file", self.cert, cause);
        let leaf = chain.first().ok_or_else(|| bad_cert("it holds no certificate in PEM"))?;
        let (_, leaf) =
            X509Certificate::from_der(leaf).map_err(|_| bad_cert("its first certificate cannot be read"))?;
        let expiry = Instant::from_micros(leaf.validity().not_after.timestamp().saturating_mul(MICROS));
        let certified = self.certified(chain, contents.key.expose_secret())?;
        let config = ServerConfig::builder_with_provider(Arc::clone(self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad_cert(&error.to_string()))?;
        let verifier = self.verifier(contents.client_ca.as_deref())?;
        let asks = verifier.is_some();
        let config = match verifier {
            Some(verifier) => config.with_client_cert_verifier(verifier),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"h2".to_vec()];
        if asks {
            // A session that is taken up again brings a certificate that nobody looks at again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok((config, expiry))
    }

    fn certified(&self, chain: Vec<CertificateDer<'static>>, key: &[u8]) -> Result<CertifiedKey, Problem> {
        // What a parser says may repeat a line of the key.
        let bad_key = |cause: &str| problem("key_file", self.key, cause);
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| bad_key("it holds no private key in PEM, or one that is encrypted"))?;
        let key = self.provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| bad_key("its private key is broken, or none of RSA, ECDSA or Ed25519"))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(bad_key("it is not the key of the certificate in tls.cert_file"))
            }
            Err(_) => Err(problem("cert_file", self.cert, "its first certificate cannot be read")),
        }
    }

    fn verifier(&self, client_ca: Option<&[u8]>) -> Result<Option<Arc<dyn ClientCertVerifier>>, Problem> {
        let (Some(path), Some(pem), true) = (self.client_ca, client_ca, self.client_auth != ClientAuth::None)
        else {
            return Ok(None);
        };
        let bad_ca = |cause: &str| problem("client_ca_file", path, cause);
        let mut roots = RootCertStore::empty();
        for authority in certificates("client_ca_file", path, pem)? {
            roots
                .add(authority)
                .map_err(|_| bad_ca("it holds a certificate that cannot be an authority's"))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(self.provider));
        let builder = match self.client_auth {
            ClientAuth::Optional => builder.allow_unauthenticated(),
            ClientAuth::None | ClientAuth::Required => builder,
        };
        Ok(Some(builder.build().map_err(|error| bad_ca(&error.to_string()))?))
    }
}

fn problem(setting: &'static str, path: &Path, cause: &str) -> Problem {
    Problem { setting, path: path.to_owned(), cause: cause.to_owned() }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, Problem> {
    let refused = |cause: &str| problem(setting, path, cause);
    let found = std::fs::metadata(path).map_err(|error| refused(&error.to_string()))?;
    if !found.is_file() {
        return Err(refused("it is not a file"));
    }
    if found.len() > BYTES_MAX {
        return Err(refused(&format!("it has {} bytes; allowed are {BYTES_MAX}", found.len())));
    }
    std::fs::read(path).map_err(|error| refused(&error.to_string()))
}

fn certificates(
    setting: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| problem(setting, path, "it is not PEM from its beginning to its end"))?;
    if found.is_empty() {
        return Err(problem(setting, path, "it holds no certificate in PEM"));
    }
    Ok(found)
}

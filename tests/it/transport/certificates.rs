//! Authorities and certificates of a test's own, as PEM files. Knows rcgen, and nothing that uses them.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};

/// Who vouches for certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For a server on this machine.
    pub(crate) fn server(&self) -> Pair {
        let names = vec![
            SanType::DnsName("localhost".try_into().unwrap()),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, 2050)
    }

    /// For a client with this URI.
    pub(crate) fn client(&self, uri: &str) -> Pair {
        self.issue(vec![SanType::URI(uri.try_into().unwrap())], ExtendedKeyUsagePurpose::ClientAuth, 2050)
    }

    /// For a client, and of no use any more.
    pub(crate) fn expired_client(&self) -> Pair {
        let names = vec![SanType::URI("spiffe://test/old".try_into().unwrap())];
        self.issue(names, ExtendedKeyUsagePurpose::ClientAuth, 2025)
    }

    fn issue(&self, names: Vec<SanType>, usage: ExtendedKeyUsagePurpose, last_year: i32) -> Pair {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names;
        parameters.extended_key_usages = vec![usage];
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = parameters.signed_by(&key, &self.issuer).unwrap();
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }
}

/// A directory for files of TLS.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Replaces a file at once, as those do who rotate certificates.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (new, path) = (self.0.path().join(format!("{name}.new")), self.0.path().join(name));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path
    }

    /// `tls.pem` and `tls.key`.
    pub(crate) fn write_pair(&self, pair: &Pair) -> (PathBuf, PathBuf) {
        (self.write("tls.pem", &pair.cert), self.write("tls.key", &pair.key))
    }
}

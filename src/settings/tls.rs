//! Settings of TLS on the gRPC listener: which files, and whether they go together. It reads none of them.

use std::path::PathBuf;

use super::problem::Problems;

/// How the gRPC listener proves who it is, and what it asks of its clients.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// A PEM file of the certificate and those between it and its authority; none: no TLS.
    pub cert_file: Option<PathBuf>,
    /// A PEM file of the certificate's private key.
    pub key_file: Option<PathBuf>,
    /// A PEM file of the authorities of clients' certificates.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients have to show a certificate.
    pub client_auth: ClientAuth,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked for one.
    #[default]
    None,
    /// They may; one that is shown must be good.
    Optional,
    /// They must.
    Required,
}

impl Tls {
    /// Whether what is set goes together.
    pub(super) fn require_consistent(&self, problems: &mut Problems) {
        let Self { cert_file, key_file, client_ca_file, client_auth } = self;
        match (cert_file, key_file) {
            (Some(_), None) => problems.missing("tls.key_file", "tls.cert_file is, and needs its key"),
            (None, Some(_)) => {
                problems.missing("tls.cert_file", "tls.key_file is, and needs its certificate")
            }
            _ => {}
        }
        match (client_ca_file, client_auth) {
            (None, ClientAuth::Optional | ClientAuth::Required) => {
                problems.missing("tls.client_ca_file", "tls.client_auth asks for certificates");
            }
            (Some(_), ClientAuth::None) => problems.conflict(
                "tls.client_ca_file is set and tls.client_auth is none: nobody would be asked for a certificate; \
                 set it to optional or required"
                    .to_owned(),
            ),
            (Some(_), _) if cert_file.is_none() && key_file.is_none() => {
                problems.missing("tls.cert_file", "tls.client_auth asks for certificates, which needs TLS");
            }
            _ => {}
        }
    }
}

//! Who is at the other end of a connection: its address, and the names its verified certificate has. It is told both once
//! a connection, and believes no header.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Extensions;
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The other end of a connection; it goes with every request of the connection, in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Peer(Arc<Known>);

#[derive(Debug)]
struct Known {
    address: SocketAddr,
    sans: Vec<String>,
    ending: CancellationToken,
}

impl Peer {
    /// A peer with the certificate, in DER, that the handshake has verified; none: it showed none.
    pub(crate) fn new(address: SocketAddr, certificate: Option<&[u8]>) -> Self {
        let sans = certificate.map(sans).unwrap_or_default();
        Self(Arc::new(Known { address, sans, ending: CancellationToken::new() }))
    }

    /// Cancelled when its connection is asked to end: what would go on for long ends by itself then.
    pub(crate) fn ending(&self) -> CancellationToken {
        self.0.ending.clone()
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }
}

/// The address that a request came from, with TLS or without.
pub(crate) fn peer_address(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<Peer>().map(Peer::address)
}

/// Cancelled when the connection that a request came on is asked to end.
pub(crate) fn peer_ending(extensions: &Extensions) -> CancellationToken {
    extensions.get::<Peer>().map(Peer::ending).unwrap_or_default()
}

/// The names of the verified certificate that a request came with: `uri:spiffe://…`, `dns:gateway.example`, in the
/// certificate's order. Without a certificate there is none; a common name is no name.
pub(crate) fn peer_sans(extensions: &Extensions) -> &[String] {
    extensions.get::<Peer>().map_or(&[], |peer| &peer.0.sans)
}

/// A certificate that cannot be read has no names.
fn sans(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    names.value.general_names.iter().filter_map(text_of).collect()
}

/// What a map of names could confuse with another name is left out: names are compared as text.
fn text_of(name: &GeneralName<'_>) -> Option<String> {
    let (kind, name) = match name {
        GeneralName::URI(uri) => ("uri", (*uri).to_owned()),
        GeneralName::DNSName(dns) => ("dns", dns.to_ascii_lowercase()),
        _ => return None,
    };
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())).then(|| format!("{kind}:{name}"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "common.example");
        parameters.subject_alt_names = names;
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn seen(certificate: Option<&[u8]>) -> Vec<String> {
        let mut extensions = Extensions::new();
        extensions.insert(Peer::new(([127, 0, 0, 1], 7).into(), certificate));
        assert_eq!(peer_address(&extensions), Some(([127, 0, 0, 1], 7).into()));
        peer_sans(&extensions).to_vec()
    }

    #[test]
    fn only_uris_and_dns_names_are_names() {
        let names = vec![
            SanType::URI("spiffe://acme.example/ns/prod/sa/Gateway".try_into().unwrap()),
            SanType::DnsName("Gateway.example".try_into().unwrap()),
            SanType::Rfc822Name("root@acme.example".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 1].into()),
        ];
        let expected = ["uri:spiffe://acme.example/ns/prod/sa/Gateway", "dns:gateway.example"];
        assert_eq!(seen(Some(&certificate(names))), expected);
    }

    #[test]
    fn who_shows_no_name_has_none() {
        assert!(seen(None).is_empty());
        assert!(seen(Some(&certificate(Vec::new()))).is_empty());
        assert!(seen(Some(b"no certificate")).is_empty());
        assert!(peer_sans(&Extensions::new()).is_empty() && peer_address(&Extensions::new()).is_none());
    }

    #[test]
    fn a_name_that_only_looks_like_another_is_left_out() {
        for hidden in ["spiffe://acme.example/a\nb", "spiffe://acme.example/a b", "spiffe://acme.example/\0"]
        {
            let names = vec![SanType::URI(hidden.try_into().unwrap())];
            assert!(seen(Some(&certificate(names))).is_empty(), "{hidden:?}");
        }
    }
}

//! Real keys that sign what a test says, right or wrong. It knows no provider.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

/// A private key, with the name that tokens and sets give it.
pub(crate) struct Signer {
    pub(crate) kid: &'static str,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: EncodingKey,
    /// Its PEM, where it is of RSA.
    pub(crate) pem: String,
}

impl Signer {
    pub(crate) fn p256(kid: &'static str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        Self { kid, algorithm: Algorithm::ES256, key, pem: String::new() }
    }

    pub(crate) fn p384(kid: &'static str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        Self { kid, algorithm: Algorithm::ES384, key, pem: String::new() }
    }

    pub(crate) fn ed25519(kid: &'static str) -> Self {
        let pem = openssl(&["genpkey", "-algorithm", "ed25519"], "");
        let key = EncodingKey::from_ed_pem(pem.as_bytes()).unwrap();
        Self { kid, algorithm: Algorithm::EdDSA, key, pem: String::new() }
    }

    pub(crate) fn rsa(kid: &'static str, bits: u32) -> Self {
        let pem = openssl(&["genrsa", &bits.to_string()], "");
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        Self { kid, algorithm: Algorithm::RS256, key, pem }
    }

    /// The same key for another algorithm.
    pub(crate) fn with(&self, algorithm: Algorithm) -> Self {
        Self { kid: self.kid, algorithm, key: self.key.clone(), pem: self.pem.clone() }
    }

    /// Its public half as a provider publishes it, without `alg`.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk.as_object_mut().unwrap().remove("alg");
        jwk
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "alg": format!("{:?}", self.algorithm), "typ": "JWT", "kid": self.kid })
    }

    /// A token that says this.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_raw(&self.header().to_string(), &claims.to_string())
    }

    /// The same, to the letter.
    pub(crate) fn sign_raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }

    /// A token of HS256 whose secret is what everybody knows.
    pub(crate) fn sign_with_secret(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let key = EncodingKey::from_secret(secret);
        let forger = Self { kid: "", algorithm: Algorithm::HS256, key, pem: String::new() };
        forger.sign_raw(&header.to_string(), &claims.to_string())
    }

    /// The public half of RSA as PEM.
    pub(crate) fn public_pem(&self) -> String {
        openssl(&["rsa", "-pubout"], &self.pem)
    }
}

fn openssl(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl is needed");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

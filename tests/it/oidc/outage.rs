//! A provider that is away, slow, wrong or somebody else: keys that were had are kept, and without any nobody is denied.

use std::sync::Arc;
use std::time::Duration;

use doorward::caller::oidc::{Oidc, Options, Refusal};
use doorward::clock::{Clock, Steady, Stopwatch};
use doorward::telemetry::Metrics;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;

use super::provider::{Answer, DESCRIPTION, KEYS};
use super::{Provider, Signer, Verifier, claims, is_ann, options, publish, until};

const INVALID: Result<String, Refusal> = Err(Refusal::Invalid);

fn is_unavailable(found: &Result<String, Refusal>) -> bool {
    // It names no host.
    matches!(found, Err(Refusal::Unavailable(why)) if !why.contains("127") && !why.contains("http"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_at_the_start_denies_nobody_and_is_found_later() {
    let provider = Provider::start().await;
    let (address, signer) = (provider.address, Signer::ed25519("k"));
    let token = signer.sign(&claims(&provider));
    let options = options(&provider);
    drop(provider);
    let verifier = Verifier::open(options);
    assert!(is_unavailable(&verifier.user(&token).await));
    assert_eq!(verifier.user("a.b.c").await, INVALID);
    verifier.says("doorward_oidc_keys_age_seconds inf");
    verifier.says(r#"doorward_oidc_tokens_total{outcome="unavailable"} 1"#);
    let provider = Provider::start_at(address, None).await;
    publish(&provider, &[&signer]);
    verifier.steady.advance(Duration::from_secs(33));
    until("it is found", async || verifier.user(&token).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_kept_for_as_long_as_the_provider_is_away() {
    let provider = Provider::start().await;
    let (signer, other) = (Signer::ed25519("k"), Signer::ed25519("other"));
    publish(&provider, &[&signer]);
    let verifier = Verifier::open(options(&provider));
    let mut said = claims(&provider);
    is_ann(&verifier.user(&signer.sign(&said)).await);
    for answer in [
        Answer::Head("500 Oh".to_owned()),
        Answer::Head(format!("302 Found\r\nlocation: {}", provider.url("/moved"))),
        Answer::Body(b"<html>".to_vec()),
        Answer::Body(b"{}".to_vec()),
        Answer::Body(br#"{"keys":[],"keys":[]}"#.to_vec()),
        Answer::Body(br#"{"keys":{}}"#.to_vec()),
        Answer::Body(json!({ "keys": vec![other.jwk(); 101] }).to_string().into_bytes()),
        Answer::Body([br#"{"keys":[],"x":""#.to_vec(), vec![b'x'; 512 * 1024], br#""}"#.to_vec()].concat()),
    ] {
        provider.answer(KEYS, answer);
        let asked = provider.asked(KEYS);
        verifier.steady.advance(Duration::from_secs(660));
        until("it is asked again", async || provider.asked(KEYS) > asked).await;
        assert_eq!(verifier.user(&other.sign(&said)).await, INVALID);
        said["jti"] = json!(asked);
        is_ann(&verifier.user(&signer.sign(&said)).await);
    }
    assert_eq!(provider.asked("/moved"), 0);
    drop(provider);
    verifier.steady.advance(Duration::from_secs(660));
    until("it is away", async || verifier.fetched("unreachable") > 0).await;
    said["jti"] = json!("last");
    is_ann(&verifier.user(&signer.sign(&said)).await);
    assert!(
        verifier.fetched("malformed") >= 6
            && verifier.fetched("status") >= 2
            && verifier.fetched("done") == 1
    );
    let age = verifier.metrics.encode();
    let age = age.lines().find_map(|line| line.strip_prefix("doorward_oidc_keys_age_seconds ")).unwrap();
    assert!(age.parse::<f64>().unwrap() >= 9.0 * 660.0, "{age}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_never_ends_holds_up_nobody_for_longer_than_a_fetch() {
    for answer in [Answer::Silence, Answer::Drip] {
        let provider = Provider::start().await;
        let signer = Signer::ed25519("k");
        provider.answer(KEYS, answer);
        let verifier = Verifier::open(options(&provider));
        let begun = Stopwatch::start();
        assert!(is_unavailable(&verifier.user(&signer.sign(&claims(&provider))).await));
        let took = begun.elapsed();
        assert!(took > Duration::from_secs(3) && took < Duration::from_secs(9), "{took:?}");
        until("it is counted", async || verifier.fetched("timeout") == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_description_says_where_the_keys_are_if_it_is_the_providers() {
    let provider = Provider::start().await;
    let signer = Signer::ed25519("k");
    let discovering = || Options { jwks_url: None, ..options(&provider) };
    publish(&provider, &[&signer]);
    let token = signer.sign(&claims(&provider));
    provider.describe(&provider.issuer(), &provider.url(KEYS));
    is_ann(&Verifier::open(discovering()).user(&token).await);
    assert_eq!((provider.asked(DESCRIPTION), provider.asked(KEYS)), (1, 1));
    for (issuer, keys) in [
        (format!("{}/", provider.issuer()), provider.url(KEYS)),
        ("https://id.example".to_owned(), provider.url(KEYS)),
        (provider.issuer(), "http://id.example/keys".to_owned()),
        (provider.issuer(), "file:///etc/passwd".to_owned()),
        (provider.issuer(), String::new()),
    ] {
        provider.describe(&issuer, &keys);
        let verifier = Verifier::open(discovering());
        assert!(is_unavailable(&verifier.user(&token).await), "{issuer} {keys}");
        assert!(verifier.fetched("malformed") > 0, "{issuer} {keys}");
    }
    assert_eq!(provider.asked(KEYS), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_an_authority_of_its_own_and_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    std::fs::write(&ca_file, params.self_signed(&ca_key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring).with_safe_default_protocol_versions().unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], private).unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let provider = Provider::start_at(([127, 0, 0, 1], 0).into(), Some(tls)).await;
    let signer = Signer::ed25519("k");
    publish(&provider, &[&signer]);
    let token = signer.sign(&claims(&provider));
    let trusting = Verifier::open(Options { ca_file: Some(ca_file), ..options(&provider) });
    is_ann(&trusting.user(&token).await);
    let foreign = Verifier::open(options(&provider));
    assert!(is_unavailable(&foreign.user(&token).await));
    assert!(foreign.fetched("unreachable") > 0);
}

#[tokio::test]
async fn what_can_never_work_is_told_at_the_start() {
    let provider = Provider::start().await;
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let good = || options(&provider);
    for (options, expected) in [
        (
            Options { issuer: "http://id.example".to_owned(), ..good() },
            "auth.oidc_issuer cannot be used; allowed: https",
        ),
        (Options { issuer: "https://id.example?x".to_owned(), ..good() }, "without a query or a fragment"),
        (Options { jwks_url: Some("ftp://x".to_owned()), ..good() }, "auth.oidc_jwks_url cannot be used"),
        (Options { audience: String::new(), ..good() }, "auth.oidc_audience is empty"),
        (
            Options { ca_file: Some("/nowhere/ca.pem".into()), ..good() },
            "auth.oidc_ca_file `/nowhere/ca.pem` cannot be used",
        ),
        (Options { ca_file: Some(empty.clone()), ..good() }, "it holds no certificate"),
    ] {
        let metrics = Arc::new(Metrics::new());
        let opened = Oidc::open(options, Clock::real(), Steady::real(), metrics, Handle::current());
        let problem = opened.unwrap_err().to_string();
        assert!(problem.contains(expected), "{problem}");
    }
}

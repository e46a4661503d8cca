//! Which keys of a set are used, and what becomes of tokens when keys come and go.

use std::time::Duration;

use doorward::caller::oidc::Refusal;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::provider::KEYS;
use super::{Provider, Signer, Verifier, claims, is_ann, options, publish, until};

const INVALID: Result<String, Refusal> = Err(Refusal::Invalid);

/// What tokens of a key come to, where the set says this of it.
async fn taken(signer: &Signer, change: impl FnOnce(&mut Value)) -> bool {
    let provider = Provider::start().await;
    let mut jwk = signer.jwk();
    change(&mut jwk);
    provider.publish(&[jwk, json!({ "kty": "new" }), json!(7), Value::Null]);
    let verifier = Verifier::open(options(&provider));
    let found = verifier.user(&signer.sign(&claims(&provider))).await;
    assert!(found.is_ok() || found == INVALID, "{found:?}");
    found.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_for_what_its_set_says_and_for_nothing_else() {
    let (p256, ed) = (Signer::p256("e"), Signer::ed25519("d"));
    assert!(taken(&p256, |_| {}).await);
    assert!(taken(&p256, |jwk| jwk["alg"] = json!("ES256")).await);
    assert!(taken(&p256, |jwk| jwk["key_ops"] = json!(["verify"])).await);
    assert!(taken(&ed, |jwk| drop(jwk.as_object_mut().unwrap().remove("use"))).await);
    for (name, value) in [
        ("use", json!("enc")),
        ("use", Value::Null),
        ("key_ops", json!(["sign", "encrypt"])),
        ("key_ops", json!("verify")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!(["ES256"])),
        ("kid", json!("other")),
        ("kid", json!(7)),
        ("kty", json!("oct")),
        ("kty", json!("RSA")),
        ("crv", json!("P-384")),
        ("crv", json!("P-521")),
        ("x", json!("AAAA")),
        ("y", json!("A".repeat(43))),
        ("x", json!("")),
        ("d", json!("AAAA")),
    ] {
        assert!(!taken(&p256, |jwk| jwk[name] = value.clone()).await, "{name} {value}");
    }
    for x in ["", "AAAA", "!", &"A".repeat(44)] {
        assert!(!taken(&ed, |jwk| jwk["x"] = json!(x)).await, "{x}");
    }
    assert!(!taken(&ed, |jwk| jwk["crv"] = json!("X25519")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_key_of_rsa_is_not_used() {
    assert!(!taken(&Signer::rsa("r", 1024), |_| {}).await);
    assert!(!taken(&Signer::rsa("r", 2040), |_| {}).await);
    let strong = Signer::rsa("r", 2048);
    assert!(taken(&strong, |_| {}).await);
    for (name, value) in [("e", "AQ"), ("e", "AA"), ("e", ""), ("e", "AQAC"), ("n", ""), ("n", "AQAB")] {
        assert!(!taken(&strong, |jwk| jwk[name] = json!(value)).await, "{name} {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_name_there_must_be_one_key_that_would_do() {
    let provider = Provider::start().await;
    let (one, other, ed) = (Signer::p256("1"), Signer::p256("2"), Signer::ed25519("3"));
    let anonymous = |signer: &Signer| {
        let header = json!({ "alg": format!("{:?}", signer.algorithm) });
        signer.sign_raw(&header.to_string(), &claims(&provider).to_string())
    };
    publish(&provider, &[&one, &ed]);
    let verifier = Verifier::open(options(&provider));
    is_ann(&verifier.user(&anonymous(&one)).await);
    is_ann(&verifier.user(&anonymous(&ed)).await);
    assert_eq!(verifier.user(&anonymous(&other)).await, INVALID);
    publish(&provider, &[&one, &other, &ed]);
    let second = Verifier::open(options(&provider));
    assert_eq!(second.user(&anonymous(&one)).await, INVALID);
    is_ann(&second.user(&anonymous(&ed)).await);
    is_ann(&second.user(&one.sign(&claims(&provider))).await);
    // Two keys with one name are no key, where both would do.
    let twin = Signer::p256("1");
    publish(&provider, &[&one, &twin]);
    let third = Verifier::open(options(&provider));
    assert_eq!(third.user(&one.sign(&claims(&provider))).await, INVALID);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_rsa_with_an_algorithm_of_its_own_verifies_no_other() {
    let provider = Provider::start().await;
    let rsa = Signer::rsa("r", 2048);
    let mut jwk = rsa.jwk();
    jwk["alg"] = json!("PS256");
    provider.publish(&[jwk]);
    let algorithms = doorward::caller::oidc::Algorithm::ALL.to_vec();
    let verifier = Verifier::open(doorward::caller::oidc::Options { algorithms, ..options(&provider) });
    assert_eq!(verifier.user(&rsa.sign(&claims(&provider))).await, INVALID);
    is_ann(&verifier.user(&rsa.with(Algorithm::PS256).sign(&claims(&provider))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_fetched_when_it_is_first_seen_and_a_removed_one_verifies_nothing() {
    let provider = Provider::start().await;
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let (by_old, by_new) = (old.sign(&claims(&provider)), new.sign(&claims(&provider)));
    publish(&provider, &[&old]);
    let verifier = Verifier::open(options(&provider));
    is_ann(&verifier.user(&by_old).await);
    publish(&provider, &[&old, &new]);
    is_ann(&verifier.user(&by_new).await);
    is_ann(&verifier.user(&by_old).await);
    publish(&provider, &[&new]);
    is_ann(&verifier.user(&by_old).await);
    verifier.says(r#"doorward_oidc_tokens_total{outcome="cached"} 1"#);
    // The next fetch in the background, at the latest after 11 minutes.
    verifier.steady.advance(Duration::from_secs(660));
    until("the old key is gone", async || verifier.user(&by_old).await == INVALID).await;
    is_ann(&verifier.user(&by_new).await);
    publish(&provider, &[]);
    verifier.steady.advance(Duration::from_secs(660));
    until("there is no key", async || verifier.user(&by_new).await == INVALID).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_are_asked_for_once_in_thirty_seconds_by_all_who_wait() {
    let provider = Provider::start().await;
    let (known, unknown) = (Signer::ed25519("known"), Signer::ed25519("unknown"));
    let (by_known, by_unknown) = (known.sign(&claims(&provider)), unknown.sign(&claims(&provider)));
    publish(&provider, &[&known]);
    let verifier = Verifier::open(options(&provider));
    is_ann(&verifier.user(&by_known).await);
    assert_eq!(provider.asked(KEYS), 1);
    let all = futures::future::join_all((0..50).map(|_| verifier.user(&by_unknown))).await;
    assert!(all.iter().all(|one| *one == INVALID));
    assert_eq!(provider.asked(KEYS), 2);
    // It is published now, and asked for too soon.
    publish(&provider, &[&known, &unknown]);
    verifier.steady.advance(Duration::from_secs(29));
    assert_eq!(verifier.user(&by_unknown).await, INVALID);
    assert_eq!(provider.asked(KEYS), 2);
    verifier.steady.advance(Duration::from_secs(1));
    is_ann(&verifier.user(&by_unknown).await);
    assert_eq!(provider.asked(KEYS), 3);
    // What is wrong beside its key asks for nothing.
    verifier.steady.advance(Duration::from_secs(60));
    let mut wrong = claims(&provider);
    wrong["aud"] = json!("other");
    assert_eq!(verifier.user(&Signer::ed25519("third").sign(&wrong)).await, INVALID);
    assert_eq!(provider.asked(KEYS), 3);
}

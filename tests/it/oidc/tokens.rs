//! Tokens, good and bad, each signed by a real key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::caller::oidc::{Refusal, looks_like_a_jwt};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{AUDIENCE, Provider, Signer, Verifier, claims, is_ann, options, publish};
use crate::harness::NOW;

const INVALID: Result<String, Refusal> = Err(Refusal::Invalid);

#[tokio::test(flavor = "multi_thread")]
async fn each_usual_algorithm_names_a_person_and_a_token_that_comes_again_costs_a_hash() {
    let provider = Provider::start().await;
    let signers = [Signer::rsa("r", 2048), Signer::p256("e"), Signer::ed25519("d")];
    publish(&provider, &signers.each_ref());
    let verifier = Verifier::open(options(&provider));
    for signer in &signers {
        let token = signer.sign(&claims(&provider));
        assert!(looks_like_a_jwt(&token));
        let person = verifier.oidc.verify(&token).await.unwrap();
        assert_eq!(person.user.as_str(), "auth0|ann");
        assert_eq!(person.expires_at, NOW.plus_seconds(630));
        assert_eq!(verifier.oidc.verify(&token).await.unwrap(), person);
    }
    verifier.says(r#"doorward_oidc_tokens_total{outcome="verified"} 3"#);
    verifier.says(r#"doorward_oidc_tokens_total{outcome="cached"} 3"#);
    verifier.says(r#"doorward_oidc_fetches_total{outcome="done"} 1"#);
    let shown = format!("{:?}", verifier.oidc);
    assert!(shown.contains(&provider.issuer()) && !shown.contains("ann"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_algorithm_that_is_not_configured_is_refused_and_one_that_is_taken() {
    let provider = Provider::start().await;
    let (rsa, p384) = (Signer::rsa("r", 2048), Signer::p384("e"));
    publish(&provider, &[&rsa, &p384]);
    let usual = Verifier::open(options(&provider));
    let all = doorward::caller::oidc::Algorithm::ALL.to_vec();
    let every = Verifier::open(doorward::caller::oidc::Options { algorithms: all, ..options(&provider) });
    for signer in [
        rsa.with(Algorithm::RS384),
        rsa.with(Algorithm::RS512),
        rsa.with(Algorithm::PS256),
        rsa.with(Algorithm::PS384),
        rsa.with(Algorithm::PS512),
        p384,
    ] {
        let token = signer.sign(&claims(&provider));
        assert_eq!(usual.user(&token).await, INVALID, "{:?}", signer.algorithm);
        is_ann(&every.user(&token).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_signature_is_as_good_as_a_key() {
    let provider = Provider::start().await;
    let rsa = Signer::rsa("r", 2048);
    let mut oct = json!({ "kty": "oct", "kid": "o", "k": URL_SAFE_NO_PAD.encode([7; 32]), "use": "sig" });
    provider.publish(&[rsa.jwk(), oct.take()]);
    let verifier = Verifier::open(options(&provider));
    let (claims, pem) = (claims(&provider), rsa.public_pem());
    is_ann(&verifier.user(&rsa.sign(&claims)).await);
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    for secret in [
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        &der,
        rsa.jwk()["n"].as_str().unwrap().as_bytes(),
        &[7; 32],
    ] {
        for header in [
            json!({ "alg": "HS256", "typ": "JWT", "kid": "r" }),
            json!({ "alg": "HS256", "typ": "JWT", "kid": "o" }),
            json!({ "alg": "HS256" }),
            json!({ "alg": "RS256", "kid": "r" }),
        ] {
            let token = Signer::sign_with_secret(&header, &claims, secret);
            assert_eq!(verifier.user(&token).await, INVALID, "{header}");
        }
    }
    let good = rsa.sign(&claims);
    let signature = good.rsplit_once('.').unwrap().1;
    for alg in ["none", "None", "NONE", "", "HS384", "HS512", "RS256 ", "rs256", "Ed25519"] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "kid": "r" }).to_string());
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        for signature in ["", "AA", signature] {
            assert_eq!(verifier.user(&format!("{header}.{payload}.{signature}")).await, INVALID, "{alg}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_is_looked_at() {
    let provider = Provider::start().await;
    let signer = Signer::ed25519("k");
    publish(&provider, &[&signer]);
    let verifier = Verifier::open(options(&provider));
    let (now, good) = (NOW.micros() / 1_000_000, claims(&provider));
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let slash = format!("{}/", provider.issuer());
    for bad in [
        with("iss", json!(slash)),
        with("iss", json!("https://id.example")),
        with("iss", json!([provider.issuer()])),
        without("iss"),
        with("aud", json!("Doorward")),
        with("aud", json!(["other"])),
        with("aud", json!([])),
        with("aud", json!(["doorward", 1])),
        with("aud", json!({ "doorward": true })),
        without("aud"),
        with("exp", json!(now - 30)),
        with("exp", json!((now + 600).to_string())),
        with("exp", json!(-1)),
        with("exp", json!(-1e300)),
        with("exp", Value::Null),
        without("exp"),
        with("nbf", json!(now + 31)),
        with("nbf", json!("0")),
        with("iat", json!(now + 31)),
        with("iat", json!(1e300)),
        with("iat", Value::Null),
        with("sub", json!("")),
        with("sub", json!("ann with spaces")),
        with("sub", json!("ann\u{0}")),
        with("sub", json!("\u{202e}ann")),
        with("sub", json!("a".repeat(256))),
        with("sub", json!(7)),
        without("sub"),
    ] {
        assert_eq!(verifier.user(&signer.sign(&bad)).await, INVALID, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_may_have_either_form_and_clocks_may_be_thirty_seconds_apart() {
    let provider = Provider::start().await;
    let signer = Signer::ed25519("k");
    publish(&provider, &[&signer]);
    let verifier = Verifier::open(options(&provider));
    let (now, good) = (NOW.micros() / 1_000_000, claims(&provider));
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    for fine in [
        good.clone(),
        with("aud", json!(["other", "doorward"])),
        with("exp", json!(now - 29)),
        with("exp", json!(now as f64 + 0.5)),
        with("exp", json!(1e300)),
        with("exp", json!(u64::MAX)),
        with("nbf", json!(now + 30)),
        with("iat", json!(now + 30)),
        json!({ "iss": good["iss"], "aud": AUDIENCE, "sub": "auth0|ann", "exp": now + 1 }),
        with("admin", json!({ "iss": 1 })),
    ] {
        is_ann(&verifier.user(&signer.sign(&fine)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_header_is_looked_at_and_none_brings_a_key() {
    let provider = Provider::start().await;
    let (signer, forger) = (Signer::p256("k"), Signer::p256("k"));
    publish(&provider, &[&signer]);
    let verifier = Verifier::open(options(&provider));
    let claims = claims(&provider).to_string();
    let with = |name: &str, value: Value| {
        let mut header = signer.header();
        header[name] = value;
        header.to_string()
    };
    let long = "k".repeat(5000);
    for bad in [
        with("typ", json!("JWE")),
        with("typ", json!(1)),
        with("crit", json!(["exp"])),
        with("crit", json!([])),
        with("crit", Value::Null),
        with("kid", json!(["k"])),
        with("kid", Value::Null),
        with("kid", json!("K")),
        with("kid", json!("")),
        with("kid", json!("../../../../etc/passwd")),
        with("kid", json!("k' OR '1'='1")),
        with("kid", json!("k\u{0}")),
        with("kid", json!(long)),
        with("alg", json!("ES384")),
        with("alg", json!("RS256")),
        with("alg", json!("EdDSA")),
        r#"["ES256","k"]"#.to_owned(),
        r#"{"alg":"ES256","alg":"ES256","kid":"k"}"#.to_owned(),
        r#"{"alg":"ES256","kid":"x","kid":"k"}"#.to_owned(),
        r#"{"alg":"ES256","\u006bid":"x","kid":"k"}"#.to_owned(),
        r#"{"kid":"k"}"#.to_owned(),
        "null".to_owned(),
    ] {
        assert_eq!(verifier.user(&signer.sign_raw(&bad, &claims)).await, INVALID, "{bad}");
    }
    let foreign = [
        ("jwk", forger.jwk()),
        ("jku", json!(provider.url("/forged"))),
        ("x5u", json!(provider.url("/forged"))),
        ("x5c", json!(["AA=="])),
    ];
    provider.publish(&[signer.jwk()]);
    for (name, value) in foreign {
        let header = with(name, value);
        assert_eq!(verifier.user(&forger.sign_raw(&header, &claims)).await, INVALID, "{name}");
        is_ann(&verifier.user(&signer.sign_raw(&header, &claims)).await);
    }
    assert_eq!(provider.asked("/forged"), 0);
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT"] {
        is_ann(&verifier.user(&signer.sign_raw(&with("typ", json!(typ)), &claims)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_token_to_the_letter_is_none() {
    let provider = Provider::start().await;
    let signer = Signer::ed25519("k");
    publish(&provider, &[&signer]);
    let verifier = Verifier::open(options(&provider));
    let good = claims(&provider);
    let token = signer.sign(&good);
    is_ann(&verifier.user(&token).await);
    let parts: Vec<_> = token.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let other = signer.sign(&json!({ "sub": "eve" }));
    let other: Vec<_> = other.split('.').collect();
    for bad in [
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{signature}."),
        format!("{header}.{claims}.{signature}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}..{signature}"),
        format!("{header}.{}.{signature}", other[1]),
        format!("{header}.{claims}.{}", other[2]),
        format!("{header}.{claims}.{}", &signature[..80]),
        format!("{header}.{claims}.{}", "A".repeat(86)),
        "x".repeat(100_000),
    ] {
        assert_eq!(verifier.user(&bad).await, INVALID, "{bad:.200}");
    }
    let twice = good.to_string().replacen('{', r#"{"sub":"eve","#, 1);
    assert_eq!(verifier.user(&signer.sign_raw(&signer.header().to_string(), &twice)).await, INVALID);
    let mut long = good.clone();
    long["x"] = json!("x".repeat(6000));
    let token = signer.sign(&long);
    assert!(token.len() > 8192);
    assert_eq!(verifier.user(&token).await, INVALID);
    long["x"] = json!("x".repeat(5500));
    is_ann(&verifier.user(&signer.sign(&long)).await);
    for (bearer, is_one) in [
        ("a.b.c", true),
        ("a-_.0.Z", true),
        ("a.b", false),
        ("a.b.c.d", false),
        ("a..c", false),
        ("dws_a_b", false),
        ("dwk_a_b", false),
        ("a.b.c=", false),
        ("", false),
        ("a.é.c", false),
    ] {
        assert_eq!(looks_like_a_jwt(bearer), is_one, "{bearer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_verified_is_forgotten_when_it_expires() {
    let provider = Provider::start().await;
    let signer = Signer::ed25519("k");
    publish(&provider, &[&signer]);
    let verifier = Verifier::open(options(&provider));
    let token = signer.sign(&claims(&provider));
    is_ann(&verifier.user(&token).await);
    verifier.clock.set(NOW.plus_seconds(629));
    is_ann(&verifier.user(&token).await);
    verifier.clock.set(NOW.plus_seconds(630));
    assert_eq!(verifier.user(&token).await, INVALID);
    verifier.says(r#"doorward_oidc_tokens_total{outcome="cached"} 1"#);
}

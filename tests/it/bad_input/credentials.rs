//! Whatever is wrong with a credential, of whatever kind, is one answer, byte for byte; and who may not is told no more
//! about another's tenant than about none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::app::Running;
use doorward::clock::Clock;
use doorward::proto::{self, ServiceScope};
use prost_reflect::prost::Message;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use super::untaught;
use crate::callers::{admin_key, checks, credential};
use crate::harness::{self, NOW, Server, TOKEN, refused, resource, timestamp, user_subject};
use crate::oidc::provider::{KEYS, Provider};
use crate::oidc::signer::Signer;
use crate::oidc::{AUDIENCE, claims};
use crate::raw::call_raw;

const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";

type Headers = Vec<(&'static str, String)>;

fn question(tenant: &str) -> Vec<u8> {
    let request = proto::CheckAccessRequest {
        tenant_id: tenant.to_owned(),
        subject: Some(user_subject("acme-owner")),
        action: "view".to_owned(),
        resource: Some(resource("section", "logs")),
        ..Default::default()
    };
    request.encode_to_vec()
}

fn bearer(token: &str) -> Headers {
    vec![("authorization", format!("Bearer {token}"))]
}

/// Headers that hold no credential, or more than one.
fn shapeless(good: &str) -> Vec<(String, Headers)> {
    let header = |value: &str| vec![("authorization", value.to_owned())];
    let named = |name: &str, headers| (name.to_owned(), headers);
    vec![
        named("none", Vec::new()),
        named("empty", header("")),
        named("a scheme alone", header("Bearer")),
        named("an empty token", header("Bearer ")),
        named("a token alone", header(good)),
        named("another scheme", header(&format!("Basic {good}"))),
        named("two in one", header(&format!("Bearer {good}, Bearer {good}"))),
        named("two headers", [bearer(good), bearer(good)].concat()),
        named("two headers, one empty", [bearer(good), header("")].concat()),
        named("a good one after a bad one", [bearer("x"), bearer(good)].concat()),
        named("not ASCII", header("Bearer \u{e9}")),
        named("very long", bearer(&"x".repeat(10_000))),
        named("an unknown token", bearer("an-unknown-token-of-an-operator")),
        named("almost the operator's", bearer(&TOKEN[..TOKEN.len() - 1])),
        named("more than the operator's", bearer(&format!("{TOKEN}0"))),
    ]
}

/// Secrets of services and keys: of nobody, wrong, revoked and expired.
async fn secrets(server: &Server, good: &str) -> Vec<(String, Headers)> {
    let key = admin_key(server, "acme", "ci").await;
    let revoked = credential(server, "revoked", &[ServiceScope::Check], &[]).await;
    let revoke =
        proto::RevokeServiceCredentialRequest { credential_id: "revoked".to_owned(), ..Default::default() };
    server.operator().revoke_service_credential(revoke).await.unwrap();
    let revoked_key = admin_key(server, "acme", "gone").await;
    let revoke = proto::RevokeApiKeyRequest {
        tenant_id: "acme".to_owned(),
        key_id: "gone".to_owned(),
        ..Default::default()
    };
    server.operator().revoke_api_key(revoke).await.unwrap();
    let expired = proto::CreateServiceCredentialRequest {
        name: "expired".to_owned(),
        scopes: vec![ServiceScope::Check.into()],
        expires_at: Some(timestamp(NOW)),
        ..Default::default()
    };
    let expired = server.operator().create_service_credential(expired).await.unwrap().into_inner().secret;
    let (head, digits) = good.rsplit_once('_').unwrap();
    [
        ("a wrong secret", format!("{head}_{}", "0".repeat(digits.len()))),
        ("an unknown id", format!("dws_nobody_{digits}")),
        ("a shorter secret", good[..good.len() - 1].to_owned()),
        ("a longer secret", format!("{good}0")),
        ("a service's as a key", good.replace("dws_", "dwk_")),
        ("a key's as a service", key.replace("dwk_", "dws_")),
        ("a wrong key", format!("{key}0")),
        ("SQL for an id", format!("dws_a'--_{digits}")),
        ("no secret", "dws_gateway_".to_owned()),
        ("revoked", revoked),
        ("a revoked key", revoked_key),
        ("expired", expired),
    ]
    .map(|(name, secret)| (name.to_owned(), bearer(&secret)))
    .into()
}

/// Tokens of people, each with one thing wrong.
fn tokens(provider: &Provider, signer: &Signer) -> Vec<(String, Headers)> {
    let (now, good) = (NOW.micros() / 1_000_000, good_claims(provider));
    let claim = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        signer.sign(&claims)
    };
    let kid = |kid: &str| {
        let mut header = signer.header();
        header["kid"] = json!(kid);
        signer.sign_raw(&header.to_string(), &good.to_string())
    };
    let unsigned = |alg: &str| {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "kid": signer.kid }).to_string());
        format!("{header}.{}.", URL_SAFE_NO_PAD.encode(good.to_string()))
    };
    let hs256 = json!({ "alg": "HS256", "typ": "JWT", "kid": signer.kid });
    let forger = Signer::rsa("k1", 2048);
    [
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("no signature", unsigned("RS256")),
        (
            "HS256 with the public key",
            Signer::sign_with_secret(&hs256, &good, signer.public_pem().as_bytes()),
        ),
        ("another's signature", forger.sign(&good)),
        ("a wrong issuer", claim("iss", json!("https://id.example"))),
        ("a wrong audience", claim("aud", json!("other"))),
        ("expired", claim("exp", json!(now - 31))),
        ("not valid yet", claim("nbf", json!(now + 31))),
        ("a path for a key", kid("../../../../etc/passwd")),
        ("SQL for a key", kid("k1' OR '1'='1")),
        ("no person", claim("sub", json!(""))),
        ("no JWT", "a.b.c".to_owned()),
    ]
    .map(|(name, token)| (format!("JWT: {name}"), bearer(&token)))
    .into()
}

fn good_claims(provider: &Provider) -> Value {
    let mut claims = claims(provider);
    claims["sub"] = "acme-owner".into();
    claims
}

fn bytes(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

fn serve(url: &str, provider: &Provider) -> Running {
    harness::start_with(url, &Clock::manual(NOW), |settings| {
        settings.auth.provider.issuer = provider.issuer();
        settings.auth.provider.audience = AUDIENCE.to_owned();
        settings.auth.provider.jwks_url = provider.url(KEYS);
    })
}

#[test]
fn whatever_is_wrong_with_any_credential_is_the_very_same_answer() {
    let runtime = Runtime::new().unwrap();
    let (provider, signer) = (runtime.block_on(Provider::start()), Signer::rsa("k1", 2048));
    provider.publish(&[signer.jwk()]);
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/d.db", directory.path().display());
    let running = serve(&url, &provider);
    let server = runtime.block_on(Server::over(running, &url, &Clock::manual(NOW)));
    runtime.block_on(is_one_answer(&server, &provider, &signer));
    let stopped = runtime.spawn_blocking(move || server.running.stop());
    runtime.block_on(stopped).unwrap();
}

async fn is_one_answer(server: &Server, provider: &Provider, signer: &Signer) {
    server.tenant("acme").await;
    let service = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
    let person = signer.sign(&good_claims(provider));
    for good in [&service, &person] {
        assert!(checks(&mut server.client(good, None), "acme").await.unwrap());
    }
    let wrong = [shapeless(&service), secrets(server, &service).await, tokens(provider, signer)].concat();
    assert!(wrong.len() >= 40, "{}", wrong.len());
    let expected = bytes(&call_raw(server.channel(), CHECK, &question("acme"), &[]).await);
    assert_eq!(expected.0, Code::Unauthenticated);
    for (name, headers) in &wrong {
        // Neither the tenant, nor the RPC, nor what was sent makes a difference.
        for (path, message) in [
            (CHECK, question("acme")),
            (CHECK, question("absent")),
            (CHECK, vec![0xff; 20]),
            ("/doorward.v1.AccessService/DeleteTenant", Vec::new()),
            ("/doorward.v1.AccessService/Nothing", Vec::new()),
        ] {
            let status = call_raw(server.channel(), path, &message, headers).await;
            assert_eq!(bytes(&status), expected, "{name} at {path}");
            assert_eq!(untaught(&status), None, "{status:?}");
        }
    }
    assert!(checks(&mut server.client(&service, None), "acme").await.unwrap());
}

#[test]
fn who_may_not_is_told_the_same_of_another_tenant_as_of_none() {
    harness::run(harness::Database::Sqlite, async |server| {
        server.tenant("acme").await;
        server.tenant("beta").await;
        let gateway = credential(server, "gateway", &[ServiceScope::Check], &["acme"]).await;
        let update = |tenant: &str| proto::UpdateTenantRequest {
            tenant_id: tenant.to_owned(),
            name: "New".to_owned(),
            ..Default::default()
        };
        let mut client = server.client(&gateway, None);
        // Scope check calls a mutation: in its own tenant, another's, and none.
        let mut said = Vec::new();
        for tenant in ["acme", "beta", "absent"] {
            said.push(bytes(&client.update_tenant(update(tenant)).await.unwrap_err()));
        }
        for tenant in ["beta", "absent"] {
            said.push(bytes(&call_raw(server.channel(), CHECK, &question(tenant), &bearer(&gateway)).await));
        }
        assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
        let key = admin_key(server, "acme", "ci").await;
        for tenant in ["beta", "absent"] {
            let status = server.client(&key, None).update_tenant(update(tenant)).await.unwrap_err();
            assert_eq!(bytes(&status), said[0]);
            refused(Err::<(), _>(status), Code::PermissionDenied, "PERMISSION_DENIED");
        }
    });
}

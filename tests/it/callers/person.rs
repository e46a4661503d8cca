//! People call with a token of the identity provider: as admins of their tenant, and about themselves.

use doorward::clock::Clock;
use doorward::proto;
use tonic::Code;

use super::checks;
use crate::harness::{self, Client, NOW, Server, refused, resource, user_subject};
use crate::oidc::provider::{KEYS, Provider};
use crate::oidc::signer::Signer;
use crate::oidc::{AUDIENCE, claims};

async fn start(provider: &Provider, directory: &std::path::Path) -> Server {
    let (url, clock) = (format!("sqlite://{}", directory.join("d.db").display()), Clock::manual(NOW));
    let (issuer, keys) = (provider.issuer(), provider.url(KEYS));
    let (to, by) = (url.clone(), clock.clone());
    let started = tokio::task::spawn_blocking(move || {
        harness::start_with(&to, &by, |settings| {
            settings.auth.provider.issuer = issuer;
            settings.auth.provider.audience = AUDIENCE.to_owned();
            settings.auth.provider.jwks_url = keys;
        })
    });
    let running = started.await.unwrap();
    Server::over(running, &url, &clock).await
}

fn token(provider: &Provider, signer: &Signer, user: &str) -> String {
    let mut claims = claims(provider);
    claims["sub"] = user.into();
    signer.sign(&claims)
}

async fn rename(client: &mut Client, member: &str) -> Result<proto::UpdateMemberResponse, tonic::Status> {
    let request = proto::UpdateMemberRequest {
        tenant_id: "acme".to_owned(),
        member_id: member.to_owned(),
        display_name: "New".to_owned(),
        ..Default::default()
    };
    client.update_member(request).await.map(tonic::Response::into_inner)
}

async fn sees(client: &mut Client, user: &str) -> Result<bool, tonic::Status> {
    let request = proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject(user)),
        action: "view".to_owned(),
        resource: Some(resource("section", "logs")),
        ..Default::default()
    };
    client.check_access(request).await.map(|answer| answer.into_inner().allowed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_who_they_are_in_the_tenant() {
    let (provider, signer) = (Provider::start().await, Signer::ed25519("k1"));
    provider.publish(&[signer.jwk()]);
    let directory = tempfile::tempdir().unwrap();
    let server = start(&provider, directory.path()).await;
    server.tenant("acme").await;
    server.tenant("beta").await;
    server.user("acme", "ben").await;
    let mut admin = server.client(&token(&provider, &signer, "acme-owner"), None);
    let mut ben = server.client(&token(&provider, &signer, "ben"), None);
    let mut stranger = server.client(&token(&provider, &signer, "nobody"), None);
    assert!(checks(&mut admin, "acme").await.unwrap());
    assert!(rename(&mut admin, "ben").await.is_ok());
    assert!(sees(&mut ben, "ben").await.unwrap() && rename(&mut ben, "ben").await.is_ok());
    for denied in [
        sees(&mut ben, "acme-owner").await.map(drop),
        rename(&mut ben, "acme-owner").await.map(drop),
        checks(&mut admin, "beta").await.map(drop),
        checks(&mut admin, "absent").await.map(drop),
        sees(&mut stranger, "nobody").await.map(drop),
    ] {
        refused(denied, Code::PermissionDenied, "PERMISSION_DENIED");
    }
    let acting = server.client(&token(&provider, &signer, "acme-owner"), Some("ben"));
    assert_eq!(rename(&mut { acting }, "ben").await.unwrap_err().code(), Code::InvalidArgument);
    let log = proto::ListAuditEventsRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    let events = admin.list_audit_events(log).await.unwrap().into_inner().events;
    let own: Vec<_> = events.iter().filter(|event| event.caller == "person").collect();
    assert_eq!(own.iter().map(|event| &*event.actor).collect::<Vec<_>>(), ["acme-owner"]);
    tokio::task::spawn_blocking(|| drop(server)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_or_anothers_is_nobody_and_without_keys_nothing_is_known() {
    let (provider, signer) = (Provider::start().await, Signer::ed25519("k1"));
    let directory = tempfile::tempdir().unwrap();
    let server = start(&provider, directory.path()).await;
    server.tenant("acme").await;
    let good = token(&provider, &signer, "acme-owner");
    let unknown = checks(&mut server.client(&good, None), "acme").await;
    refused(unknown, Code::Unavailable, "STORE_UNAVAILABLE");
    provider.publish(&[signer.jwk()]);
    for _ in 0..200 {
        if checks(&mut server.client(&good, None), "acme").await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(checks(&mut server.client(&good, None), "acme").await.unwrap());
    let forged = token(&provider, &Signer::ed25519("k1"), "acme-owner");
    refused(
        checks(&mut server.client(&forged, None), "acme").await,
        Code::Unauthenticated,
        "UNAUTHENTICATED",
    );
    server.clock.set(NOW.plus_seconds(700));
    refused(checks(&mut server.client(&good, None), "acme").await, Code::Unauthenticated, "UNAUTHENTICATED");
    tokio::task::spawn_blocking(|| drop(server)).await.unwrap();
}

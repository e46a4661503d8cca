//! Who may ask, asked anew: what ends for a caller ends on their open streams.

use doorward::proto::{self, ErrorReason, ServiceScope};
use tonic::Code;

use super::{acme, allowed, error, open, question, toggle};
use crate::caches::replicas::until;
use crate::callers::{admin_key, credential};
use crate::harness::{self, Database, NOW, Server, on_both, refused, timestamp};

async fn revoke(server: &Server, credential: &str) {
    let request =
        proto::RevokeServiceCredentialRequest { credential_id: credential.to_owned(), ..Default::default() };
    server.operator().revoke_service_credential(request).await.unwrap();
}

/// Asks until the answer comes from memory.
async fn remembered(server: &Server, check: impl Fn() -> proto::CheckAccessRequest) {
    until(async || {
        let before = server.decided("near");
        server.operator().check_access(check()).await.unwrap();
        server.decided("near") > before
    })
    .await;
}

on_both!(a_service_that_is_revoked_is_answered_nothing_more, |server| {
    acme(server).await;
    toggle(server, true).await;
    let secret = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
    let mut stream = open(server.client(&secret, None)).await;
    for _ in 0..3 {
        assert!(allowed(&stream.check(question("ben")).await));
    }
    revoke(server, "gateway").await;
    stream.ask(1, question("ben")).await;
    refused(stream.next().await, Code::Unauthenticated, "UNAUTHENTICATED");
    assert!(stream.next().await.unwrap().is_none());
});

on_both!(a_secret_that_expires_ends_its_streams, |server| {
    acme(server).await;
    credential(server, "gateway", &[ServiceScope::Check], &[]).await;
    let rotate = proto::RotateServiceCredentialRequest {
        credential_id: "gateway".to_owned(),
        expires_at: Some(timestamp(NOW.plus_seconds(60))),
        ..Default::default()
    };
    let secret = server.operator().rotate_service_credential(rotate).await.unwrap().into_inner().secret;
    let mut stream = open(server.client(&secret, None)).await;
    stream.check(question("ben")).await;
    server.clock.set(NOW.plus_seconds(59));
    stream.check(question("ben")).await;
    server.clock.set(NOW.plus_seconds(60));
    stream.ask(1, question("ben")).await;
    refused(stream.next().await, Code::Unauthenticated, "UNAUTHENTICATED");
});

#[test]
fn who_asks_nothing_is_looked_up_all_the_same() {
    harness::run(Database::Sqlite, async |server| {
        acme(server).await;
        let secret = credential(server, "idle", &[ServiceScope::Check], &[]).await;
        let mut stream = open(server.client(&secret, None)).await;
        let mut other = open(server.operator()).await;
        revoke(server, "idle").await;
        refused(stream.next().await, Code::Unauthenticated, "UNAUTHENTICATED");
        other.check(question("ben")).await;
    });
}

on_both!(a_key_that_is_revoked_is_answered_nothing_more, |server| {
    acme(server).await;
    toggle(server, true).await;
    let secret = admin_key(server, "acme", "backend").await;
    let mut stream = open(server.client(&secret, None)).await;
    assert!(allowed(&stream.check(question("ben")).await));
    let request = proto::RevokeApiKeyRequest {
        tenant_id: "acme".to_owned(),
        key_id: "backend".to_owned(),
        ..Default::default()
    };
    server.operator().revoke_api_key(request).await.unwrap();
    stream.ask(1, question("ben")).await;
    refused(stream.next().await, Code::Unauthenticated, "UNAUTHENTICATED");
});

on_both!(a_key_asks_in_its_own_tenant_alone_whatever_is_in_memory, |server| {
    acme(server).await;
    toggle(server, true).await;
    server.tenant("zeta").await;
    let secret = admin_key(server, "acme", "backend").await;
    let mut stream = open(server.client(&secret, None)).await;
    let foreign = || proto::CheckAccessRequest { tenant_id: "zeta".to_owned(), ..question("zeta-owner") };
    remembered(server, foreign).await;
    remembered(server, || question("ben")).await;
    for _ in 0..3 {
        let said = stream.check(foreign()).await;
        error(said, Code::PermissionDenied, ErrorReason::PermissionDenied);
        assert!(allowed(&stream.check(question("ben")).await));
    }
});

on_both!(a_foreign_tenant_is_refused_question_by_question_and_looks_like_none, |server| {
    acme(server).await;
    toggle(server, true).await;
    server.tenant("zeta").await;
    let secret = credential(server, "acmes", &[ServiceScope::Check], &["acme"]).await;
    let mut stream = open(server.client(&secret, None)).await;
    let mut texts = Vec::new();
    for tenant in ["zeta", "nowhere", "zeta"] {
        let foreign = proto::CheckAccessRequest { tenant_id: tenant.to_owned(), ..question("zeta-owner") };
        let said = stream.check(foreign).await;
        texts.push(error(said, Code::PermissionDenied, ErrorReason::PermissionDenied));
        // What it may ask it may ask still.
        assert!(allowed(&stream.check(question("ben")).await));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    // Also among questions that it may ask, and where the other tenant's facts are in memory.
    let foreign = || proto::CheckAccessRequest { tenant_id: "zeta".to_owned(), ..question("zeta-owner") };
    let mut operator = open(server.operator()).await;
    remembered(server, foreign).await;
    assert!(allowed(&operator.check(foreign()).await));
    for at in 0..100 {
        stream.ask(at, if at % 2 == 0 { question("ben") } else { foreign() }).await;
    }
    for (sequence, said) in stream.rest().await {
        if sequence % 2 == 0 {
            assert!(allowed(&said));
        } else {
            error(said, Code::PermissionDenied, ErrorReason::PermissionDenied);
        }
    }
});

on_both!(a_member_asks_about_themselves_for_as_long_as_they_are_one, |server| {
    acme(server).await;
    toggle(server, true).await;
    let mut stream = open(server.acting("ben")).await;
    assert!(allowed(&stream.check(question("ben")).await));
    let denied = stream.check(question("acme-owner")).await;
    error(denied, Code::PermissionDenied, ErrorReason::PermissionDenied);
    let disable = proto::DisableMemberRequest {
        tenant_id: "acme".to_owned(),
        member_id: "ben".to_owned(),
        ..Default::default()
    };
    server.operator().disable_member(disable).await.unwrap();
    let denied = stream.check(question("ben")).await;
    error(denied, Code::PermissionDenied, ErrorReason::PermissionDenied);
});

on_both!(who_may_never_ask_is_not_let_in, |server| {
    acme(server).await;
    let secret = credential(server, "reader", &[ServiceScope::Read], &[]).await;
    for (token, code, reason) in [
        ("nobody", Code::Unauthenticated, "UNAUTHENTICATED"),
        (secret.as_str(), Code::PermissionDenied, "PERMISSION_DENIED"),
    ] {
        let asked = tokio_stream::iter(Vec::<proto::StreamCheckAccessRequest>::new());
        let answer = server.client(token, None).stream_check_access(asked).await;
        refused(answer.map(drop), code, reason);
    }
});

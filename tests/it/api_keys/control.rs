//! Promises of every API key RPC: who may call it, what is compared, repeated and refused, and where a secret never is.

use super::*;
use crate::harness::{self, Database};

on_both!(an_admin_has_keys_made_and_nobody_else_does, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    server.user("acme", "ben").await;
    created(server, "ci", &[admin()]).await;
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED");
    for actor in ["ben", "zeta-owner", "nobody"] {
        let mut client = server.acting(actor);
        refused(client.create_api_key(create("k1", &[admin()])).await, denied.0, denied.1);
        refused(client.revoke_api_key(revoke("ci")).await, denied.0, denied.1);
        refused(client.list_api_keys(list()).await, denied.0, denied.1);
    }
    // The operator's keys are nobody's.
    let keys = server.acting("acme-owner").list_api_keys(list()).await.unwrap().into_inner().api_keys;
    assert_eq!((keys.len(), keys[0].created_by.as_str()), (1, ""));
    let foreign = proto::RevokeApiKeyRequest { tenant_id: text("zeta"), ..revoke("ci") };
    refused(server.acting("zeta-owner").revoke_api_key(foreign).await, Code::NotFound, "API_KEY_NOT_FOUND");
    refused(server.operator().revoke_api_key(revoke("none")).await, Code::NotFound, "API_KEY_NOT_FOUND");
    let nowhere = proto::ListApiKeysRequest { tenant_id: text("nowhere"), ..list() };
    refused(server.operator().list_api_keys(nowhere).await, Code::NotFound, "TENANT_NOT_FOUND");
});

on_both!(a_secret_is_shown_once, |server| {
    server.tenant("acme").await;
    let request = proto::CreateApiKeyRequest { request_id: request_id(), ..create("", &[section("traces")]) };
    let first = server.operator().create_api_key(request.clone()).await.unwrap().into_inner();
    let second = server.operator().create_api_key(request.clone()).await.unwrap().into_inner();
    assert_eq!((first.replayed, second.replayed, second.secret.as_str()), (false, true, ""));
    assert_eq!((&first.api_key, first.revision), (&second.api_key, second.revision));
    assert_eq!(viewing(server, &first.secret, "traces").await, "KEY_SCOPE");
    let another = proto::CreateApiKeyRequest { name: text("CD"), ..request };
    refused(server.operator().create_api_key(another).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(server.operator().list_api_keys(list()).await.unwrap().into_inner().api_keys.len(), 1);
});

on_both!(a_trial_run_makes_no_key, |server| {
    server.tenant("acme").await;
    let request = proto::CreateApiKeyRequest { validate_only: true, ..create("ci", &[admin()]) };
    let answer = server.operator().create_api_key(request).await.unwrap().into_inner();
    assert_eq!(
        (answer.secret.as_str(), answer.api_key.unwrap().key_id.as_str(), answer.enforced),
        ("", "ci", false)
    );
    assert!(server.operator().list_api_keys(list()).await.unwrap().into_inner().api_keys.is_empty());
    let secret = created(server, "ci", &[section("traces")]).await.secret;
    let request = proto::RevokeApiKeyRequest { validate_only: true, ..revoke("ci") };
    server.operator().revoke_api_key(request).await.unwrap();
    assert_eq!(viewing(server, &secret, "traces").await, "KEY_SCOPE");
});

on_both!(a_stale_revision_revokes_nothing, |server| {
    server.tenant("acme").await;
    let read = created(server, "ci", &[admin()]).await.revision;
    let request = proto::RevokeApiKeyRequest { expected_revision: read - 1, ..revoke("ci") };
    refused(server.operator().revoke_api_key(request.clone()).await, Code::Aborted, "REVISION_MISMATCH");
    let request = proto::RevokeApiKeyRequest { expected_revision: read, request_id: request_id(), ..request };
    let first = server.operator().revoke_api_key(request.clone()).await.unwrap().into_inner();
    let second = server.operator().revoke_api_key(request).await.unwrap().into_inner();
    assert_eq!((first.api_key, second.replayed), (second.api_key, true));
});

on_both!(a_lapsed_tenant_makes_no_keys_and_revokes_them, |server| {
    server.tenant("acme").await;
    created(server, "ci", &[admin()]).await;
    let expire = proto::SetSubscriptionRequest {
        tenant_id: text("acme"),
        state: proto::SubscriptionState::Expired.into(),
        ..Default::default()
    };
    server.operator().set_subscription(expire).await.unwrap();
    let refusal = server.operator().create_api_key(create("cd", &[admin()])).await;
    refused(refusal, Code::FailedPrecondition, "SUBSCRIPTION_LAPSED");
    server.operator().revoke_api_key(revoke("ci")).await.unwrap();
});

on_both!(a_scope_names_what_the_catalogue_has, |server| {
    server.tenant("acme").await;
    let unknown = (Code::InvalidArgument, "SECTION_UNKNOWN");
    for path in ["trases", "settings.nothing", "traces.profile"] {
        let request = create("ci", &[section("logs"), section(path)]);
        assert!(
            refused(server.operator().create_api_key(request).await, unknown.0, unknown.1).contains(path)
        );
    }
    let request = create("ci", &[on("robot", "chat", &[]), admin(), on("agent", "fly", &[])]);
    let fields = ["scopes[0].resource.type", "scopes[2].resource.action"];
    invalid(server.operator().create_api_key(request).await, &fields);
});

on_both!(every_field_that_cannot_be_understood_is_named, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    let empty = proto::CreateApiKeyRequest::default();
    invalid(operator.create_api_key(empty).await, &["tenant_id", "name", "scopes"]);
    let nothing = proto::ApiKeyScope { scope: None };
    let scopes = [
        nothing,
        section("a b"),
        section(""),
        on("Agent", "", &[]),
        on("agent", "chat", &["a1", " ", "a1"]),
        section("logs"),
        section("logs"),
        admin(),
        admin(),
        on("agent", "view", &["a1"]),
        on("agent", "view", &["a2"]),
    ];
    let strange = proto::CreateApiKeyRequest {
        name: text(" CI"),
        key_id: text("-"),
        expires_at: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 }),
        expected_revision: 1,
        ..create("", &scopes)
    };
    let fields = [
        "name",
        "key_id",
        "expires_at",
        "expected_revision",
        "scopes[0]",
        "scopes[1].section",
        "scopes[2].section",
        "scopes[3].resource.type",
        "scopes[3].resource.action",
        "scopes[4].resource.resource_ids[1]",
        "scopes[4].resource.resource_ids[2]",
        "scopes[6]",
        "scopes[8]",
        "scopes[10]",
    ];
    invalid(operator.create_api_key(strange).await, &fields);
    let many: Vec<_> = (0..101).map(|at| section(&format!("s{at}"))).collect();
    invalid(operator.create_api_key(create("ci", &many)).await, &["scopes"]);
    let ids: Vec<_> = (0..1_001).map(|at| format!("a{at}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let many = [on("agent", "chat", &ids)];
    invalid(operator.create_api_key(create("ci", &many)).await, &["scopes[0].resource.resource_ids"]);
    invalid(operator.revoke_api_key(proto::RevokeApiKeyRequest::default()).await, &["tenant_id", "key_id"]);
    let strange = proto::ListApiKeysRequest {
        page_size: -1,
        page_token: text("x"),
        created_by: text("a b"),
        ..proto::ListApiKeysRequest::default()
    };
    invalid(operator.list_api_keys(strange).await, &["tenant_id", "page_size", "page_token", "created_by"]);
});

#[test]
fn no_secret_is_written_to_the_database() {
    harness::run(Database::Sqlite, async |server| {
        server.tenant("acme").await;
        let request =
            proto::CreateApiKeyRequest { request_id: request_id(), ..create("findme", &[section("traces")]) };
        let secret = server.operator().create_api_key(request).await.unwrap().into_inner().secret;
        assert_eq!(viewing(server, &secret, "traces").await, "KEY_SCOPE");
        let path = server.url.strip_prefix("sqlite://").unwrap();
        let mut bytes = std::fs::read(path).unwrap();
        bytes.extend(std::fs::read(format!("{path}-wal")).unwrap_or_default());
        let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        let (_, digits) = secret.rsplit_once('_').unwrap();
        assert!(holds("findme") && !holds(digits) && !holds(&digits[..64]));
    });
}

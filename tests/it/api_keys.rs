//! Promises of the API key RPCs: a secret that is shown once, scopes that hold, and an end that is at once.

mod control;

use doorward::proto;
use doorward::proto::api_key_scope::Scope;
use doorward::proto::subject::Kind;
use tonic::Code;

use crate::harness::{NOW, Server, invalid, on_both, refused, request_id, resource, timestamp};

fn text(text: &str) -> String {
    text.to_owned()
}

fn section(path: &str) -> proto::ApiKeyScope {
    proto::ApiKeyScope { scope: Some(Scope::Section(text(path))) }
}

fn admin() -> proto::ApiKeyScope {
    proto::ApiKeyScope { scope: Some(Scope::Admin(proto::AdminScope {})) }
}

fn on(kind: &str, action: &str, ids: &[&str]) -> proto::ApiKeyScope {
    let scope = proto::ResourceScope {
        r#type: text(kind),
        action: text(action),
        resource_ids: ids.iter().map(|id| text(id)).collect(),
    };
    proto::ApiKeyScope { scope: Some(Scope::Resource(scope)) }
}

fn create(id: &str, scopes: &[proto::ApiKeyScope]) -> proto::CreateApiKeyRequest {
    proto::CreateApiKeyRequest {
        tenant_id: text("acme"),
        name: text("CI"),
        key_id: text(id),
        scopes: scopes.to_vec(),
        ..Default::default()
    }
}

fn revoke(id: &str) -> proto::RevokeApiKeyRequest {
    proto::RevokeApiKeyRequest { tenant_id: text("acme"), key_id: text(id), ..Default::default() }
}

fn list() -> proto::ListApiKeysRequest {
    proto::ListApiKeysRequest { tenant_id: text("acme"), ..Default::default() }
}

async fn created(server: &Server, id: &str, scopes: &[proto::ApiKeyScope]) -> proto::CreateApiKeyResponse {
    server.operator().create_api_key(create(id, scopes)).await.unwrap().into_inner()
}

/// Asks as the bearer of a key.
async fn check(server: &Server, tenant: &str, key: &str, action: &str, kind: &str, id: &str) -> String {
    let request = proto::CheckAccessRequest {
        tenant_id: text(tenant),
        subject: Some(proto::Subject { kind: Some(Kind::ApiKey(text(key))) }),
        action: text(action),
        resource: Some(resource(kind, id)),
        ..Default::default()
    };
    let answer = server.operator().check_access(request).await.unwrap().into_inner();
    answer.reason().as_str_name().trim_start_matches("REASON_").to_owned()
}

async fn viewing(server: &Server, key: &str, path: &str) -> String {
    check(server, "acme", key, "view", "section", path).await
}

on_both!(a_key_opens_what_its_scopes_name_and_nothing_else, |server| {
    server.tenant("acme").await;
    server.agent("acme", "a1").await;
    server.agent("acme", "a2").await;
    let scopes = [
        section("traces"),
        section("settings.api_keys"),
        on("agent", "chat", &["a1"]),
        on("agent", "view", &[]),
    ];
    let answer =
        server.acting("acme-owner").create_api_key(create("ci", &scopes)).await.unwrap().into_inner();
    let (key, secret) = (answer.api_key.unwrap(), answer.secret);
    assert_eq!(
        (key.created_by.as_str(), key.name.as_str(), key.revision),
        ("acme-owner", "CI", answer.revision)
    );
    assert_eq!((key.create_time, key.expires_at, key.revoke_time), (Some(timestamp(NOW)), None, None));
    assert_eq!(viewing(server, &secret, "traces").await, "KEY_SCOPE");
    assert_eq!(viewing(server, &secret, "settings.api_keys").await, "KEY_SCOPE");
    assert_eq!(viewing(server, &secret, "settings").await, "KEY_SCOPE_MISSING");
    assert_eq!(viewing(server, &secret, "logs").await, "KEY_SCOPE_MISSING");
    let agent = async |action, id| check(server, "acme", &secret, action, "agent", id).await;
    assert_eq!(agent("chat", "a1").await, "KEY_SCOPE");
    assert_eq!(agent("chat", "a2").await, "KEY_SCOPE_MISSING");
    assert_eq!(agent("view", "a2").await, "KEY_SCOPE");
    assert_eq!(agent("manage", "a1").await, "KEY_SCOPE_MISSING");
});

on_both!(a_scope_for_the_administration_opens_nothing, |server| {
    server.tenant("acme").await;
    let secret = created(server, "ops", &[admin()]).await.secret;
    assert_eq!(viewing(server, &secret, "traces").await, "KEY_SCOPE_MISSING");
});

on_both!(a_key_is_known_by_its_whole_text_and_in_its_tenant, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    for id in ["ci", "team_a_ci", "a-b.c:d@e|f_", ""] {
        let answer = created(server, id, &[section("traces")]).await;
        let id = answer.api_key.unwrap().key_id;
        let secret = answer.secret;
        let (head, tail) = secret.rsplit_once('_').unwrap();
        assert_eq!((head, tail.len()), (&*format!("dwk_{id}"), 70));
        assert_eq!(viewing(server, &secret, "traces").await, "KEY_SCOPE");
        let last = if secret.ends_with('0') { "1" } else { "0" };
        let forged = format!("{}{last}", &secret[..secret.len() - 1]);
        let shorter = &secret[..secret.len() - 6];
        let other = secret.replacen("dwk_", "dwk_x", 1);
        for wrong in [&*forged, shorter, &other, &secret.to_ascii_uppercase().replacen("DWK_", "dwk_", 1)] {
            assert_eq!(viewing(server, wrong, "traces").await, "KEY_INVALID", "{wrong}");
        }
        assert_eq!(check(server, "zeta", &secret, "view", "section", "traces").await, "KEY_INVALID");
    }
});

on_both!(revoking_is_at_once_and_final, |server| {
    server.tenant("acme").await;
    let secret = created(server, "ci", &[section("traces")]).await.secret;
    server.clock.set(NOW.plus_seconds(5));
    let answer = server.acting("acme-owner").revoke_api_key(revoke("ci")).await.unwrap().into_inner();
    assert_eq!(answer.api_key.as_ref().unwrap().revoke_time, Some(timestamp(NOW.plus_seconds(5))));
    assert_eq!(viewing(server, &secret, "traces").await, "KEY_INVALID");
    server.clock.set(NOW.plus_seconds(9));
    let again = server.operator().revoke_api_key(revoke("ci")).await.unwrap().into_inner();
    assert_eq!((again.api_key, again.revision), (answer.api_key, answer.revision));
    let taken = server.operator().create_api_key(create("ci", &[section("traces")])).await;
    refused(taken, Code::AlreadyExists, "ID_TAKEN");
});

on_both!(a_key_expires_to_the_second, |server| {
    server.tenant("acme").await;
    let expires_at = Some(timestamp(NOW.plus_seconds(60)));
    let request = proto::CreateApiKeyRequest { expires_at, ..create("ci", &[section("traces")]) };
    let answer = server.operator().create_api_key(request).await.unwrap().into_inner();
    assert_eq!(answer.api_key.unwrap().expires_at, expires_at);
    server.clock.set(NOW.plus_seconds(59));
    assert_eq!(viewing(server, &answer.secret, "traces").await, "KEY_SCOPE");
    server.clock.set(NOW.plus_seconds(60));
    assert_eq!(viewing(server, &answer.secret, "traces").await, "KEY_INVALID");
});

on_both!(a_plan_limits_the_keys_that_are_live, |server| {
    server.tenant("acme").await;
    let plan = "name = \"Standard\"\nlimits = { api_keys = 2 }\n";
    let document = doorward_engine::catalogue::SHIPPED.replace("name = \"Standard\"\n", plan);
    let request = proto::ApplyCatalogueRequest { document, ..Default::default() };
    server.operator().apply_catalogue(request).await.unwrap();
    let expires_at = Some(timestamp(NOW.plus_seconds(60)));
    let short = proto::CreateApiKeyRequest { expires_at, ..create("short", &[admin()]) };
    server.operator().create_api_key(short).await.unwrap();
    created(server, "long", &[admin()]).await;
    let limit = (Code::ResourceExhausted, "API_KEY_LIMIT");
    refused(server.operator().create_api_key(create("more", &[admin()])).await, limit.0, limit.1);
    server.operator().revoke_api_key(revoke("long")).await.unwrap();
    created(server, "more", &[admin()]).await;
    refused(server.operator().create_api_key(create("yet", &[admin()])).await, limit.0, limit.1);
    server.clock.set(NOW.plus_seconds(60));
    created(server, "yet", &[admin()]).await;
});

on_both!(lists_are_exact_and_without_secrets, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    server.member("acme", "eve", proto::Role::Admin).await;
    let expires_at = Some(timestamp(NOW.plus_seconds(60)));
    for id in ["k1", "k2", "k3", "k4", "k5", "k6"] {
        let actor = if id < "k4" { "eve" } else { "acme-owner" };
        let expires_at = expires_at.filter(|_| id == "k5");
        let request =
            proto::CreateApiKeyRequest { expires_at, ..create(id, &[on("agent", "chat", &["a1"]), admin()]) };
        server.acting(actor).create_api_key(request).await.unwrap();
    }
    server.operator().revoke_api_key(revoke("k2")).await.unwrap();
    server.clock.set(NOW.plus_seconds(60));
    let pages = async |request: proto::ListApiKeysRequest| {
        let (mut ids, mut token) = (Vec::new(), String::new());
        loop {
            let page = proto::ListApiKeysRequest { page_token: token, ..request.clone() };
            let answer = server.acting("acme-owner").list_api_keys(page).await.unwrap().into_inner();
            ids.extend(answer.api_keys.into_iter().map(|key| key.key_id));
            token = answer.next_page_token;
            if token.is_empty() {
                return ids;
            }
        }
    };
    for page_size in [0, 1, 2, 3, 4, 5, i32::MAX] {
        assert_eq!(pages(proto::ListApiKeysRequest { page_size, ..list() }).await, ["k1", "k3", "k4", "k6"]);
        let ended = proto::ListApiKeysRequest { page_size, include_ended: true, ..list() };
        assert_eq!(pages(ended).await, ["k1", "k2", "k3", "k4", "k5", "k6"]);
        let theirs = proto::ListApiKeysRequest { page_size, created_by: text("eve"), ..list() };
        assert_eq!(pages(theirs).await, ["k1", "k3"]);
    }
    let first = proto::ListApiKeysRequest { page_size: 1, ..list() };
    let answer = server.operator().list_api_keys(first.clone()).await.unwrap().into_inner();
    let scopes = &answer.api_keys[0].scopes;
    assert_eq!(scopes.as_slice(), [admin(), on("agent", "chat", &["a1"])]);
    let token = answer.next_page_token;
    for other in [
        proto::ListApiKeysRequest { page_token: token.clone(), include_ended: true, ..first.clone() },
        proto::ListApiKeysRequest { page_token: token.clone(), created_by: text("eve"), ..first.clone() },
        proto::ListApiKeysRequest { page_token: token.clone(), tenant_id: text("zeta"), ..first.clone() },
    ] {
        invalid(server.operator().list_api_keys(other).await, &["page_token"]);
    }
});

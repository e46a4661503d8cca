//! Promises of the history: every mutation once, in order, by whom and for whom, and never a secret or a person's data.

mod denials;
mod erase;
mod verify;
mod watch;

use doorward::proto;
use doorward::proto::Role;
use serde_json::Value;
use tonic::Code;

use crate::harness::{NOW, Server, invalid, on_both, refused, request_id, timestamp};
use crate::store::tables::Tables;

fn text(text: &str) -> String {
    text.to_owned()
}

fn list() -> proto::ListAuditEventsRequest {
    proto::ListAuditEventsRequest { tenant_id: text("acme"), ..Default::default() }
}

fn rename(member: &str, name: &str) -> proto::UpdateMemberRequest {
    proto::UpdateMemberRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        display_name: text(name),
        ..Default::default()
    }
}

fn toggle(member: &str, on: bool) -> proto::SetSectionAccessRequest {
    proto::SetSectionAccessRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        sections: [(text("logs"), on)].into(),
        ..Default::default()
    }
}

async fn events(server: &Server, request: proto::ListAuditEventsRequest) -> Vec<proto::AuditEvent> {
    let (mut events, mut token) = (Vec::new(), String::new());
    loop {
        let page = proto::ListAuditEventsRequest { page_token: token, ..request.clone() };
        let answer = server.operator().list_audit_events(page).await.unwrap().into_inner();
        events.extend(answer.events);
        token = answer.next_page_token;
        if token.is_empty() {
            return events;
        }
    }
}

async fn revisions(server: &Server, request: proto::ListAuditEventsRequest) -> Vec<u64> {
    events(server, request).await.iter().map(|event| event.revision).collect()
}

/// Six mutations of `acme`, a second apart: revisions 1 to 6.
async fn acme(server: &Server) {
    server.tenant("acme").await;
    server.clock.set(NOW.plus_seconds(1));
    server.user("acme", "ben").await;
    server.clock.set(NOW.plus_seconds(2));
    server.acting("acme-owner").set_section_access(toggle("ben", false)).await.unwrap();
    server.clock.set(NOW.plus_seconds(3));
    server.acting("ben").update_member(rename("ben", "Benjamin Canary")).await.unwrap();
    server.clock.set(NOW.plus_seconds(4));
    server.operator().update_member(rename("acme-owner", "Olga Canary")).await.unwrap();
}

on_both!(every_mutation_is_told_once_and_in_order, |server| {
    acme(server).await;
    // What changes nothing, writes nothing or is refused leaves no trace here.
    server.operator().set_section_access(toggle("ben", false)).await.unwrap();
    let trial = proto::SetSectionAccessRequest { validate_only: true, ..toggle("ben", true) };
    server.operator().set_section_access(trial).await.unwrap();
    server.operator().set_section_access(toggle("nobody", true)).await.unwrap_err();
    let found = events(server, list()).await;
    let seen: Vec<_> =
        found.iter().map(|event| (event.revision, event.operation.as_str(), event.actor.as_str())).collect();
    assert_eq!(
        seen,
        [
            (1, "CreateTenant", ""),
            (2, "InviteMember", ""),
            (3, "ActivateMember", ""),
            (4, "SetSectionAccess", "acme-owner"),
            (5, "UpdateMember", "ben"),
            (6, "UpdateMember", ""),
        ]
    );
    for event in &found {
        assert_eq!((event.tenant_id.as_str(), event.caller.as_str()), ("acme", "operator"));
        assert!(event.peer.starts_with("127.0.0.1:"), "{}", event.peer);
    }
    assert_eq!(found[3].time, Some(timestamp(NOW.plus_seconds(2))));
});

on_both!(an_event_says_how_it_was_and_how_it_became, |server| {
    acme(server).await;
    let found = events(server, list()).await;
    let change = &found[3].changes[0];
    assert_eq!((found[3].changes.len(), change.kind.as_str(), change.id.as_str()), (1, "member", "ben"));
    let logs = |json: &str| serde_json::from_str::<Value>(json).unwrap()["sections"]["logs"].clone();
    assert_eq!(logs(&change.before), serde_json::json!({ "on": true, "origin": "DEFAULT" }));
    assert_eq!(logs(&change.after), serde_json::json!({ "on": false, "origin": "SET" }));
    let kinds: Vec<_> = found[1].changes.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(kinds, ["member", "invitation"]);
    assert_eq!((found[1].changes[0].before.as_str(), found[1].changes[0].id.as_str()), ("", "ben"));
});

on_both!(the_events_are_a_chain, |server| {
    acme(server).await;
    let found = events(server, list()).await;
    let mut before = vec![0; 32];
    for event in &found {
        assert_eq!((&event.prev_hash, event.hash.len()), (&before, 32));
        before.clone_from(&event.hash);
    }
});

on_both!(no_event_holds_a_secret_or_a_persons_data, |server| {
    acme(server).await;
    let scope = proto::api_key_scope::Scope::Section(text("traces"));
    let create = proto::CreateApiKeyRequest {
        tenant_id: text("acme"),
        name: text("CI"),
        scopes: vec![proto::ApiKeyScope { scope: Some(scope) }],
        ..Default::default()
    };
    let secret = server.operator().create_api_key(create).await.unwrap().into_inner().secret;
    let invite = proto::InviteMemberRequest {
        tenant_id: text("acme"),
        email: text("canary@acme.example"),
        role: Role::User.into(),
        request_id: request_id(),
        ..Default::default()
    };
    let invited = server.operator().invite_member(invite.clone()).await.unwrap().into_inner();
    let accept = proto::AcceptInvitationRequest {
        tenant_id: text("acme"),
        token: invited.invitation_token.clone(),
        user_id: text("u-canary"),
        ..Default::default()
    };
    server.operator().accept_invitation(accept).await.unwrap();
    let found = events(server, list()).await;
    assert_eq!(found.len(), 9);
    assert_eq!(found[7].request_id, invite.request_id);
    let told = format!("{found:?}");
    let (_, digits) = secret.rsplit_once('_').unwrap();
    for canary in ["anary", "ben@acme.example", digits, invited.invitation_token.trim_start_matches("dwi_")] {
        assert!(!told.contains(canary), "{canary}");
    }
});

on_both!(pages_are_exact_and_every_filter_holds, |server| {
    acme(server).await;
    for page_size in [1, 2, 3, 5, 6, 7] {
        assert_eq!(
            revisions(server, proto::ListAuditEventsRequest { page_size, ..list() }).await,
            [1, 2, 3, 4, 5, 6]
        );
    }
    let by = |actor: &str| proto::ListAuditEventsRequest { actor: text(actor), ..list() };
    assert_eq!(revisions(server, by("ben")).await, [5]);
    assert_eq!(revisions(server, by("nobody")).await, [0; 0]);
    let of = |operation: &str| proto::ListAuditEventsRequest { operation: text(operation), ..list() };
    assert_eq!(revisions(server, of("UpdateMember")).await, [5, 6]);
    let about =
        |member: &str| proto::ListAuditEventsRequest { member_id: text(member), page_size: 1, ..list() };
    assert_eq!(revisions(server, about("ben")).await, [2, 3, 4, 5]);
    assert_eq!(revisions(server, about("acme-owner")).await, [1, 6]);
    let from = proto::ListAuditEventsRequest { from_time: Some(timestamp(NOW.plus_seconds(2))), ..list() };
    assert_eq!(revisions(server, from.clone()).await, [4, 5, 6]);
    let between = proto::ListAuditEventsRequest { to_time: Some(timestamp(NOW.plus_seconds(3))), ..from };
    assert_eq!(revisions(server, between).await, [4]);
    let since = proto::ListAuditEventsRequest { from_revision: 3, page_size: 2, ..list() };
    assert_eq!(revisions(server, since.clone()).await, [3, 4, 5, 6]);
    let all = proto::ListAuditEventsRequest { operation: text("UpdateMember"), actor: text("ben"), ..since };
    assert_eq!(revisions(server, all).await, [5]);
});

on_both!(the_newest_come_first_where_that_is_asked_for, |server| {
    acme(server).await;
    for page_size in [1, 2, 5, 6, 7] {
        let newest = proto::ListAuditEventsRequest { page_size, newest_first: true, ..list() };
        assert_eq!(revisions(server, newest.clone()).await, [6, 5, 4, 3, 2, 1]);
        let since = proto::ListAuditEventsRequest { from_revision: 3, ..newest.clone() };
        assert_eq!(revisions(server, since).await, [6, 5, 4, 3]);
        let filtered = proto::ListAuditEventsRequest {
            member_id: text("ben"),
            to_time: Some(timestamp(NOW.plus_seconds(3))),
            ..newest
        };
        assert_eq!(revisions(server, filtered).await, [4, 3, 2]);
    }
    let first = proto::ListAuditEventsRequest { page_size: 2, newest_first: true, ..list() };
    let token =
        server.operator().list_audit_events(first.clone()).await.unwrap().into_inner().next_page_token;
    let turned = proto::ListAuditEventsRequest { page_token: token, newest_first: false, ..first };
    invalid(server.operator().list_audit_events(turned).await, &["page_token"]);
});

on_both!(events_are_found_by_their_caller, |server| {
    acme(server).await;
    let by = |caller: &str| proto::ListAuditEventsRequest { caller: text(caller), page_size: 4, ..list() };
    assert_eq!(revisions(server, by("operator")).await, [1, 2, 3, 4, 5, 6]);
    for nobody in ["service:backend", "key:k1", "person"] {
        assert_eq!(revisions(server, by(nobody)).await, [0; 0]);
    }
    Tables::at(&server.url)
        .await
        .execute("UPDATE change_log SET caller = 'service:backend' WHERE rev IN (2, 5)")
        .await;
    assert_eq!(revisions(server, by("service:backend")).await, [2, 5]);
    let token = server.operator().list_audit_events(by("operator")).await.unwrap().into_inner();
    assert_eq!(token.next_page_token, "");
    let first = proto::ListAuditEventsRequest { page_size: 1, ..by("operator") };
    let page_token = server.operator().list_audit_events(first).await.unwrap().into_inner().next_page_token;
    let other = proto::ListAuditEventsRequest { page_token, page_size: 1, ..by("service:backend") };
    invalid(server.operator().list_audit_events(other).await, &["page_token"]);
    for strange in ["operator ", "key:", "key:a b", "user:x", "OPERATOR"] {
        invalid(server.operator().list_audit_events(by(strange)).await, &["caller"]);
    }
});

on_both!(a_page_says_what_the_head_was, |server| {
    acme(server).await;
    let page = server.operator().list_audit_events(list()).await.unwrap().into_inner();
    assert_eq!((page.head_revision, &page.head_hash), (6, &page.events[5].hash));
    let nothing = proto::ListAuditEventsRequest { actor: text("nobody"), ..list() };
    let page = server.operator().list_audit_events(nothing).await.unwrap().into_inner();
    assert_eq!((page.head_revision, page.events.len()), (6, 0));
    let platform = proto::ListAuditEventsRequest::default();
    let page = server.operator().list_audit_events(platform).await.unwrap().into_inner();
    assert_eq!((page.head_revision, page.head_hash), (0, vec![0; 32]));
});

on_both!(a_page_of_large_events_is_cut_and_goes_on, |server| {
    acme(server).await;
    // Rows of 900 KB each, written past the store.
    let large = format!("[{{\"kind\":\"x\",\"id\":\"{}\"}}]", "y".repeat(900_000));
    let grow = format!("UPDATE change_log SET changes = '{large}' WHERE rev > 1");
    Tables::at(&server.url).await.execute(&grow).await;
    let page = server.operator().list_audit_events(list()).await.unwrap().into_inner();
    assert_eq!(page.events.iter().map(|event| event.revision).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(revisions(server, list()).await, [1, 2, 3, 4, 5, 6]);
    let newest = proto::ListAuditEventsRequest { newest_first: true, ..list() };
    assert_eq!(revisions(server, newest).await, [6, 5, 4, 3, 2, 1]);
});

on_both!(the_history_is_its_admins, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED");
    for actor in ["ben", "zeta-owner", "nobody"] {
        refused(server.acting(actor).list_audit_events(list()).await, denied.0, denied.1);
    }
    let mut owner = server.acting("acme-owner");
    assert_eq!(owner.list_audit_events(list()).await.unwrap().into_inner().events.len(), 6);
    let platform = proto::ListAuditEventsRequest::default();
    refused(owner.list_audit_events(platform.clone()).await, denied.0, denied.1);
    let document = text(doorward_engine::catalogue::SHIPPED) + "\n# another\n";
    let apply = proto::ApplyCatalogueRequest { document, ..Default::default() };
    server.operator().apply_catalogue(apply).await.unwrap();
    let found = events(server, platform).await;
    let last = found.last().unwrap();
    assert_eq!((last.tenant_id.as_str(), last.operation.as_str()), ("", "ApplyCatalogue"));
    let nowhere = proto::ListAuditEventsRequest { tenant_id: text("nowhere"), ..list() };
    refused(server.operator().list_audit_events(nowhere).await, Code::NotFound, "TENANT_NOT_FOUND");
});

on_both!(every_field_that_cannot_be_understood_is_named, |server| {
    acme(server).await;
    let strange = proto::ListAuditEventsRequest {
        tenant_id: text("@platform"),
        page_size: -1,
        page_token: text("x"),
        actor: text("a b"),
        operation: text("Fly"),
        member_id: text("\n"),
        from_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        to_time: Some(prost_types::Timestamp { seconds: i64::MIN, nanos: 0 }),
        from_revision: 0,
        caller: text("nobody"),
        newest_first: false,
    };
    let fields = [
        "tenant_id",
        "page_size",
        "page_token",
        "actor",
        "operation",
        "member_id",
        "from_time",
        "to_time",
        "caller",
    ];
    invalid(server.operator().list_audit_events(strange).await, &fields);
    let first = proto::ListAuditEventsRequest { page_size: 1, ..list() };
    let token =
        server.operator().list_audit_events(first.clone()).await.unwrap().into_inner().next_page_token;
    let other = proto::ListAuditEventsRequest { page_token: token, from_revision: 2, ..first };
    invalid(server.operator().list_audit_events(other).await, &["page_token"]);
});

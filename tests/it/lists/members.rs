//! Promises of the list of who has access: exactly the members whom the checks allow.

use doorward::proto;

use super::acme;
use crate::harness::{Server, invalid, on_both, resource};

pub(super) fn members(kind: &str, id: &str, action: &str) -> proto::ListMembersWithAccessRequest {
    proto::ListMembersWithAccessRequest {
        tenant_id: "acme".to_owned(),
        resource: Some(resource(kind, id)),
        action: action.to_owned(),
        ..Default::default()
    }
}

/// The member ids of every page.
pub(super) async fn member_pages(
    server: &Server,
    request: proto::ListMembersWithAccessRequest,
) -> Vec<Vec<String>> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::ListMembersWithAccessRequest { page_token, ..request.clone() };
        let answer = server.operator().list_members_with_access(request).await;
        let answer = answer.unwrap().into_inner();
        assert!(!answer.revision_token.is_empty());
        pages.push(answer.members.into_iter().map(|member| member.member_id).collect());
        if answer.next_page_token.is_empty() {
            return pages;
        }
        assert!(pages.len() < 100, "the pages have no end");
        page_token = answer.next_page_token;
    }
}

on_both!(the_members_with_access_are_those_whom_the_checks_allow, |server| {
    acme(server).await;
    server.member("acme", "eve", proto::Role::Admin).await;
    let everybody = ["acme-owner", "ben", "cy", "dan", "eve"].map(str::to_owned);
    for (kind, id, action, count) in [
        ("section", "traces", "view", 4),
        ("section", "logs", "view", 3),
        ("section", "analytics", "view", 2),
        ("section", "agentguard", "view", 0),
        ("section", "settings.profile", "view", 4),
        ("section", "settings.api_keys", "view", 2),
        ("section", "trases", "view", 0),
        ("agent", "a02", "chat", 3),
        ("agent", "a02", "history", 4),
        ("agent", "a03", "chat", 0),
        ("agent", "a04", "history", 2),
        ("agent", "a01", "history", 0),
        ("agent", "none", "view", 0),
    ] {
        let mut expected = Vec::new();
        for who in &everybody {
            if server.check("acme", who, action, kind, id).await.0 {
                expected.push(who.clone());
            }
        }
        assert_eq!(expected.len(), count, "{kind} {id} {action}");
        for page_size in [0, 1, 2] {
            let request = proto::ListMembersWithAccessRequest { page_size, ..members(kind, id, action) };
            let pages = member_pages(server, request).await;
            assert_eq!(pages.concat(), expected, "{kind} {id} {action}");
        }
    }
    let request = members("agent", "a02", "chat");
    let answer = server.operator().list_members_with_access(request).await.unwrap().into_inner();
    let ben = answer.members.iter().find(|member| member.member_id == "ben").unwrap();
    assert_eq!((ben.user_id.as_str(), ben.email.as_str()), ("ben", "ben@acme.example"));
    assert_eq!((ben.role(), ben.reason()), (proto::Role::User, proto::Reason::ResourceGranted));
});

on_both!(every_wrong_field_of_a_question_about_members_is_named, |server| {
    acme(server).await;
    let mut operator = server.operator();
    let empty = proto::ListMembersWithAccessRequest::default();
    let answer = operator.list_members_with_access(empty).await;
    invalid(answer, &["tenant_id", "resource", "action"]);
    for (kind, id, action, field) in [
        ("board", "b1", "view", "resource.type"),
        ("agent", "a 2", "view", "resource.id"),
        ("agent", "a02", "dance", "action"),
        ("section", "traces", "chat", "action"),
    ] {
        let request = members(kind, id, action);
        invalid(operator.list_members_with_access(request).await, &[field]);
    }
    let wrong = proto::ListMembersWithAccessRequest {
        page_token: "forged".to_owned(),
        context: Some(proto::Context { country: "D".to_owned(), email_domain: "-".to_owned() }),
        ..members("agent", "a02", "view")
    };
    let fields = ["context.country", "context.email_domain"];
    invalid(operator.list_members_with_access(wrong).await, &fields);
});

//! Promises of the two lists: exactly what the checks allow, page by page, to whom it may be told.

mod members;

use doorward::proto;
use doorward::proto::subject::Kind;
use tonic::Code;

use self::members::{member_pages, members};
use crate::harness::{NOW, Server, invalid, on_both, refused, resource, timestamp};

const USERS: [&str; 5] = ["acme-owner", "ben", "cy", "dan", "nobody"];

fn accessible(subject: Kind, kind: &str, action: &str) -> proto::ListAccessibleRequest {
    proto::ListAccessibleRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(proto::Subject { kind: Some(subject) }),
        r#type: kind.to_owned(),
        action: action.to_owned(),
        ..Default::default()
    }
}

fn user(id: &str) -> Kind {
    Kind::UserId(id.to_owned())
}

/// The ids of every page.
async fn pages(server: &Server, request: proto::ListAccessibleRequest) -> Vec<Vec<String>> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::ListAccessibleRequest { page_token, ..request.clone() };
        let answer = server.operator().list_accessible(request).await.unwrap().into_inner();
        assert!(!answer.revision_token.is_empty());
        pages.push(answer.items.into_iter().map(|item| item.id).collect());
        if answer.next_page_token.is_empty() {
            return pages;
        }
        assert!(pages.len() < 100, "the pages have no end");
        page_token = answer.next_page_token;
    }
}

fn agents() -> Vec<String> {
    (0..12).map(|n| format!("a{n:02}")).collect()
}

async fn grant(server: &Server, member: &str, ids: &[String], seconds: Option<i64>) {
    let change = |id: &String| proto::GrantChange {
        member_id: member.to_owned(),
        resource: Some(resource("agent", id)),
        granted: true,
        expires_at: seconds.map(|seconds| timestamp(NOW.plus_seconds(seconds))),
    };
    let request = proto::SetGrantsRequest {
        tenant_id: "acme".to_owned(),
        changes: ids.iter().map(change).collect(),
        ..Default::default()
    };
    server.operator().set_grants(request).await.unwrap();
}

/// `acme` with twelve agents, every third INACTIVE, one deleted; ben has grants on half of them, some expired; cy has
/// grants and no section `agents`; dan is DISABLED and has grants.
async fn acme(server: &Server) {
    server.tenant("acme").await;
    for name in ["ben", "cy", "dan"] {
        server.user("acme", name).await;
    }
    let agents = agents();
    for id in &agents {
        server.agent("acme", id).await;
    }
    let mut operator = server.operator();
    grant(server, "ben", &agents[..8], None).await;
    grant(server, "ben", &agents[4..6], Some(-5)).await;
    grant(server, "cy", &agents[..4], None).await;
    grant(server, "dan", &agents[..4], None).await;
    for id in agents.iter().step_by(3) {
        let request = proto::DeactivateResourceRequest {
            tenant_id: "acme".to_owned(),
            r#type: "agent".to_owned(),
            resource_id: id.clone(),
            ..Default::default()
        };
        operator.deactivate_resource(request).await.unwrap();
    }
    let request = proto::DeleteResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: agents[1].clone(),
        ..Default::default()
    };
    operator.delete_resource(request).await.unwrap();
    let request = proto::SetSectionAccessRequest {
        tenant_id: "acme".to_owned(),
        member_id: "cy".to_owned(),
        sections: [("agents".to_owned(), false), ("logs".to_owned(), false)].into(),
        ..Default::default()
    };
    operator.set_section_access(request).await.unwrap();
    let request = proto::DisableMemberRequest {
        tenant_id: "acme".to_owned(),
        member_id: "dan".to_owned(),
        ..Default::default()
    };
    operator.disable_member(request).await.unwrap();
}

async fn sections(server: &Server) -> Vec<String> {
    let request = proto::GetCatalogueRequest {};
    let answer = server.operator().get_catalogue(request).await.unwrap().into_inner();
    answer.catalogue.unwrap().sections.into_iter().map(|section| section.section).collect()
}

/// Those of the ids that a check allows, in their order.
async fn allowed(server: &Server, who: &str, action: &str, kind: &str, ids: &[String]) -> Vec<String> {
    let mut allowed = Vec::new();
    for id in ids {
        if server.check("acme", who, action, kind, id).await.0 {
            allowed.push(id.clone());
        }
    }
    allowed
}

on_both!(a_list_of_sections_is_what_the_checks_allow_in_the_order_of_the_sidebar, |server| {
    acme(server).await;
    let sections = sections(server).await;
    let all_users = async |expected: [usize; 5]| {
        for (who, count) in USERS.into_iter().zip(expected) {
            let expected = allowed(server, who, "view", "section", &sections).await;
            assert_eq!(expected.len(), count, "{who}");
            let listed = pages(server, accessible(user(who), "section", "view")).await;
            assert_eq!((listed.len(), &listed.concat()), (1, &expected), "{who}");
            for page_size in [1, 4] {
                let request =
                    proto::ListAccessibleRequest { page_size, ..accessible(user(who), "section", "view") };
                let pages = pages(server, request).await;
                assert_eq!(pages.concat(), expected, "{who}");
                assert!(pages.len() <= expected.len().max(1), "{who}: no page too many");
            }
        }
    };
    all_users([16, 13, 11, 0, 0]).await;
    let expired = proto::SetSubscriptionRequest {
        tenant_id: "acme".to_owned(),
        state: proto::SubscriptionState::Expired.into(),
        ..Default::default()
    };
    server.operator().set_subscription(expired).await.unwrap();
    all_users([4, 4, 4, 0, 0]).await;
});

on_both!(an_item_says_its_name_why_and_until_when, |server| {
    acme(server).await;
    grant(server, "ben", &agents()[2..3], Some(60)).await;
    let request = accessible(user("ben"), "agent", "history");
    let answer = server.operator().list_accessible(request).await.unwrap().into_inner();
    let item = answer.items.iter().find(|item| item.id == "a02").unwrap();
    assert_eq!((item.name.as_str(), item.reason()), ("a02", proto::Reason::ResourceGranted));
    assert_eq!(item.valid_until, Some(timestamp(NOW.plus_seconds(60))));
    let request = accessible(user("cy"), "section", "view");
    let answer = server.operator().list_accessible(request).await.unwrap().into_inner();
    let item = answer.items.iter().find(|item| item.id == "mcp_debug").unwrap();
    assert_eq!((item.name.as_str(), item.reason()), ("MCP Debug", proto::Reason::SectionGranted));
});

on_both!(a_list_of_resources_is_what_the_checks_allow_in_the_order_of_their_ids, |server| {
    acme(server).await;
    let agents = agents();
    for (action, counts) in [
        ("view", [11, 5, 0, 0, 0]),
        ("chat", [7, 2, 0, 0, 0]),
        ("history", [11, 5, 3, 0, 0]),
        ("manage", [11, 0, 0, 0, 0]),
    ] {
        for (who, count) in USERS.into_iter().zip(counts) {
            let expected = allowed(server, who, action, "agent", &agents).await;
            assert_eq!(expected.len(), count, "{who} {action}");
            for page_size in [0, 1, 3] {
                let request =
                    proto::ListAccessibleRequest { page_size, ..accessible(user(who), "agent", action) };
                let pages = pages(server, request).await;
                assert_eq!(pages.concat(), expected, "{who} {action}");
                let full = usize::try_from(page_size).unwrap();
                let whole = pages.iter().rev().skip(1).all(|page| page.len() == full);
                assert!(whole, "{who} {action}: a page before the last is full");
            }
        }
    }
});

on_both!(an_api_key_is_listed_what_its_scopes_name, |server| {
    acme(server).await;
    let scope = |action: &str, ids: &[&str]| proto::ApiKeyScope {
        scope: Some(proto::api_key_scope::Scope::Resource(proto::ResourceScope {
            r#type: "agent".to_owned(),
            action: action.to_owned(),
            resource_ids: ids.iter().map(|&id| id.to_owned()).collect(),
        })),
    };
    let request = proto::CreateApiKeyRequest {
        tenant_id: "acme".to_owned(),
        name: "key".to_owned(),
        key_id: "k1".to_owned(),
        scopes: vec![
            scope("view", &["a02", "a05", "a01"]),
            scope("chat", &[]),
            proto::ApiKeyScope { scope: Some(proto::api_key_scope::Scope::Section("logs".to_owned())) },
        ],
        ..Default::default()
    };
    let secret = server.operator().create_api_key(request).await.unwrap().into_inner().secret;
    let keys = [Kind::ApiKeyId("k1".to_owned()), Kind::ApiKey(secret.clone())];
    for key in keys {
        let listed = async |kind: &str, action: &str| {
            pages(server, accessible(key.clone(), kind, action)).await.concat()
        };
        assert_eq!(listed("agent", "view").await, ["a02", "a05"]);
        assert_eq!(listed("agent", "chat").await.len(), 7);
        assert!(listed("agent", "manage").await.is_empty());
        assert_eq!(listed("section", "view").await, ["logs"]);
    }
    let digit = if secret.contains("_0") { "_1" } else { "_0" };
    let (id, rest) = secret.rsplit_once('_').unwrap();
    let wrong = Kind::ApiKey(format!("{id}{digit}{}", &rest[1..]));
    let answer = server.operator().list_accessible(accessible(wrong, "agent", "chat")).await;
    assert!(answer.map_or(true, |answer| answer.into_inner().items.is_empty()));
});

on_both!(whoever_has_nothing_gets_an_empty_list, |server| {
    acme(server).await;
    let empty = async |request: proto::ListAccessibleRequest| {
        assert_eq!(pages(server, request).await, [Vec::<String>::new()]);
    };
    for subject in
        [user("stranger"), user("dan"), Kind::MemberId("none".to_owned()), Kind::ApiKeyId("none".to_owned())]
    {
        empty(accessible(subject.clone(), "section", "view")).await;
        empty(accessible(subject, "agent", "history")).await;
    }
    let elsewhere = |kind: &str| proto::ListAccessibleRequest {
        tenant_id: "nowhere".to_owned(),
        ..accessible(user("ben"), kind, "view")
    };
    empty(elsewhere("section")).await;
    empty(elsewhere("agent")).await;
    let suspend = proto::SuspendTenantRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    server.operator().suspend_tenant(suspend).await.unwrap();
    empty(accessible(user("acme-owner"), "section", "view")).await;
    empty(accessible(user("acme-owner"), "agent", "chat")).await;
    assert_eq!(member_pages(server, members("agent", "a02", "chat")).await, [Vec::<String>::new()]);
});

on_both!(a_list_is_of_what_is_so_where_the_subject_is, |server| {
    acme(server).await;
    let switch = proto::SetFeatureSwitchRequest {
        tenant_id: "acme".to_owned(),
        switch: "agentguard".to_owned(),
        enabled: true,
        ..Default::default()
    };
    server.operator().set_feature_switch(switch).await.unwrap();
    let countries = vec!["US".to_owned()];
    let rule = proto::CountryRule { mode: proto::FirewallMode::BlockList.into(), countries, on_missing: 0 };
    let rule = proto::SetFirewallRuleRequest {
        tenant_id: "acme".to_owned(),
        rule: Some(proto::set_firewall_rule_request::Rule::Country(rule)),
        ..Default::default()
    };
    server.operator().set_firewall_rule(rule).await.unwrap();
    for (country, agents, with_access) in [("US", 0, 0), ("DE", 7, 2), ("", 7, 2)] {
        let context = Some(proto::Context { country: country.to_owned(), email_domain: String::new() });
        let request = proto::ListAccessibleRequest {
            context: context.clone(),
            ..accessible(user("acme-owner"), "agent", "chat")
        };
        assert_eq!(pages(server, request).await.concat().len(), agents, "{country}");
        let request = proto::ListMembersWithAccessRequest { context, ..members("agent", "a02", "chat") };
        assert_eq!(member_pages(server, request).await.concat().len(), with_access, "{country}");
    }
});

on_both!(everybody_lists_their_own_and_only_admins_list_others, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    let mut ben = server.acting("ben");
    for own in [user("ben"), Kind::MemberId("ben".to_owned())] {
        ben.list_accessible(accessible(own, "section", "view")).await.unwrap();
    }
    let mut admin = server.acting("acme-owner");
    for subject in [user("ben"), user("stranger"), Kind::ApiKeyId("none".to_owned())] {
        admin.list_accessible(accessible(subject, "agent", "view")).await.unwrap();
    }
    admin.list_members_with_access(members("section", "traces", "view")).await.unwrap();
    let (code, reason) = (Code::PermissionDenied, "PERMISSION_DENIED");
    for (actor, subject) in [
        ("ben", user("cy")),
        ("ben", user("stranger")),
        ("ben", Kind::ApiKeyId("none".to_owned())),
        ("dan", user("dan")),
        ("zeta-owner", user("ben")),
        ("zeta-owner", user("zeta-owner")),
    ] {
        let request = accessible(subject, "section", "view");
        refused(server.acting(actor).list_accessible(request).await, code, reason);
    }
    for actor in ["ben", "zeta-owner", "nobody"] {
        let request = members("section", "traces", "view");
        refused(server.acting(actor).list_members_with_access(request).await, code, reason);
    }
    let elsewhere = proto::ListMembersWithAccessRequest {
        tenant_id: "nowhere".to_owned(),
        ..members("section", "traces", "view")
    };
    let answer = server.operator().list_members_with_access(elsewhere).await;
    refused(answer, Code::NotFound, "TENANT_NOT_FOUND");
});

on_both!(every_wrong_field_of_a_list_is_named, |server| {
    acme(server).await;
    let mut operator = server.operator();
    let empty = proto::ListAccessibleRequest::default();
    invalid(operator.list_accessible(empty).await, &["tenant_id", "subject", "type", "action"]);
    for (kind, action, field) in [
        ("board", "view", "type"),
        ("agent", "dance", "action"),
        ("section", "chat", "action"),
        ("Agent!", "view", "type"),
    ] {
        // Whoever asks, and whether or not there is anything to list.
        for who in ["ben", "stranger"] {
            let request = accessible(user(who), kind, action);
            invalid(operator.list_accessible(request).await, &[field]);
        }
    }
    let request = proto::ListAccessibleRequest { page_size: 1, ..accessible(user("ben"), "section", "view") };
    let token = operator.list_accessible(request.clone()).await.unwrap().into_inner().next_page_token;
    for (subject, kind) in [(user("cy"), "section"), (user("ben"), "agent")] {
        let request = proto::ListAccessibleRequest {
            page_size: 1,
            page_token: token.clone(),
            ..accessible(subject, kind, "view")
        };
        invalid(operator.list_accessible(request).await, &["page_token"]);
    }
    let wrong = proto::ListAccessibleRequest { page_size: -1, page_token: "x".to_owned(), ..request };
    invalid(operator.list_accessible(wrong).await, &["page_size", "page_token"]);
});

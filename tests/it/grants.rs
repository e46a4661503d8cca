//! Promises of the grant RPCs: all or none, exact to the instant, dormant where they do not count, and copied whole.

use doorward::proto;
use doorward_engine::instant::Instant;
use tonic::Code;

use crate::harness::{NOW, Server, invalid, on_both, refused, request_id, resource, timestamp};

fn change(member: &str, id: &str, granted: bool) -> proto::GrantChange {
    proto::GrantChange {
        member_id: member.to_owned(),
        resource: Some(resource("agent", id)),
        granted,
        expires_at: None,
    }
}

fn until(member: &str, id: &str, seconds: i64) -> proto::GrantChange {
    let end = NOW.plus_seconds(seconds);
    proto::GrantChange { expires_at: Some(timestamp(end)), ..change(member, id, true) }
}

fn setting(changes: Vec<proto::GrantChange>) -> proto::SetGrantsRequest {
    proto::SetGrantsRequest { tenant_id: "acme".to_owned(), changes, ..Default::default() }
}

fn copying(from: &str, to: &str) -> proto::CopyAccessRequest {
    proto::CopyAccessRequest {
        tenant_id: "acme".to_owned(),
        from_member_id: from.to_owned(),
        to_member_id: to.to_owned(),
        ..Default::default()
    }
}

/// Sets grants as the tenant's admin; answers how many changes altered something, and the revision.
async fn set(server: &Server, changes: Vec<proto::GrantChange>) -> (u32, u64) {
    let answer = server.acting("acme-owner").set_grants(setting(changes)).await;
    let answer = answer.unwrap().into_inner();
    (answer.changed_count, answer.revision)
}

/// `acme` with the USERs ben and cy, the invited pia, and the agents a1, a2 and a3.
async fn acme(server: &Server) {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    server.user("acme", "cy").await;
    let invite = proto::InviteMemberRequest {
        tenant_id: "acme".to_owned(),
        email: "pia@acme.example".to_owned(),
        role: proto::Role::User.into(),
        member_id: "pia".to_owned(),
        ..Default::default()
    };
    server.operator().invite_member(invite).await.unwrap();
    for id in ["a1", "a2", "a3"] {
        server.agent("acme", id).await;
    }
}

async fn chat(server: &Server, user: &str, id: &str) -> String {
    server.check("acme", user, "chat", "agent", id).await.1
}

async fn revision(server: &Server) -> u64 {
    let request = proto::GetTenantRequest { tenant_id: "acme".to_owned() };
    server.operator().get_tenant(request).await.unwrap().into_inner().tenant_revision
}

async fn found(server: &Server, member: &str) -> proto::Member {
    let request = proto::GetMemberRequest { tenant_id: "acme".to_owned(), member_id: member.to_owned() };
    server.operator().get_member(request).await.unwrap().into_inner().member.unwrap()
}

on_both!(a_grant_opens_and_its_removal_closes_at_once, |server| {
    acme(server).await;
    let request = setting(vec![change("ben", "a1", true), change("cy", "a1", false)]);
    let answer = server.acting("acme-owner").set_grants(request).await.unwrap().into_inner();
    assert_eq!((answer.changed_count, answer.grants.len()), (1, 1));
    let grant = &answer.grants[0];
    assert_eq!((grant.member_id.as_str(), grant.revision), ("ben", answer.revision));
    assert_eq!(grant.resource, Some(resource("agent", "a1")));
    assert_eq!(chat(server, "ben", "a1").await, "RESOURCE_GRANTED");
    assert_eq!(chat(server, "cy", "a1").await, "NOT_GRANTED");
    set(server, vec![change("ben", "a1", false)]).await;
    assert_eq!(chat(server, "ben", "a1").await, "NOT_GRANTED");
});

on_both!(a_grant_ends_at_its_instant, |server| {
    acme(server).await;
    set(server, vec![until("ben", "a1", 60), until("ben", "a2", -60)]).await;
    assert_eq!(chat(server, "ben", "a2").await, "NOT_GRANTED");
    let end = NOW.plus_seconds(60);
    server.clock.set(Instant::from_micros(end.micros() - 1_000));
    assert_eq!(chat(server, "ben", "a1").await, "RESOURCE_GRANTED");
    server.clock.set(end);
    assert_eq!(chat(server, "ben", "a1").await, "NOT_GRANTED");
    let before = revision(server).await;
    assert_eq!(set(server, vec![change("ben", "a1", false)]).await, (0, before), "an expired one is absent");
    assert_eq!(set(server, vec![change("ben", "a1", true)]).await, (1, before + 1));
    assert_eq!(chat(server, "ben", "a1").await, "RESOURCE_GRANTED");
});

on_both!(grants_are_all_set_or_none, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    server.user("zeta", "zoe").await;
    server.agent("zeta", "z1").await;
    let before = revision(server).await;
    let mut admin = server.acting("acme-owner");
    for (bad, reason, field) in [
        (change("nobody", "a1", true), "MEMBER_NOT_FOUND", "changes[1].member_id"),
        (change("zoe", "a1", false), "MEMBER_NOT_FOUND", "changes[1].member_id"),
        (change("ben", "none", true), "RESOURCE_NOT_FOUND", "changes[1].resource"),
        (change("ben", "z1", false), "RESOURCE_NOT_FOUND", "changes[1].resource"),
    ] {
        let request = setting(vec![change("ben", "a1", true), bad]);
        let text = refused(admin.set_grants(request).await, Code::NotFound, reason);
        assert!(text.contains(field), "{text}");
    }
    let gone = proto::DeleteResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: "a3".to_owned(),
        ..Default::default()
    };
    admin.delete_resource(gone).await.unwrap();
    let request = setting(vec![change("ben", "a3", false)]);
    refused(admin.set_grants(request).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    assert_eq!(chat(server, "ben", "a1").await, "NOT_GRANTED");
    assert_eq!(revision(server).await, before + 1, "only the deletion");
});

on_both!(every_wrong_change_of_a_grant_is_named, |server| {
    acme(server).await;
    let mut admin = server.acting("acme-owner");
    invalid(admin.set_grants(setting(vec![])).await, &["changes"]);
    let many = (0..1001).map(|n| change("ben", &format!("a{n}"), true)).collect();
    invalid(admin.set_grants(setting(many)).await, &["changes"]);
    let wrong = vec![
        change("", "a b", true),
        proto::GrantChange { resource: None, ..change("ben", "a1", true) },
        proto::GrantChange { granted: false, ..until("ben", "a1", 5) },
        proto::GrantChange { resource: Some(resource("Agent", "a1")), ..change("ben", "a1", true) },
    ];
    let fields = [
        "changes[0].member_id",
        "changes[0].resource.id",
        "changes[1].resource",
        "changes[2].expires_at",
        "changes[3].resource.type",
    ];
    invalid(admin.set_grants(setting(wrong)).await, &fields);
    let twice = vec![change("ben", "a1", true), change("cy", "a1", true), change("ben", "a1", false)];
    invalid(admin.set_grants(setting(twice)).await, &["changes[2]"]);
    let of_type =
        |kind| proto::GrantChange { resource: Some(resource(kind, "traces")), ..change("ben", "a1", true) };
    let unknown = vec![of_type("section"), change("ben", "a1", true), of_type("board")];
    let fields = ["changes[0].resource.type", "changes[2].resource.type"];
    invalid(admin.set_grants(setting(unknown)).await, &fields);
    let whole = (0..1000).map(|n| change("ben", &format!("b{n}"), true)).collect();
    refused(admin.set_grants(setting(whole)).await, Code::NotFound, "RESOURCE_NOT_FOUND");
});

on_both!(grants_wait_where_they_do_not_count_yet, |server| {
    acme(server).await;
    let role = |role: proto::Role| proto::ChangeMemberRoleRequest {
        tenant_id: "acme".to_owned(),
        member_id: "cy".to_owned(),
        role: role.into(),
        ..Default::default()
    };
    let mut admin = server.acting("acme-owner");
    admin.change_member_role(role(proto::Role::Admin)).await.unwrap();
    let disable = proto::DisableMemberRequest {
        tenant_id: "acme".to_owned(),
        member_id: "ben".to_owned(),
        ..Default::default()
    };
    admin.disable_member(disable).await.unwrap();
    let changes = ["ben", "cy", "pia"].map(|member| change(member, "a1", true)).to_vec();
    assert_eq!(set(server, changes).await.0, 3);
    assert_eq!(chat(server, "ben", "a1").await, "MEMBER_DISABLED");
    assert_eq!(chat(server, "cy", "a1").await, "ROLE_ADMIN");
    let activate = proto::ActivateMemberRequest {
        tenant_id: "acme".to_owned(),
        member_id: "pia".to_owned(),
        user_id: "pia".to_owned(),
        ..Default::default()
    };
    admin.activate_member(activate).await.unwrap();
    let enable = proto::EnableMemberRequest {
        tenant_id: "acme".to_owned(),
        member_id: "ben".to_owned(),
        ..Default::default()
    };
    admin.enable_member(enable).await.unwrap();
    admin.change_member_role(role(proto::Role::User)).await.unwrap();
    for user in ["ben", "cy", "pia"] {
        assert_eq!(chat(server, user, "a1").await, "RESOURCE_GRANTED", "{user}");
        assert_eq!(chat(server, user, "a2").await, "NOT_GRANTED", "{user}");
    }
});

on_both!(granting_grows_and_revoking_does_not, |server| {
    acme(server).await;
    set(server, vec![change("ben", "a1", true)]).await;
    let expired = proto::SetSubscriptionRequest {
        tenant_id: "acme".to_owned(),
        state: proto::SubscriptionState::Expired.into(),
        ..Default::default()
    };
    server.operator().set_subscription(expired).await.unwrap();
    let mut admin = server.acting("acme-owner");
    let (code, reason) = (Code::FailedPrecondition, "SUBSCRIPTION_LAPSED");
    let both = setting(vec![change("ben", "a1", false), change("ben", "a2", true)]);
    refused(admin.set_grants(both).await, code, reason);
    refused(admin.copy_access(copying("ben", "cy")).await, code, reason);
    assert_eq!(set(server, vec![change("ben", "a1", false)]).await.0, 1);
});

on_both!(equal_grants_make_no_revision_and_a_stale_tenant_is_refused, |server| {
    acme(server).await;
    let before = revision(server).await;
    let changes = || vec![until("ben", "a1", 60), change("ben", "a2", true), change("cy", "a1", false)];
    assert_eq!(set(server, changes()).await, (2, before + 1));
    assert_eq!(set(server, changes()).await, (0, before + 1));
    assert_eq!(set(server, vec![change("ben", "a1", true)]).await, (1, before + 2), "another end");
    let mut admin = server.acting("acme-owner");
    let with = |expected_revision| proto::SetGrantsRequest {
        expected_revision,
        ..setting(vec![change("ben", "a3", true)])
    };
    let answer = admin.set_grants(with(before + 1)).await;
    refused(answer, Code::Aborted, "REVISION_MISMATCH");
    let dry = proto::SetGrantsRequest { validate_only: true, ..with(before + 2) };
    let answer = admin.set_grants(dry).await.unwrap().into_inner();
    assert_eq!((answer.changed_count, answer.revision), (1, before + 2));
    assert_eq!(chat(server, "ben", "a3").await, "NOT_GRANTED");
    let once = proto::SetGrantsRequest { request_id: request_id(), ..with(before + 2) };
    let first = admin.set_grants(once.clone()).await.unwrap().into_inner();
    set(server, vec![change("ben", "a3", false)]).await;
    let second = admin.set_grants(once).await.unwrap().into_inner();
    assert_eq!((second.replayed, second.revision), (true, first.revision));
    assert_eq!(second.grants, first.grants);
    assert_eq!(chat(server, "ben", "a3").await, "NOT_GRANTED");
});

fn matrix() -> proto::GetAccessMatrixRequest {
    proto::GetAccessMatrixRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        ..Default::default()
    }
}

/// The pages of the matrix, each a list of members with the ids that are on.
async fn pages(server: &Server, request: proto::GetAccessMatrixRequest) -> Vec<Vec<String>> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::GetAccessMatrixRequest { page_token, ..request.clone() };
        let answer = server.acting("acme-owner").get_access_matrix(request).await;
        let answer = answer.unwrap().into_inner();
        let row = |row: proto::AccessMatrixRow| {
            let ids: Vec<_> = row.granted.into_iter().map(|cell| cell.resource_id).collect();
            let star = if row.always_on { "*" } else { "" };
            format!("{}{star} {}", row.member.unwrap().member_id, ids.join(","))
        };
        pages.push(answer.rows.into_iter().map(row).collect());
        if answer.next_page_token.is_empty() {
            return pages;
        }
        assert!(pages.len() < 100, "the pages have no end");
        page_token = answer.next_page_token;
    }
}

on_both!(the_matrix_shows_the_grants_in_force_member_by_member, |server| {
    acme(server).await;
    let changes = vec![
        change("ben", "a2", true),
        until("ben", "a1", 60),
        until("cy", "a1", -60),
        change("acme-owner", "a3", true),
        change("pia", "a2", true),
    ];
    set(server, changes).await;
    let all = ["acme-owner* a3", "ben a1,a2", "cy ", "pia a2"];
    assert_eq!(pages(server, matrix()).await, [all]);
    let small = proto::GetAccessMatrixRequest { page_size: 2, ..matrix() };
    assert_eq!(pages(server, small).await, [&all[..2], &all[2..]]);
    let some = |ids: &[&str]| proto::GetAccessMatrixRequest {
        resource_ids: ids.iter().map(|&id| id.to_owned()).collect(),
        ..matrix()
    };
    let columns = ["acme-owner* ", "ben a2", "cy ", "pia a2"];
    assert_eq!(pages(server, some(&["a2", "none"])).await, [columns]);
    server.clock.set(NOW.plus_seconds(60));
    assert_eq!(pages(server, some(&["a1"])).await, [["acme-owner* ", "ben ", "cy ", "pia "]]);
    let mut admin = server.acting("acme-owner");
    let board = proto::GetAccessMatrixRequest { r#type: "board".to_owned(), ..matrix() };
    invalid(admin.get_access_matrix(board).await, &["type"]);
    let wrong = some(&["a1", "a b", "a1"]);
    invalid(admin.get_access_matrix(wrong).await, &["resource_ids[1]", "resource_ids[2]"]);
    let many: Vec<_> = (0..1001).map(|n| format!("a{n}")).collect();
    let many = proto::GetAccessMatrixRequest { resource_ids: many, ..matrix() };
    invalid(admin.get_access_matrix(many).await, &["resource_ids"]);
});

on_both!(copying_leaves_exactly_the_access_of_the_other, |server| {
    acme(server).await;
    let sections = |member: &str, sections: &[(&str, bool)]| proto::SetSectionAccessRequest {
        tenant_id: "acme".to_owned(),
        member_id: member.to_owned(),
        sections: sections.iter().map(|&(section, on)| (section.to_owned(), on)).collect(),
        ..Default::default()
    };
    let mut admin = server.acting("acme-owner");
    admin.set_section_access(sections("ben", &[("logs", false)])).await.unwrap();
    admin.set_section_access(sections("cy", &[("eval", false)])).await.unwrap();
    set(
        server,
        vec![
            change("ben", "a1", true),
            until("ben", "a2", -5),
            until("ben", "a3", 60),
            change("cy", "a2", true),
            change("cy", "a3", true),
        ],
    )
    .await;
    let before = revision(server).await;
    let answer = admin.copy_access(copying("ben", "cy")).await.unwrap().into_inner();
    assert_eq!((answer.grant_count, answer.revision), (2, before + 1));
    let (member, ben) = (answer.member.unwrap(), found(server, "ben").await);
    assert_eq!(member, found(server, "cy").await);
    assert_eq!((member.revision, &member.sections), (before + 1, &ben.sections));
    assert_eq!(server.section("acme", "cy", "logs").await, "SECTION_DISABLED");
    assert_eq!(server.section("acme", "cy", "eval").await, "SECTION_GRANTED");
    for (id, reason) in [("a1", "RESOURCE_GRANTED"), ("a2", "NOT_GRANTED"), ("a3", "RESOURCE_GRANTED")] {
        assert_eq!(chat(server, "cy", id).await, reason, "{id}");
    }
    let again = admin.copy_access(copying("ben", "cy")).await.unwrap().into_inner();
    assert_eq!((again.revision, again.member), (before + 1, Some(member)));
    server.clock.set(NOW.plus_seconds(60));
    assert_eq!(chat(server, "cy", "a3").await, "NOT_GRANTED", "with its end");
});

on_both!(copying_compares_the_member_who_gets_the_access, |server| {
    acme(server).await;
    let mut admin = server.acting("acme-owner");
    let stale = found(server, "cy").await.revision;
    set(server, vec![change("cy", "a1", true), change("ben", "a2", true)]).await;
    let with = |expected_revision| proto::CopyAccessRequest { expected_revision, ..copying("ben", "cy") };
    let answer = admin.copy_access(with(stale)).await;
    refused(answer, Code::Aborted, "REVISION_MISMATCH");
    let now = found(server, "cy").await.revision;
    assert!(now > stale, "a grant that changes counts as a change of its member");
    admin.copy_access(with(now)).await.unwrap();
    invalid(admin.copy_access(copying("ben", "ben")).await, &["to_member_id"]);
    invalid(admin.copy_access(copying("", "a b")).await, &["from_member_id", "to_member_id"]);
    for (from, to) in [("nobody", "ben"), ("ben", "nobody")] {
        let answer = admin.copy_access(copying(from, to)).await;
        refused(answer, Code::NotFound, "MEMBER_NOT_FOUND");
    }
});

on_both!(grants_are_an_admins, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    let before = revision(server).await;
    let (code, reason) = (Code::PermissionDenied, "PERMISSION_DENIED");
    for actor in ["ben", "zeta-owner", "nobody"] {
        let mut client = server.acting(actor);
        let request = setting(vec![change("ben", "a1", true)]);
        refused(client.set_grants(request).await, code, reason);
        refused(client.copy_access(copying("cy", "ben")).await, code, reason);
        refused(client.get_access_matrix(matrix()).await, code, reason);
    }
    assert_eq!(revision(server).await, before);
});

//! Promises of every member mutation: what makes no revision, what is compared, what is repeated, what is refused.

use super::*;

on_both!(what_is_so_already_makes_no_revision, |server| {
    acme(server).await;
    let mut operator = server.operator();
    operator.update_member(rename("ben", "Ben")).await.unwrap();
    let before = tenant_revision(server).await;
    let answer = operator.change_member_role(role("ben", Role::User)).await.unwrap().into_inner();
    assert_eq!(answer.revision, before);
    operator.enable_member(enable("ben")).await.unwrap();
    operator.update_member(rename("ben", "Ben")).await.unwrap();
    assert_eq!(tenant_revision(server).await, before);

    let first = operator.disable_member(disable("ben")).await.unwrap().into_inner();
    let second = operator.disable_member(disable("ben")).await.unwrap().into_inner();
    assert_eq!((first.revision, second.revision), (before + 1, before + 1));
    assert_eq!(first.member, second.member);
    let first = operator.delete_member(delete("ben")).await.unwrap().into_inner();
    let second = operator.delete_member(delete("ben")).await.unwrap().into_inner();
    assert_eq!((first.revision, second.revision), (before + 2, before + 2));
    assert_eq!(first.member, second.member);
});

on_both!(a_trial_run_tells_the_effect_and_writes_nothing, |server| {
    acme(server).await;
    let before = (stored(server, "ben").await, tenant_revision(server).await);
    let request = proto::ChangeMemberRoleRequest { validate_only: true, ..role("ben", Role::Admin) };
    let answer = server.operator().change_member_role(request).await.unwrap().into_inner();
    assert_eq!(
        (answer.member.unwrap().role(), answer.enforced, answer.revision),
        (Role::Admin, false, before.1)
    );
    let request = proto::DeleteMemberRequest { validate_only: true, ..delete("ben") };
    server.operator().delete_member(request).await.unwrap();
    assert_eq!((stored(server, "ben").await, tenant_revision(server).await), before);
    let request = proto::DisableMemberRequest { validate_only: true, ..disable("acme-owner") };
    refused(server.operator().disable_member(request).await, Code::FailedPrecondition, "LAST_ADMIN");
});

on_both!(a_stale_revision_changes_nothing, |server| {
    acme(server).await;
    let read = stored(server, "ben").await.revision;
    server.user("acme", "cy").await;
    // The tenant has moved on, the member has not.
    let rename = |expected_revision| proto::UpdateMemberRequest { expected_revision, ..rename("ben", "Ben") };
    server.operator().update_member(rename(read)).await.unwrap();
    let now = stored(server, "ben").await.revision;
    let stale = (Code::Aborted, "REVISION_MISMATCH");
    let mut operator = server.operator();
    let text = refused(operator.update_member(rename(read)).await, stale.0, stale.1);
    assert!(text.contains(&now.to_string()), "{text}");
    let request = proto::ChangeMemberRoleRequest { expected_revision: read, ..role("ben", Role::Admin) };
    refused(operator.change_member_role(request).await, stale.0, stale.1);
    let request = proto::DisableMemberRequest { expected_revision: read, ..disable("ben") };
    refused(operator.disable_member(request).await, stale.0, stale.1);
    let request = proto::EnableMemberRequest { expected_revision: read, ..enable("ben") };
    refused(operator.enable_member(request).await, stale.0, stale.1);
    let request = proto::DeleteMemberRequest { expected_revision: read, ..delete("ben") };
    refused(operator.delete_member(request).await, stale.0, stale.1);
    assert_eq!(stored(server, "ben").await.revision, now);
});

on_both!(a_repeated_request_is_applied_once, |server| {
    acme(server).await;
    let request = proto::DisableMemberRequest { request_id: request_id(), ..disable("ben") };
    let first = server.operator().disable_member(request.clone()).await.unwrap().into_inner();
    server.operator().enable_member(enable("ben")).await.unwrap();
    let second = server.operator().disable_member(request.clone()).await.unwrap().into_inner();
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!((&first.member, first.revision), (&second.member, second.revision));
    assert_eq!(stored(server, "ben").await.status(), proto::MemberStatus::Active);
    let another = proto::DisableMemberRequest { revoke_keys: true, ..request };
    refused(server.operator().disable_member(another).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
});

on_both!(a_repeated_request_is_answered_to_its_caller_alone, |server| {
    acme(server).await;
    let request = proto::DisableMemberRequest { request_id: request_id(), ..disable("ben") };
    server.user("acme", "cy").await;
    server.acting("acme-owner").disable_member(request.clone()).await.unwrap();
    for actor in ["cy", "ben", "nobody"] {
        let repeated = server.acting(actor).disable_member(request.clone()).await;
        refused(repeated, Code::PermissionDenied, "PERMISSION_DENIED");
    }
    // Another caller's id is another id, whatever it says.
    assert!(!server.operator().disable_member(request.clone()).await.unwrap().into_inner().replayed);
    assert!(server.acting("acme-owner").disable_member(request).await.unwrap().into_inner().replayed);
});

on_both!(a_lapsed_tenant_shrinks_and_does_not_grow, |server| {
    acme(server).await;
    server.user("acme", "dan").await;
    server.operator().disable_member(disable("dan")).await.unwrap();
    let expire = proto::SetSubscriptionRequest {
        tenant_id: text("acme"),
        state: proto::SubscriptionState::Expired.into(),
        ..Default::default()
    };
    server.operator().set_subscription(expire).await.unwrap();
    let lapsed = (Code::FailedPrecondition, "SUBSCRIPTION_LAPSED");
    let mut owner = server.acting("acme-owner");
    refused(owner.change_member_role(role("ben", Role::Admin)).await, lapsed.0, lapsed.1);
    refused(owner.enable_member(enable("dan")).await, lapsed.0, lapsed.1);
    // What reduces stays open, and so does what changes nothing.
    owner.enable_member(enable("ben")).await.unwrap();
    owner.update_member(rename("ben", "Ben")).await.unwrap();
    owner.disable_member(disable("ben")).await.unwrap();
    owner.delete_member(delete("dan")).await.unwrap();
});

on_both!(in_a_suspended_tenant_only_the_operator_writes, |server| {
    acme(server).await;
    let suspend = proto::SuspendTenantRequest { tenant_id: text("acme"), ..Default::default() };
    server.operator().suspend_tenant(suspend).await.unwrap();
    let suspended = (Code::FailedPrecondition, "TENANT_SUSPENDED");
    refused(server.acting("acme-owner").disable_member(disable("ben")).await, suspended.0, suspended.1);
    refused(server.acting("ben").update_member(rename("ben", "B")).await, suspended.0, suspended.1);
    assert!(server.acting("acme-owner").list_members(list()).await.is_ok());
    server.operator().disable_member(disable("ben")).await.unwrap();
});

on_both!(every_field_that_cannot_be_understood_is_named, |server| {
    acme(server).await;
    let mut client = server.operator();
    let id = ["tenant_id", "member_id"];
    invalid(client.get_member(proto::GetMemberRequest::default()).await, &id);
    invalid(client.disable_member(proto::DisableMemberRequest::default()).await, &id);
    invalid(client.enable_member(proto::EnableMemberRequest::default()).await, &id);
    invalid(client.delete_member(proto::DeleteMemberRequest::default()).await, &id);
    let empty = proto::ChangeMemberRoleRequest::default();
    invalid(client.change_member_role(empty).await, &["tenant_id", "member_id", "role"]);
    for member in [" ", "a b", "a\nb", "a\0b", "\u{202e}ben", "a\"b", "-a", &"x".repeat(129)] {
        invalid(client.get_member(get(member)).await, &["member_id"]);
        let request = proto::ChangeMemberRoleRequest { role: 999, ..role(member, Role::User) };
        invalid(client.change_member_role(request).await, &["member_id", "role"]);
    }
    for name in [" ", " Ben", "B\nen", "B\0en", "B\u{202e}en", &"é".repeat(201)] {
        invalid(client.update_member(rename("ben", name)).await, &["display_name"]);
    }
    client.update_member(rename("ben", &"é".repeat(200))).await.unwrap();
    let mask = |paths: &[&str]| {
        let paths = paths.iter().map(|path| text(path)).collect();
        proto::UpdateMemberRequest {
            update_mask: Some(prost_types::FieldMask { paths }),
            ..rename("ben", "Ben")
        }
    };
    invalid(client.update_member(mask(&["display_name", "role"])).await, &["update_mask"]);
    client.update_member(mask(&["display_name"])).await.unwrap();
    client.update_member(mask(&[])).await.unwrap();

    let controls = proto::DisableMemberRequest { request_id: text("one"), ..disable("ben") };
    invalid(client.disable_member(controls).await, &["request_id"]);
    let controls = proto::DisableMemberRequest { wait: 9, ..disable("ben") };
    invalid(client.disable_member(controls).await, &["wait"]);
    let filters = proto::ListMembersRequest {
        tenant_id: text("acme"),
        page_size: -1,
        page_token: text("!"),
        status: 999,
        role: 999,
        text: "x".repeat(201),
    };
    invalid(client.list_members(filters).await, &["page_size", "page_token", "status", "role", "text"]);
    let deleted = proto::MemberStatus::Deleted.into();
    invalid(client.list_members(proto::ListMembersRequest { status: deleted, ..list() }).await, &["status"]);
    invalid(client.list_members(proto::ListMembersRequest { text: text("a\0"), ..list() }).await, &["text"]);
});

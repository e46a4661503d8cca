//! Requests that are understood and cannot be done: taken, out of date, forbidden by the state, over a limit, done
//! before. Each has its code, its reason and what a caller needs to go on; none makes a revision.

use doorward::proto::{self, Role, SubscriptionState};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::untaught;
use crate::harness::{NOW, Server, on_both, refused, request_id, resource, timestamp, user_subject};

/// Asserts the row's code and reason, and that the text is ours; answers the status.
#[track_caller]
fn row<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) -> Status {
    let status = answer.expect_err("should have been refused");
    assert_eq!(untaught(&status), None, "{status:?}");
    refused(Err::<(), _>(status.clone()), code, reason);
    status
}

async fn revision(server: &Server) -> u64 {
    let request = proto::GetTenantRequest { tenant_id: "acme".to_owned() };
    server.operator().get_tenant(request).await.unwrap().into_inner().tenant_revision
}

fn invite(member: &str, email: &str) -> proto::InviteMemberRequest {
    proto::InviteMemberRequest {
        tenant_id: "acme".to_owned(),
        email: email.to_owned(),
        role: Role::User.into(),
        member_id: member.to_owned(),
        ..Default::default()
    }
}

fn rename(name: &str) -> proto::UpdateTenantRequest {
    proto::UpdateTenantRequest { tenant_id: "acme".to_owned(), name: name.to_owned(), ..Default::default() }
}

fn accept(token: &str, user: &str) -> proto::AcceptInvitationRequest {
    proto::AcceptInvitationRequest {
        tenant_id: "acme".to_owned(),
        token: token.to_owned(),
        user_id: user.to_owned(),
        ..Default::default()
    }
}

fn subscription(state: SubscriptionState) -> proto::SetSubscriptionRequest {
    proto::SetSubscriptionRequest { tenant_id: "acme".to_owned(), state: state.into(), ..Default::default() }
}

on_both!(what_is_taken_already_exists, |server| {
    server.tenant("acme").await;
    server.operator().invite_member(invite("pia", "pia@acme.example")).await.unwrap();
    let before = revision(server).await;
    for email in ["pia@acme.example", "PIA@acme.example", "pia@ACME.example"] {
        row(server.operator().invite_member(invite("", email)).await, Code::AlreadyExists, "EMAIL_TAKEN");
    }
    let slug = proto::CreateTenantRequest {
        slug: "acme".to_owned(),
        name: "Other".to_owned(),
        owner: Some(proto::TenantOwner {
            user_id: "o".to_owned(),
            email: "o@b.example".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    row(server.operator().create_tenant(slug).await, Code::AlreadyExists, "SLUG_TAKEN");
    assert_eq!(revision(server).await, before);
});

on_both!(a_request_id_is_one_request_and_an_old_revision_is_told_the_new_one, |server| {
    server.tenant("acme").await;
    let request = proto::UpdateTenantRequest { request_id: request_id(), ..rename("One") };
    let first = server.operator().update_tenant(request.clone()).await.unwrap().into_inner();
    let again = server.operator().update_tenant(request.clone()).await.unwrap().into_inner();
    assert_eq!((again.replayed, again.tenant, again.revision), (true, first.tenant, first.revision));
    let other = proto::UpdateTenantRequest { name: "Two".to_owned(), ..request };
    let status =
        row(server.operator().update_tenant(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "request_id");
    for stale in [1, first.revision + 1, u64::MAX] {
        let stale = proto::UpdateTenantRequest { expected_revision: stale, ..rename("Three") };
        let status = row(server.operator().update_tenant(stale).await, Code::Aborted, "REVISION_MISMATCH");
        let told = status.get_details_error_info().unwrap().metadata["current_revision"].clone();
        assert_eq!(told, first.revision.to_string());
    }
    assert_eq!(revision(server).await, first.revision);
});

on_both!(what_the_state_forbids_is_a_failed_precondition_with_its_reason, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let before = revision(server).await;
    let (mut operator, mut owner) = (server.operator(), server.acting("acme-owner"));
    let no = Code::FailedPrecondition;
    let named = |member: &str| ("acme".to_owned(), member.to_owned());
    let disable = |member: &str| {
        let (tenant_id, member_id) = named(member);
        proto::DisableMemberRequest { tenant_id, member_id, ..Default::default() }
    };
    row(operator.disable_member(disable("acme-owner")).await, no, "LAST_ADMIN");
    row(owner.disable_member(disable("acme-owner")).await, no, "SELF_FORBIDDEN");
    let (tenant_id, member_id) = named("ben");
    let resend = proto::ResendInvitationRequest { tenant_id, member_id, ..Default::default() };
    row(operator.resend_invitation(resend).await, no, "NOT_PENDING");
    let cancel = proto::CancelSubscriptionRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    row(operator.cancel_subscription(cancel).await, no, "ILLEGAL_MOVE");
    let resume = proto::ResumeTenantRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    row(operator.resume_tenant(resume).await, no, "TENANT_NOT_SUSPENDED");
    let (tenant_id, member_id) = named("ben");
    let sections = [("analytics".to_owned(), true)].into();
    let set = proto::SetSectionAccessRequest { tenant_id, member_id, sections, ..Default::default() };
    row(operator.set_section_access(set).await, no, "NOT_CONFIGURABLE");
    assert_eq!(revision(server).await, before);
    operator.set_subscription(subscription(SubscriptionState::Expired)).await.unwrap();
    row(operator.invite_member(invite("pia", "pia@acme.example")).await, no, "SUBSCRIPTION_LAPSED");
    assert_eq!(revision(server).await, before + 1);
});

on_both!(over_a_limit_of_the_plan_the_quota_is_told, |server| {
    server.tenant("acme").await;
    let plan = "name = \"Standard\"\nlimits = { members = 1, api_keys = 1, resources = { agent = 1 } }\n";
    let document = doorward::catalogue::SHIPPED.replace("name = \"Standard\"\n", plan);
    let apply = proto::ApplyCatalogueRequest { document, ..Default::default() };
    server.operator().apply_catalogue(apply).await.unwrap();
    server.agent("acme", "a1").await;
    crate::callers::admin_key(server, "acme", "k1").await;
    let before = revision(server).await;
    let mut operator = server.operator();
    let over = Code::ResourceExhausted;
    let register = proto::RegisterResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        name: "More".to_owned(),
        ..Default::default()
    };
    let admin = proto::api_key_scope::Scope::Admin(proto::AdminScope {});
    let key = proto::CreateApiKeyRequest {
        tenant_id: "acme".to_owned(),
        name: "More".to_owned(),
        scopes: vec![proto::ApiKeyScope { scope: Some(admin) }],
        ..Default::default()
    };
    for status in [
        row(operator.invite_member(invite("pia", "pia@acme.example")).await, over, "SEAT_LIMIT"),
        row(operator.register_resource(register).await, over, "RESOURCE_LIMIT"),
        row(operator.create_api_key(key).await, over, "API_KEY_LIMIT"),
    ] {
        assert_eq!(status.get_details_quota_failure().unwrap().violations.len(), 1, "{status:?}");
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!((metadata["limit"].as_str(), metadata["used"].as_str()), ("1", "1"));
    }
    assert_eq!(revision(server).await, before);
});

on_both!(what_is_deleted_is_deleted_again_and_an_invitation_that_is_over_says_how, |server| {
    server.tenant("acme").await;
    server.agent("acme", "a1").await;
    let mut operator = server.operator();
    let invited = operator.invite_member(invite("pia", "pia@acme.example")).await.unwrap().into_inner();
    operator.accept_invitation(accept(&invited.invitation_token, "pia")).await.unwrap();
    let late = operator.invite_member(invite("eve", "eve@acme.example")).await.unwrap().into_inner();
    let delete = |member: &str| proto::DeleteMemberRequest {
        tenant_id: "acme".to_owned(),
        member_id: member.to_owned(),
        ..Default::default()
    };
    let resource = proto::DeleteResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: "a1".to_owned(),
        ..Default::default()
    };
    operator.delete_resource(resource.clone()).await.unwrap();
    let before = revision(server).await;
    operator.delete_resource(resource).await.unwrap();
    let used = operator.accept_invitation(accept(&invited.invitation_token, "other")).await;
    row(used, Code::FailedPrecondition, "INVITATION_USED");
    server.clock.set(NOW.plus_seconds(73 * 3_600));
    let expired = operator.accept_invitation(accept(&late.invitation_token, "eve")).await;
    row(expired, Code::FailedPrecondition, "INVITATION_EXPIRED");
    for unknown in ["x".to_owned(), "a".repeat(43), "' OR 1=1 --".to_owned(), "\0\n\u{202e}".to_owned()] {
        row(
            operator.accept_invitation(accept(&unknown, "eve")).await,
            Code::NotFound,
            "INVITATION_NOT_FOUND",
        );
    }
    assert_eq!(revision(server).await, before);
    operator.delete_member(delete("pia")).await.unwrap();
    operator.delete_member(delete("pia")).await.unwrap();
    assert_eq!(revision(server).await, before + 1);
});

on_both!(a_check_of_what_is_not_there_is_denied_and_says_why, |server| {
    server.tenant("acme").await;
    server.tenant("beta").await;
    server.agent("beta", "b1").await;
    let denied = async |tenant: &str, user: &str, kind: &str, id: &str| {
        let (allowed, reason, _) = server.check(tenant, user, "view", kind, id).await;
        assert!(!allowed);
        reason
    };
    assert_eq!(denied("nowhere", "acme-owner", "section", "logs").await, "TENANT_NOT_FOUND");
    assert_eq!(denied("acme", "nobody", "section", "logs").await, "NOT_A_MEMBER");
    assert_eq!(denied("acme", "beta-owner", "section", "logs").await, "NOT_A_MEMBER");
    assert_eq!(denied("acme", "acme-owner", "section", "trases").await, "SECTION_UNKNOWN");
    assert_eq!(denied("acme", "acme-owner", "agent", "a1").await, "RESOURCE_NOT_FOUND");
    assert_eq!(denied("acme", "acme-owner", "agent", "b1").await, "RESOURCE_NOT_FOUND");
    let member = proto::subject::Kind::MemberId("nobody".to_owned());
    let request = |subject| proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(subject),
        action: "view".to_owned(),
        resource: Some(resource("section", "logs")),
        ..Default::default()
    };
    let answer = server.operator().check_access(request(proto::Subject { kind: Some(member) })).await;
    assert_eq!(answer.unwrap().into_inner().reason(), proto::Reason::NotAMember);
    assert!(
        server
            .operator()
            .check_access(request(user_subject("acme-owner")))
            .await
            .unwrap()
            .into_inner()
            .allowed
    );
});

on_both!(an_instant_at_or_over_the_ends_of_time_is_kept_or_named, |server| {
    server.tenant("acme").await;
    let before = revision(server).await;
    let renew = |seconds, nanos| proto::RenewSubscriptionRequest {
        tenant_id: "acme".to_owned(),
        period_end: Some(prost_types::Timestamp { seconds, nanos }),
        validate_only: true,
        ..Default::default()
    };
    for (seconds, nanos) in [
        (i64::MAX, 0),
        (i64::MIN, 0),
        (253_402_300_800, 0),
        (-62_135_596_801, 0),
        (0, -1),
        (0, 1_000_000_000),
        (0, i32::MIN),
    ] {
        let answer = server.operator().renew_subscription(renew(seconds, nanos)).await;
        let status = row(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "period_end");
    }
    // The last day has no room for the grace that follows.
    for seconds in [253_402_300_799, -62_135_596_800] {
        if let Err(status) = server.operator().renew_subscription(renew(seconds, 0)).await {
            row(Err::<(), _>(status), Code::InvalidArgument, "INVALID_FIELD");
        }
    }
    let from = Some(timestamp(NOW));
    let log = proto::ListAuditEventsRequest {
        tenant_id: "acme".to_owned(),
        from_time: from,
        from_revision: u64::MAX,
        ..Default::default()
    };
    assert!(server.operator().list_audit_events(log).await.unwrap().into_inner().events.is_empty());
    assert_eq!(revision(server).await, before);
});

//! The life of a tenant from its creation to its deletion, each step answered by the next check.

use std::collections::BTreeMap;

use doorward::proto;
use tonic::Code;

use crate::harness::{NOW, Server, on_both, refused, resource, timestamp};

const TENANT: &str = "acme";
const DAY: i64 = 24 * 60 * 60;

async fn chat(server: &Server, user: &str) -> (String, bool) {
    let (_, reason, hide) = server.check(TENANT, user, "chat", "agent", "a1").await;
    (reason, hide)
}

/// Invites ben and lets him accept; answers his member id.
async fn invite_and_accept(server: &Server) -> String {
    let mut admin = server.acting("acme-owner");
    let invite = proto::InviteMemberRequest {
        tenant_id: TENANT.to_owned(),
        email: "Ben@Acme.example".to_owned(),
        role: proto::Role::User.into(),
        ..Default::default()
    };
    let invited = admin.invite_member(invite).await.unwrap().into_inner();
    let member = invited.member.unwrap();
    assert_eq!(member.status(), proto::MemberStatus::Pending);
    assert_eq!(server.section(TENANT, "ben", "traces").await, "NOT_A_MEMBER");

    let accept = proto::AcceptInvitationRequest {
        tenant_id: TENANT.to_owned(),
        token: invited.invitation_token,
        user_id: "ben".to_owned(),
        ..Default::default()
    };
    let accepted = server.operator().accept_invitation(accept.clone()).await.unwrap().into_inner();
    assert_eq!(accepted.member.unwrap().status(), proto::MemberStatus::Active);
    let again = server.operator().accept_invitation(accept).await;
    refused(again, Code::FailedPrecondition, "INVITATION_USED");
    assert_eq!(server.section(TENANT, "ben", "traces").await, "SECTION_GRANTED");
    member.member_id
}

async fn toggle(server: &Server, member: &str, section: &str, on: bool) {
    let request = proto::SetSectionAccessRequest {
        tenant_id: TENANT.to_owned(),
        member_id: member.to_owned(),
        sections: BTreeMap::from([(section.to_owned(), on)]),
        ..Default::default()
    };
    server.acting("acme-owner").set_section_access(request).await.unwrap();
}

async fn grant(server: &Server, member: &str, expires_in: Option<i64>) {
    let change = proto::GrantChange {
        member_id: member.to_owned(),
        resource: Some(resource("agent", "a1")),
        granted: true,
        expires_at: expires_in.map(|seconds| timestamp(NOW.plus_seconds(seconds))),
    };
    let request =
        proto::SetGrantsRequest { tenant_id: TENANT.to_owned(), changes: vec![change], ..Default::default() };
    server.acting("acme-owner").set_grants(request).await.unwrap();
}

async fn change_role(server: &Server, member: &str, role: proto::Role) {
    let request = proto::ChangeMemberRoleRequest {
        tenant_id: TENANT.to_owned(),
        member_id: member.to_owned(),
        role: role.into(),
        ..Default::default()
    };
    server.acting("acme-owner").change_member_role(request).await.unwrap();
}

on_both!(a_tenant_lives_and_every_step_shows_in_the_next_check, |server| {
    server.tenant(TENANT).await;
    server.agent(TENANT, "a1").await;
    let ben = invite_and_accept(server).await;

    toggle(server, &ben, "traces", false).await;
    assert_eq!(server.section(TENANT, "ben", "traces").await, "SECTION_DISABLED");
    toggle(server, &ben, "traces", true).await;
    assert_eq!(server.section(TENANT, "ben", "traces").await, "SECTION_GRANTED");

    assert_eq!(chat(server, "ben").await, ("NOT_GRANTED".to_owned(), true));
    grant(server, &ben, Some(60)).await;
    assert_eq!(chat(server, "ben").await, ("RESOURCE_GRANTED".to_owned(), false));
    server.clock.set(NOW.plus_seconds(60));
    assert_eq!(chat(server, "ben").await, ("NOT_GRANTED".to_owned(), true));

    change_role(server, &ben, proto::Role::Admin).await;
    assert_eq!(chat(server, "ben").await, ("ROLE_ADMIN".to_owned(), false));
    change_role(server, &ben, proto::Role::User).await;
    assert_eq!(chat(server, "ben").await, ("NOT_GRANTED".to_owned(), true));
    assert_eq!(server.section(TENANT, "ben", "traces").await, "SECTION_GRANTED");

    disable_and_enable(server, &ben).await;
    lapse_and_renew(server).await;
    delete(server).await;
});

async fn disable_and_enable(server: &Server, ben: &str) {
    grant(server, ben, None).await;
    let disable = proto::DisableMemberRequest {
        tenant_id: TENANT.to_owned(),
        member_id: ben.to_owned(),
        ..Default::default()
    };
    server.acting("acme-owner").disable_member(disable).await.unwrap();
    assert_eq!(chat(server, "ben").await.0, "MEMBER_DISABLED");
    assert_eq!(server.section(TENANT, "ben", "settings").await, "MEMBER_DISABLED");
    let enable = proto::EnableMemberRequest {
        tenant_id: TENANT.to_owned(),
        member_id: ben.to_owned(),
        ..Default::default()
    };
    server.acting("acme-owner").enable_member(enable).await.unwrap();
    assert_eq!(chat(server, "ben").await, ("RESOURCE_GRANTED".to_owned(), false));
}

async fn lapse_and_renew(server: &Server) {
    server.clock.set(NOW.plus_seconds(14 * DAY));
    assert_eq!(server.section(TENANT, "acme-owner", "traces").await, "SUBSCRIPTION_EXPIRED");
    assert_eq!(server.section(TENANT, "ben", "settings.profile").await, "SYSTEM_SECTION");
    let invite = proto::InviteMemberRequest {
        tenant_id: TENANT.to_owned(),
        email: "late@acme.example".to_owned(),
        role: proto::Role::User.into(),
        ..Default::default()
    };
    let refusal = server.acting("acme-owner").invite_member(invite).await;
    refused(refusal, Code::FailedPrecondition, "SUBSCRIPTION_LAPSED");
    let renew = proto::RenewSubscriptionRequest {
        tenant_id: TENANT.to_owned(),
        period_end: Some(timestamp(NOW.plus_seconds(44 * DAY))),
        ..Default::default()
    };
    refused(
        server.acting("acme-owner").renew_subscription(renew.clone()).await,
        Code::PermissionDenied,
        "PERMISSION_DENIED",
    );
    server.operator().renew_subscription(renew).await.unwrap();
    assert_eq!(server.section(TENANT, "acme-owner", "traces").await, "ROLE_ADMIN");
    server.clock.set(NOW.plus_seconds(44 * DAY));
    assert_eq!(server.section(TENANT, "ben", "traces").await, "SECTION_GRANTED");
    server.clock.set(NOW.plus_seconds(51 * DAY));
    assert_eq!(server.section(TENANT, "ben", "traces").await, "SUBSCRIPTION_EXPIRED");
}

async fn delete(server: &Server) {
    let wrong = proto::DeleteTenantRequest {
        tenant_id: TENANT.to_owned(),
        confirm_slug: "acne".to_owned(),
        ..Default::default()
    };
    let right = proto::DeleteTenantRequest { confirm_slug: TENANT.to_owned(), ..wrong.clone() };
    let refusal = server.acting("acme-owner").delete_tenant(wrong).await;
    refused(refusal, Code::InvalidArgument, "CONFIRMATION_MISMATCH");
    server.acting("acme-owner").delete_tenant(right).await.unwrap();
    assert_eq!(server.section(TENANT, "acme-owner", "settings").await, "TENANT_DELETED");
    let get = proto::GetTenantRequest { tenant_id: TENANT.to_owned() };
    refused(server.operator().get_tenant(get).await, Code::NotFound, "TENANT_NOT_FOUND");
}

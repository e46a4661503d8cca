//! Promises of the invitation RPCs: one token, one person, one seat.

mod batch;
mod control;

use std::collections::BTreeMap;

use doorward::proto;
use doorward::proto::Role;
use doorward_engine::instant::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{NOW, Server, invalid, on_both, refused, request_id, resource, timestamp};

const SECONDS: i64 = 72 * 60 * 60;

fn text(text: &str) -> String {
    text.to_owned()
}

fn toggles(sections: &[(&str, bool)]) -> BTreeMap<String, bool> {
    sections.iter().map(|(section, on)| (text(section), *on)).collect()
}

fn grant(kind: &str, id: &str) -> proto::GrantInput {
    proto::GrantInput { resource: Some(resource(kind, id)), expires_at: None }
}

/// Invites a USER of that member id.
fn invite(member: &str) -> proto::InviteMemberRequest {
    proto::InviteMemberRequest {
        tenant_id: text("acme"),
        email: format!("{member}@acme.example"),
        role: Role::User.into(),
        member_id: text(member),
        ..Default::default()
    }
}

fn accept(token: &str, user: &str) -> proto::AcceptInvitationRequest {
    proto::AcceptInvitationRequest {
        tenant_id: text("acme"),
        token: text(token),
        user_id: text(user),
        ..Default::default()
    }
}

fn activate(member: &str, user: &str) -> proto::ActivateMemberRequest {
    proto::ActivateMemberRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        user_id: text(user),
        ..Default::default()
    }
}

fn resend(member: &str) -> proto::ResendInvitationRequest {
    proto::ResendInvitationRequest { tenant_id: text("acme"), member_id: text(member), ..Default::default() }
}

fn cancel(member: &str) -> proto::CancelInvitationRequest {
    proto::CancelInvitationRequest { tenant_id: text("acme"), member_id: text(member), ..Default::default() }
}

async fn invited(server: &Server, member: &str) -> proto::InviteMemberResponse {
    server.operator().invite_member(invite(member)).await.unwrap().into_inner()
}

async fn accepted(
    server: &Server,
    token: &str,
    user: &str,
) -> Result<proto::AcceptInvitationResponse, Status> {
    server.operator().accept_invitation(accept(token, user)).await.map(tonic::Response::into_inner)
}

async fn members(server: &Server) -> Vec<proto::Member> {
    let request = proto::ListMembersRequest { tenant_id: text("acme"), ..Default::default() };
    server.operator().list_members(request).await.unwrap().into_inner().members
}

async fn tenant_revision(server: &Server) -> u64 {
    let request = proto::GetTenantRequest { tenant_id: text("acme") };
    server.operator().get_tenant(request).await.unwrap().into_inner().tenant_revision
}

/// Puts the shipped catalogue in force, its first plan with a limit of seats.
async fn limit_seats(server: &Server, seats: u64) {
    let plan = format!("name = \"Standard\"\nlimits = {{ members = {seats} }}\n");
    let document = doorward_engine::catalogue::SHIPPED.replace("name = \"Standard\"\n", &plan);
    let request = proto::ApplyCatalogueRequest { document, ..Default::default() };
    server.operator().apply_catalogue(request).await.unwrap();
}

async fn expire(server: &Server) {
    let request = proto::SetSubscriptionRequest {
        tenant_id: text("acme"),
        state: proto::SubscriptionState::Expired.into(),
        ..Default::default()
    };
    server.operator().set_subscription(request).await.unwrap();
}

on_both!(an_invited_person_is_pending_until_they_accept, |server| {
    server.tenant("acme").await;
    let answer = server.acting("acme-owner").invite_member(invite("pia")).await.unwrap().into_inner();
    let member = answer.member.unwrap();
    assert_eq!((member.status(), member.user_id.as_str()), (proto::MemberStatus::Pending, ""));
    assert_eq!((member.email.as_str(), member.sections.len()), ("pia@acme.example", 7));
    let expiry = Some(timestamp(NOW.plus_seconds(SECONDS)));
    assert_eq!((answer.invitation_expire_time, member.invitation_expire_time), (expiry, expiry));
    assert_eq!((answer.enforced, answer.replayed, answer.revision), (true, false, member.revision));
    let digits = answer.invitation_token.strip_prefix("dwi_").unwrap();
    assert!(digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{digits}");
    assert_eq!(server.section("acme", "u-pia", "settings").await, "NOT_A_MEMBER");

    let request = proto::AcceptInvitationRequest {
        display_name: text("Pia"),
        ..accept(&answer.invitation_token, "u-pia")
    };
    let answer = server.operator().accept_invitation(request).await.unwrap().into_inner();
    let member = answer.member.unwrap();
    assert_eq!((member.status(), member.user_id.as_str()), (proto::MemberStatus::Active, "u-pia"));
    assert_eq!((member.display_name.as_str(), member.invitation_expire_time), ("Pia", None));
    assert_eq!(server.section("acme", "u-pia", "traces").await, "SECTION_GRANTED");
});

on_both!(a_pending_admin_is_denied_everything, |server| {
    server.tenant("acme").await;
    let request = proto::InviteMemberRequest { role: Role::Admin.into(), ..invite("pia") };
    server.operator().invite_member(request).await.unwrap();
    let request = proto::CheckAccessRequest {
        tenant_id: text("acme"),
        subject: Some(proto::Subject { kind: Some(proto::subject::Kind::MemberId(text("pia"))) }),
        action: text("view"),
        resource: Some(resource("section", "support")),
        ..Default::default()
    };
    let answer = server.operator().check_access(request).await.unwrap().into_inner();
    assert_eq!(answer.reason(), proto::Reason::MemberPending);
});

on_both!(a_token_works_once, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    let token = invited(server, "pia").await.invitation_token;
    let unknown = (Code::NotFound, "INVITATION_NOT_FOUND");
    let elsewhere = proto::AcceptInvitationRequest { tenant_id: text("zeta"), ..accept(&token, "u-pia") };
    refused(server.operator().accept_invitation(elsewhere).await, unknown.0, unknown.1);
    for wrong in ["dwi_", "nothing", &token[..67], &token.to_ascii_uppercase(), &format!("{token} ")] {
        refused(accepted(server, wrong, "u-pia").await, unknown.0, unknown.1);
    }
    accepted(server, &token, "u-pia").await.unwrap();
    refused(accepted(server, &token, "u-pia").await, Code::FailedPrecondition, "INVITATION_USED");
    refused(accepted(server, &token, "u-eve").await, Code::FailedPrecondition, "INVITATION_USED");
});

on_both!(of_many_who_accept_at_once_one_is_let_in, |server| {
    server.tenant("acme").await;
    let token = invited(server, "pia").await.invitation_token;
    let accepting = (0..10).map(|at| {
        let (token, mut client) = (token.clone(), server.operator());
        async move { client.accept_invitation(accept(&token, &format!("u{at}"))).await }
    });
    let answers = futures::future::join_all(accepting).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        refused(answer, Code::FailedPrecondition, "INVITATION_USED");
    }
});

on_both!(a_token_expires_to_the_microsecond_and_can_be_sent_again, |server| {
    server.tenant("acme").await;
    let token = invited(server, "pia").await.invitation_token;
    let end = NOW.plus_seconds(SECONDS);
    server.clock.set(end);
    refused(accepted(server, &token, "u-pia").await, Code::FailedPrecondition, "INVITATION_EXPIRED");

    let answer = server.acting("acme-owner").resend_invitation(resend("pia")).await.unwrap().into_inner();
    assert_eq!(answer.invitation_expire_time, Some(timestamp(end.plus_seconds(SECONDS))));
    assert_ne!(answer.invitation_token, token);
    refused(accepted(server, &token, "u-pia").await, Code::FailedPrecondition, "INVITATION_CANCELLED");
    server.clock.set(Instant::from_micros(end.plus_seconds(SECONDS).micros() - 1));
    accepted(server, &answer.invitation_token, "u-pia").await.unwrap();
    refused(
        server.operator().resend_invitation(resend("pia")).await,
        Code::FailedPrecondition,
        "NOT_PENDING",
    );
});

on_both!(a_cancelled_invitation_frees_seat_and_address, |server| {
    server.tenant("acme").await;
    limit_seats(server, 2).await;
    let token = invited(server, "pia").await.invitation_token;
    let answer = server.acting("acme-owner").cancel_invitation(cancel("pia")).await.unwrap().into_inner();
    assert_eq!(answer.member.unwrap().status(), proto::MemberStatus::Deleted);
    refused(accepted(server, &token, "u-pia").await, Code::FailedPrecondition, "INVITATION_CANCELLED");
    refused(server.operator().resend_invitation(resend("pia")).await, Code::NotFound, "MEMBER_NOT_FOUND");
    refused(server.operator().invite_member(invite("pia")).await, Code::AlreadyExists, "ID_TAKEN");
    let again = proto::InviteMemberRequest { member_id: text("pia2"), ..invite("pia") };
    server.operator().invite_member(again).await.unwrap();
    server.operator().activate_member(activate("pia2", "u-pia")).await.unwrap();
    refused(
        server.operator().cancel_invitation(cancel("pia2")).await,
        Code::FailedPrecondition,
        "NOT_PENDING",
    );
});

on_both!(activation_needs_no_token_and_ends_it, |server| {
    server.tenant("acme").await;
    let token = invited(server, "pia").await.invitation_token;
    // Also after the token has expired.
    server.clock.set(NOW.plus_seconds(2 * SECONDS));
    let answer =
        server.acting("acme-owner").activate_member(activate("pia", "u-pia")).await.unwrap().into_inner();
    let member = answer.member.unwrap();
    assert_eq!((member.status(), member.user_id.as_str()), (proto::MemberStatus::Active, "u-pia"));
    refused(accepted(server, &token, "u-eve").await, Code::FailedPrecondition, "INVITATION_USED");
    let again = server.operator().activate_member(activate("pia", "u-pia")).await;
    refused(again, Code::FailedPrecondition, "NOT_PENDING");
});

on_both!(an_address_and_a_person_are_in_a_tenant_once, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    invited(server, "pia").await;
    let taken = (Code::AlreadyExists, "EMAIL_TAKEN");
    for email in ["pia@acme.example", "PIA@Acme.EXAMPLE", "owner@acme.example"] {
        let request = proto::InviteMemberRequest { email: text(email), ..invite("another") };
        refused(server.operator().invite_member(request).await, taken.0, taken.1);
    }
    let elsewhere = proto::InviteMemberRequest { tenant_id: text("zeta"), ..invite("pia") };
    server.operator().invite_member(elsewhere).await.unwrap();

    let taken = (Code::AlreadyExists, "USER_TAKEN");
    let token = invited(server, "eve").await.invitation_token;
    refused(accepted(server, &token, "acme-owner").await, taken.0, taken.1);
    let request = activate("pia", "acme-owner");
    refused(server.operator().activate_member(request).await, taken.0, taken.1);
    // A person may be a member of several tenants, and nothing was used up by the refusals.
    accepted(server, &token, "zeta-owner").await.unwrap();
});

on_both!(a_user_begins_with_a_copy_of_the_defaults, |server| {
    server.tenant("acme").await;
    let defaults = async |sections: &[(&str, bool)]| {
        let defaults = toggles(sections);
        let request =
            proto::SetSectionDefaultsRequest { tenant_id: text("acme"), defaults, ..Default::default() };
        server.operator().set_section_defaults(request).await.unwrap();
    };
    defaults(&[("logs", false)]).await;
    let request = proto::InviteMemberRequest { sections: toggles(&[("eval", false)]), ..invite("pia") };
    let answer = server.operator().invite_member(request).await.unwrap().into_inner();
    let sections = answer.member.unwrap().sections;
    let expected =
        [("agents", true), ("eval", false), ("logs", false), ("mcp_debug", true), ("prompts", true)];
    let expected = expected.iter().chain(&[("session", true), ("traces", true)]).copied().collect::<Vec<_>>();
    assert_eq!(sections, toggles(&expected));
    // What is copied is the member's own: later changes of the defaults do not touch it.
    defaults(&[("logs", true), ("traces", false)]).await;
    server.operator().activate_member(activate("pia", "pia")).await.unwrap();
    assert_eq!(server.section("acme", "pia", "logs").await, "SECTION_DISABLED");
    assert_eq!(server.section("acme", "pia", "traces").await, "SECTION_GRANTED");
    assert_eq!(server.check("acme", "pia", "view", "agent", "a1").await.1, "RESOURCE_NOT_FOUND");

    let with =
        |section: &str| proto::InviteMemberRequest { sections: toggles(&[(section, true)]), ..invite("eve") };
    let fixed = (Code::FailedPrecondition, "NOT_CONFIGURABLE");
    refused(server.operator().invite_member(with("analytics")).await, fixed.0, fixed.1);
    refused(server.operator().invite_member(with("trases")).await, Code::InvalidArgument, "SECTION_UNKNOWN");
});

on_both!(grants_come_with_an_invitation_where_they_are_named, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    server.agent("acme", "a1").await;
    server.agent("acme", "a2").await;
    server.agent("zeta", "z1").await;
    let ends =
        proto::GrantInput { expires_at: Some(timestamp(NOW.plus_seconds(60))), ..grant("agent", "a2") };
    let request = proto::InviteMemberRequest { grants: vec![grant("agent", "a1"), ends], ..invite("pia") };
    server.operator().invite_member(request).await.unwrap();
    server.operator().activate_member(activate("pia", "pia")).await.unwrap();
    let reason = async |agent| server.check("acme", "pia", "chat", "agent", agent).await.1;
    assert_eq!(
        (reason("a1").await, reason("a2").await),
        (text("RESOURCE_GRANTED"), text("RESOURCE_GRANTED"))
    );
    server.clock.set(NOW.plus_seconds(60));
    assert_eq!((reason("a1").await, reason("a2").await), (text("RESOURCE_GRANTED"), text("NOT_GRANTED")));

    let before = members(server).await;
    let with = |grants| proto::InviteMemberRequest { grants, ..invite("eve") };
    for foreign in ["z1", "none"] {
        let request = with(vec![grant("agent", "a1"), grant("agent", foreign)]);
        refused(server.operator().invite_member(request).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    }
    let request = with(vec![grant("agent", "a1"), grant("robot", "r1"), grant("section", "traces")]);
    let fields = ["grants[1].resource.type", "grants[2].resource.type"];
    invalid(server.operator().invite_member(request).await, &fields);
    assert_eq!(members(server).await, before);
});

on_both!(seats_are_held_from_the_invitation_on, |server| {
    server.tenant("acme").await;
    limit_seats(server, 3).await;
    let token = invited(server, "pia").await.invitation_token;
    server.user("acme", "ben").await;
    let disable =
        proto::DisableMemberRequest { tenant_id: text("acme"), member_id: text("ben"), ..Default::default() };
    server.operator().disable_member(disable).await.unwrap();
    let status = server.operator().invite_member(invite("eve")).await.unwrap_err();
    let quota = status.get_details_quota_failure().unwrap();
    assert_eq!(quota.violations.len(), 1);
    refused(Err::<(), _>(status), Code::ResourceExhausted, "SEAT_LIMIT");
    // Accepting and enabling take no seat: it is held already.
    limit_seats(server, 1).await;
    accepted(server, &token, "u-pia").await.unwrap();
    let enable =
        proto::EnableMemberRequest { tenant_id: text("acme"), member_id: text("ben"), ..Default::default() };
    server.operator().enable_member(enable).await.unwrap();
});

on_both!(seats_are_exact_when_many_invite_at_once, |server| {
    server.tenant("acme").await;
    limit_seats(server, 6).await;
    let inviting = (0..20).map(|at| {
        let mut client = server.operator();
        async move { client.invite_member(invite(&format!("m{at}"))).await }
    });
    let answers = futures::future::join_all(inviting).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
    for answer in answers.into_iter().filter(Result::is_err) {
        refused(answer, Code::ResourceExhausted, "SEAT_LIMIT");
    }
    assert_eq!(members(server).await.len(), 6);
});

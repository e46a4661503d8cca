//! Promises of every invitation RPC: who may call it, what is compared, repeated and refused, and where a token never is.

use super::*;
use crate::harness::{self, Database};

on_both!(an_admin_invites_and_nobody_else_does, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    server.user("acme", "ben").await;
    let token = invited(server, "pia").await.invitation_token;
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED");
    for actor in ["ben", "zeta-owner", "nobody"] {
        let mut client = server.acting(actor);
        refused(client.invite_member(invite("eve")).await, denied.0, denied.1);
        let batch = proto::BatchInviteMembersRequest {
            tenant_id: text("acme"),
            invitees: vec![proto::Invitee {
                email: text("eve@acme.example"),
                role: Role::User.into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        refused(client.batch_invite_members(batch).await, denied.0, denied.1);
        refused(client.resend_invitation(resend("pia")).await, denied.0, denied.1);
        refused(client.cancel_invitation(cancel("pia")).await, denied.0, denied.1);
        refused(client.accept_invitation(accept(&token, "u-pia")).await, denied.0, denied.1);
        refused(client.activate_member(activate("pia", "u-pia")).await, denied.0, denied.1);
    }
    assert!(server.acting("acme-owner").accept_invitation(accept(&token, "u-pia")).await.is_ok());
});

on_both!(a_member_of_another_tenant_is_not_found, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    let elsewhere = proto::InviteMemberRequest { tenant_id: text("zeta"), ..invite("zoe") };
    server.operator().invite_member(elsewhere).await.unwrap();
    let missing = (Code::NotFound, "MEMBER_NOT_FOUND");
    let mut owner = server.acting("acme-owner");
    for member in ["zoe", "nobody"] {
        refused(owner.resend_invitation(resend(member)).await, missing.0, missing.1);
        refused(owner.cancel_invitation(cancel(member)).await, missing.0, missing.1);
        refused(owner.activate_member(activate(member, "u-x")).await, missing.0, missing.1);
    }
    let nowhere = proto::InviteMemberRequest { tenant_id: text("nowhere"), ..invite("eve") };
    refused(server.operator().invite_member(nowhere).await, Code::NotFound, "TENANT_NOT_FOUND");
});

on_both!(a_trial_run_shows_no_token_and_writes_nothing, |server| {
    server.tenant("acme").await;
    let before = (members(server).await, tenant_revision(server).await);
    let request = proto::InviteMemberRequest { validate_only: true, ..invite("pia") };
    let answer = server.operator().invite_member(request).await.unwrap().into_inner();
    assert_eq!((answer.invitation_token.as_str(), answer.enforced, answer.revision), ("", false, before.1));
    assert_eq!(answer.member.unwrap().status(), proto::MemberStatus::Pending);
    assert_eq!((members(server).await, tenant_revision(server).await), before);

    let token = invited(server, "pia").await.invitation_token;
    let request = proto::ResendInvitationRequest { validate_only: true, ..resend("pia") };
    assert_eq!(server.operator().resend_invitation(request).await.unwrap().into_inner().invitation_token, "");
    let request = proto::AcceptInvitationRequest { validate_only: true, ..accept(&token, "u-pia") };
    server.operator().accept_invitation(request).await.unwrap();
    let request = proto::CancelInvitationRequest { validate_only: true, ..cancel("pia") };
    server.operator().cancel_invitation(request).await.unwrap();
    accepted(server, &token, "u-pia").await.unwrap();
});

on_both!(a_repeated_request_is_applied_once_and_shows_no_token, |server| {
    server.tenant("acme").await;
    let request =
        proto::InviteMemberRequest { request_id: request_id(), member_id: String::new(), ..invite("pia") };
    let first = server.operator().invite_member(request.clone()).await.unwrap().into_inner();
    let second = server.operator().invite_member(request.clone()).await.unwrap().into_inner();
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!((&first.member, first.revision), (&second.member, second.revision));
    assert_eq!(first.invitation_expire_time, second.invitation_expire_time);
    assert_eq!(second.invitation_token, "");
    let another = proto::InviteMemberRequest { display_name: text("Pia"), ..request };
    refused(server.operator().invite_member(another).await, Code::InvalidArgument, "REQUEST_ID_REUSED");

    let member = first.member.unwrap().member_id;
    let request = proto::ResendInvitationRequest { request_id: request_id(), ..resend(&member) };
    let first = server.operator().resend_invitation(request.clone()).await.unwrap().into_inner();
    let second = server.operator().resend_invitation(request).await.unwrap().into_inner();
    assert_eq!((second.invitation_token.as_str(), second.replayed), ("", true));
    let request = proto::AcceptInvitationRequest {
        request_id: request_id(),
        ..accept(&first.invitation_token, "u-pia")
    };
    let first = server.operator().accept_invitation(request.clone()).await.unwrap().into_inner();
    let second = server.operator().accept_invitation(request).await.unwrap().into_inner();
    assert_eq!((second.replayed, first.member), (true, second.member));
});

on_both!(a_stale_revision_changes_nothing, |server| {
    server.tenant("acme").await;
    let read = invited(server, "pia").await.member.unwrap().revision;
    server.clock.set(NOW.plus_seconds(1));
    let answer = server.operator().resend_invitation(resend("pia")).await.unwrap().into_inner();
    let now = answer.member.unwrap().revision;
    assert_eq!(now, read + 1);
    let stale = (Code::Aborted, "REVISION_MISMATCH");
    let mut operator = server.operator();
    let request = proto::ResendInvitationRequest { expected_revision: read, ..resend("pia") };
    refused(operator.resend_invitation(request).await, stale.0, stale.1);
    let request = proto::CancelInvitationRequest { expected_revision: read, ..cancel("pia") };
    refused(operator.cancel_invitation(request).await, stale.0, stale.1);
    let request = proto::ActivateMemberRequest { expected_revision: read, ..activate("pia", "u-pia") };
    refused(operator.activate_member(request).await, stale.0, stale.1);
    let request = accept(&answer.invitation_token, "u-pia");
    let stale_accept = proto::AcceptInvitationRequest { expected_revision: read, ..request.clone() };
    refused(operator.accept_invitation(stale_accept).await, stale.0, stale.1);
    let fresh = proto::AcceptInvitationRequest { expected_revision: now, ..request };
    operator.accept_invitation(fresh).await.unwrap();
});

on_both!(cancelling_again_changes_nothing, |server| {
    server.tenant("acme").await;
    invited(server, "pia").await;
    let first = server.operator().cancel_invitation(cancel("pia")).await.unwrap().into_inner();
    let second = server.operator().cancel_invitation(cancel("pia")).await.unwrap().into_inner();
    assert_eq!((first.member, first.revision), (second.member, second.revision));
});

on_both!(a_lapsed_tenant_invites_nobody_and_lets_in_who_was_invited, |server| {
    server.tenant("acme").await;
    let token = invited(server, "pia").await.invitation_token;
    invited(server, "eve").await;
    invited(server, "cy").await;
    expire(server).await;
    let lapsed = (Code::FailedPrecondition, "SUBSCRIPTION_LAPSED");
    refused(server.operator().invite_member(invite("dan")).await, lapsed.0, lapsed.1);
    accepted(server, &token, "u-pia").await.unwrap();
    server.operator().resend_invitation(resend("eve")).await.unwrap();
    server.operator().activate_member(activate("eve", "u-eve")).await.unwrap();
    server.operator().cancel_invitation(cancel("cy")).await.unwrap();
    assert_eq!(server.section("acme", "u-pia", "traces").await, "SUBSCRIPTION_EXPIRED");
    assert_eq!(server.section("acme", "u-pia", "settings.profile").await, "SYSTEM_SECTION");
});

on_both!(every_field_that_cannot_be_understood_is_named, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    let empty = proto::InviteMemberRequest::default();
    invalid(operator.invite_member(empty).await, &["tenant_id", "email", "role"]);
    for email in
        ["a", "a@b", "@acme.example", "a b@acme.example", "a@acme.example\r\nbcc: x", "a@ac me.example", "a@"]
    {
        let request = proto::InviteMemberRequest { email: text(email), ..invite("pia") };
        invalid(operator.invite_member(request).await, &["email"]);
    }
    let strange = proto::InviteMemberRequest {
        role: 999,
        display_name: text("\u{202e}"),
        member_id: text("a b"),
        sections: toggles(&[("", true), ("No", true)]),
        expected_revision: 1,
        request_id: text("1"),
        ..invite("pia")
    };
    let fields = ["role", "display_name", "member_id", "sections", "sections", "expected_revision"];
    invalid(operator.invite_member(strange).await, &fields);
    let empty = proto::AcceptInvitationRequest::default();
    invalid(operator.accept_invitation(empty).await, &["tenant_id", "token", "user_id"]);
    let long = accept(&"x".repeat(513), "u'pia");
    invalid(operator.accept_invitation(long).await, &["token", "user_id"]);
    let empty = proto::ActivateMemberRequest::default();
    invalid(operator.activate_member(empty).await, &["tenant_id", "member_id", "user_id"]);
    invalid(
        operator.resend_invitation(proto::ResendInvitationRequest::default()).await,
        &["tenant_id", "member_id"],
    );
    invalid(
        operator.cancel_invitation(proto::CancelInvitationRequest::default()).await,
        &["tenant_id", "member_id"],
    );
});

#[test]
fn no_token_is_written_to_the_database() {
    harness::run(Database::Sqlite, async |server| {
        server.tenant("acme").await;
        let request = proto::InviteMemberRequest { request_id: request_id(), ..invite("pia") };
        let invited = server.operator().invite_member(request).await.unwrap().into_inner();
        let request = proto::ResendInvitationRequest { request_id: request_id(), ..resend("pia") };
        let resent = server.operator().resend_invitation(request).await.unwrap().into_inner();
        let request = proto::AcceptInvitationRequest {
            request_id: request_id(),
            ..accept(&resent.invitation_token, "u-pia")
        };
        server.operator().accept_invitation(request).await.unwrap();
        let path = server.url.strip_prefix("sqlite://").unwrap();
        let mut bytes = std::fs::read(path).unwrap();
        bytes.extend(std::fs::read(format!("{path}-wal")).unwrap_or_default());
        let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(holds("pia@acme.example"));
        for token in [invited.invitation_token, resent.invitation_token] {
            assert!(!holds(&token) && !holds(token.trim_start_matches("dwi_")));
        }
    });
}

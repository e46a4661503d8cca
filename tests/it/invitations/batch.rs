//! Promises of inviting many people at once: all of them or none.

use super::*;

fn invitee(member: &str) -> proto::Invitee {
    proto::Invitee {
        email: format!("{member}@acme.example"),
        role: Role::User.into(),
        member_id: text(member),
        ..Default::default()
    }
}

fn batch(invitees: Vec<proto::Invitee>) -> proto::BatchInviteMembersRequest {
    proto::BatchInviteMembersRequest { tenant_id: text("acme"), invitees, ..Default::default() }
}

on_both!(a_batch_invites_everyone_in_one_revision, |server| {
    server.tenant("acme").await;
    let before = tenant_revision(server).await;
    let invitees = ["cy", "ben", "amy"].map(invitee).to_vec();
    let answer =
        server.acting("acme-owner").batch_invite_members(batch(invitees)).await.unwrap().into_inner();
    let ids: Vec<_> =
        answer.invited.iter().map(|one| one.member.as_ref().unwrap().member_id.as_str()).collect();
    assert_eq!((ids, answer.revision), (vec!["cy", "ben", "amy"], before + 1));
    for one in &answer.invited {
        let user = format!("u-{}", one.member.as_ref().unwrap().member_id);
        accepted(server, &one.invitation_token, &user).await.unwrap();
        assert_eq!(server.section("acme", &user, "traces").await, "SECTION_GRANTED");
    }
});

on_both!(who_is_known_is_let_in_at_once, |server| {
    server.tenant("acme").await;
    server.agent("acme", "a1").await;
    server.user("acme", "ben").await;
    let known = |member: &str, user: &str| proto::Invitee {
        user_id: text(user),
        grants: vec![grant("agent", "a1")],
        ..invitee(member)
    };
    let mut operator = server.operator();
    let both = batch(vec![known("amy", "u-amy"), invitee("cy")]);
    let invited = operator.batch_invite_members(both).await.unwrap().into_inner().invited;
    let told = |one: &proto::InvitedMember| {
        let member = one.member.clone().unwrap();
        let is_invited = !one.invitation_token.is_empty() && one.invitation_expire_time.is_some();
        (member.status(), member.user_id, member.invitation_expire_time.is_some(), is_invited)
    };
    let (amy, cy) = (told(&invited[0]), told(&invited[1]));
    assert_eq!(amy, (proto::MemberStatus::Active, text("u-amy"), false, false));
    assert_eq!(cy, (proto::MemberStatus::Pending, String::new(), true, true));
    assert_eq!(server.check("acme", "u-amy", "view", "agent", "a1").await.1, "RESOURCE_GRANTED");
    assert_eq!(server.section("acme", "u-amy", "traces").await, "SECTION_GRANTED");

    let before = tenant_revision(server).await;
    refused(
        operator.batch_invite_members(batch(vec![known("dan", "u-amy")])).await,
        Code::AlreadyExists,
        "USER_TAKEN",
    );
    let twice = batch(vec![known("dan", "u-dan"), known("eve", "u-dan")]);
    invalid(operator.batch_invite_members(twice).await, &["invitees[1].user_id"]);
    let strange = batch(vec![known("dan", "two words")]);
    invalid(operator.batch_invite_members(strange).await, &["invitees[0].user_id"]);
    assert_eq!(tenant_revision(server).await, before);

    let one = proto::InviteMemberRequest { user_id: text("u-fay"), ..invite("fay") };
    let answer = operator.invite_member(one).await.unwrap().into_inner();
    assert_eq!((answer.invitation_token, answer.invitation_expire_time), (String::new(), None));
    assert_eq!(server.section("acme", "u-fay", "traces").await, "SECTION_GRANTED");
});

on_both!(a_thousand_are_invited_and_a_thousand_and_one_are_not, |server| {
    server.tenant("acme").await;
    let many = |count: usize| batch((0..count).map(|at| invitee(&format!("m{at}"))).collect());
    invalid(server.operator().batch_invite_members(many(0)).await, &["invitees"]);
    invalid(server.operator().batch_invite_members(many(1_001)).await, &["invitees"]);
    let answer = server.operator().batch_invite_members(many(1_000)).await.unwrap().into_inner();
    assert_eq!(answer.invited.len(), 1_000);
    let mut tokens: Vec<_> = answer.invited.into_iter().map(|one| one.invitation_token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 1_000);
});

on_both!(one_who_cannot_be_invited_stops_the_whole_batch, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    limit_seats(server, 4).await;
    let before = (members(server).await, tenant_revision(server).await);
    let mut operator = server.operator();
    let with = |last: proto::Invitee| batch(vec![invitee("amy"), last]);
    let taken = proto::Invitee { email: text("BEN@acme.example"), ..invitee("ben2") };
    refused(operator.batch_invite_members(with(taken)).await, Code::AlreadyExists, "EMAIL_TAKEN");
    let taken = proto::Invitee { member_id: text("ben"), ..invitee("cy") };
    refused(operator.batch_invite_members(with(taken)).await, Code::AlreadyExists, "ID_TAKEN");
    let strange = proto::Invitee { sections: toggles(&[("trases", true)]), ..invitee("cy") };
    refused(operator.batch_invite_members(with(strange)).await, Code::InvalidArgument, "SECTION_UNKNOWN");
    let strange = proto::Invitee { grants: vec![grant("agent", "none")], ..invitee("cy") };
    refused(operator.batch_invite_members(with(strange)).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    let three = ["amy", "cy", "dan"].map(invitee).to_vec();
    refused(operator.batch_invite_members(batch(three)).await, Code::ResourceExhausted, "SEAT_LIMIT");
    assert_eq!((members(server).await, tenant_revision(server).await), before);
    operator.batch_invite_members(with(invitee("cy"))).await.unwrap();
});

on_both!(every_field_of_every_invitee_is_named, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    let strange = vec![
        proto::Invitee::default(),
        proto::Invitee { grants: vec![grant("robot", "r1")], ..invitee("amy") },
        proto::Invitee { email: text("AMY@acme.example"), ..invitee("amy") },
        proto::Invitee {
            role: Role::Admin.into(),
            sections: toggles(&[("logs", true), ("no key", true)]),
            grants: vec![proto::GrantInput::default(), grant("agent", "a1"), grant("agent", "a1")],
            ..invitee("eve")
        },
    ];
    let fields = [
        "invitees[0].email",
        "invitees[0].role",
        "invitees[2].email",
        "invitees[2].member_id",
        "invitees[3].sections",
        "invitees[3].sections",
        "invitees[3].grants[0].resource",
        "invitees[3].grants[2].resource",
    ];
    invalid(operator.batch_invite_members(batch(strange)).await, &fields);
    let unknown =
        vec![invitee("cy"), proto::Invitee { grants: vec![grant("robot", "r1")], ..invitee("amy") }];
    invalid(operator.batch_invite_members(batch(unknown)).await, &["invitees[1].grants[0].resource.type"]);
});

on_both!(a_repeated_batch_shows_no_token, |server| {
    server.tenant("acme").await;
    let revision = tenant_revision(server).await;
    let invitees = ["ben", "cy"].map(invitee).to_vec();
    let request = proto::BatchInviteMembersRequest {
        request_id: request_id(),
        expected_revision: revision,
        ..batch(invitees)
    };
    let first = server.operator().batch_invite_members(request.clone()).await.unwrap().into_inner();
    let second = server.operator().batch_invite_members(request.clone()).await.unwrap().into_inner();
    assert!(first.invited.iter().all(|one| one.invitation_token.starts_with("dwi_")) && !first.replayed);
    assert!(second.invited.iter().all(|one| one.invitation_token.is_empty()) && second.replayed);
    let members = |answer: &proto::BatchInviteMembersResponse| {
        answer.invited.iter().map(|one| one.member.clone()).collect::<Vec<_>>()
    };
    assert_eq!((members(&first), first.revision), (members(&second), second.revision));
    let stale = proto::BatchInviteMembersRequest { request_id: String::new(), ..request };
    refused(server.operator().batch_invite_members(stale).await, Code::Aborted, "REVISION_MISMATCH");
});

//! What planning on invitations promises, without a database.

use doorward_engine::change::Change;
use doorward_engine::id::{ResourceId, Revision, TypeKey};
use doorward_engine::member::{Origin, SectionValue};
use doorward_engine::resource::Resource;
use doorward_engine::status::ResourceStatus;

use super::*;
use crate::service::member::sample::{
    NOW, id, in_force, kinds, lapse, plan, reason, section, state, user, with_limits,
};
use crate::store::{Planned, State};

const SECONDS: i64 = 72 * 60 * 60;

fn post() -> Post {
    Post { keys: Keys::new([7; 32], None), seconds: SECONDS }
}

fn invitee(name: &str) -> Invitee {
    Invitee {
        path: "invitees[3].".to_owned(),
        id: Some(id(name)),
        user: None,
        email: Email::parse(&format!("{name}@example.com")).unwrap(),
        role: Role::User,
        display_name: None,
        sections: BTreeMap::new(),
        grants: Vec::new(),
    }
}

fn agent(name: &str) -> ResourceRef {
    ResourceRef { kind: TypeKey::parse("agent").unwrap(), id: ResourceId::parse(name).unwrap() }
}

fn inviting(state: &State, invitee: &Invitee) -> Result<Planned<Member>, Error> {
    plan(state, |by, draft| invite(by, draft, &post(), invitee, Some(&Drawn::draw()?), 1))
}

fn live(member: &str, byte: u8) -> Invitation {
    let expires_at = NOW.plus_seconds(60);
    Invitation {
        token: SecretHash([byte; 32]),
        member: id(member),
        expires_at,
        status: InvitationStatus::Live,
    }
}

#[test]
fn a_new_user_begins_with_a_copy_of_the_defaults() {
    let mut state = state();
    state.tenant.as_mut().unwrap().defaults.insert(section("logs"), false);
    let mut eve = invitee("eve");
    eve.sections.insert(section("eval"), false);
    let planned = inviting(&state, &eve).unwrap();
    let value = |on, origin| SectionValue { on, origin };
    assert_eq!(planned.answer.sections.len(), 7);
    assert_eq!(planned.answer.sections[&section("logs")], value(false, Origin::Default));
    assert_eq!(planned.answer.sections[&section("traces")], value(true, Origin::Default));
    assert_eq!(planned.answer.sections[&section("eval")], value(false, Origin::Set));
    assert_eq!((planned.answer.status, planned.answer.user_id), (MemberStatus::Pending, None));
    assert_eq!(planned.answer.invitation_expires_at, Some(NOW.plus_seconds(SECONDS)));
    assert_eq!(kinds(&planned.changes), ["member", "invitation"]);

    eve.role = Role::Admin;
    eve.sections.clear();
    assert!(inviting(&state, &eve).unwrap().answer.sections.is_empty());
}

#[test]
fn only_sections_with_a_toggle_are_named() {
    for (name, found) in [
        ("analytics", "NotConfigurable(\"analytics\")"),
        ("analyser", "NotConfigurable(\"analyser\")"),
        ("trases", "section `trases` is not in the catalogue"),
    ] {
        let mut eve = invitee("eve");
        eve.sections.insert(section(name), true);
        assert_eq!(reason(inviting(&state(), &eve)), found);
    }
}

#[test]
fn the_letter_holds_the_token_sealed_and_nothing_else_does() {
    let state = state();
    let drawn = Drawn::draw().unwrap();
    let planned =
        plan(&state, |by, draft| invite(by, draft, &post(), &invitee("eve"), Some(&drawn), 1)).unwrap();
    let token = drawn.token.expose_secret();
    assert!(token.starts_with("dwi_") && token.len() == 68, "{token}");
    let letter = &planned.letters[0];
    assert_eq!((planned.letters.len(), letter.kind), (1, "invitation"));
    let opened = post().keys.open(Purpose::Outbox, b"acme", &letter.payload).unwrap();
    let opened: serde_json::Value = serde_json::from_slice(&opened).unwrap();
    assert_eq!(
        opened,
        serde_json::json!({
            "tenant": "acme",
            "member": "eve",
            "email": "eve@example.com",
            "expires": "2026-03-04T12:00:00Z",
            "token": token,
        })
    );
    let stored = format!("{:?} {:?}", planned.changes, serde_json::to_string(&planned.answer).unwrap());
    assert!(!stored.contains(token) && !stored.contains("dwi_"));
    assert!(
        matches!(&planned.changes[1], Change::Invitation { after, .. } if after.token == secret::hash(token))
    );
}

#[test]
fn seats_are_counted_to_the_last_one() {
    let mut state = state();
    state.in_force = in_force(&with_limits("limits = { members = 5 }"));
    assert_eq!(reason(inviting(&state, &invitee("eve"))), "done");
    state.seats = 5;
    assert_eq!(reason(inviting(&state, &invitee("eve"))), "5 of 5");
    state.seats = 4;
    let two = plan(&state, |by, draft| invite(by, draft, &post(), &invitee("eve"), Some(&Drawn::draw()?), 2));
    assert_eq!(reason(two), "4 of 5");
    // A limit below what is held takes nothing away, and lets nothing in.
    state.seats = 9;
    assert_eq!(reason(inviting(&state, &invitee("eve"))), "9 of 5");
}

#[test]
fn addresses_and_ids_are_not_used_twice() {
    let mut state = state();
    assert_eq!(reason(inviting(&state, &invitee("ben"))), "Id taken");
    state.emails.insert("ben@example.com".to_owned(), id("ben"));
    let mut another = Invitee { id: None, ..invitee("ben") };
    assert_eq!(reason(inviting(&state, &another)), "Email taken");
    another.email = Email::parse("Ben@Example.Com").unwrap();
    assert_eq!(reason(inviting(&state, &another)), "Email taken");
    another.email = Email::parse("eve@example.com").unwrap();
    let fresh = inviting(&state, &another).unwrap().answer.id;
    assert_eq!(uuid::Uuid::parse_str(fresh.as_str()).unwrap().get_version_num(), 7);
}

#[test]
fn who_is_known_begins_active_without_token_and_letter() {
    let mut state = state();
    let known = |user: Option<UserId>, role| Invitee { user, role, ..invitee("eve") };
    let inviting = |state: &State, invitee: &Invitee| {
        plan(state, |by, draft| invite(by, draft, &post(), invitee, Drawn::draw_for(invitee)?.as_ref(), 1))
    };
    for role in [Role::User, Role::Admin] {
        let planned = inviting(&state, &known(Some(user("u-eve")), role)).unwrap();
        assert_eq!(
            (planned.answer.status, planned.answer.user_id),
            (MemberStatus::Active, Some(user("u-eve")))
        );
        assert_eq!((planned.answer.invitation_expires_at, planned.letters.len()), (None, 0));
        assert_eq!(kinds(&planned.changes), ["member"]);
    }
    assert_eq!(kinds(&inviting(&state, &known(None, Role::User)).unwrap().changes), ["member", "invitation"]);
    state.users.insert(user("u-eve"), id("ben"));
    assert_eq!(reason(inviting(&state, &known(Some(user("u-eve")), Role::User))), "User taken");
    state.in_force = in_force(&with_limits("limits = { members = 5 }"));
    state.seats = 5;
    assert_eq!(reason(inviting(&state, &known(Some(user("u-amy")), Role::User))), "5 of 5");
}

#[test]
fn a_lapsed_tenant_invites_nobody_and_still_lets_in_who_was_invited() {
    let mut state = state();
    lapse(&mut state);
    state.invitation = Some(live("pia", 1));
    assert_eq!(reason(inviting(&state, &invitee("eve"))), "SubscriptionLapsed");
    assert_eq!(reason(plan(&state, |by, draft| accept(by, draft, user("u-pia"), None))), "done");
    assert_eq!(reason(plan(&state, |by, draft| activate(by, draft, &id("pia"), user("u-pia")))), "done");
}

#[test]
fn grants_are_made_on_what_is_there() {
    let mut state = state();
    let resource = |name: &str, status| Resource {
        reference: agent(name),
        name: Name::parse(name).unwrap(),
        tags: BTreeMap::new(),
        status,
        created_at: NOW,
        revision: Revision(2),
    };
    state.resources =
        [("a1", ResourceStatus::Active), ("a2", ResourceStatus::Inactive), ("a3", ResourceStatus::Deleted)]
            .map(|(name, status)| (agent(name), resource(name, status)))
            .into();
    let with = |on: ResourceRef| Invitee { grants: vec![(on, Grant { expires_at: None })], ..invitee("eve") };
    let planned = inviting(&state, &with(agent("a1"))).unwrap();
    assert_eq!(kinds(&planned.changes), ["member", "invitation", "grant"]);
    assert_eq!(reason(inviting(&state, &with(agent("a2")))), "done");
    assert_eq!(reason(inviting(&state, &with(agent("a3")))), "no Resource");
    assert_eq!(reason(inviting(&state, &with(agent("a4")))), "no Resource");
    let ghost = ResourceRef { kind: TypeKey::parse("ghost").unwrap(), ..agent("a1") };
    assert!(reason(inviting(&state, &with(ghost))).contains("invitees[3].grants[0].resource.type"));
}

#[test]
fn resending_replaces_the_token() {
    let mut state = state();
    state.invitations = vec![live("pia", 1)];
    let resent = |state: &State, name: &str| {
        plan(state, |by, draft| resend(by, draft, &post(), &id(name), &Drawn::draw()?))
    };
    let planned = resent(&state, "pia").unwrap();
    assert_eq!(kinds(&planned.changes), ["invitation", "member", "invitation"]);
    assert!(
        matches!(&planned.changes[0], Change::Invitation { after, .. } if after.status == InvitationStatus::Cancelled)
    );
    assert_eq!(planned.answer.invitation_expires_at, Some(NOW.plus_seconds(SECONDS)));
    assert_eq!(planned.letters.len(), 1);
    assert_eq!(reason(resent(&state, "ben")), "NotPending");
    assert_eq!(reason(resent(&state, "dan")), "NotPending");
    assert_eq!(reason(resent(&state, "nobody")), "no Member");
    lapse(&mut state);
    assert_eq!(reason(resent(&state, "pia")), "done");
}

#[test]
fn cancelling_deletes_who_is_pending_and_nobody_else() {
    let mut state = state();
    state.invitations = vec![live("pia", 1)];
    let planned = plan(&state, |_, draft| cancel(draft, &id("pia"))).unwrap();
    assert_eq!(kinds(&planned.changes), ["invitation", "member"]);
    assert_eq!(planned.answer.status, MemberStatus::Deleted);
    assert_eq!(reason(plan(&state, |_, draft| cancel(draft, &id("ben")))), "NotPending");
    state.members.insert(id("pia"), planned.answer);
    state.invitations.clear();
    assert!(plan(&state, |_, draft| cancel(draft, &id("pia"))).unwrap().changes.is_empty());
}

#[test]
fn a_token_works_once_and_in_time() {
    let mut state = state();
    let accepted = |state: &State| plan(state, |by, draft| accept(by, draft, user("u-pia"), None));
    assert_eq!(reason(accepted(&state)), "no Invitation");
    let with =
        |status, seconds| Invitation { status, expires_at: NOW.plus_seconds(seconds), ..live("pia", 1) };
    for (invitation, found) in [
        (with(InvitationStatus::Live, 1), "done"),
        (with(InvitationStatus::Live, 0), "InvitationExpired"),
        (with(InvitationStatus::Used, 1), "InvitationUsed"),
        (with(InvitationStatus::Cancelled, 1), "InvitationCancelled"),
    ] {
        state.invitation = Some(invitation);
        assert_eq!(reason(accepted(&state)), found);
    }
    state.invitation = Some(live("pia", 1));
    let planned = accepted(&state).unwrap();
    assert_eq!(kinds(&planned.changes), ["member", "invitation"]);
    assert!(
        matches!(&planned.changes[1], Change::Invitation { after, .. } if after.status == InvitationStatus::Used)
    );
    let pia = planned.answer;
    assert_eq!((pia.status, pia.user_id, pia.person_version), (MemberStatus::Active, Some(user("u-pia")), 2));
    assert_eq!(pia.invitation_expires_at, None);
}

#[test]
fn nobody_is_a_member_twice() {
    let mut state = state();
    state.invitation = Some(live("pia", 1));
    state.users.insert(user("u-ben"), id("ben"));
    assert_eq!(reason(plan(&state, |by, draft| accept(by, draft, user("u-ben"), None))), "User taken");
    assert_eq!(
        reason(plan(&state, |by, draft| activate(by, draft, &id("pia"), user("u-ben")))),
        "User taken"
    );
}

#[test]
fn activating_uses_up_the_token() {
    let mut state = state();
    state.invitations = vec![live("pia", 1)];
    let planned = plan(&state, |by, draft| activate(by, draft, &id("pia"), user("u-pia"))).unwrap();
    assert_eq!(kinds(&planned.changes), ["member", "invitation"]);
    assert!(
        matches!(&planned.changes[1], Change::Invitation { after, .. } if after.status == InvitationStatus::Used)
    );
    for name in ["ben", "dan"] {
        assert_eq!(
            reason(plan(&state, |by, draft| activate(by, draft, &id(name), user("u-x")))),
            "NotPending"
        );
    }
}

//! What planning on members promises, without a database.

use doorward_engine::change::Change;
use doorward_engine::id::Revision;
use doorward_engine::member::{Invitation, Origin, SecretHash, SectionValue};
use doorward_engine::role::Role::{Admin, User};
use doorward_engine::status::{InvitationStatus, MemberStatus};

use super::sample::{
    NOW, caller, id, key, kinds, lapse, member, plan, plan_as, plan_as_operator, reason, section, state,
};
use super::*;

const KEEPING: Deletion = Deletion { revoke_keys: false, erase: false };

#[test]
fn the_last_active_admin_stays() {
    let mut state = state();
    let ada = id("ada");
    assert_eq!(reason(plan_as_operator(&state, |by, draft| change_role(by, draft, &ada, User))), "LastAdmin");
    assert_eq!(reason(plan_as_operator(&state, |by, draft| disable(by, draft, &ada, false))), "LastAdmin");
    assert_eq!(reason(plan_as_operator(&state, |by, draft| delete(by, draft, &ada, KEEPING))), "LastAdmin");
    state.active_admins = 2;
    assert_eq!(reason(plan_as_operator(&state, |by, draft| change_role(by, draft, &ada, User))), "done");
    assert_eq!(reason(plan_as_operator(&state, |by, draft| disable(by, draft, &ada, false))), "done");
    assert_eq!(reason(plan_as_operator(&state, |by, draft| delete(by, draft, &ada, KEEPING))), "done");
}

#[test]
fn an_admin_who_is_not_active_is_not_the_last_one() {
    let mut state = state();
    for (name, status) in [("pia", MemberStatus::Pending), ("dan", MemberStatus::Disabled)] {
        state.members.insert(id(name), member(name, Admin, status));
        assert_eq!(reason(plan(&state, |by, draft| change_role(by, draft, &id(name), User))), "done");
        assert_eq!(reason(plan(&state, |by, draft| delete(by, draft, &id(name), KEEPING))), "done");
    }
}

#[test]
fn nobody_disables_or_deletes_themselves() {
    let mut state = state();
    state.active_admins = 2;
    assert_eq!(reason(plan(&state, |by, draft| disable(by, draft, &id("ada"), false))), "SelfForbidden");
    assert_eq!(reason(plan(&state, |by, draft| delete(by, draft, &id("ada"), KEEPING))), "SelfForbidden");
    assert_eq!(reason(plan(&state, |by, draft| change_role(by, draft, &id("ada"), User))), "done");
}

#[test]
fn each_move_starts_where_it_may() {
    let mut state = state();
    state.members.insert(id("gone"), member("gone", User, MemberStatus::Deleted));
    let disabling = |name: &str| plan(&state, |by, draft| disable(by, draft, &id(name), false));
    let enabling = |name: &str| plan(&state, |_, draft| enable(draft, &id(name)));
    let deleting = |name: &str| plan(&state, |by, draft| delete(by, draft, &id(name), KEEPING));
    for (name, disabled, enabled, deleted) in [
        ("ben", "done", "done", "done"),
        ("dan", "done", "done", "done"),
        ("pia", "MemberPending", "MemberPending", "done"),
        ("gone", "no Member", "no Member", "done"),
        ("nobody", "no Member", "no Member", "no Member"),
    ] {
        let found = [reason(disabling(name)), reason(enabling(name)), reason(deleting(name))];
        assert_eq!(found, [disabled, enabled, deleted], "{name}");
    }
    assert!(disabling("dan").unwrap().changes.is_empty());
    assert!(enabling("ben").unwrap().changes.is_empty());
    assert!(deleting("gone").unwrap().changes.is_empty());
}

#[test]
fn disabling_keeps_what_is_stored_and_deleting_does_not() {
    let mut state = state();
    let value = SectionValue { on: false, origin: Origin::Set };
    state.members.get_mut(&id("ben")).unwrap().sections.insert(section("logs"), value);
    let disabled = plan(&state, |by, draft| disable(by, draft, &id("ben"), false)).unwrap().answer.member;
    assert_eq!((disabled.status, disabled.sections.len()), (MemberStatus::Disabled, 1));
    let deleted = plan(&state, |by, draft| delete(by, draft, &id("ben"), KEEPING)).unwrap().answer.member;
    assert_eq!((deleted.status, deleted.sections.len()), (MemberStatus::Deleted, 0));
    assert_eq!(deleted.revision, Revision(8));
}

#[test]
fn deleting_a_pending_member_kills_their_token() {
    let mut state = state();
    let live = Invitation {
        token: SecretHash([1; 32]),
        member: id("pia"),
        expires_at: NOW.plus_seconds(60),
        status: InvitationStatus::Live,
    };
    state.invitations = vec![live];
    let planned = plan(&state, |by, draft| delete(by, draft, &id("pia"), KEEPING)).unwrap();
    assert_eq!(kinds(&planned.changes), ["invitation", "member"]);
    assert!(
        matches!(&planned.changes[0], Change::Invitation { after, .. } if after.status == InvitationStatus::Cancelled)
    );
    assert_eq!(planned.answer.member.invitation_expires_at, None);
}

#[test]
fn the_keys_of_who_leaves_live_on_unless_they_are_revoked() {
    let mut state = state();
    let expired = ApiKey { expires_at: Some(NOW), ..key("old", "ben") };
    let another = key("other", "ada");
    state.keys =
        [key("k1", "ben"), key("k2", "ben"), expired, another].map(|key| (key.id.clone(), key)).into();
    let named = |keys: &[ApiKey]| keys.iter().map(|key| key.id.to_string()).collect::<Vec<_>>();

    let kept = plan(&state, |by, draft| disable(by, draft, &id("ben"), false)).unwrap();
    assert_eq!(
        (named(&kept.answer.live_keys), kept.answer.revoked_keys.len()),
        (vec!["k1".into(), "k2".into()], 0)
    );
    assert_eq!(kinds(&kept.changes), ["member"]);

    let revoked = plan(&state, |by, draft| disable(by, draft, &id("ben"), true)).unwrap();
    assert_eq!(
        (revoked.answer.live_keys.len(), named(&revoked.answer.revoked_keys)),
        (0, vec!["k1".into(), "k2".into()])
    );
    assert_eq!(kinds(&revoked.changes), ["member", "key", "key"]);
    assert!(revoked.answer.revoked_keys.iter().all(|key| key.revoked_at == Some(NOW)));
}

#[test]
fn promoting_and_enabling_grow() {
    let mut state = state();
    lapse(&mut state);
    let lapsed = "SubscriptionLapsed";
    assert_eq!(reason(plan(&state, |by, draft| change_role(by, draft, &id("ben"), Admin))), lapsed);
    assert_eq!(reason(plan(&state, |_, draft| enable(draft, &id("dan")))), lapsed);
    state.active_admins = 2;
    for reduces in [
        reason(plan(&state, |by, draft| change_role(by, draft, &id("ada"), User))),
        reason(plan(&state, |by, draft| disable(by, draft, &id("ben"), false))),
        reason(plan(&state, |by, draft| delete(by, draft, &id("ben"), KEEPING))),
        reason(plan(&state, |_, draft| enable(draft, &id("ben")))),
        reason(plan(&state, |by, draft| change_role(by, draft, &id("ben"), User))),
    ] {
        assert_eq!(reduces, "done");
    }
}

#[test]
fn who_is_demoted_without_values_gets_the_defaults_of_now() {
    let mut state = state();
    state.active_admins = 2;
    state.tenant.as_mut().unwrap().defaults.insert(section("logs"), false);
    let demoted = plan(&state, |by, draft| change_role(by, draft, &id("ada"), User)).unwrap().answer;
    assert_eq!(demoted.sections.len(), 7);
    assert_eq!(demoted.sections[&section("logs")], SectionValue { on: false, origin: Origin::Default });
    assert_eq!(demoted.sections[&section("traces")], SectionValue { on: true, origin: Origin::Default });

    let kept = SectionValue { on: true, origin: Origin::Set };
    state.members.get_mut(&id("ada")).unwrap().sections.insert(section("logs"), kept);
    let demoted = plan(&state, |by, draft| change_role(by, draft, &id("ada"), User)).unwrap().answer;
    assert_eq!(demoted.sections, [(section("logs"), kept)].into());
}

#[test]
fn a_stale_revision_changes_nothing() {
    let state = state();
    let ada = caller(Some("u-ada"));
    for (expected, found) in
        [(3, "done".to_owned()), (2, Error::RevisionMismatch { current: Revision(3) }.to_string())]
    {
        let ben = id("ben");
        let expected = Some(expected);
        assert_eq!(
            reason(plan_as(&ada, &state, expected, |by, draft| change_role(by, draft, &ben, Admin))),
            found
        );
        assert_eq!(
            reason(plan_as(&ada, &state, expected, |by, draft| disable(by, draft, &ben, false))),
            found
        );
        assert_eq!(reason(plan_as(&ada, &state, expected, |_, draft| enable(draft, &id("dan")))), found);
        assert_eq!(
            reason(plan_as(&ada, &state, expected, |by, draft| delete(by, draft, &ben, KEEPING))),
            found
        );
    }
}

#[test]
fn erasing_empties_the_person_and_is_a_change_of_its_own() {
    let mut state = state();
    let erasing = Deletion { erase: true, ..KEEPING };
    let erased = plan(&state, |by, draft| delete(by, draft, &id("ben"), erasing)).unwrap();
    assert_eq!(kinds(&erased.changes), ["member", "erasure"]);
    let after = &erased.answer.member;
    assert_eq!(
        (after.email.as_ref(), after.display_name.as_ref(), after.user_id.as_ref()),
        (None, None, None)
    );
    assert_eq!(after.person_version, state.members[&id("ben")].person_version + 1);

    let gone = Member { status: MemberStatus::Deleted, ..state.members[&id("ben")].clone() };
    state.members.insert(id("ben"), gone);
    let erased = plan(&state, |by, draft| delete(by, draft, &id("ben"), erasing)).unwrap();
    assert_eq!(kinds(&erased.changes), ["member", "erasure"]);
    state.members.insert(id("ben"), erased.answer.member);
    assert!(plan(&state, |by, draft| delete(by, draft, &id("ben"), erasing)).unwrap().changes.is_empty());
    assert_eq!(reason(plan(&state, |by, draft| delete(by, draft, &id("ada"), erasing))), "SelfForbidden");
}

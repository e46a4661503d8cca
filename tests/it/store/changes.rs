//! Every kind of record and of change: written, and read back as it was, by lists and by plans.

use std::collections::BTreeMap;

use doorward::store::directory::{Directory, ResourceFilter};
use doorward::store::{Act, Needs};
use doorward_engine::change::Change;
use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Invitation, Member, Origin, SectionValue};
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::status::{InvitationStatus, MemberStatus, ResourceStatus};

use super::records::{
    agent, api_key, email, full_tenant, invitation, key_id, kind, member, member_id, name, new_grant,
    new_invitation, new_key, new_member, new_resource, pending, resource, section, tenant, tenant_id, user,
    user_id,
};
use super::tables::Tables;
use super::{NOW, Store, all, new, on, on_both};

async fn member_now(store: &Store, id: &str) -> Member {
    store.sql.member(tenant_id("acme"), member_id(id)).await.unwrap().unwrap()
}

/// Changes a member by what `edit` does to the record as it is.
async fn edit_member(store: &Store, id: &str, edit: impl FnOnce(&mut Member)) -> Member {
    let before = member_now(store, id).await;
    let mut after = before.clone();
    edit(&mut after);
    after.revision = Revision(store.log("acme").await.len() as u64 + 1);
    store.write("acme", vec![Change::Member { before: Some(before), after: after.clone() }]).await;
    assert_eq!(member_now(store, id).await, after);
    after
}

on_both!(a_tenant_is_read_as_it_was_written, |store| {
    let full = full_tenant("acme");
    store.try_write(new("acme"), vec![Change::Tenant { before: None, after: full.clone() }]).await.unwrap();
    let view = store.sql.tenant(tenant_id("acme")).await.unwrap().unwrap();
    assert_eq!((&view.tenant, view.revision, view.now), (&full, Revision(1), NOW));
    let mut plain = tenant("acme");
    plain.revision = Revision(2);
    store.write("acme", vec![Change::Tenant { before: Some(full), after: plain.clone() }]).await;
    assert_eq!(store.sql.tenant(tenant_id("acme")).await.unwrap().unwrap().tenant, plain);
    assert_eq!(store.state("acme", Needs::default()).await.tenant, Some(plain));
});

on_both!(a_member_is_read_as_they_were_written, |store| {
    store.tenant("acme").await;
    let ben = Member { display_name: Some(name("Bén O'Neil")), revision: Revision(2), ..pending("ben") };
    store.write("acme", vec![new_member(ben.clone())]).await;
    assert_eq!(member_now(&store, "ben").await, ben);
    let usage = store.sql.usage(tenant_id("acme"), NOW).await.unwrap();
    assert_eq!((usage.members, usage.api_keys), (2, 0));
    let needs = Needs { members: [member_id("ben"), member_id("nobody")].into(), ..Needs::default() };
    assert_eq!(store.state("acme", needs).await.members, BTreeMap::from([(member_id("ben"), ben)]));
});

on_both!(accepting_tells_which_member_a_user_is, |store| {
    store.tenant("acme").await;
    store.write("acme", vec![new_member(pending("ben"))]).await;
    assert!(store.sql.member_by_user(tenant_id("acme"), user_id("u1")).await.unwrap().is_none());
    let accepted = edit_member(&store, "ben", |ben| {
        ben.status = MemberStatus::Active;
        ben.user_id = Some(user_id("u1"));
        ben.invitation_expires_at = None;
        ben.person_version = 2;
    })
    .await;
    assert_eq!(
        store.sql.member_by_user(tenant_id("acme"), user_id("u1")).await.unwrap(),
        Some(accepted.clone())
    );
    let moved = edit_member(&store, "ben", |ben| {
        ben.user_id = Some(user_id("u2"));
        ben.person_version = 3;
    })
    .await;
    assert!(store.sql.member_by_user(tenant_id("acme"), user_id("u1")).await.unwrap().is_none());
    let needs = Needs { users: [user_id("u1"), user_id("u2")].into(), ..Needs::default() };
    let state = store.state("acme", needs).await;
    assert_eq!(state.users, BTreeMap::from([(user_id("u2"), member_id("ben"))]));
    assert_eq!(state.members, BTreeMap::from([(member_id("ben"), moved)]));
    let tables = Tables::of(&store).await;
    assert_eq!(
        tables.rows("tenant_user", "user_id = 'u1' AND member_id IS NULL AND changed_rev = 4").await.len(),
        1
    );
    assert_eq!(tables.rows("member_person", "member_id = 'ben'").await.len(), 3);
});

on_both!(section_values_are_set_changed_and_reset_each_alone, |store| {
    store.tenant("acme").await;
    store.write("acme", vec![new_member(user("ben")), new_member(user("cy"))]).await;
    let set = |on| SectionValue { on, origin: Origin::Set };
    edit_member(&store, "ben", |ben| {
        ben.sections.insert(section("traces"), set(false));
        ben.sections.insert(section("eval"), set(true));
        ben.sections.remove("logs");
    })
    .await;
    assert_eq!(member_now(&store, "cy").await.sections, user("cy").sections);
    // A value that stays as it is keeps its revision.
    edit_member(&store, "ben", |ben| {
        ben.sections.insert(section("eval"), set(false));
    })
    .await;
    let tables = Tables::of(&store).await;
    assert_eq!(tables.rows("member_section", "member_id = 'ben' AND changed_rev = 3").await.len(), 1);
    assert_eq!(tables.rows("member_section", "member_id = 'ben' AND changed_rev = 4").await.len(), 1);
    edit_member(&store, "ben", |ben| {
        ben.sections.clear();
        ben.role = Role::Admin;
    })
    .await;
});

on_both!(a_persons_version_is_kept_for_each_change_of_the_person, |store| {
    store.tenant("acme").await;
    store.write("acme", vec![new_member(user("ben"))]).await;
    edit_member(&store, "ben", |ben| {
        ben.display_name = Some(name("Ben"));
        ben.person_version = 2;
    })
    .await;
    edit_member(&store, "ben", |ben| ben.status = MemberStatus::Disabled).await;
    let tables = Tables::of(&store).await;
    assert_eq!(
        tables
            .rows("member_person", "member_id = 'ben' AND display_name = 'Ben' AND version = 2")
            .await
            .len(),
        1
    );
    assert_eq!(tables.rows("member_person", "member_id = 'ben'").await.len(), 2);
});

on_both!(an_invitation_is_replaced_used_and_found_by_its_token, |store| {
    store.tenant("acme").await;
    store.write("acme", vec![new_member(pending("ben")), new_invitation("ben", 1)]).await;
    let first = invitation("ben", 1);
    let cancelled = Invitation { status: InvitationStatus::Cancelled, ..first.clone() };
    let second = Invitation { expires_at: NOW, ..invitation("ben", 2) };
    let resend = vec![
        Change::Invitation { before: None, after: second.clone() },
        Change::Invitation { before: Some(first.clone()), after: cancelled.clone() },
    ];
    store.write("acme", resend).await;
    let by_token = |token| Needs { invitation: Some(token), ..Needs::default() };
    let state = store.state("acme", by_token(first.token)).await;
    assert_eq!(state.invitation, Some(cancelled));
    assert_eq!(state.members.keys().collect::<Vec<_>>(), [&member_id("ben")]);
    assert_eq!(store.state("acme", by_token(invitation("ben", 9).token)).await.invitation, None);
    let live = Needs { invitations_of: [member_id("ben"), member_id("ada")].into(), ..Needs::default() };
    assert_eq!(store.state("acme", live).await.invitations, [second]);
});

on_both!(a_resource_is_read_as_it_was_written, |store| {
    store.tenant("acme").await;
    let full = Resource {
        name: name("Агент \"1\""),
        tags: [("team".to_owned(), "a'b\\c".to_owned()), ("empty".to_owned(), String::new())].into(),
        status: ResourceStatus::Inactive,
        revision: Revision(2),
        ..resource("a1")
    };
    store.write("acme", vec![Change::Resource { before: None, after: full.clone() }]).await;
    assert_eq!(store.sql.resource(tenant_id("acme"), agent("a1")).await.unwrap(), Some(full.clone()));
    let plain = Resource { revision: Revision(3), ..resource("a1") };
    store.write("acme", vec![Change::Resource { before: Some(full), after: plain.clone() }]).await;
    assert_eq!(
        store.sql.resources(tenant_id("acme"), ResourceFilter::default(), all()).await.unwrap(),
        std::slice::from_ref(&plain)
    );
    let needs = Needs { resources: [agent("a1"), agent("a2")].into(), ..Needs::default() };
    assert_eq!(store.state("acme", needs).await.resources, BTreeMap::from([(agent("a1"), plain)]));
});

on_both!(grants_are_given_changed_and_taken_and_mark_the_member, |store| {
    store.tenant("acme").await;
    let given = vec![
        new_member(user("ben")),
        new_member(user("cy")),
        new_resource("a1"),
        new_resource("a2"),
        new_grant("ben", "a1", None),
        new_grant("ben", "a2", Some(NOW.plus_seconds(9))),
        new_grant("cy", "a1", None),
    ];
    store.write("acme", given).await;
    let until = Grant { expires_at: Some(NOW) };
    let forever = Grant { expires_at: None };
    let change = |resource, before, after| Change::Grant {
        member: member_id("ben"),
        resource: agent(resource),
        before,
        after,
    };
    let second = Some(Grant { expires_at: Some(NOW.plus_seconds(9)) });
    store.write("acme", vec![change("a1", Some(forever), Some(until)), change("a2", second, None)]).await;
    let needs = Needs {
        grants: [(member_id("ben"), agent("a1")), (member_id("ben"), agent("a2"))].into(),
        grants_of: [member_id("cy")].into(),
        ..Needs::default()
    };
    let expected = [((member_id("ben"), agent("a1")), until), ((member_id("cy"), agent("a1")), forever)];
    assert_eq!(store.state("acme", needs).await.grants, BTreeMap::from(expected));
    assert_eq!(member_now(&store, "ben").await.revision, Revision(3));
    assert_eq!(member_now(&store, "cy").await.revision, Revision(2));
});

on_both!(an_api_key_is_read_as_it_was_written_and_keeps_its_secret, |store| {
    store.tenant("acme").await;
    let mut key = api_key("k1", Some("ada"));
    key.revision = Revision(2);
    let plain =
        doorward_engine::api_key::ApiKey { created_by: None, expires_at: None, ..api_key("k2", None) };
    store.write("acme", vec![new_key(key.clone()), new_key(plain)]).await;
    let mut revoked = key.clone();
    revoked.revoked_at = Some(NOW);
    revoked.revision = Revision(3);
    let change = Change::ApiKey { before: Some(key.clone()), after: revoked.clone(), secret: None };
    let of_ada = Needs { keys_of: [member_id("ada")].into(), live_keys: true, ..Needs::default() };
    let state = store.state("acme", of_ada.clone()).await;
    assert_eq!((state.keys, state.live_keys), (BTreeMap::from([(key_id("k1"), key)]), 2));
    store.write("acme", vec![change]).await;
    let needs = Needs { keys: [key_id("k1")].into(), ..of_ada };
    let state = store.state("acme", needs).await;
    assert_eq!((state.keys, state.live_keys), (BTreeMap::from([(key_id("k1"), revoked.clone())]), 1));
    assert_eq!(store.sql.keys(tenant_id("acme"), all()).await.unwrap()[0], revoked);
    let rows = Tables::of(&store).await.rows("api_key", "key_id = 'k1'").await;
    assert!(rows[0].to_ascii_lowercase().contains(&"07".repeat(32)), "{rows:?}");
});

on_both!(live_keys_are_counted_on_the_stores_clock, |store| {
    store.tenant("acme").await;
    store.write("acme", vec![new_key(api_key("k1", None))]).await;
    let needs = Needs { live_keys: true, ..Needs::default() };
    store.clock.set(NOW.plus_seconds(59));
    assert_eq!(store.state("acme", needs.clone()).await.live_keys, 1);
    store.clock.set(NOW.plus_seconds(60));
    assert_eq!(store.state("acme", needs).await.live_keys, 0);
});

on_both!(a_plan_sees_what_it_needs_and_nothing_else, |store| {
    store.tenant("acme").await;
    let members = vec![
        new_member(user("ben")),
        new_member(Member { status: MemberStatus::Disabled, ..user("cy") }),
        new_member(Member { user_id: None, ..pending("dee") }),
        new_member(member("eve")),
        new_member(Member { status: MemberStatus::Disabled, ..member("fay") }),
    ];
    store.write("acme", members).await;
    store.write("acme", vec![new_resource("a1"), new_resource("a2")]).await;
    let nothing = store.state_for(Act { actor: Some(user_id("ada")), ..on("acme") }, Needs::default()).await;
    assert_eq!(nothing.actor.as_ref().map(|actor| actor.id.as_str()), Some("ada"));
    assert!(nothing.members.is_empty() && nothing.users.is_empty() && nothing.resources.is_empty());
    assert_eq!((nothing.seats, nothing.active_admins, nothing.resource_count), (0, 0, 0));
    let needs = Needs {
        every_user: true,
        seats: true,
        active_admins: true,
        resources_of: Some(kind("agent")),
        emails: [email("EVE@example.com"), email("no@example.com")].into(),
        ..Needs::default()
    };
    let state = store.state_for(Act { actor: Some(user_id("stranger")), ..on("acme") }, needs).await;
    assert_eq!(state.actor, None);
    assert_eq!(state.members.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["ben", "cy", "dee", "eve"]);
    assert_eq!(state.emails, BTreeMap::from([("eve@example.com".to_owned(), member_id("eve"))]));
    assert_eq!((state.seats, state.active_admins, state.resource_count), (6, 2, 2));
    assert_eq!((state.revision, state.in_force.version), (Revision(3), 1));
});

on_both!(instants_at_the_ends_of_time_are_kept, |store| {
    store.tenant("acme").await;
    store
        .write(
            "acme",
            vec![new_member(user("ben")), new_resource("a1"), new_grant("ben", "a1", Some(Instant::MAX))],
        )
        .await;
    let needs = Needs { grants_of: [member_id("ben")].into(), ..Needs::default() };
    let grants = store.state("acme", needs).await.grants;
    assert_eq!(grants.values().next().unwrap().expires_at, Some(Instant::MAX));
});

//! Tenants apart: the same ids in two tenants, and whatever happens in one leaves the other's rows as they were.

use doorward::store::directory::{Directory, MemberFilter, ResourceFilter, Slice, TenantUsage};
use doorward::store::{Act, Needs};
use doorward_engine::change::Change;
use doorward_engine::member::{Grant, Invitation, Member};
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::status::{InvitationStatus, MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::tenant::Tenant;

use super::records::{
    agent, api_key, email, invitation, key_id, kind, member_id, new_grant, new_invitation, new_key,
    new_member, new_resource, pending, resource, section, tenant, tenant_id, user, user_id,
};
use super::tables::Tables;
use super::{NOW, Store, all, on, on_both};

/// The same of everything in each tenant.
async fn fill(store: &Store, id: &str) {
    store.tenant(id).await;
    let everything = vec![
        new_member(user("ben")),
        new_member(user("cy")),
        new_member(pending("dee")),
        new_invitation("dee", 1),
        new_resource("a1"),
        new_resource("a2"),
        new_grant("ben", "a1", None),
        new_grant("cy", "a1", None),
        new_key(api_key("k1", Some("ben"))),
    ];
    store.write(id, everything).await;
}

/// One change of every kind.
fn every_kind() -> Vec<Vec<Change>> {
    let edited = Member { role: Role::Admin, sections: [].into(), ..user("ben") };
    let gone = Member { status: MemberStatus::Deleted, sections: [].into(), ..user("cy") };
    let pending_gone = Member { status: MemberStatus::Deleted, sections: [].into(), ..pending("dee") };
    let resource_gone = Resource { status: ResourceStatus::Deleted, ..resource("a1") };
    let used = Invitation { status: InvitationStatus::Used, ..invitation("dee", 1) };
    let mut revoked = api_key("k1", Some("ben"));
    revoked.revoked_at = Some(NOW);
    let tenant_gone = Tenant { status: TenantStatus::Deleted, ..tenant("acme") };
    let here = Some(Grant { expires_at: None });
    vec![
        vec![Change::Member { before: Some(user("ben")), after: edited }],
        vec![Change::Grant { member: member_id("ben"), resource: agent("a1"), before: here, after: None }],
        vec![new_grant("ben", "a2", Some(NOW))],
        vec![Change::Invitation { before: Some(invitation("dee", 1)), after: used }],
        vec![Change::Member { before: Some(user("cy")), after: gone }],
        vec![Change::Member { before: Some(pending("dee")), after: pending_gone }],
        vec![Change::ApiKey { before: Some(api_key("k1", Some("ben"))), after: revoked, secret: None }],
        vec![Change::Resource { before: Some(resource("a1")), after: resource_gone }],
        vec![Change::Tenant { before: Some(tenant("acme")), after: tenant_gone }],
    ]
}

on_both!(whatever_changes_in_a_tenant_the_other_is_untouched, |store| {
    for id in ["acme", "beta"] {
        fill(&store, id).await;
    }
    let tables = Tables::of(&store).await;
    let before = tables.of_tenant("beta").await;
    assert!(before.len() > 20, "{before:?}");
    for changes in every_kind() {
        let own = tables.of_tenant("acme").await;
        store.write("acme", changes.clone()).await;
        assert_eq!(tables.of_tenant("beta").await, before, "{changes:?}");
        assert_ne!(tables.of_tenant("acme").await, own);
    }
});

on_both!(a_plan_sees_nothing_of_another_tenant, |store| {
    fill(&store, "acme").await;
    store.bare_tenant("beta").await;
    let needs = Needs {
        members: [member_id("ben")].into(),
        every_user: true,
        users: [user_id("ben")].into(),
        emails: [email("ben@example.com")].into(),
        active_admins: true,
        seats: true,
        resources: [agent("a1")].into(),
        resources_of: Some(kind("agent")),
        grants: [(member_id("ben"), agent("a1"))].into(),
        grants_of: [member_id("cy")].into(),
        invitation: Some(invitation("dee", 1).token),
        invitations_of: [member_id("dee")].into(),
        keys: [key_id("k1")].into(),
        keys_of: [member_id("ben")].into(),
        live_keys: true,
        usage: false,
        credentials: [].into(),
    };
    let own = store.state("acme", needs.clone()).await;
    assert_eq!((own.members.len(), own.users.len(), own.emails.len()), (3, 1, 1));
    assert_eq!((own.resources.len(), own.grants.len(), own.keys.len(), own.invitations.len()), (1, 2, 1, 1));
    let act = Act { actor: Some(user_id("ada")), ..on("beta") };
    let other = store.state_for(act, needs).await;
    assert!(other.actor.is_none() && other.invitation.is_none());
    assert!(other.members.is_empty() && other.users.is_empty() && other.emails.is_empty());
    assert!(other.resources.is_empty() && other.grants.is_empty() && other.keys.is_empty());
    assert!(other.invitations.is_empty());
    assert_eq!((other.active_admins, other.seats, other.resource_count, other.live_keys), (0, 0, 0, 0));
});

on_both!(a_list_shows_nothing_of_another_tenant, |store| {
    fill(&store, "acme").await;
    store.bare_tenant("beta").await;
    let (sql, beta) = (&store.sql, || tenant_id("beta"));
    assert!(sql.member(beta(), member_id("ben")).await.unwrap().is_none());
    assert!(sql.member_by_user(beta(), user_id("ben")).await.unwrap().is_none());
    assert!(sql.members(beta(), MemberFilter::default(), all()).await.unwrap().is_empty());
    assert!(sql.resource(beta(), agent("a1")).await.unwrap().is_none());
    assert!(sql.resources(beta(), ResourceFilter::default(), all()).await.unwrap().is_empty());
    assert!(sql.keys(beta(), all()).await.unwrap().is_empty());
    assert!(sql.access_rows(beta(), kind("agent"), [].into(), all()).await.unwrap().is_empty());
    assert!(sql.candidates(beta(), None, all()).await.unwrap().is_empty());
    assert!(sql.candidates(beta(), Some(agent("a1")), all()).await.unwrap().is_empty());
    assert_eq!(store.log("beta").await.len(), 1);
    assert_eq!(sql.usage(beta(), NOW).await.unwrap(), TenantUsage::default());
});

on_both!(grants_of_a_namesake_in_another_tenant_are_not_shown, |store| {
    for id in ["acme", "beta"] {
        fill(&store, id).await;
    }
    let here = Some(Grant { expires_at: None });
    let taken = Change::Grant { member: member_id("ben"), resource: agent("a1"), before: here, after: None };
    let plain =
        Member { sections: [(section("eval"), user("ben").sections["traces"])].into(), ..user("ben") };
    store.write("acme", vec![taken, Change::Member { before: Some(user("ben")), after: plain }]).await;
    let one = || Slice { after: Some(member_id("ada")), limit: 1 };
    let rows = store.sql.access_rows(tenant_id("acme"), kind("agent"), [].into(), one()).await.unwrap();
    assert_eq!((rows[0].member.id.as_str(), rows[0].grants.len()), ("ben", 0));
    assert_eq!(rows[0].member.sections.len(), 1);
    let found = store.sql.candidates(tenant_id("acme"), Some(agent("a1")), all()).await.unwrap();
    assert_eq!(found.iter().map(|(member, _)| member.id.as_str()).collect::<Vec<_>>(), ["ada", "cy"]);
});

//! What a deletion takes along, and what it leaves.

use doorward::store::directory::{Directory, MemberFilter, TenantFilter};
use doorward::store::{CommitError, Needs};
use doorward_engine::change::Change;
use doorward_engine::id::Revision;
use doorward_engine::member::Member;
use doorward_engine::resource::Resource;
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::tenant::Tenant;

use super::records::{
    agent, email, member_id, new_grant, new_invitation, new_member, new_resource, pending, resource, tenant,
    tenant_id, user, user_id,
};
use super::tables::Tables;
use super::{Store, all, new, on, on_both};

async fn delete_member(store: &Store, before: Member) {
    let after = Member { status: MemberStatus::Deleted, sections: Default::default(), ..before.clone() };
    store.write("acme", vec![Change::Member { before: Some(before), after }]).await;
}

on_both!(deleting_a_member_removes_their_values_grants_and_invitation, |store| {
    store.tenant("acme").await;
    let everything = vec![
        new_member(user("ben")),
        new_member(user("cy")),
        new_member(pending("dee")),
        new_invitation("dee", 1),
        new_resource("a1"),
        new_grant("ben", "a1", None),
        new_grant("cy", "a1", None),
    ];
    store.write("acme", everything).await;
    delete_member(&store, user("ben")).await;
    delete_member(&store, pending("dee")).await;
    let tables = Tables::of(&store).await;
    for table in ["member_section", "resource_grant"] {
        assert!(tables.rows(table, "member_id IN ('ben', 'dee')").await.is_empty(), "{table}");
        assert!(!tables.rows(table, "member_id = 'cy'").await.is_empty(), "{table}");
    }
    assert_eq!(tables.rows("invitation", "member_id = 'dee' AND status = 'CANCELLED'").await.len(), 1);
    let left = store.sql.members(tenant_id("acme"), MemberFilter::default(), all()).await.unwrap();
    assert_eq!(left.iter().map(|member| member.id.as_str()).collect::<Vec<_>>(), ["ada", "cy"]);
    let deleted = MemberFilter { status: Some(MemberStatus::Deleted), ..MemberFilter::default() };
    assert_eq!(store.sql.members(tenant_id("acme"), deleted, all()).await.unwrap().len(), 2);
});

on_both!(a_deleted_members_address_and_user_are_free_again, |store| {
    store.tenant("acme").await;
    store.write("acme", vec![new_member(user("ben"))]).await;
    delete_member(&store, user("ben")).await;
    assert!(store.sql.member_by_user(tenant_id("acme"), user_id("ben")).await.unwrap().is_none());
    let needs = Needs {
        users: [user_id("ben")].into(),
        emails: [email("ben@example.com")].into(),
        ..Needs::default()
    };
    let state = store.state("acme", needs.clone()).await;
    assert!(state.users.is_empty() && state.emails.is_empty() && state.members.is_empty());
    let again = Member { id: member_id("ben2"), revision: Revision(4), ..user("ben") };
    store.write("acme", vec![new_member(again.clone())]).await;
    assert_eq!(store.sql.member_by_user(tenant_id("acme"), user_id("ben")).await.unwrap(), Some(again));
    let state = store.state("acme", needs).await;
    assert_eq!((state.users.len(), state.emails.len(), state.members.len()), (1, 1, 1));
    // The id is not: the deleted member's row is still there.
    let taken = store.try_write(
        on("acme"),
        vec![new_member(Member { email: Some(email("x@y.example")), user_id: None, ..user("ben") })],
    );
    assert!(matches!(taken.await, Err(CommitError::Store(_))));
});

on_both!(deleting_a_resource_removes_its_grants_alone, |store| {
    store.tenant("acme").await;
    let everything = vec![
        new_member(user("ben")),
        new_resource("a1"),
        new_resource("a2"),
        new_grant("ben", "a1", None),
        new_grant("ben", "a2", None),
    ];
    store.write("acme", everything).await;
    let gone = Resource { status: ResourceStatus::Deleted, ..resource("a1") };
    store.write("acme", vec![Change::Resource { before: Some(resource("a1")), after: gone }]).await;
    let needs =
        Needs { grants_of: [member_id("ben")].into(), resources: [agent("a1")].into(), ..Needs::default() };
    let state = store.state("acme", needs).await;
    assert_eq!(state.grants.keys().map(|(_, resource)| resource.id.as_str()).collect::<Vec<_>>(), ["a2"]);
    assert_eq!(state.resources[&agent("a1")].status, ResourceStatus::Deleted);
    let ben = store.sql.member(tenant_id("acme"), member_id("ben")).await.unwrap().unwrap();
    assert_eq!(ben.revision, Revision(2));
});

on_both!(a_deletion_that_also_names_what_it_takes_along_is_whole, |store| {
    store.tenant("acme").await;
    store
        .write("acme", vec![new_member(user("ben")), new_resource("a1"), new_grant("ben", "a1", None)])
        .await;
    let gone = Member { status: MemberStatus::Deleted, sections: Default::default(), ..user("ben") };
    let Change::Grant { member, resource, after, .. } = new_grant("ben", "a1", None) else {
        panic!("no grant")
    };
    let changes = vec![
        Change::Member { before: Some(user("ben")), after: gone },
        Change::Grant { member, resource, before: after, after: None },
    ];
    store.write("acme", changes).await;
    assert!(Tables::of(&store).await.rows("resource_grant", "true").await.is_empty());
});

on_both!(a_deleted_tenants_slug_is_free_and_its_id_is_not, |store| {
    store.tenant("acme").await;
    let gone = Tenant { status: TenantStatus::Deleted, revision: Revision(2), ..tenant("acme") };
    store.write("acme", vec![Change::Tenant { before: Some(tenant("acme")), after: gone.clone() }]).await;
    assert_eq!(store.sql.tenant(tenant_id("acme")).await.unwrap().unwrap().tenant, gone);
    assert!(store.sql.tenants(TenantFilter::default(), all()).await.unwrap().tenants.is_empty());
    assert_eq!(store.state("acme", Needs::default()).await.tenant, Some(gone));
    let again =
        store.try_write(new("acme"), vec![Change::Tenant { before: None, after: tenant("acme") }]).await;
    assert!(matches!(again, Err(CommitError::TenantIdTaken)), "{again:?}");
    let other = Tenant { slug: tenant("acme").slug, ..tenant("other") };
    store.try_write(new("other"), vec![Change::Tenant { before: None, after: other }]).await.unwrap();
});

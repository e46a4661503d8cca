//! Pages: exact, in the order of bytes, whatever the database's language; filters that take text as it is.

use std::collections::BTreeSet;

use doorward::store::directory::{Directory, MemberFilter, ResourceFilter, Slice, TenantFilter};
use doorward_engine::change::Change;
use doorward_engine::id::{KeyId, MemberId, ResourceId, ResourceRef, Slug, TenantId};
use doorward_engine::member::Member;
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::tenant::Tenant;

use super::records::{
    agent, api_key, email, kind, member, member_id, name, new_grant, new_key, new_member, new_resource,
    pending, resource, tenant, tenant_id, user,
};
use super::{NOW, Store, all, new, on_both};

/// Ids whose order by language is another than by bytes.
const STEMS: [&str; 8] = ["a", "B", "a-b", "aB", "ab", "a_b", "Z", "10"];

fn ids() -> Vec<String> {
    STEMS.iter().flat_map(|stem| (0..9).map(move |n| format!("{stem}{n}"))).collect()
}

fn in_order(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

/// Walks all pages of seven with a page function from a key to the keys of the next page.
macro_rules! walk {
    ($key:ty, |$slice:ident| $page:expr) => {{
        let mut keys: Vec<String> = Vec::new();
        let mut after: Option<$key> = None;
        loop {
            let $slice = Slice { after: after.clone(), limit: 7 };
            let page: Vec<$key> = $page;
            let Some(last) = page.last().cloned() else {
                break;
            };
            assert!(page.len() <= 7);
            keys.extend(page.iter().map(|key| text(key)));
            after = Some(last);
            if page.len() < 7 {
                break;
            }
        }
        keys
    }};
}

fn text(key: &(impl Clone + Into<Key>)) -> String {
    key.clone().into().0
}

struct Key(String);

impl From<MemberId> for Key {
    fn from(id: MemberId) -> Self {
        Self(id.into())
    }
}

impl From<KeyId> for Key {
    fn from(id: KeyId) -> Self {
        Self(id.into())
    }
}

impl From<TenantId> for Key {
    fn from(id: TenantId) -> Self {
        Self(id.into())
    }
}

impl From<ResourceRef> for Key {
    fn from(resource: ResourceRef) -> Self {
        Self(format!("{}/{}", resource.kind, resource.id))
    }
}

on_both!(pages_of_members_hold_each_one_once_in_order, |store| {
    store.bare_tenant("acme").await;
    let address = |n: usize| email(&format!("m{n}@example.com"));
    let members = ids().into_iter().enumerate().map(|(n, id)| {
        let status = if n % 10 == 0 { MemberStatus::Deleted } else { MemberStatus::Active };
        new_member(Member { email: Some(address(n)), status, ..user(&id) })
    });
    store.write("acme", members.collect()).await;
    let (live, deleted): (Vec<_>, Vec<_>) = ids().into_iter().enumerate().partition(|(n, _)| n % 10 != 0);
    let only_ids = |ids: Vec<(usize, String)>| in_order(ids.into_iter().map(|(_, id)| id).collect());
    let page = async |filter: MemberFilter, slice| {
        let page = store.sql.members(tenant_id("acme"), filter, slice).await.unwrap();
        page.into_iter().map(|member| member.id).collect::<Vec<_>>()
    };
    assert_eq!(walk!(MemberId, |slice| page(MemberFilter::default(), slice).await), only_ids(live.clone()));
    let gone = || MemberFilter { status: Some(MemberStatus::Deleted), ..MemberFilter::default() };
    assert_eq!(walk!(MemberId, |slice| page(gone(), slice).await), only_ids(deleted));
    let facts = async |slice| {
        let page = store.sql.candidates(tenant_id("acme"), None, slice).await.unwrap();
        page.into_iter().map(|(member, _)| member.id).collect::<Vec<_>>()
    };
    assert_eq!(walk!(MemberId, |slice| facts(slice).await), only_ids(live.clone()));
    let matrix = async |slice| {
        let page =
            store.sql.access_rows(tenant_id("acme"), kind("agent"), BTreeSet::new(), slice).await.unwrap();
        page.into_iter().map(|row| row.member.id).collect::<Vec<_>>()
    };
    assert_eq!(walk!(MemberId, |slice| matrix(slice).await), only_ids(live));
});

on_both!(pages_of_resources_keys_and_tenants_hold_each_one_once_in_order, |store| {
    store.bare_tenant("acme").await;
    let other = |id: &str| ResourceRef { kind: kind("agent_b"), ..agent(id) };
    let both = |id: String| {
        let second = Resource { reference: other(&id), ..resource(&id) };
        [new_resource(&id), Change::Resource { before: None, after: second }]
    };
    store.write("acme", ids().into_iter().flat_map(both).collect()).await;
    store.write("acme", ids().iter().map(|id| new_key(api_key(id, None))).collect()).await;
    let page = async |slice| {
        let page = store.sql.resources(tenant_id("acme"), ResourceFilter::default(), slice).await.unwrap();
        page.into_iter().map(|resource| resource.reference).collect::<Vec<_>>()
    };
    let expected: Vec<_> = ["agent", "agent_b"]
        .iter()
        .flat_map(|kind| in_order(ids()).into_iter().map(move |id| format!("{kind}/{id}")))
        .collect();
    assert_eq!(walk!(ResourceRef, |slice| page(slice).await), expected);
    let page = async |slice| {
        let page = store.sql.keys(tenant_id("acme"), slice).await.unwrap();
        page.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(walk!(KeyId, |slice| page(slice).await), in_order(ids()));
    let slugs = ids().into_iter().enumerate().take(30);
    for (n, id) in slugs {
        let slug = Slug::parse(&format!("s{n}")).unwrap();
        let tenant = Tenant { slug, name: name("x"), ..tenant("x") };
        let tenant = Tenant { id: tenant_id(&id), ..tenant };
        store.try_write(new(&id), vec![Change::Tenant { before: None, after: tenant }]).await.unwrap();
    }
    let page = async |slice| {
        let page = store.sql.tenants(TenantFilter::default(), slice).await.unwrap();
        page.tenants.into_iter().map(|tenant| tenant.id).collect::<Vec<_>>()
    };
    let expected = ids().into_iter().take(30).chain(["acme".to_owned()]).collect();
    assert_eq!(walk!(TenantId, |slice| page(slice).await), in_order(expected));
});

async fn members_with(store: &Store, filter: MemberFilter) -> Vec<String> {
    let found = store.sql.members(tenant_id("acme"), filter, all()).await.unwrap();
    found.into_iter().map(|member| member.id.into()).collect()
}

on_both!(members_are_filtered_by_status_role_and_text, |store| {
    store.bare_tenant("acme").await;
    let members = vec![
        new_member(Member { display_name: Some(name("100% Sure_thing")), ..member("Ada") }),
        new_member(Member { display_name: Some(name("Ärger \\ O'Neil")), ..user("ben_x") }),
        new_member(user("benQx")),
        new_member(pending("dee")),
    ];
    store.write("acme", members).await;
    let none = MemberFilter::default;
    let text = |text: &str| MemberFilter { text: Some(text.to_owned()), ..none() };
    for (filter, expected) in [
        (none(), vec!["Ada", "benQx", "ben_x", "dee"]),
        (MemberFilter { role: Some(Role::Admin), ..none() }, vec!["Ada"]),
        (MemberFilter { status: Some(MemberStatus::Pending), ..none() }, vec!["dee"]),
        (
            MemberFilter { role: Some(Role::User), status: Some(MemberStatus::Active), ..none() },
            vec!["benQx", "ben_x"],
        ),
        (text("BEN"), vec!["benQx", "ben_x"]),
        (text("n_x"), vec!["ben_x"]),
        (text("%"), vec!["Ada"]),
        (text("0% s"), vec!["Ada"]),
        (text("\\"), vec!["ben_x"]),
        (text("o'neil"), vec!["ben_x"]),
        (text("Ärger"), vec!["ben_x"]),
        // Only the case of ASCII letters is not regarded.
        (text("ärger"), vec![]),
        (text("@EXAMPLE.com"), vec!["Ada", "benQx", "ben_x", "dee"]),
        (MemberFilter { role: Some(Role::Admin), ..text("ben") }, vec![]),
    ] {
        assert_eq!(members_with(&store, filter.clone()).await, expected, "{filter:?}");
    }
});

on_both!(resources_are_filtered_by_type_status_and_text, |store| {
    store.bare_tenant("acme").await;
    let change = |id: &str, label: &str, status| {
        let after = Resource { name: name(label), status, ..resource(id) };
        Change::Resource { before: None, after }
    };
    let other = Resource { reference: ResourceRef { kind: kind("tool"), ..agent("t1") }, ..resource("t1") };
    let changes = vec![
        change("a1", "50%_off", ResourceStatus::Active),
        change("a2", "plain", ResourceStatus::Inactive),
        change("a3", "gone", ResourceStatus::Deleted),
        Change::Resource { before: None, after: other },
    ];
    store.write("acme", changes).await;
    let none = ResourceFilter::default;
    let text = |text: &str| ResourceFilter { text: Some(text.to_owned()), ..none() };
    for (filter, expected) in [
        (none(), vec!["a1", "a2", "t1"]),
        (ResourceFilter { kind: Some(kind("agent")), ..none() }, vec!["a1", "a2"]),
        (ResourceFilter { status: Some(ResourceStatus::Inactive), ..none() }, vec!["a2"]),
        (ResourceFilter { status: Some(ResourceStatus::Deleted), ..none() }, vec!["a3"]),
        (text("%_"), vec!["a1"]),
        (text("A"), vec!["a1", "a2"]),
        (text("PLAIN"), vec!["a2"]),
    ] {
        let found = store.sql.resources(tenant_id("acme"), filter.clone(), all()).await.unwrap();
        let found: Vec<_> = found.iter().map(|resource| resource.reference.id.as_str()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
});

on_both!(tenants_are_filtered_by_status_and_text, |store| {
    for (id, slug, label, status) in [
        ("t1", "one", "First_one", TenantStatus::Active),
        ("t2", "two", "second", TenantStatus::Suspended),
        ("t3", "three", "third", TenantStatus::Deleted),
    ] {
        let slug = Slug::parse(slug).unwrap();
        let tenant = Tenant { slug, name: name(label), status, ..tenant(id) };
        store.try_write(new(id), vec![Change::Tenant { before: None, after: tenant }]).await.unwrap();
    }
    let none = TenantFilter::default;
    let text = |text: &str| TenantFilter { text: Some(text.to_owned()), ..none() };
    for (filter, expected) in [
        (none(), vec!["t1", "t2"]),
        (TenantFilter { status: Some(TenantStatus::Suspended), ..none() }, vec!["t2"]),
        (TenantFilter { status: Some(TenantStatus::Deleted), ..none() }, vec![]),
        (text("FIRST_"), vec!["t1"]),
        (text("_"), vec!["t1"]),
        (text("T2"), vec!["t2"]),
        (text("TWO"), vec!["t2"]),
        (text("t"), vec!["t1", "t2"]),
    ] {
        let found = store.sql.tenants(filter.clone(), all()).await.unwrap();
        assert_eq!(
            found.tenants.iter().map(|tenant| tenant.id.as_str()).collect::<Vec<_>>(),
            expected,
            "{filter:?}"
        );
    }
});

on_both!(access_rows_show_the_grants_in_force, |store| {
    store.tenant("acme").await;
    let tool = ResourceRef { kind: kind("tool"), ..agent("a1") };
    let changes = vec![
        new_member(user("ben")),
        new_member(pending("cy")),
        new_resource("a1"),
        new_resource("a2"),
        new_resource("a10"),
        Change::Resource { before: None, after: Resource { reference: tool, ..resource("a1") } },
        new_grant("ben", "a2", None),
        new_grant("ben", "a1", Some(NOW.plus_seconds(1))),
        new_grant("ben", "a10", None),
        new_grant("cy", "a1", Some(NOW)),
    ];
    store.write("acme", changes).await;
    let rows = async |resources: &[&str]| {
        let resources: BTreeSet<_> = resources.iter().map(|id| ResourceId::parse(id).unwrap()).collect();
        let rows = store.sql.access_rows(tenant_id("acme"), kind("agent"), resources, all()).await.unwrap();
        let ids = rows.into_iter().map(|row| {
            (row.member.id.to_string(), row.grants.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>())
        });
        ids.collect::<Vec<_>>()
    };
    let row = |member: &str, grants: &[&str]| {
        (member.to_owned(), grants.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(rows(&[]).await, [row("ada", &[]), row("ben", &["a1", "a10", "a2"]), row("cy", &[])]);
    assert_eq!(rows(&["a1", "a2"]).await, [row("ada", &[]), row("ben", &["a1", "a2"]), row("cy", &[])]);
    store.clock.set(NOW.plus_seconds(1));
    assert_eq!(rows(&["a1", "a2"]).await, [row("ada", &[]), row("ben", &["a2"]), row("cy", &[])]);
    let of_tools =
        store.sql.access_rows(tenant_id("acme"), kind("tool"), BTreeSet::new(), all()).await.unwrap();
    assert!(of_tools.iter().all(|row| row.grants.is_empty()));
});

on_both!(candidates_are_admins_and_those_with_a_grant, |store| {
    store.tenant("acme").await;
    let disabled = Member { status: MemberStatus::Disabled, ..user("dis") };
    let changes = vec![
        new_member(user("ben")),
        new_member(user("cy")),
        new_member(disabled),
        new_member(pending("dee")),
        new_resource("a1"),
        new_resource("a2"),
        new_grant("ben", "a1", None),
        new_grant("ben", "a2", None),
        new_grant("cy", "a2", None),
        new_grant("dis", "a1", None),
        new_grant("dee", "a1", None),
    ];
    store.write("acme", changes).await;
    let found = store.sql.candidates(tenant_id("acme"), Some(agent("a1")), all()).await.unwrap();
    let grants: Vec<_> =
        found.iter().map(|(member, facts)| (member.id.as_str(), facts.grants().len())).collect();
    assert_eq!(grants, [("ada", 0), ("ben", 1)]);
    let found = store.sql.candidates(tenant_id("acme"), None, all()).await.unwrap();
    let grants: Vec<_> =
        found.iter().map(|(member, facts)| (member.id.as_str(), facts.grants().len())).collect();
    assert_eq!(grants, [("ada", 0), ("ben", 2), ("cy", 1)]);
    assert_eq!(found[1].1.id, member_id("ben"));
    assert_eq!((found[1].1.role, found[1].1.status), (Role::User, MemberStatus::Active));
});

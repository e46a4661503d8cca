//! Promises of the resource RPCs: a resource's registration, name and tags, pause and end, and its plan's limit.

mod batch;

use std::collections::BTreeMap;

use doorward::proto;
use doorward::proto::ResourceStatus as Status;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{NOW, Server, invalid, on_both, refused, request_id, resource, timestamp};

fn new(id: &str) -> proto::RegisterResourceRequest {
    proto::RegisterResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: id.to_owned(),
        name: "An agent".to_owned(),
        ..Default::default()
    }
}

fn named(id: &str) -> proto::GetResourceRequest {
    proto::GetResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: id.to_owned(),
    }
}

fn renamed(id: &str, name: &str) -> proto::UpdateResourceRequest {
    let proto::GetResourceRequest { tenant_id, r#type, resource_id } = named(id);
    let name = name.to_owned();
    proto::UpdateResourceRequest { tenant_id, r#type, resource_id, name, ..Default::default() }
}

fn activating(id: &str) -> proto::ActivateResourceRequest {
    let proto::GetResourceRequest { tenant_id, r#type, resource_id } = named(id);
    proto::ActivateResourceRequest { tenant_id, r#type, resource_id, ..Default::default() }
}

fn deactivating(id: &str) -> proto::DeactivateResourceRequest {
    let proto::GetResourceRequest { tenant_id, r#type, resource_id } = named(id);
    proto::DeactivateResourceRequest { tenant_id, r#type, resource_id, ..Default::default() }
}

fn deleting(id: &str) -> proto::DeleteResourceRequest {
    let proto::GetResourceRequest { tenant_id, r#type, resource_id } = named(id);
    proto::DeleteResourceRequest { tenant_id, r#type, resource_id, ..Default::default() }
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

async fn found(server: &Server, id: &str) -> proto::RegisteredResource {
    let answer = server.operator().get_resource(named(id)).await.unwrap().into_inner();
    answer.resource.unwrap()
}

async fn revision(server: &Server) -> u64 {
    let request = proto::GetTenantRequest { tenant_id: "acme".to_owned() };
    server.operator().get_tenant(request).await.unwrap().into_inner().tenant_revision
}

async fn grant(server: &Server, member: &str, id: &str) {
    let change = proto::GrantChange {
        member_id: member.to_owned(),
        resource: Some(resource("agent", id)),
        granted: true,
        expires_at: None,
    };
    let request =
        proto::SetGrantsRequest { tenant_id: "acme".to_owned(), changes: vec![change], ..Default::default() };
    server.operator().set_grants(request).await.unwrap();
}

/// What a user gets who does something to an agent.
async fn reason(server: &Server, user: &str, action: &str, id: &str) -> String {
    server.check("acme", user, action, "agent", id).await.1
}

on_both!(a_new_resource_is_active_and_reached_by_admins_alone, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let before = revision(server).await;
    let request = proto::RegisterResourceRequest { tags: tags(&[("team", "red"), ("空", "")]), ..new("") };
    let answer = server.acting("acme-owner").register_resource(request).await.unwrap().into_inner();
    let resource = answer.resource.unwrap();
    let id = uuid::Uuid::parse_str(&resource.resource_id).unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!((answer.revision, resource.revision), (before + 1, before + 1));
    assert_eq!((resource.status(), resource.create_time), (Status::Active, Some(timestamp(NOW))));
    assert_eq!((resource.name.as_str(), resource.tags.len()), ("An agent", 2));
    assert_eq!(found(server, &resource.resource_id).await, resource);
    assert_eq!(reason(server, "acme-owner", "chat", &resource.resource_id).await, "ROLE_ADMIN");
    assert_eq!(reason(server, "ben", "chat", &resource.resource_id).await, "NOT_GRANTED");
});

on_both!(an_id_is_used_once_in_its_tenant_even_after_a_deletion, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    let mut operator = server.operator();
    operator.register_resource(new("a1")).await.unwrap();
    refused(operator.register_resource(new("a1")).await, Code::AlreadyExists, "ID_TAKEN");
    operator.delete_resource(deleting("a1")).await.unwrap();
    refused(operator.register_resource(new("a1")).await, Code::AlreadyExists, "ID_TAKEN");
    let elsewhere = proto::RegisterResourceRequest { tenant_id: "zeta".to_owned(), ..new("a1") };
    operator.register_resource(elsewhere).await.unwrap();
    assert_eq!(server.check("zeta", "zeta-owner", "chat", "agent", "a1").await.1, "ROLE_ADMIN");
    assert_eq!(reason(server, "acme-owner", "chat", "a1").await, "RESOURCE_NOT_FOUND");
});

on_both!(a_paused_resource_keeps_its_grants, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    server.agent("acme", "a1").await;
    grant(server, "ben", "a1").await;
    let mut admin = server.acting("acme-owner");
    let paused = admin.deactivate_resource(deactivating("a1")).await.unwrap().into_inner();
    assert_eq!(paused.resource.unwrap().status(), Status::Inactive);
    let again = admin.deactivate_resource(deactivating("a1")).await.unwrap().into_inner();
    assert_eq!(again.revision, paused.revision, "nothing changed");
    for user in ["ben", "acme-owner"] {
        assert_eq!(reason(server, user, "chat", "a1").await, "RESOURCE_INACTIVE");
    }
    assert_eq!(reason(server, "ben", "history", "a1").await, "RESOURCE_GRANTED");
    let active = admin.activate_resource(activating("a1")).await.unwrap().into_inner();
    assert_eq!(active.resource.unwrap().status(), Status::Active);
    assert_eq!(reason(server, "ben", "chat", "a1").await, "RESOURCE_GRANTED");
    let again = admin.activate_resource(activating("a1")).await.unwrap().into_inner();
    assert_eq!(again.revision, active.revision, "nothing changed");
});

on_both!(a_deleted_resource_is_gone_with_its_grants, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    server.agent("acme", "a1").await;
    grant(server, "ben", "a1").await;
    let mut admin = server.acting("acme-owner");
    let deleted = admin.delete_resource(deleting("a1")).await.unwrap().into_inner();
    assert_eq!(deleted.resource.as_ref().unwrap().status(), Status::Deleted);
    for user in ["ben", "acme-owner"] {
        assert_eq!(reason(server, user, "chat", "a1").await, "RESOURCE_NOT_FOUND");
    }
    let again = admin.delete_resource(deleting("a1")).await.unwrap().into_inner();
    assert_eq!((again.revision, again.resource), (deleted.revision, deleted.resource));
    let (code, reason) = (Code::NotFound, "RESOURCE_NOT_FOUND");
    refused(admin.get_resource(named("a1")).await, code, reason);
    refused(admin.update_resource(renamed("a1", "New")).await, code, reason);
    refused(admin.activate_resource(activating("a1")).await, code, reason);
    refused(admin.deactivate_resource(deactivating("a1")).await, code, reason);
    refused(admin.delete_resource(deleting("never")).await, code, reason);
    let matrix = proto::GetAccessMatrixRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        ..Default::default()
    };
    let rows = admin.get_access_matrix(matrix).await.unwrap().into_inner().rows;
    assert!(rows.iter().all(|row| row.granted.is_empty()), "{rows:?}");
});

on_both!(name_and_tags_change_as_the_mask_says, |server| {
    server.tenant("acme").await;
    let red = tags(&[("team", "red")]);
    let request = proto::RegisterResourceRequest { tags: red.clone(), ..new("a1") };
    server.operator().register_resource(request).await.unwrap();
    let mut admin = server.acting("acme-owner");
    let blue = tags(&[("team", "blue"), ("tier", "1")]);
    let mask = |paths: &[&str]| {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        Some(prost_types::FieldMask { paths })
    };
    let with = |name: &str, tags: &BTreeMap<String, String>, paths: &[&str]| proto::UpdateResourceRequest {
        tags: tags.clone(),
        update_mask: mask(paths),
        ..renamed("a1", name)
    };
    let none = BTreeMap::new();
    for (request, name, expected) in [
        (with("Second", &none, &[]), "Second", &red),
        (with("", &blue, &[]), "Second", &blue),
        (with("Third", &red, &["name"]), "Third", &blue),
        (with("Fourth", &red, &["tags"]), "Third", &red),
        (with("Fifth", &none, &["tags", "name"]), "Fifth", &none),
    ] {
        let answer = admin.update_resource(request.clone()).await.unwrap().into_inner();
        let resource = answer.resource.unwrap();
        assert_eq!((resource.name.as_str(), &resource.tags), (name, expected));
        let again = admin.update_resource(request).await.unwrap().into_inner();
        assert_eq!(again.revision, answer.revision, "nothing changed");
    }
    invalid(admin.update_resource(with("", &none, &[])).await, &["name"]);
    invalid(admin.update_resource(with("", &none, &["name"])).await, &["name"]);
    invalid(admin.update_resource(with("Sixth", &none, &["status"])).await, &["update_mask"]);
});

on_both!(every_wrong_field_of_a_resource_is_named, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    let wrong = proto::RegisterResourceRequest {
        tenant_id: "acme\n".to_owned(),
        r#type: "Agent".to_owned(),
        resource_id: "a b".to_owned(),
        name: " padded".to_owned(),
        tags: tags(&[("", "empty key"), ("control", "\u{7}"), ("long", &"x".repeat(257))]),
        expected_revision: 1,
        ..Default::default()
    };
    let fields = ["tenant_id", "type", "resource_id", "name", "expected_revision", "tags", "tags", "tags"];
    invalid(operator.register_resource(wrong).await, &fields);
    let many: BTreeMap<_, _> = (0..65).map(|n| (format!("k{n}"), String::new())).collect();
    let wrong = proto::RegisterResourceRequest { tags: many, ..new("a1") };
    invalid(operator.register_resource(wrong).await, &["tags"]);
    for kind in ["board", "section"] {
        let wrong = proto::RegisterResourceRequest { r#type: kind.to_owned(), ..new("a1") };
        invalid(operator.register_resource(wrong).await, &["type"]);
        let wrong = proto::GetResourceRequest { r#type: kind.to_owned(), ..named("a1") };
        invalid(operator.get_resource(wrong).await, &["type"]);
        let wrong = proto::DeleteResourceRequest { r#type: kind.to_owned(), ..deleting("a1") };
        invalid(operator.delete_resource(wrong).await, &["type"]);
        let wrong = proto::ListResourcesRequest {
            tenant_id: "acme".to_owned(),
            r#type: kind.to_owned(),
            ..Default::default()
        };
        invalid(operator.list_resources(wrong).await, &["type"]);
    }
    invalid(
        operator.get_resource(proto::GetResourceRequest::default()).await,
        &["tenant_id", "type", "resource_id"],
    );
});

on_both!(resources_are_an_admins_and_of_one_tenant, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    server.user("acme", "ben").await;
    server.agent("acme", "a1").await;
    let before = (revision(server).await, found(server, "a1").await);
    let (code, reason) = (Code::PermissionDenied, "PERMISSION_DENIED");
    for actor in ["ben", "zeta-owner", "nobody"] {
        let mut client = server.acting(actor);
        refused(client.register_resource(new("a2")).await, code, reason);
        refused(client.update_resource(renamed("a1", "Mine")).await, code, reason);
        refused(client.activate_resource(activating("a1")).await, code, reason);
        refused(client.deactivate_resource(deactivating("a1")).await, code, reason);
        refused(client.delete_resource(deleting("a1")).await, code, reason);
        refused(client.get_resource(named("a1")).await, code, reason);
        let all = proto::ListResourcesRequest { tenant_id: "acme".to_owned(), ..Default::default() };
        refused(client.list_resources(all).await, code, reason);
    }
    assert_eq!((revision(server).await, found(server, "a1").await), before);
    // In one's own tenant another's resource is not there.
    let foreign = proto::GetResourceRequest { tenant_id: "zeta".to_owned(), ..named("a1") };
    let answer = server.acting("zeta-owner").get_resource(foreign).await;
    refused(answer, Code::NotFound, "RESOURCE_NOT_FOUND");
});

on_both!(a_plan_limits_the_resources_of_a_type_to_the_last_one, |server| {
    let document = doorward::catalogue::SHIPPED
        .replace("name = \"Standard\"\n", "name = \"Standard\"\nlimits = { resources = { agent = 2 } }\n");
    let request = proto::ApplyCatalogueRequest { document, ..Default::default() };
    server.operator().apply_catalogue(request).await.unwrap();
    server.tenant("acme").await;
    let racing = (0..5).map(|at| {
        let mut client = server.operator();
        async move { client.register_resource(new(&format!("r{at}"))).await }
    });
    let answers = futures::future::join_all(racing).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    let status = server.operator().register_resource(new("a3")).await.unwrap_err();
    let quota = status.get_details_quota_failure().unwrap();
    assert_eq!(quota.violations[0].subject, "resources of type `agent`");
    let text = refused::<()>(Err(status), Code::ResourceExhausted, "RESOURCE_LIMIT");
    assert_eq!(text, "the plan allows 2 resources of type `agent`, and 2 are in use");
    let taken = answers.into_iter().find_map(Result::ok).unwrap().into_inner().resource.unwrap();
    server.operator().delete_resource(deleting(&taken.resource_id)).await.unwrap();
    server.operator().register_resource(new("a3")).await.unwrap();
});

on_both!(resources_are_dry_run_registered_once_and_not_over_a_newer_state, |server| {
    server.tenant("acme").await;
    let mut admin = server.acting("acme-owner");
    let dry = proto::RegisterResourceRequest { validate_only: true, ..new("a1") };
    let answer = admin.register_resource(dry).await.unwrap().into_inner();
    assert_eq!((answer.revision, answer.enforced), (1, false));
    refused(admin.get_resource(named("a1")).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    let once = proto::RegisterResourceRequest { request_id: request_id(), ..new("") };
    let first = admin.register_resource(once.clone()).await.unwrap().into_inner();
    let second = admin.register_resource(once.clone()).await.unwrap().into_inner();
    assert_eq!((second.replayed, &second.resource), (true, &first.resource));
    let other = proto::RegisterResourceRequest { name: "Other".to_owned(), ..once };
    refused(admin.register_resource(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let registered = first.resource.unwrap();
    admin.update_resource(renamed(&registered.resource_id, "New")).await.unwrap();
    let stale = proto::DeleteResourceRequest {
        expected_revision: registered.revision,
        ..deleting(&registered.resource_id)
    };
    refused(admin.delete_resource(stale).await, Code::Aborted, "REVISION_MISMATCH");
    assert_eq!(found(server, &registered.resource_id).await.name, "New");
});

async fn listed(server: &Server, request: proto::ListResourcesRequest) -> Vec<Vec<String>> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::ListResourcesRequest { page_token, ..request.clone() };
        let answer = server.operator().list_resources(request).await.unwrap().into_inner();
        pages.push(answer.resources.into_iter().map(|resource| resource.resource_id).collect());
        if answer.next_page_token.is_empty() {
            return pages;
        }
        assert!(pages.len() < 100, "the pages have no end");
        page_token = answer.next_page_token;
    }
}

on_both!(resources_are_listed_in_exact_pages, |server| {
    server.tenant("acme").await;
    for id in ["b2", "a1", "c3", "B4", "d5"] {
        let request = proto::RegisterResourceRequest { name: format!("Agent {id}"), ..new(id) };
        server.operator().register_resource(request).await.unwrap();
    }
    server.operator().deactivate_resource(deactivating("c3")).await.unwrap();
    server.operator().delete_resource(deleting("d5")).await.unwrap();
    let all = || proto::ListResourcesRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    assert_eq!(listed(server, all()).await, [["B4", "a1", "b2", "c3"]]);
    let paged = proto::ListResourcesRequest { page_size: 2, r#type: "agent".to_owned(), ..all() };
    assert_eq!(listed(server, paged.clone()).await, [["B4", "a1"], ["b2", "c3"]]);
    let text = proto::ListResourcesRequest { text: "AGENT B".to_owned(), ..all() };
    assert_eq!(listed(server, text).await, [["B4", "b2"]]);
    for (status, expected) in [(Status::Active, vec!["B4", "a1", "b2"]), (Status::Inactive, vec!["c3"])] {
        let request = proto::ListResourcesRequest { status: status.into(), ..all() };
        assert_eq!(listed(server, request).await, [expected], "{status:?}");
    }
    let first = server.operator().list_resources(paged.clone()).await.unwrap().into_inner();
    server.tenant("zeta").await;
    let page_token = first.next_page_token;
    let other = proto::ListResourcesRequest { page_token, tenant_id: "zeta".to_owned(), ..paged };
    invalid(server.operator().list_resources(other).await, &["page_token"]);
    let wrong = proto::ListResourcesRequest {
        page_size: -1,
        status: Status::Deleted.into(),
        text: "x".repeat(201),
        page_token: "A".to_owned(),
        ..all()
    };
    let fields = ["page_size", "status", "text", "page_token"];
    invalid(server.operator().list_resources(wrong).await, &fields);
});

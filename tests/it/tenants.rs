//! Promises of the tenant RPCs: a tenant's beginning, name, suspension and end, and who may do what.

use doorward::proto;
use doorward_engine::instant::Instant;
use tonic::Code;

use crate::harness::{NOW, Server, invalid, on_both, refused, request_id, timestamp};

const DAY: i64 = 24 * 60 * 60;

fn new(slug: &str) -> proto::CreateTenantRequest {
    proto::CreateTenantRequest {
        slug: slug.to_owned(),
        name: "A name".to_owned(),
        owner: Some(proto::TenantOwner {
            user_id: "olga".to_owned(),
            email: "Olga@Example.COM".to_owned(),
            display_name: "Olga".to_owned(),
            member_id: String::new(),
        }),
        ..Default::default()
    }
}

fn renamed(tenant: &str, name: &str) -> proto::UpdateTenantRequest {
    proto::UpdateTenantRequest { tenant_id: tenant.to_owned(), name: name.to_owned(), ..Default::default() }
}

fn deleting(tenant: &str, slug: &str) -> proto::DeleteTenantRequest {
    proto::DeleteTenantRequest {
        tenant_id: tenant.to_owned(),
        confirm_slug: slug.to_owned(),
        ..Default::default()
    }
}

fn suspending(tenant: &str) -> proto::SuspendTenantRequest {
    proto::SuspendTenantRequest { tenant_id: tenant.to_owned(), ..Default::default() }
}

fn resuming(tenant: &str) -> proto::ResumeTenantRequest {
    proto::ResumeTenantRequest { tenant_id: tenant.to_owned(), ..Default::default() }
}

fn named(tenant: &str) -> proto::GetTenantRequest {
    proto::GetTenantRequest { tenant_id: tenant.to_owned() }
}

async fn found(server: &Server, tenant: &str) -> proto::GetTenantResponse {
    server.operator().get_tenant(named(tenant)).await.unwrap().into_inner()
}

on_both!(a_new_tenant_is_on_trial_for_14_days_and_its_owner_reaches_everything, |server| {
    let answer = server.operator().create_tenant(new("beta")).await.unwrap().into_inner();
    let (tenant, owner) = (answer.tenant.unwrap(), answer.owner.unwrap());
    let id = uuid::Uuid::parse_str(&tenant.tenant_id).unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!((answer.revision, tenant.revision, owner.revision), (1, 1, 1));
    assert!(answer.enforced && !answer.replayed && !answer.revision_token.is_empty());
    assert_eq!(tenant.status(), proto::TenantStatus::Active);
    assert_eq!((tenant.plan.as_str(), tenant.switches.len()), ("standard", 0));
    assert_eq!(tenant.create_time, Some(timestamp(NOW)));
    let subscription = tenant.subscription.unwrap();
    assert_eq!(subscription.state(), proto::SubscriptionState::Trialing);
    assert_eq!(subscription.effective_state(), proto::SubscriptionState::Trialing);
    assert_eq!(subscription.trial_end, Some(timestamp(NOW.plus_seconds(14 * DAY))));
    assert_eq!((owner.role(), owner.status()), (proto::Role::Admin, proto::MemberStatus::Active));
    assert_eq!((owner.user_id.as_str(), owner.email.as_str()), ("olga", "Olga@example.com"));
    assert_eq!(owner.tenant_id, tenant.tenant_id);
    for section in ["analytics", "traces", "settings.danger_zone"] {
        let answer = server.check(&tenant.tenant_id, "olga", "view", "section", section).await;
        assert!(answer.0, "{section}: {answer:?}");
    }
});

on_both!(a_slug_is_one_tenants_until_it_is_deleted_and_an_id_for_ever, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    refused(operator.create_tenant(new("acme")).await, Code::AlreadyExists, "SLUG_TAKEN");
    let same_id = || proto::CreateTenantRequest { tenant_id: "acme".to_owned(), ..new("beta") };
    refused(operator.create_tenant(same_id()).await, Code::AlreadyExists, "ID_TAKEN");
    operator.delete_tenant(deleting("acme", "acme")).await.unwrap();
    refused(operator.create_tenant(same_id()).await, Code::AlreadyExists, "ID_TAKEN");
    operator.create_tenant(new("acme")).await.unwrap();
});

on_both!(only_the_operator_creates_lists_suspends_and_resumes, |server| {
    server.tenant("acme").await;
    let mut admin = server.acting("acme-owner");
    let (code, reason) = (Code::PermissionDenied, "PERMISSION_DENIED");
    refused(admin.create_tenant(new("beta")).await, code, reason);
    refused(admin.list_tenants(proto::ListTenantsRequest::default()).await, code, reason);
    refused(admin.suspend_tenant(suspending("acme")).await, code, reason);
    refused(admin.resume_tenant(resuming("acme")).await, code, reason);
    assert_eq!(found(server, "acme").await.tenant_revision, 1);
});

on_both!(an_admin_reads_renames_and_deletes_their_own_tenant_and_no_other, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    server.user("acme", "ben").await;
    let before = found(server, "zeta").await;
    let (code, reason) = (Code::PermissionDenied, "PERMISSION_DENIED");
    for (actor, tenant) in [("acme-owner", "zeta"), ("acme-owner", "nowhere"), ("ben", "acme")] {
        let mut client = server.acting(actor);
        refused(client.get_tenant(named(tenant)).await, code, reason);
        refused(client.update_tenant(renamed(tenant, "Mine")).await, code, reason);
        refused(client.delete_tenant(deleting(tenant, tenant)).await, code, reason);
    }
    assert_eq!(found(server, "zeta").await, before);
    let mut admin = server.acting("acme-owner");
    let answer = admin.update_tenant(renamed("acme", "Acme & Co")).await.unwrap().into_inner();
    assert_eq!(answer.tenant.unwrap().name, "Acme & Co");
    assert_eq!(admin.get_tenant(named("acme")).await.unwrap().into_inner().tenant.unwrap().name, "Acme & Co");
    let answer = admin.delete_tenant(deleting("acme", "acme")).await.unwrap().into_inner();
    assert_eq!(answer.tenant.unwrap().status(), proto::TenantStatus::Deleted);
});

on_both!(a_suspended_tenant_denies_everything_and_only_the_operator_writes_in_it, |server| {
    server.tenant("acme").await;
    let (mut operator, mut admin) = (server.operator(), server.acting("acme-owner"));
    let (code, reason) = (Code::FailedPrecondition, "TENANT_NOT_SUSPENDED");
    refused(operator.resume_tenant(resuming("acme")).await, code, reason);
    let suspended = operator.suspend_tenant(suspending("acme")).await.unwrap().into_inner();
    assert_eq!(suspended.tenant.unwrap().status(), proto::TenantStatus::Suspended);
    let again = operator.suspend_tenant(suspending("acme")).await.unwrap().into_inner();
    assert_eq!(again.revision, suspended.revision, "nothing changed");
    assert_eq!(server.section("acme", "acme-owner", "support").await, "TENANT_SUSPENDED");
    let (code, reason) = (Code::FailedPrecondition, "TENANT_SUSPENDED");
    refused(admin.update_tenant(renamed("acme", "New")).await, code, reason);
    refused(admin.delete_tenant(deleting("acme", "acme")).await, code, reason);
    admin.get_tenant(named("acme")).await.unwrap();
    operator.update_tenant(renamed("acme", "New")).await.unwrap();
    let resumed = operator.resume_tenant(resuming("acme")).await.unwrap().into_inner();
    assert_eq!(resumed.tenant.unwrap().status(), proto::TenantStatus::Active);
    assert_eq!(server.section("acme", "acme-owner", "support").await, "SYSTEM_SECTION");
});

on_both!(a_deleted_tenant_is_gone_for_everybody, |server| {
    server.tenant("acme").await;
    let (mut operator, mut admin) = (server.operator(), server.acting("acme-owner"));
    for wrong in ["", "Acme", "acme ", "zeta"] {
        let answer = admin.delete_tenant(deleting("acme", wrong)).await;
        refused(answer, Code::InvalidArgument, "CONFIRMATION_MISMATCH");
    }
    let deleted = admin.delete_tenant(deleting("acme", "acme")).await.unwrap().into_inner();
    assert_eq!(server.section("acme", "acme-owner", "support").await, "TENANT_DELETED");
    let (code, reason) = (Code::NotFound, "TENANT_NOT_FOUND");
    for client in [&mut operator, &mut admin] {
        refused(client.get_tenant(named("acme")).await, code, reason);
        refused(client.update_tenant(renamed("acme", "New")).await, code, reason);
    }
    refused(operator.suspend_tenant(suspending("acme")).await, code, reason);
    refused(operator.resume_tenant(resuming("acme")).await, code, reason);
    refused(admin.delete_tenant(deleting("acme", "acme")).await, code, reason);
    let again = operator.delete_tenant(deleting("acme", "acme")).await.unwrap().into_inner();
    assert_eq!(again.revision, deleted.revision, "nothing changed");
    assert_eq!(again.tenant, deleted.tenant);
    refused(operator.delete_tenant(deleting("nowhere", "nowhere")).await, code, reason);
});

on_both!(every_wrong_field_of_a_tenant_is_named, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    let answer = operator.create_tenant(proto::CreateTenantRequest::default()).await;
    invalid(answer, &["slug", "name", "owner"]);
    let request = proto::CreateTenantRequest {
        tenant_id: "a b".to_owned(),
        slug: "-acme".to_owned(),
        name: "two\nlines".to_owned(),
        owner: Some(proto::TenantOwner {
            user_id: "sp ace".to_owned(),
            email: "a@b\r\nBcc: x@y.example".to_owned(),
            display_name: "\u{202e}name".to_owned(),
            member_id: "m\0".to_owned(),
        }),
        plan: "Gold!".to_owned(),
        expected_revision: 1,
        ..Default::default()
    };
    let owner = ["user_id", "email", "display_name", "member_id"].map(|field| format!("owner.{field}"));
    let mut fields: Vec<_> = owner.iter().map(String::as_str).collect();
    fields.extend(["tenant_id", "slug", "name", "plan", "expected_revision"]);
    invalid(operator.create_tenant(request).await, &fields);
    let unknown = proto::CreateTenantRequest { plan: "gold".to_owned(), ..new("beta") };
    invalid(operator.create_tenant(unknown).await, &["plan"]);
    let mask = prost_types::FieldMask { paths: vec!["slug".to_owned()] };
    let request = proto::UpdateTenantRequest {
        update_mask: Some(mask),
        request_id: "1".to_owned(),
        wait: 9,
        ..renamed("acme", "")
    };
    // What is said about the how is looked at in turn: the first mistake of these hides the next.
    invalid(operator.update_tenant(request).await, &["name", "update_mask", "request_id"]);
    invalid(operator.get_tenant(named("")).await, &["tenant_id"]);
    invalid(operator.suspend_tenant(suspending(&"x".repeat(129))).await, &["tenant_id"]);
});

on_both!(a_dry_run_writes_nothing, |server| {
    let mut operator = server.operator();
    let dry = proto::CreateTenantRequest { validate_only: true, ..new("beta") };
    let answer = operator.create_tenant(dry.clone()).await.unwrap().into_inner();
    assert_eq!((answer.revision, answer.enforced), (0, false));
    assert_eq!(answer.tenant.unwrap().slug, "beta");
    operator.create_tenant(new("beta")).await.unwrap();
    refused(operator.create_tenant(dry).await, Code::AlreadyExists, "SLUG_TAKEN");
    server.tenant("acme").await;
    let dry = proto::UpdateTenantRequest { validate_only: true, ..renamed("acme", "New") };
    let answer = operator.update_tenant(dry).await.unwrap().into_inner();
    assert_eq!((answer.tenant.unwrap().name.as_str(), answer.revision), ("New", 1));
    let found = found(server, "acme").await;
    assert_eq!((found.tenant.unwrap().name.as_str(), found.tenant_revision), ("acme", 1));
});

on_both!(a_request_is_applied_once, |server| {
    let mut operator = server.operator();
    let request = proto::CreateTenantRequest { request_id: request_id(), ..new("beta") };
    let first = operator.create_tenant(request.clone()).await.unwrap().into_inner();
    server.clock.set(NOW.plus_seconds(60));
    let second = operator.create_tenant(request.clone()).await.unwrap().into_inner();
    assert!(second.replayed && !first.replayed);
    assert_eq!((second.tenant, second.owner), (first.tenant, first.owner));
    let other = proto::CreateTenantRequest { slug: "gamma".to_owned(), ..request };
    let answer = operator.create_tenant(other).await;
    refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED");
    server.tenant("acme").await;
    let request = proto::UpdateTenantRequest { request_id: request_id(), ..renamed("acme", "New") };
    let first = operator.update_tenant(request.clone()).await.unwrap().into_inner();
    operator.update_tenant(renamed("acme", "Newer")).await.unwrap();
    let second = operator.update_tenant(request).await.unwrap().into_inner();
    assert_eq!((second.replayed, second.revision), (true, first.revision));
    assert_eq!(second.tenant, first.tenant);
    assert_eq!(found(server, "acme").await.tenant.unwrap().name, "Newer");
});

on_both!(an_equal_name_makes_no_revision_and_a_stale_revision_is_refused, |server| {
    let tenant = server.tenant("acme").await;
    let mut operator = server.operator();
    let with = |name: &str, expected_revision| proto::UpdateTenantRequest {
        expected_revision,
        ..renamed("acme", name)
    };
    let same = operator.update_tenant(with("acme", tenant.revision)).await.unwrap().into_inner();
    assert_eq!((same.revision, same.tenant.unwrap().revision), (1, 1));
    let new = operator.update_tenant(with("New", tenant.revision)).await.unwrap().into_inner();
    assert_eq!(new.revision, 2);
    let text = refused(
        operator.update_tenant(with("Newer", tenant.revision)).await,
        Code::Aborted,
        "REVISION_MISMATCH",
    );
    assert!(text.contains("the revision is 2"), "{text}");
    // A member's change moves the tenant's revision, and not that of its record.
    server.user("acme", "ben").await;
    assert!(found(server, "acme").await.tenant_revision > 2);
    operator.update_tenant(with("Newer", 2)).await.unwrap();
});

on_both!(a_tenant_tells_what_it_uses_of_its_limits, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    for id in ["a1", "a2", "a3"] {
        server.agent("acme", id).await;
    }
    let gone = proto::DeleteResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: "a2".to_owned(),
        ..Default::default()
    };
    server.operator().delete_resource(gone).await.unwrap();
    let key = |expire_time: Option<Instant>| proto::CreateApiKeyRequest {
        tenant_id: "acme".to_owned(),
        name: "key".to_owned(),
        scopes: vec![proto::ApiKeyScope {
            scope: Some(proto::api_key_scope::Scope::Section("traces".to_owned())),
        }],
        expires_at: expire_time.map(timestamp),
        ..Default::default()
    };
    server.operator().create_api_key(key(None)).await.unwrap();
    server.operator().create_api_key(key(Some(NOW.plus_seconds(5)))).await.unwrap();
    let usage = found(server, "acme").await.usage.unwrap();
    assert_eq!((usage.members, usage.api_keys), (2, 2));
    assert_eq!(usage.resources.into_iter().collect::<Vec<_>>(), [("agent".to_owned(), 2)]);
    server.clock.set(NOW.plus_seconds(5));
    assert_eq!(found(server, "acme").await.usage.unwrap().api_keys, 1);
});

async fn listed(server: &Server, request: proto::ListTenantsRequest) -> Vec<Vec<String>> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::ListTenantsRequest { page_token, ..request.clone() };
        let answer = server.operator().list_tenants(request).await.unwrap().into_inner();
        pages.push(answer.tenants.into_iter().map(|tenant| tenant.tenant_id).collect());
        if answer.next_page_token.is_empty() {
            return pages;
        }
        assert!(pages.len() < 100, "the pages have no end");
        page_token = answer.next_page_token;
    }
}

on_both!(tenants_are_listed_in_exact_pages, |server| {
    for name in ["b2", "a1", "c3", "B4", "d5"] {
        server
            .operator()
            .create_tenant(proto::CreateTenantRequest {
                tenant_id: name.to_owned(),
                name: format!("Name {name}"),
                ..new(&name.to_lowercase())
            })
            .await
            .unwrap();
    }
    server.operator().suspend_tenant(suspending("c3")).await.unwrap();
    server.operator().delete_tenant(deleting("d5", "d5")).await.unwrap();
    let all = proto::ListTenantsRequest::default;
    assert_eq!(listed(server, all()).await, [["B4", "a1", "b2", "c3"]]);
    let paged = proto::ListTenantsRequest { page_size: 2, ..all() };
    assert_eq!(listed(server, paged.clone()).await, [["B4", "a1"], ["b2", "c3"]]);
    let text = proto::ListTenantsRequest { text: "NAME B".to_owned(), ..all() };
    assert_eq!(listed(server, text).await, [["B4", "b2"]]);
    for (status, expected) in
        [(proto::TenantStatus::Active, vec!["B4", "a1", "b2"]), (proto::TenantStatus::Suspended, vec!["c3"])]
    {
        let request = proto::ListTenantsRequest { status: status.into(), ..all() };
        assert_eq!(listed(server, request).await, [expected], "{status:?}");
    }
    let deleted = proto::TenantStatus::Deleted.into();
    let deleted = proto::ListTenantsRequest { status: deleted, ..all() };
    invalid(server.operator().list_tenants(deleted).await, &["status"]);
    let first = server.operator().list_tenants(paged.clone()).await.unwrap().into_inner();
    assert_eq!(
        first.tenants[0].subscription.as_ref().unwrap().effective_state(),
        proto::SubscriptionState::Trialing
    );
    let page_token = first.next_page_token;
    let other = proto::ListTenantsRequest { page_token, text: "b".to_owned(), ..paged };
    invalid(server.operator().list_tenants(other).await, &["page_token"]);
    let wrong = proto::ListTenantsRequest {
        page_size: -1,
        page_token: "forged".to_owned(),
        status: 9,
        text: "nul\0".to_owned(),
    };
    let fields = ["page_size", "page_token", "status", "text"];
    invalid(server.operator().list_tenants(wrong).await, &fields);
    let many = proto::ListTenantsRequest { page_size: 1_000_000_000, ..all() };
    assert_eq!(listed(server, many).await.len(), 1);
});

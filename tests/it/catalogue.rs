//! Promises of the catalogue RPCs: one is in force for all, another takes its place whole, and nothing in use is lost.

use doorward::catalogue::{SHIPPED, digest};
use doorward::proto;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{Server, invalid, on_both, refused, request_id};

const LOGS: &str = "[[section]]\nkey = \"logs\"\nname = \"Logs\"\ntype = \"CONFIGURABLE\"\ndefault = true\n";

fn with(document: &str) -> proto::ApplyCatalogueRequest {
    proto::ApplyCatalogueRequest { document: document.to_owned(), ..Default::default() }
}

fn without_logs() -> String {
    assert!(SHIPPED.contains(LOGS));
    SHIPPED.replace(LOGS, "")
}

/// With a section `board` before the first, and a resource type of that key.
fn with_board() -> String {
    let section = "[[section]]\nkey = \"board\"\nname = \"Board\"\ntype = \"CONFIGURABLE\"\n\n";
    let kind = "\n[[type]]\nkey = \"board\"\nname = \"Board\"\n[[type.action]]\nkey = \"view\"\nsection = \"board\"\n";
    let at = SHIPPED.find("[[section]]").unwrap();
    format!("{}{section}{}{kind}", &SHIPPED[..at], &SHIPPED[at..])
}

async fn in_force(server: &Server) -> proto::Catalogue {
    let request = proto::GetCatalogueRequest {};
    server.operator().get_catalogue(request).await.unwrap().into_inner().catalogue.unwrap()
}

on_both!(a_new_deployment_has_the_shipped_catalogue, |server| {
    let catalogue = in_force(server).await;
    assert_eq!((catalogue.version, catalogue.revision), (1, 1));
    assert_eq!((catalogue.document.as_str(), catalogue.digest), (SHIPPED, digest(SHIPPED)));
    let keys: Vec<_> = catalogue.sections.iter().map(|section| section.section.as_str()).collect();
    assert_eq!(keys[..3], ["access_management", "agents", "traces"]);
    let section = |key: &str| catalogue.sections.iter().find(|section| section.section == key).unwrap();
    assert_eq!(section("agents").r#type(), proto::SectionType::Configurable);
    assert_eq!(section("agents").default_enabled, Some(true));
    assert_eq!(section("analytics").default_enabled, None);
    assert_eq!(section("agentguard").needs_switch, "agentguard");
    let parts = &section("settings").parts;
    let danger = parts.iter().find(|part| part.part == "danger_zone").unwrap();
    assert_eq!((parts.len(), danger.role()), (9, proto::Role::Admin));
    assert_eq!(catalogue.switches, ["agentguard"]);
    let agent = &catalogue.resource_types[0];
    assert_eq!((agent.r#type.as_str(), catalogue.resource_types.len()), ("agent", 1));
    let chat = agent.actions.iter().find(|action| action.action == "chat").unwrap();
    assert_eq!(chat.needs_section, "agents");
    assert!(chat.blocked_while_inactive && chat.firewall && !chat.admin_only);
    let plan = &catalogue.plans[0];
    assert_eq!((plan.plan.as_str(), plan.sections.len()), ("standard", keys.len()));
    assert_eq!(plan.limits, Some(proto::PlanLimits::default()));
});

on_both!(a_new_catalogue_is_in_force_for_everybody_at_once, |server| {
    server.tenant("acme").await;
    assert_eq!(server.section("acme", "acme-owner", "board").await, "SECTION_UNKNOWN");
    let mut operator = server.operator();
    let answer = operator.apply_catalogue(with(&with_board())).await.unwrap().into_inner();
    assert!(answer.enforced && !answer.replayed && answer.revision > 0);
    let added = answer.differences.iter().any(|line| line.starts_with("section `board` added"));
    assert!(added, "{:?}", answer.differences);
    let catalogue = answer.catalogue.unwrap();
    assert_eq!((catalogue.version, catalogue.revision), (2, 2));
    assert_eq!(in_force(server).await, catalogue);
    assert_eq!(server.section("acme", "acme-owner", "board").await, "ROLE_ADMIN");
    let board = proto::RegisterResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "board".to_owned(),
        resource_id: "b1".to_owned(),
        name: "A board".to_owned(),
        ..Default::default()
    };
    operator.register_resource(board).await.unwrap();
    assert_eq!(server.check("acme", "acme-owner", "view", "board", "b1").await.1, "ROLE_ADMIN");
    let again = operator.apply_catalogue(with(&with_board())).await.unwrap().into_inner();
    assert_eq!((again.revision, again.differences.len()), (answer.revision, 0));
    assert_eq!(again.catalogue.unwrap().version, 2);
});

on_both!(what_is_in_use_may_be_retyped_and_not_removed, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let mut operator = server.operator();
    let answer = operator.apply_catalogue(with(&without_logs())).await;
    let text = refused(answer, Code::FailedPrecondition, "IN_USE");
    assert!(text.ends_with(": section `logs`"), "{text}");
    assert_eq!(in_force(server).await.version, 1);
    assert_eq!(server.section("acme", "ben", "logs").await, "SECTION_GRANTED");
    let retyped = SHIPPED.replace(LOGS, &LOGS.replace("CONFIGURABLE\"\ndefault = true", "ADMIN_ONLY\""));
    operator.apply_catalogue(with(&retyped)).await.unwrap();
    assert_eq!(server.section("acme", "ben", "logs").await, "SECTION_ADMIN_ONLY");
    let delete = proto::DeleteTenantRequest {
        tenant_id: "acme".to_owned(),
        confirm_slug: "acme".to_owned(),
        ..Default::default()
    };
    operator.delete_tenant(delete).await.unwrap();
    operator.apply_catalogue(with(&without_logs())).await.unwrap();
});

on_both!(a_document_that_is_no_catalogue_is_told_line_by_line, |server| {
    let mut operator = server.operator();
    let long = "#".repeat(256 * 1024 + 1);
    for document in ["", "not toml", &long, "[[plan]]\nkey = \"p\"\nname = \"P\"\nunknown = 1"] {
        let answer = operator.apply_catalogue(with(document)).await;
        refused(answer, Code::InvalidArgument, "CATALOGUE_INVALID");
    }
    let twice =
        SHIPPED.replace("key = \"traces\"", "key = \"logs\"").replace("key = \"eval\"", "key = \"E\"");
    let status = operator.apply_catalogue(with(&twice)).await.unwrap_err();
    let lines = status.get_details_bad_request().unwrap().field_violations;
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.field == "document"), "{lines:?}");
    assert_eq!(in_force(server).await.version, 1);
});

on_both!(the_catalogue_is_the_operators, |server| {
    server.tenant("acme").await;
    let mut admin = server.acting("acme-owner");
    let (code, reason) = (Code::PermissionDenied, "PERMISSION_DENIED");
    refused(admin.get_catalogue(proto::GetCatalogueRequest {}).await, code, reason);
    refused(admin.apply_catalogue(with("not toml")).await, code, reason);
    refused(admin.apply_catalogue(with(&with_board())).await, code, reason);
    assert_eq!(in_force(server).await.version, 1);
});

on_both!(a_catalogue_is_dry_run_applied_once_and_not_over_a_newer_one, |server| {
    let mut operator = server.operator();
    let dry = proto::ApplyCatalogueRequest { validate_only: true, ..with(&with_board()) };
    let answer = operator.apply_catalogue(dry).await.unwrap().into_inner();
    assert!(!answer.enforced && !answer.differences.is_empty());
    assert_eq!(answer.catalogue.unwrap().version, 2);
    assert_eq!(in_force(server).await.version, 1);
    let once = proto::ApplyCatalogueRequest {
        request_id: request_id(),
        expected_revision: 1,
        ..with(&with_board())
    };
    let first = operator.apply_catalogue(once.clone()).await.unwrap().into_inner();
    operator.apply_catalogue(with(SHIPPED)).await.unwrap();
    let second = operator.apply_catalogue(once.clone()).await.unwrap().into_inner();
    assert_eq!((second.replayed, second.revision), (true, first.revision));
    assert_eq!((second.catalogue, second.differences), (first.catalogue, first.differences));
    assert_eq!(in_force(server).await.version, 3);
    let other = proto::ApplyCatalogueRequest { document: without_logs(), ..once.clone() };
    let answer = operator.apply_catalogue(other).await;
    refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let stale = proto::ApplyCatalogueRequest { request_id: String::new(), ..once };
    let text = refused(operator.apply_catalogue(stale).await, Code::Aborted, "REVISION_MISMATCH");
    assert!(text.contains("the revision is 3"), "{text}");
    let wrong = proto::ApplyCatalogueRequest { request_id: "no".to_owned(), ..with(SHIPPED) };
    invalid(operator.apply_catalogue(wrong).await, &["request_id"]);
});

//! Promises of the record of denied calls: a sample, without effect on any call.

use std::time::Duration;

use doorward::proto;
use tonic::{Code, Request};

use super::{rename, text, toggle};
use crate::harness::{Server, on_both, refused, resource, user_subject};
use crate::store::tables::Tables;

async fn rows(tables: &Tables, count: usize) -> Vec<String> {
    for _ in 0..400 {
        let rows = tables.rows("denied_call", "true").await;
        if rows.len() >= count {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not {count} rows")
}

async fn denied(server: &Server) {
    let answer = server.acting("ben").set_section_access(toggle("ben", true)).await;
    refused(answer, Code::PermissionDenied, "PERMISSION_DENIED");
}

on_both!(a_denied_call_is_noted_with_who_asked_for_what, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let tables = Tables::at(&server.url).await;
    let mut request = Request::new(toggle("ben", true));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", trace.parse().unwrap());
    refused(
        server.acting("ben").set_section_access(request).await,
        Code::PermissionDenied,
        "PERMISSION_DENIED",
    );
    // Of another tenant than the one named; of the platform; of a text that is no tenant's id.
    let elsewhere = proto::GetTenantRequest { tenant_id: text("nowhere") };
    server.acting("ben").get_tenant(elsewhere).await.unwrap_err();
    server.acting("ben").get_catalogue(proto::GetCatalogueRequest {}).await.unwrap_err();
    // Neither an error of another kind nor a check, whoever may not make it.
    server.operator().update_member(rename("nobody", "x")).await.unwrap_err();
    server.operator().update_member(proto::UpdateMemberRequest::default()).await.unwrap_err();
    let check = proto::CheckAccessRequest {
        tenant_id: text("acme"),
        subject: Some(user_subject("acme-owner")),
        action: text("view"),
        resource: Some(resource("section", "traces")),
        ..Default::default()
    };
    server.acting("ben").check_access(check).await.unwrap_err();
    let found = rows(&tables, 3).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rows(&tables, 3).await.len(), 3);
    let quoted = |column: &str, value: &str| {
        if tables.is_sqlite() { format!("{column}='{value}'") } else { format!("{column}={value}") }
    };
    for (tenant, operation) in [("acme", "SetSectionAccess"), ("nowhere", "GetTenant"), ("", "GetCatalogue")]
    {
        let row = found.iter().find(|row| row.contains(&quoted("operation", operation))).unwrap();
        for (column, value) in [("tenant_id", tenant), ("caller", "operator"), ("actor", "ben")] {
            assert!(row.contains(&quoted(column, value)), "{column} in {row}");
        }
        assert!(row.contains("127.0.0.1:"), "{row}");
        assert_eq!(row.contains("0af7651916cd43dd8448eb211c80319c"), tenant == "acme", "{row}");
    }
});

on_both!(the_records_are_a_sample, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    for _ in 0..30 {
        denied(server).await;
    }
    let tables = Tables::at(&server.url).await;
    let written = rows(&tables, 1).await.len();
    assert!(written < 20, "{written}");
    let sampled = server.counted(|series| series.starts_with("doorward_denials_total{outcome=\"sampled\""));
    assert!(sampled > 10, "{sampled}");
});

on_both!(a_record_that_cannot_be_written_fails_no_call, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    Tables::at(&server.url).await.execute("DROP TABLE denied_call").await;
    denied(server).await;
    for _ in 0..100 {
        let series = "doorward_denials_total{outcome=\"dropped\"";
        if server.counted(|found| found.starts_with(series)) == 1 {
            denied(server).await;
            return server.operator().set_section_access(toggle("ben", true)).await.map(drop).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it was not counted");
});

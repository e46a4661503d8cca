//! Token buckets: who calls too often is told when to come back, and others in the same tenant are not touched.

use doorward::proto;
use doorward::settings::Limits;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{members, question, run, update};
use crate::harness::{Server, refused};

#[track_caller]
fn limited<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("should have been refused");
    assert!(status.get_details_retry_info().unwrap().retry_delay.unwrap().as_millis() < 2_000, "{status:?}");
    assert_eq!(status.get_details_quota_failure().unwrap().violations.len(), 1);
    refused(Err::<(), _>(status), Code::ResourceExhausted, "RATE_LIMITED");
}

fn refusals(server: &Server, class: &str) -> u64 {
    let series = format!("doorward_calls_refused_total{{class=\"{class}\",reason=\"rate_limited\"}}");
    server.counted(|found| found == series)
}

/// Calls until the bucket is empty.
async fn drained<T: std::fmt::Debug>(call: impl AsyncFn() -> Result<T, Status>) {
    for _ in 0..200 {
        if let Err(status) = call().await {
            return limited(Err::<T, _>(status));
        }
    }
    panic!("never refused");
}

#[test]
fn mutations_and_reads_share_a_bucket_for_each_tenant_and_checks_do_not() {
    run(Limits { tenant_calls_per_s: 2, ..Limits::default() }, async |server| {
        drained(async || server.operator().list_members(members()).await).await;
        limited(server.operator().update_tenant(update("x")).await);
        assert!(refusals(server, "reads") >= 1 && refusals(server, "writes") == 1);
        let refused = r#"doorward_mutations_total{operation="UpdateTenant",outcome="refused"}"#;
        assert_eq!(server.counted(|found| found == refused), 1);
        for _ in 0..20 {
            server.operator().check_access(question()).await.unwrap();
        }
        // Another tenant's bucket is full, whether or not the tenant is there.
        let elsewhere = proto::ListMembersRequest { tenant_id: "globex".to_owned(), ..Default::default() };
        refused_elsewhere(server.operator().list_members(elsewhere).await);
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        server.operator().list_members(members()).await.unwrap();
    });
}

#[track_caller]
fn refused_elsewhere<T: std::fmt::Debug>(answer: Result<T, Status>) {
    refused(answer, Code::NotFound, "TENANT_NOT_FOUND");
}

#[test]
fn each_question_of_a_batch_counts() {
    run(Limits { tenant_checks_per_s: 10, ..Limits::default() }, async |server| {
        let check = proto::Check { action: question().action, resource: question().resource };
        let batch = proto::BatchCheckAccessRequest {
            tenant_id: "acme".to_owned(),
            subject: question().subject,
            checks: vec![check; 9],
            ..Default::default()
        };
        server.operator().batch_check_access(batch.clone()).await.unwrap();
        limited(server.operator().batch_check_access(batch).await);
        drained(async || server.operator().check_access(question()).await).await;
        server.operator().list_members(members()).await.unwrap();
    });
}

#[test]
fn attempts_to_accept_have_a_bucket_of_their_own() {
    run(Limits { accepts_per_s: 1, tenant_calls_per_s: 0, ..Limits::default() }, async |server| {
        let guess = || proto::AcceptInvitationRequest {
            tenant_id: "acme".to_owned(),
            token: "a".repeat(43),
            user_id: "eve".to_owned(),
            ..Default::default()
        };
        let mut tried = 0;
        loop {
            let status = server.operator().accept_invitation(guess()).await.unwrap_err();
            if status.code() == Code::ResourceExhausted {
                limited(Err::<(), _>(status));
                break;
            }
            tried += 1;
            assert!(tried < 50, "never refused");
        }
        assert!(tried >= 5, "{tried}");
        for _ in 0..20 {
            server.operator().list_members(members()).await.unwrap();
        }
    });
}

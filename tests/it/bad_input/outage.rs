//! Without its database a server that knows nothing says so, and when to come back: it neither allows nor denies.

use doorward::clock::Clock;
use doorward::proto;
use tonic::Code;
use tonic_types::StatusExt;

use super::untaught;
use crate::callers::{admin_key, checks, credential};
use crate::harness::{self, NOW, Server, refused, start};
use crate::postgres;

#[track_caller]
fn unavailable<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) {
    let status = answer.expect_err("nothing can be known");
    assert_eq!(untaught(&status), None, "{status:?}");
    assert!(status.get_details_retry_info().unwrap().retry_delay.unwrap().as_millis() > 0, "{status:?}");
    refused(Err::<(), _>(status), Code::Unavailable, "STORE_UNAVAILABLE");
}

#[test]
fn with_postgres_down_and_nothing_cached_every_call_is_unavailable_and_told_when_to_try_again() {
    let mut cluster = postgres::cluster();
    let url = cluster.fresh_database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
    let mut secrets = Vec::new();
    harness::run_on(&url, async |server| {
        server.tenant("acme").await;
        secrets = vec![
            credential(server, "gateway", &[proto::ServiceScope::Check], &[]).await,
            admin_key(server, "acme", "ci").await,
        ];
    });
    let clock = Clock::manual(NOW);
    let running = start(&url, &clock);
    let server = runtime.block_on(Server::over(running, &url, &clock));
    cluster.stop();
    runtime.block_on(async {
        unavailable(checks(&mut server.operator(), "acme").await);
        let read = proto::GetTenantRequest { tenant_id: "acme".to_owned() };
        unavailable(server.operator().get_tenant(read.clone()).await);
        let write = || proto::UpdateTenantRequest {
            tenant_id: "acme".to_owned(),
            name: "New".to_owned(),
            ..Default::default()
        };
        unavailable(server.operator().update_tenant(write()).await);
        for secret in &secrets {
            unavailable(checks(&mut server.client(secret, None), "acme").await);
        }
        cluster.start_stopped();
        let mut tries = 0;
        while checks(&mut server.operator(), "acme").await.is_err() {
            tries += 1;
            assert!(tries < 200, "it does not come back");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(
            server.operator().get_tenant(read).await.unwrap().into_inner().tenant.unwrap().name,
            "acme"
        );
    });
    let stopped = runtime.spawn_blocking(move || server.running.stop());
    runtime.block_on(stopped).unwrap();
}

//! Credentials on several replicas, and without a database: revoked everywhere at once, never denied for want of knowing.

use doorward::proto;
use doorward::proto::ServiceScope;
use tonic::Code;

use super::{admin_key, checks, credential};
use crate::caches::replicas::{replicas, replicas_on};
use crate::harness::refused;
use crate::postgres;

#[test]
fn a_credential_that_one_replica_revokes_is_nobody_on_all() {
    replicas(
        |_, _| {},
        3,
        async |servers| {
            servers[0].tenant("acme").await;
            for round in 0..5 {
                let name = format!("gateway-{round}");
                let secret = credential(&servers[round % 3], &name, &[ServiceScope::Check], &[]).await;
                for server in servers {
                    assert!(checks(&mut server.client(&secret, None), "acme").await.unwrap());
                }
                let revoke =
                    proto::RevokeServiceCredentialRequest { credential_id: name, ..Default::default() };
                let by = &servers[(round + 1) % 3];
                let done = by.operator().revoke_service_credential(revoke).await.unwrap().into_inner();
                assert!(done.enforced);
                for server in servers {
                    let answer = checks(&mut server.client(&secret, None), "acme").await;
                    refused(answer, Code::Unauthenticated, "UNAUTHENTICATED");
                }
            }
        },
    );
}

#[test]
fn without_a_database_a_known_service_calls_for_the_lease_and_nobody_is_denied_after_it() {
    let mut cluster = postgres::cluster();
    let url = cluster.fresh_database();
    replicas_on(
        &url,
        |_, settings| settings.cache.lease_ms = 2_000,
        1,
        async |servers| {
            let server = &servers[0];
            server.tenant("acme").await;
            let secret = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
            let key = admin_key(server, "acme", "ci").await;
            let mut gateway = server.client(&secret, None);
            assert!(checks(&mut gateway, "acme").await.unwrap());
            cluster.stop();
            assert!(checks(&mut gateway, "acme").await.unwrap(), "the lease has not ended");
            let unknown = checks(&mut server.client("dws_nobody_00", None), "acme").await;
            refused(unknown, Code::Unauthenticated, "UNAUTHENTICATED");
            refused(
                checks(&mut server.client(&key, None), "acme").await,
                Code::Unavailable,
                "STORE_UNAVAILABLE",
            );
            tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
            for token in [&*secret, "dws_nobody_00", &*key] {
                let answer = checks(&mut server.client(token, None), "acme").await;
                refused(answer, Code::Unavailable, "STORE_UNAVAILABLE");
            }
            let operator = checks(&mut server.operator(), "acme").await;
            refused(operator, Code::Unavailable, "STORE_UNAVAILABLE");
            cluster.start_stopped();
        },
    );
}

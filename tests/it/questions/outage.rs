//! Without the database: what cannot be decided is neither yes nor no, and the stream lives on.

use std::time::Duration;

use doorward::proto::{ErrorReason, ServiceScope};
use tonic::Code;

use super::{Said, acme, allowed, error, fresh, open, question, toggle};
use crate::caches::replicas::replicas_on;
use crate::callers::credential;
use crate::postgres;

#[test]
fn what_cannot_be_decided_is_unavailable_and_the_stream_goes_on() {
    let mut cluster = postgres::cluster();
    let url = cluster.fresh_database();
    let lease = |settings: &mut doorward::settings::Settings| settings.cache.lease_ms = 2_000;
    replicas_on(
        &url,
        |_, settings| lease(settings),
        1,
        async |servers| {
            let server = &servers[0];
            acme(server).await;
            toggle(server, true).await;
            let secret = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
            let mut streams = [open(server.operator()).await, open(server.client(&secret, None)).await];
            for stream in &mut streams {
                assert!(allowed(&stream.check(question("ben")).await));
            }
            cluster.stop();
            for stream in &mut streams {
                let said = stream.check(fresh("ben")).await;
                error(said, Code::Unavailable, ErrorReason::StoreUnavailable);
            }
            // The lease ends: neither facts nor callers are known any more.
            for stream in &mut streams {
                let said = loop {
                    match stream.check(question("ben")).await {
                        Said::Response(response) => assert!(response.allowed && !response.degraded),
                        said => break said,
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                };
                error(said, Code::Unavailable, ErrorReason::StoreUnavailable);
            }
            cluster.start_stopped();
            for stream in &mut streams {
                while let Said::Error(found) = stream.check(question("ben")).await {
                    assert_eq!(found.reason(), ErrorReason::StoreUnavailable);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                assert!(allowed(&stream.check(fresh("ben")).await));
            }
        },
    );
}

//! Whether traffic should come: `/readyz`, gRPC's health and `doorward health` say the same, and why.

use std::time::Duration;

use doorward::clock::Stopwatch;

use crate::binary::{Said, Server, get, run, until};
use crate::machine::free_port;
use crate::postgres;
use crate::serve::{self, migrated};

const PATIENCE: Duration = Duration::from_secs(60);
const SILENT: &str = "not ready: the database does not answer\n";

/// With a Redis that never answers, and a lease of half a second.
fn start(url: &str, stale_ms: &str) -> Server {
    let mut environment = serve::environment(url);
    environment.extend([
        ("DOORWARD_REDIS__URL", "redis://127.0.0.1:1"),
        ("DOORWARD_CACHE__LEASE_MS", "500"),
        ("DOORWARD_CACHE__POLL_MS", "50"),
        ("DOORWARD_CACHE__STALE_MS", stale_ms),
    ]);
    Server::start(&["serve"], &environment)
}

/// What each way to ask says: 200 or 503, the exit codes over HTTP and over gRPC, and the text.
fn asked(server: &Server) -> (u16, Option<i32>, Option<i32>, String) {
    let (status, text) = get(&server.admin, "/readyz");
    let over_http = run(&["health", "--admin", &server.admin], &[]);
    assert_eq!(over_http.stdout, text);
    let over_grpc = run(&["health", "--address", &server.address()], &[]);
    (status, over_http.code, over_grpc.code, text)
}

#[test]
fn a_lost_database_makes_a_replica_unready_past_the_outage_policy_and_a_lost_redis_never() {
    let mut cluster = postgres::cluster();
    let url = migrated(cluster.fresh_database());
    let (strict, patient) = (start(&url, "0"), start(&url, "600000"));
    let ready = (200, Some(0), Some(0), "ready\n".to_owned());
    assert_eq!((asked(&strict), asked(&patient)), (ready.clone(), ready.clone()));
    cluster.stop();
    until(PATIENCE, "unready", || get(&strict.admin, "/readyz").0 == 503);
    assert_eq!(asked(&strict), (503, Some(3), Some(3), SILENT.to_owned()));
    // It answers, degraded, from what it has in memory.
    assert_eq!(asked(&patient), ready);
    let live = run(&["health", "--live", "--admin", &strict.admin], &[]);
    assert_eq!((live.code, live.stdout.as_str()), (Some(0), "ok\n"));
    cluster.start_stopped();
    until(PATIENCE, "ready again", || get(&strict.admin, "/readyz").0 == 200);
    assert_eq!((asked(&strict), asked(&patient)), (ready.clone(), ready));
}

fn status_of(url: &str) -> Said {
    run(&["migrate", "status", "--database-url", url], &[])
}

#[test]
fn a_database_and_a_schema_that_fits_are_waited_for_and_what_is_missing_is_named() {
    let mut cluster = postgres::cluster();
    let url = cluster.fresh_database();
    // While the cluster holds its own.
    let admin = format!("127.0.0.1:{}", free_port());
    cluster.stop();
    let mut environment = serve::environment(&url);
    environment.push(("DOORWARD_ADMIN__LISTEN", &admin));
    // The probe finds the admin port as the service does.
    let health = || run(&["health"], &environment);
    let said = |expected: &str| {
        let said = health();
        said.code == Some(3) && said.stdout.starts_with("not ready: ") && said.stdout.contains(expected)
    };
    let mut waiting = Server::launch(&["serve"], &environment);
    until(PATIENCE, "silent", || said("the database does not answer"));
    cluster.start_stopped();
    until(PATIENCE, "missing", || said("the schema is missing: run `doorward migrate up`"));
    assert_eq!(run(&["migrate", "up", "--database-url", &url], &[]).code, Some(0));
    waiting.wait_until_listening();
    assert_eq!(health().code, Some(0));

    // A newer version has added to the schema: who serves goes on, and who starts, starts.
    let take = |step: &str| {
        cluster.ask(&url, &format!("INSERT INTO seaql_migrations VALUES ('{step}', 0)"));
    };
    take("m9998_add");
    let newer = status_of(&url);
    assert!(newer.code == Some(0) && newer.stdout.contains("newer m9998_add"), "{newer:?}");
    assert_eq!(run(&["migrate", "up", "--database-url", &url], &[]).code, Some(0));
    let (status, _) = Server::start(&["serve"], &serve::environment(&url)).stop();
    assert_eq!(status.code(), Some(0));
    assert_eq!(health().code, Some(0));

    // It has taken away what only newer ones can do without.
    take("m9999_drop_needs_m9998");
    until(PATIENCE, "newer", || {
        said("the schema is newer than this version, and step m9999_drop_needs_m9998")
    });
    assert_eq!(status_of(&url).code, Some(3));
    assert_eq!(run(&["migrate", "up", "--database-url", &url], &[]).code, Some(1));
    cluster.ask(&url, "DELETE FROM seaql_migrations WHERE version LIKE 'm9999%' OR version LIKE 'm0003%'");
    until(PATIENCE, "older", || said("the schema is older than this version, which needs m0003_"));
    cluster.ask(&url, "INSERT INTO seaql_migrations VALUES ('m0003_callers', 0)");
    until(PATIENCE, "ready", || health().code == Some(0));
}

#[test]
fn a_probe_of_nobody_fails_at_once_and_says_where_it_asked() {
    let said = run(&["health"], &[("DOORWARD_ADMIN__LISTEN", "0.0.0.0:1")]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains("no answer from 127.0.0.1:1: "), "{said:?}");
    let said = run(&["health", "--admin", "nowhere"], &[]);
    assert!(said.code == Some(1) && said.stderr.contains("allowed: HOST:PORT"), "{said:?}");
    let said = run(&["health"], &[("DOORWARD_ADMIN__LISTEN", "127.0.0.1:0")]);
    assert!(said.code == Some(1) && said.stderr.contains("--admin"), "{said:?}");
}

#[test]
fn a_probe_of_what_takes_connections_and_says_nothing_waits_no_longer_than_it_was_told_to() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for (flag, address, says) in [
        ("--admin", address.clone(), format!("no answer from {address}: ")),
        ("--address", format!("http://{address}"), format!("no answer from http://{address} within 300 ms")),
    ] {
        let begun = Stopwatch::start();
        let said = run(&["health", flag, &address, "--timeout-ms", "300"], &[]);
        assert!(said.code == Some(1) && said.stderr.contains(&says), "{said:?}");
        // Without a bound over gRPC it would be 30 s.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

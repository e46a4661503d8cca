//! What the door promises over real gRPC: calls over a limit are refused at once, and everything has its end in time.

mod deadlines;
mod lists;
mod rates;
mod remaps;

use std::time::Duration;

use doorward::clock::{Clock, Stopwatch};
use doorward::proto;
use doorward::settings::{Limits, Settings};
use sea_orm::{ConnectionTrait, Database, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::harness::{self, Client, NOW, Server, refused, resource, user_subject};
use crate::postgres;

/// Runs a test against a server on Postgres with limits of its own; the tenant `acme` with the user `ben` is there.
pub(crate) fn run(limits: Limits, body: impl AsyncFnOnce(&Server)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (url, clock) = (postgres::fresh_database(), Clock::manual(NOW));
    runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
    // Made by another server, so that nothing is taken out of a bucket before the test.
    harness::run_on(&url, async |server| {
        server.tenant("acme").await;
        server.user("acme", "ben").await;
    });
    let running = harness::start_with(&url, &clock, |settings: &mut Settings| {
        settings.limits = limits;
        // What waits for a row that a test holds must not wait for a connection first.
        (settings.database.reads_max, settings.database.writes_max) = (20, 20);
    });
    let server = runtime.block_on(Server::over(running, &url, &clock));
    runtime.block_on(body(&server));
    let stopped = runtime.spawn_blocking(move || server.running.stop());
    runtime.block_on(stopped).unwrap();
}

/// Every mutation of `acme` waits until the transaction ends.
async fn hold_acme(server: &Server) -> DatabaseTransaction {
    hold(server, "SELECT rev FROM tenant_rev WHERE tenant_id = 'acme' FOR UPDATE").await
}

/// Whatever reads members from the database waits until the transaction ends.
pub(crate) async fn hold_members(server: &Server) -> DatabaseTransaction {
    hold(server, "LOCK TABLE member IN ACCESS EXCLUSIVE MODE").await
}

async fn hold(server: &Server, lock: &str) -> DatabaseTransaction {
    let connection = Database::connect(server.url.as_str()).await.unwrap();
    let transaction = connection.begin().await.unwrap();
    transaction.execute_unprepared(lock).await.unwrap();
    transaction
}

/// Waits until so many statements of the server wait for what a test holds.
async fn held_up(server: &Server, count: i64) {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let connection = Database::connect(server.url.as_str()).await.unwrap();
    for _ in 0..2_000 {
        let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, WAITING)).await;
        if row.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there were never {count} statements that waited");
}

fn update(name: &str) -> proto::UpdateTenantRequest {
    proto::UpdateTenantRequest {
        tenant_id: "acme".to_owned(),
        name: name.to_owned(),
        update_mask: Some(prost_types::FieldMask { paths: vec!["name".to_owned()] }),
        request_id: harness::request_id(),
        ..Default::default()
    }
}

fn members() -> proto::ListMembersRequest {
    proto::ListMembersRequest { tenant_id: "acme".to_owned(), ..Default::default() }
}

fn question() -> proto::CheckAccessRequest {
    proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject("ben")),
        action: "view".to_owned(),
        resource: Some(resource("section", "traces")),
        ..Default::default()
    }
}

/// One that must be read from the database.
fn fresh_question() -> proto::CheckAccessRequest {
    let requirement = proto::consistency::Requirement::FullyConsistent(true);
    let consistency = Some(proto::Consistency { requirement: Some(requirement) });
    proto::CheckAccessRequest { consistency, ..question() }
}

/// The same about a resource, which need not be there.
fn about_agent(number: u8) -> proto::CheckAccessRequest {
    let agent = Some(resource("agent", &format!("agent-{number}")));
    proto::CheckAccessRequest { resource: agent, ..fresh_question() }
}

/// A mutation that is under way, in a task.
fn updating(server: &Server, name: &str) -> JoinHandle<Result<(), Status>> {
    let (mut client, request) = (server.operator(), update(name));
    Handle::current().spawn(async move { client.update_tenant(request).await.map(drop) })
}

/// Waits until so many calls of a class are in flight.
pub(crate) async fn in_flight(server: &Server, class: &str, count: u64) {
    let series = format!("doorward_calls_in_flight{{class=\"{class}\"}}");
    for _ in 0..2_000 {
        if server.counted(|found| found == series) == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there were never {count} of {class} in flight");
}

#[track_caller]
fn overloaded<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("should have been refused");
    let retry = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((100..500).contains(&retry.as_millis()), "{retry:?}");
    refused(Err::<(), _>(status), Code::Unavailable, "OVERLOADED");
}

async fn name(client: &mut Client) -> String {
    let request = proto::GetTenantRequest { tenant_id: "acme".to_owned() };
    client.get_tenant(request).await.unwrap().into_inner().tenant.unwrap().name
}

#[test]
fn over_the_limit_of_all_calls_are_refused_at_once_and_served_when_there_is_room() {
    run(Limits { in_flight: 1, ..Limits::default() }, async |server| {
        let lock = hold_acme(server).await;
        let first = updating(server, "first");
        in_flight(server, "writes", 1).await;
        let since = Stopwatch::start();
        for _ in 0..20 {
            overloaded(server.operator().check_access(question()).await);
            overloaded(server.operator().update_tenant(update("second")).await);
        }
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        let mut health = HealthClient::new(server.channel());
        health.check(HealthCheckRequest::default()).await.unwrap();
        lock.rollback().await.unwrap();
        first.await.unwrap().unwrap();
        server.operator().update_tenant(update("second")).await.unwrap();
        assert_eq!(name(&mut server.operator()).await, "second");
        let refusals = |class: &str| {
            let series = format!("doorward_calls_refused_total{{class=\"{class}\",reason=\"overloaded\"}}");
            server.counted(|found| found == series)
        };
        assert_eq!((refusals("checks"), refusals("writes")), (20, 20));
        let counted = r#"rpc_server_call_duration_seconds_count{rpc="CheckAccess",code="UNAVAILABLE"}"#;
        assert_eq!(server.counted(|found| found == counted), 20);
    });
}

#[test]
fn lists_that_fill_their_bulkhead_leave_checks_alone() {
    run(Limits { reads: 1, ..Limits::default() }, async |server| {
        server.operator().check_access(question()).await.unwrap();
        let lock = hold_members(server).await;
        let mut client = server.operator();
        let listing = Handle::current().spawn(async move { client.list_members(members()).await.map(drop) });
        in_flight(server, "reads", 1).await;
        overloaded(server.operator().list_members(members()).await);
        assert!(server.operator().check_access(question()).await.is_ok());
        lock.rollback().await.unwrap();
        listing.await.unwrap().unwrap();
        server.operator().list_members(members()).await.unwrap();
    });
}

#[test]
fn checks_that_fill_theirs_leave_reads_and_mutations_alone() {
    run(Limits { checks: 1, ..Limits::default() }, async |server| {
        let lock = hold_members(server).await;
        let mut client = server.operator();
        let checking =
            Handle::current().spawn(async move { client.check_access(fresh_question()).await.map(drop) });
        in_flight(server, "checks", 1).await;
        overloaded(server.operator().check_access(question()).await);
        server.operator().get_catalogue(proto::GetCatalogueRequest {}).await.unwrap();
        lock.rollback().await.unwrap();
        checking.await.unwrap().unwrap();
        server.operator().check_access(question()).await.unwrap();
    });
}

#[test]
fn questions_that_wait_for_the_database_are_bounded_and_what_is_cached_is_answered_all_the_same() {
    run(Limits { loads: 2, ..Limits::default() }, async |server| {
        server.operator().check_access(question()).await.unwrap();
        let lock = hold_members(server).await;
        let ask = |about: proto::CheckAccessRequest| {
            let mut client = server.operator();
            Handle::current().spawn(async move { client.check_access(about).await.map(drop) })
        };
        let waiting = [ask(fresh_question()), ask(about_agent(1))];
        held_up(server, 2).await;
        let since = Stopwatch::start();
        for number in 2..22 {
            overloaded(server.operator().check_access(about_agent(number)).await);
            server.operator().check_access(question()).await.unwrap();
        }
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        let joined = ask(fresh_question());
        in_flight(server, "checks", 3).await;
        lock.rollback().await.unwrap();
        for asked in waiting.into_iter().chain([joined]) {
            asked.await.unwrap().unwrap();
        }
        server.operator().check_access(about_agent(2)).await.unwrap();
        let series = r#"doorward_calls_refused_total{class="checks",reason="overloaded"}"#;
        assert_eq!(server.counted(|found| found == series), 20);
    });
}

#[test]
fn a_caller_that_hangs_up_gives_its_place_back() {
    run(Limits { checks: 1, ..Limits::default() }, async |server| {
        let lock = hold_members(server).await;
        let mut client = server.operator();
        let checking =
            Handle::current().spawn(async move { client.check_access(fresh_question()).await.map(drop) });
        in_flight(server, "checks", 1).await;
        checking.abort();
        in_flight(server, "checks", 0).await;
        lock.rollback().await.unwrap();
        server.operator().check_access(question()).await.unwrap();
        let counted = r#"rpc_server_call_duration_seconds_count{rpc="CheckAccess",code="CANCELLED"}"#;
        assert_eq!(server.counted(|found| found == counted), 1);
    });
}

#[test]
fn a_mutation_whose_caller_hangs_up_holds_its_place_until_it_has_ended() {
    run(Limits { writes: 1, ..Limits::default() }, async |server| {
        let lock = hold_acme(server).await;
        let first = updating(server, "abandoned");
        held_up(server, 1).await;
        first.abort();
        tokio::time::sleep(Duration::from_millis(200)).await;
        overloaded(server.operator().update_tenant(update("second")).await);
        lock.rollback().await.unwrap();
        in_flight(server, "writes", 0).await;
        assert_eq!(name(&mut server.operator()).await, "abandoned");
        server.operator().update_tenant(update("second")).await.unwrap();
    });
}

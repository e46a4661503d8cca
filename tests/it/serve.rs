//! The service as a process on each database: it keeps what it acknowledged, migrates once, and ends cleanly.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::time::Duration;

use doorward::proto::access_service_client::AccessServiceClient;
use doorward::proto::{
    CheckAccessRequest, CheckAccessResponse, Consistency, CreateTenantRequest, Resource, Subject,
    TenantOwner, consistency, subject,
};
use tonic::{Code, Request, Status};

use crate::binary::{Server, doorward, finish, get, run, spawn};
use crate::postgres;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ROOT: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// What a service needs, on free ports.
pub(crate) fn environment(url: &str) -> Vec<(&str, &str)> {
    let mut environment = vec![
        ("DOORWARD_DATABASE__URL", url),
        ("DOORWARD_AUTH__OPERATOR_TOKEN", TOKEN),
        ("DOORWARD_SERVER__LISTEN", "127.0.0.1:0"),
        ("DOORWARD_ADMIN__LISTEN", "127.0.0.1:0"),
    ];
    if url.starts_with("postgres") {
        environment.push(("DOORWARD_KEYS__ROOT", ROOT));
    }
    environment
}

/// The address of a database, with the schema in it.
pub(crate) fn migrated(url: String) -> String {
    assert_eq!(run(&["migrate", "up", "--database-url", &url], &[]).code, Some(0));
    url
}

fn serve(url: &str) -> Server {
    Server::start(&["serve"], &environment(url))
}

pub(crate) fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {TOKEN}").parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

pub(crate) async fn create_tenant(address: String) -> String {
    let owner = TenantOwner {
        user_id: "ada".to_owned(),
        email: "ada@acme.example".to_owned(),
        ..TenantOwner::default()
    };
    let request = CreateTenantRequest {
        tenant_id: "acme".to_owned(),
        slug: "acme".to_owned(),
        name: "Acme".to_owned(),
        owner: Some(owner),
        ..CreateTenantRequest::default()
    };
    let mut client = AccessServiceClient::connect(address).await.unwrap();
    client.create_tenant(signed(request)).await.unwrap().into_inner().revision_token
}

/// Whether ada may see the analytics, at a revision or a later one.
async fn check(address: String, revision_token: String) -> Result<CheckAccessResponse, Status> {
    let request = CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(Subject { kind: Some(subject::Kind::UserId("ada".to_owned())) }),
        action: "view".to_owned(),
        resource: Some(Resource { r#type: "section".to_owned(), id: "analytics".to_owned() }),
        consistency: Some(Consistency {
            requirement: Some(consistency::Requirement::AtLeastAsFresh(revision_token)),
        }),
        ..CheckAccessRequest::default()
    };
    let mut client = AccessServiceClient::connect(address).await.unwrap();
    client.check_access(signed(request)).await.map(tonic::Response::into_inner)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// A tenant made before a restart is there after it, and so are the keys that signed its revision.
fn survives_a_restart(url: &str) {
    let server = serve(url);
    let revision_token = block_on(create_tenant(server.address()));
    let before = block_on(check(server.address(), revision_token.clone())).unwrap();
    assert!(before.allowed);
    assert_eq!(get(&server.admin, "/readyz").0, 200);
    let (status, took) = server.stop();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");

    let server = serve(url);
    let after = block_on(check(server.address(), revision_token)).unwrap();
    assert_eq!((after.allowed, after.reason), (before.allowed, before.reason));
    // Its revision is of the epoch before; the answer's is of this one, and can be asked for in turn.
    let again = block_on(check(server.address(), after.revision_token.clone())).unwrap();
    assert_eq!((again.allowed, again.revision_token), (after.allowed, after.revision_token));
    let forged = block_on(check(server.address(), "AAAA".to_owned())).unwrap_err();
    assert_eq!(forged.code(), Code::InvalidArgument);
}

#[test]
fn a_restart_on_sqlite_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    survives_a_restart(&format!("sqlite://{}", folder.path().join("d.db").display()));
    assert!(folder.path().join("d.db.key").exists());
}

#[test]
fn a_restart_on_postgres_loses_nothing() {
    let url = migrated(postgres::fresh_database());
    survives_a_restart(&url);
}

#[test]
fn a_killed_service_on_sqlite_can_be_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let server = serve(&url);
    let revision_token = block_on(create_tenant(server.address()));
    // Dropping kills it.
    drop(server);
    let server = serve(&url);
    assert!(block_on(check(server.address(), revision_token)).unwrap().allowed);
}

#[test]
fn a_sqlite_file_is_for_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let mut server = serve(&url);
    let said = run(&["serve"], &environment(&url));
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains("is open in another process; SQLite is for one process"), "{said:?}");
    assert!(server.is_running());
}

#[test]
fn two_services_on_postgres_share_it() {
    let url = migrated(postgres::fresh_database());
    let (one, other) = (serve(&url), serve(&url));
    let revision_token = block_on(create_tenant(one.address()));
    assert!(block_on(check(other.address(), revision_token)).unwrap().allowed);
}

#[test]
fn on_postgres_the_schema_is_waited_for() {
    let url = postgres::fresh_database();
    let mut server = Server::launch(&["serve"], &environment(&url));
    std::thread::sleep(Duration::from_secs(1));
    assert!(server.is_running());
    assert_eq!(run(&["migrate", "up", "--database-url", &url], &[]).code, Some(0));
    server.wait_until_listening();
    assert_eq!(get(&server.admin, "/readyz").0, 200);
}

#[test]
fn a_schema_is_migrated_once_and_looked_at() {
    let url = postgres::fresh_database();
    let environment = [("DOORWARD_DATABASE__URL", url.as_str())];
    let before = run(&["migrate", "status"], &environment);
    assert_eq!(before.code, Some(3), "{before:?}");
    assert!(
        before.stdout.starts_with("pending ") && before.stdout.contains("`doorward migrate up`"),
        "{before:?}"
    );
    let first = run(&["migrate", "up"], &environment);
    assert_eq!(first.code, Some(0), "{first:?}");
    let again = run(&["migrate", "up"], &environment);
    assert_eq!((again.code, &again.stdout), (Some(0), &first.stdout));
    let after = run(&["migrate", "status"], &environment);
    assert_eq!((after.code, &after.stdout), (Some(0), &first.stdout));
    assert!(
        after.stdout.starts_with("applied ") && after.stdout.ends_with("the schema is up to date\n"),
        "{after:?}"
    );
}

#[test]
fn five_processes_may_migrate_at_once() {
    let url = postgres::fresh_database();
    let arguments = ["migrate", "up", "--database-url", &url];
    let started: Vec<_> = (0..5).map(|_| spawn(&mut doorward(&arguments, &[]))).collect();
    let said: Vec<_> = started.into_iter().map(finish).collect();
    for one in &said {
        assert_eq!((one.code, &one.stdout), (Some(0), &said[0].stdout), "{said:?}");
    }
    assert_eq!(run(&["migrate", "status", "--database-url", &url], &[]).code, Some(0));
}

#[test]
fn a_database_that_is_not_there_is_told_without_its_password() {
    let url = "postgres://doorward:hunter2@127.0.0.1:1/d";
    let said = run(&["migrate", "up"], &[("DOORWARD_DATABASE__URL", url)]);
    assert!(said.code == Some(1) && !said.stderr.contains("hunter2"), "{said:?}");
    assert!(!said.stderr.trim().is_empty());
}

//! A server that is killed in the midst of mutations has lost none that it acknowledged, and done none by halves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use doorward::proto;
use doorward::proto::access_service_client::AccessServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::binary::Server;
use crate::harness::{TOKEN, resource};
use crate::postgres;

const MUTATIONS: usize = 1_000;
const AT_ONCE: usize = 1_000;
/// How many acknowledgements have come in when the server is killed.
const KILLED_AFTER: usize = 300;

#[test]
fn kill_9_loses_no_acknowledged_mutation_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    killed_among_mutations(&format!("sqlite://{}/doorward.db", directory.path().display()));
}

#[test]
fn kill_9_loses_no_acknowledged_mutation_on_postgres() {
    let url = postgres::fresh_database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
    killed_among_mutations(&url);
}

fn killed_among_mutations(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = serve(url);
    let acknowledged = runtime.block_on(async {
        let client = connect(&server).await;
        create_tenant(client.clone()).await;
        mutate_until_killed(server, client).await
    });
    assert!(acknowledged.len() >= KILLED_AFTER, "{} acknowledged", acknowledged.len());
    assert!(acknowledged.len() < MUTATIONS, "the server was not killed among the mutations");

    let server = serve(url);
    runtime.block_on(async {
        let client = connect(&server).await;
        let found = registered(client.clone()).await;
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "{} acknowledged were lost: {lost:?}", lost.len());
        assert_whole(client.clone(), &found).await;
        // And it goes on: what was cut off can be done now, what was done is known.
        for id in ["r0000", "after"] {
            let answer = client.clone().register_resource(signed(registration(id))).await;
            assert_eq!(answer.is_err(), found.contains(id), "{id}: {answer:?}");
        }
    });
}

fn serve(url: &str) -> Server {
    let root = "ab".repeat(32);
    Server::start(
        &["serve"],
        &[
            ("DOORWARD_SERVER__LISTEN", "127.0.0.1:0"),
            ("DOORWARD_ADMIN__LISTEN", "127.0.0.1:0"),
            ("DOORWARD_DATABASE__URL", url),
            ("DOORWARD_AUTH__OPERATOR_TOKEN", TOKEN),
            ("DOORWARD_KEYS__ROOT", &root),
            ("DOORWARD_LIMITS__WRITES", "2000"),
            ("DOORWARD_LIMITS__TENANT_CALLS_PER_S", "0"),
        ],
    )
}

type Client = AccessServiceClient<Channel>;

async fn connect(server: &Server) -> Client {
    AccessServiceClient::connect(server.address()).await.unwrap()
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request
}

async fn create_tenant(mut client: Client) {
    let owner = proto::TenantOwner {
        user_id: "ada".to_owned(),
        email: "ada@acme.example".to_owned(),
        ..Default::default()
    };
    let request = proto::CreateTenantRequest {
        tenant_id: "acme".to_owned(),
        slug: "acme".to_owned(),
        name: "Acme".to_owned(),
        owner: Some(owner),
        ..Default::default()
    };
    client.create_tenant(signed(request)).await.unwrap();
}

fn registration(id: &str) -> proto::RegisterResourceRequest {
    proto::RegisterResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: id.to_owned(),
        name: id.to_owned(),
        ..Default::default()
    }
}

/// Registers resources from many tasks at once, kills the server in the midst; answers what was acknowledged.
async fn mutate_until_killed(server: Server, client: Client) -> BTreeSet<String> {
    let next = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicUsize::new(0));
    let dead = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (mut client, next, done, dead) = (client.clone(), next.clone(), done.clone(), dead.clone());
        tasks.spawn(async move {
            let mut acknowledged = Vec::new();
            let mut number = next.fetch_add(1, Ordering::SeqCst);
            while number < MUTATIONS && !dead.load(Ordering::SeqCst) {
                let id = format!("r{number:04}");
                let answer: Result<_, Status> = client.register_resource(signed(registration(&id))).await;
                // A server that is too busy says so, and is asked again.
                if answer.as_ref().is_err_and(|status| status.code() == Code::Unavailable) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                if answer.is_ok() {
                    acknowledged.push(id);
                    done.fetch_add(1, Ordering::SeqCst);
                }
                number = next.fetch_add(1, Ordering::SeqCst);
            }
            acknowledged
        });
    }
    while done.load(Ordering::SeqCst) < KILLED_AFTER {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(server);
    dead.store(true, Ordering::SeqCst);
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn registered(mut client: Client) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListResourcesRequest {
            tenant_id: "acme".to_owned(),
            page_size: 1_000,
            page_token,
            ..Default::default()
        };
        let page = client.list_resources(signed(request)).await.unwrap().into_inner();
        found.extend(page.resources.into_iter().map(|one| one.resource_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

/// The log has one row for each resource and for the tenant, its revisions without holes.
async fn assert_whole(mut client: Client, found: &BTreeSet<String>) {
    let mut revisions = BTreeSet::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListAuditEventsRequest {
            tenant_id: "acme".to_owned(),
            page_size: 1_000,
            page_token,
            ..Default::default()
        };
        let page = client.list_audit_events(signed(request)).await.unwrap().into_inner();
        revisions.extend(page.events.into_iter().map(|event| event.revision));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let all: BTreeSet<_> = (1..=u64::try_from(found.len() + 1).unwrap()).collect();
    assert_eq!(revisions, all);
    let check = proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(crate::harness::user_subject("ada")),
        action: "chat".to_owned(),
        resource: found.first().map(|id| resource("agent", id)),
        ..Default::default()
    };
    assert!(client.check_access(signed(check)).await.unwrap().into_inner().allowed);
}

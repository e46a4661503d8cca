//! Connections that are reset in the middle of a mutation: it is applied at most once, and the log is whole.

use std::net::SocketAddr;
use std::time::Duration;

use doorward::clock::Clock;
use doorward::proto;
use doorward::store::audit;
use doorward::store::directory::{Directory, LogFilter, LogRow, Slice};
use doorward::store::sql::{Options, Sql, migrate};
use doorward_engine::id::Revision;
use h2::client::SendRequest;
use prost_reflect::prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::codegen::Bytes;
use tonic::codegen::http::Request;

use crate::harness::{NOW, Server, TOKEN, request_id, run_on};
use crate::postgres;
use crate::raw::framed;

const REGISTER: &str = "/doorward.v1.AccessService/RegisterResource";
const MUTATIONS: usize = 90;

/// How far a mutation gets before its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The whole request was sent.
    Whole,
    /// Half of its message was.
    Half,
    /// The whole was sent, then the stream was reset and the connection with it.
    Stream,
}

fn cut(number: usize) -> Cut {
    [Cut::Whole, Cut::Half, Cut::Stream][number % 3]
}

fn registration(number: usize, request_id: &str) -> proto::RegisterResourceRequest {
    proto::RegisterResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: format!("r{number:03}"),
        name: format!("r{number:03}"),
        request_id: request_id.to_owned(),
        ..Default::default()
    }
}

/// A connection whose end is a RST.
async fn connect(address: SocketAddr, tasks: &mut JoinSet<()>) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_zero_linger().unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tasks.spawn(async move { drop(connection.await) });
    sender.ready().await.unwrap()
}

async fn interrupted(address: SocketAddr, number: usize, message: &[u8]) {
    let mut tasks = JoinSet::new();
    let mut sender = connect(address, &mut tasks).await;
    let request = Request::post(format!("http://{address}{REGISTER}"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let request = request.header("authorization", format!("Bearer {TOKEN}")).body(()).unwrap();
    let (mut answer, mut body) = sender.send_request(request, false).unwrap();
    let framed = framed(message);
    let whole = cut(number) != Cut::Half;
    let sent = if whole { framed.len() } else { framed.len() / 2 };
    body.send_data(framed[..sent].to_vec().into(), whole).unwrap();
    // From before it is read to after it is answered, and some whole ones see the answer, on a busy machine too.
    match number as u64 % 30 {
        27 => drop((&mut answer).await),
        step => tokio::time::sleep(Duration::from_micros(400 * step)).await,
    }
    if cut(number) == Cut::Stream {
        body.send_reset(h2::Reason::CANCEL);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tasks.shutdown().await;
}

async fn applied(server: &Server) -> Vec<String> {
    let request =
        proto::ListResourcesRequest { tenant_id: "acme".to_owned(), page_size: 1_000, ..Default::default() };
    let listed = server.operator().list_resources(request).await.unwrap().into_inner();
    listed.resources.into_iter().map(|one| one.resource_id).collect()
}

/// Whatever is under way has ended when nothing changes any more.
async fn settled(server: &Server) -> Vec<String> {
    let writes = |series: &str| series == "doorward_calls_in_flight{class=\"writes\"}";
    for _ in 0..2_000 {
        if server.counted(writes) == 0 {
            return applied(server).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("mutations without a caller do not end");
}

async fn promise(server: &Server) {
    server.tenant("acme").await;
    let ids: Vec<_> = (0..MUTATIONS).map(|_| request_id()).collect();
    let interruptions = ids.iter().enumerate().map(|(number, id)| async move {
        let message = registration(number, id).encode_to_vec();
        interrupted(server.running.grpc, number, &message).await;
    });
    futures::future::join_all(interruptions).await;
    let applied = settled(server).await;
    for (number, id) in ids.iter().enumerate() {
        let was_applied = applied.contains(&format!("r{number:03}"));
        assert!(!was_applied || cut(number) != Cut::Half, "{number} was applied by half");
        let again = server.operator().register_resource(registration(number, id)).await.unwrap().into_inner();
        assert_eq!(again.replayed, was_applied, "{number}: {:?}", cut(number));
    }
    assert!(!applied.is_empty(), "none of the whole ones was applied: they were cut too soon");
}

async fn log(url: &str) -> Vec<LogRow> {
    let options = Options {
        url: url.to_owned(),
        direct_url: None,
        clock: Clock::manual(NOW),
        reads_max: 1,
        writes_max: 1,
        catalogue: doorward::catalogue::SHIPPED.to_owned(),
    };
    let store = Sql::open(options, tokio::runtime::Handle::current()).await.unwrap();
    let all = Slice { after: None, limit: 10_000 };
    let rows = store.log("acme".to_owned(), LogFilter::default(), all).await.unwrap();
    store.close().await;
    rows
}

/// One row for the tenant and one for each resource, each linked to the one before.
fn is_whole(log: &[LogRow]) {
    assert_eq!(log.len(), 1 + MUTATIONS);
    let mut before = (0, audit::NO_HASH);
    for row in log {
        assert_eq!((row.revision, row.prev_hash), (Revision(before.0 + 1), before.1));
        assert!(audit::verify(row, "acme"), "{row:?}");
        before = (row.revision.0, row.hash);
    }
}

fn reset(url: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(migrate(url)).unwrap();
    run_on(url, promise);
    is_whole(&runtime.block_on(log(url)));
}

#[test]
fn a_mutation_whose_connection_is_reset_is_applied_once_or_not_at_all_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    reset(&format!("sqlite://{}/doorward.db", directory.path().display()));
}

#[test]
fn a_mutation_whose_connection_is_reset_is_applied_once_or_not_at_all_on_postgres() {
    reset(&postgres::fresh_database());
}

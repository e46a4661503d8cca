//! A replica that is told to stop under load: a client that follows GOAWAY, as gRPC's do, does not lose one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doorward::proto::{CheckAccessRequest, CheckAccessResponse, Consistency, Resource, Subject};
use doorward::proto::{consistency, subject};
use prost::Message;
use tokio::task::JoinSet;
use tonic::codegen::Bytes;
use tonic::codegen::http::Request;

use crate::binary::Server;
use crate::serve::{TOKEN, create_tenant, environment, migrated};
use crate::{postgres, raw};

const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
/// How long the calls may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections to each replica; each asks one question after the other.
const CONNECTIONS: usize = 8;
/// Before the signal, and after the end of the replica.
const CALLS: u64 = 1_000;

/// Every other question is read from the database, so that there are always some in flight.
fn question(number: u64) -> Vec<u8> {
    let fresh = consistency::Requirement::FullyConsistent(true);
    let request = CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(Subject { kind: Some(subject::Kind::UserId("ada".to_owned())) }),
        action: "view".to_owned(),
        resource: Some(Resource { r#type: "section".to_owned(), id: "analytics".to_owned() }),
        consistency: number.is_multiple_of(2).then_some(Consistency { requirement: Some(fresh) }),
        ..CheckAccessRequest::default()
    };
    raw::framed(&request.encode_to_vec())
}

/// What became of a call.
enum Ended {
    Allowed,
    /// The replica has never seen it: gRPC's clients send such a call again, to another replica.
    Unseen,
    Failed(String),
}

/// A connection, and the address of the other replica.
struct Client {
    sender: h2::client::SendRequest<Bytes>,
    address: String,
    other: String,
    /// Ends with this.
    _connection: JoinSet<()>,
}

impl Client {
    async fn connect(address: String, other: String) -> Self {
        let (sender, _connection) = raw::connect(&address).await;
        Self { sender, address, other, _connection }
    }

    /// Until the answer is there, over the other replica where this one goes away.
    async fn call(mut self, number: u64, moved: &AtomicU64) -> (Self, Result<(), String>) {
        loop {
            match self.ask(number).await {
                Ended::Allowed => return (self, Ok(())),
                Ended::Failed(why) => return (self, Err(why)),
                Ended::Unseen => {
                    moved.fetch_add(1, Ordering::Relaxed);
                    self = Self::connect(self.other, self.address).await;
                }
            }
        }
    }

    async fn ask(&mut self, number: u64) -> Ended {
        let request = Request::post(format!("http://{}{CHECK}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(())
            .unwrap();
        let Ok(mut sender) = self.sender.clone().ready().await else { return Ended::Unseen };
        let Ok((answer, mut body)) = sender.send_request(request, false) else { return Ended::Unseen };
        let _ = body.send_data(question(number).into(), true);
        let (parts, mut body) = match answer.await {
            Ok(answer) => answer.into_parts(),
            Err(error) if is_unseen(&error) => return Ended::Unseen,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let mut message = Vec::new();
        while let Some(data) = body.data().await {
            match data {
                Ok(data) => message.extend_from_slice(&data),
                Err(error) => return Ended::Failed(error.to_string()),
            }
        }
        let trailers = body.trailers().await.ok().flatten().unwrap_or(parts.headers);
        let answer = CheckAccessResponse::decode(message.get(5..).unwrap_or_default());
        if answer.is_ok_and(|answer| answer.allowed) && trailers.get("grpc-status").is_some_and(|s| s == "0")
        {
            Ended::Allowed
        } else {
            Ended::Failed(format!("{trailers:?}"))
        }
    }
}

/// The replica says so itself: beyond the last stream of its GOAWAY, or refused.
fn is_unseen(error: &h2::Error) -> bool {
    let says_so = |reason| error.is_remote() && error.reason() == Some(reason);
    error.is_go_away() && says_so(h2::Reason::NO_ERROR)
        || error.is_reset() && says_so(h2::Reason::REFUSED_STREAM)
}

#[derive(Default)]
struct Tally {
    done: AtomicU64,
    moved: AtomicU64,
    is_over: AtomicBool,
}

impl Tally {
    async fn until(&self, count: u64) {
        let done = async {
            while self.done.load(Ordering::Relaxed) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.expect("the calls have stopped");
    }
}

/// Asks until it is over; answers what failed.
async fn load(mut client: Client, tally: Arc<Tally>) -> Vec<String> {
    let (mut failed, mut number) = (Vec::new(), 0);
    while !tally.is_over.load(Ordering::Relaxed) {
        let (next, ended) = client.call(number, &tally.moved).await;
        failed.extend(ended.err());
        client = next;
        number += 1;
        tally.done.fetch_add(1, Ordering::Relaxed);
    }
    failed
}

#[test]
fn a_client_that_follows_goaway_loses_no_call_when_a_replica_stops_under_load() {
    let url = migrated(postgres::fresh_database());
    let (leaving, staying) =
        (Server::start(&["serve"], &environment(&url)), Server::start(&["serve"], &environment(&url)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (failed, moved, status) = runtime.block_on(async {
        create_tenant(leaving.address()).await;
        let tally = Arc::new(Tally::default());
        let mut clients = JoinSet::new();
        for (address, other) in [(&leaving.grpc, &staying.grpc), (&staying.grpc, &leaving.grpc)] {
            for _ in 0..CONNECTIONS {
                let client = Client::connect(address.clone(), other.clone()).await;
                clients.spawn(load(client, Arc::clone(&tally)));
            }
        }
        tally.until(CALLS).await;
        let ended = tokio::task::spawn_blocking(move || leaving.stop());
        let (status, _) = ended.await.unwrap();
        tally.until(tally.done.load(Ordering::Relaxed) + CALLS).await;
        tally.is_over.store(true, Ordering::Relaxed);
        let failed = clients.join_all().await.concat();
        (failed, tally.moved.load(Ordering::Relaxed), status)
    });
    assert_eq!(failed, Vec::<String>::new());
    assert!(moved >= CONNECTIONS as u64, "{moved}");
    assert_eq!(status.code(), Some(0));
}

//! Promises of the stream of questions: each is answered as a batch answers it, for who may ask at that moment.

mod bounds;
mod callers;
mod outage;

use std::collections::BTreeMap;
use std::time::Duration;

use doorward::clock::Clock;
use doorward::proto;
use doorward::proto::stream_check_access_response::Result as Said;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::harness::{self, Client, Database, Server, on_both, refused, resource, user_subject};
use crate::limits::in_flight;
use crate::raw::{call_framed, framed, operator};
use crate::support::draw::{self, Held};
use crate::support::rng::Rng;
use crate::support::world::Ask;
use crate::world;

const PATIENCE: Duration = Duration::from_secs(20);

/// A stream as its caller holds it.
struct Open {
    questions: mpsc::Sender<proto::StreamCheckAccessRequest>,
    answers: Streaming<proto::StreamCheckAccessResponse>,
}

async fn open(mut client: Client) -> Open {
    let (questions, asked) = mpsc::channel(4_096);
    let answers = client.stream_check_access(ReceiverStream::new(asked)).await.unwrap().into_inner();
    Open { questions, answers }
}

impl Open {
    async fn ask(&self, sequence: u64, check: proto::CheckAccessRequest) {
        let question = proto::StreamCheckAccessRequest { sequence, check: Some(check) };
        self.questions.send(question).await.unwrap();
    }

    /// The next message; none: a good end.
    async fn next(&mut self) -> Result<Option<(u64, Said)>, Status> {
        let message = timeout(PATIENCE, self.answers.message()).await.expect("nothing came")?;
        Ok(message.map(|answer| (answer.sequence, answer.result.unwrap())))
    }

    async fn answer(&mut self) -> (u64, Said) {
        self.next().await.unwrap().expect("the stream ended")
    }

    /// One question and its answer.
    async fn check(&mut self, check: proto::CheckAccessRequest) -> Said {
        self.ask(7, check).await;
        let (sequence, said) = self.answer().await;
        assert_eq!(sequence, 7);
        said
    }

    /// Nothing comes for a time.
    async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(300), self.answers.message()).await.is_err()
    }

    /// Nothing more is asked; what comes until the end.
    async fn rest(self) -> Vec<(u64, Said)> {
        let Self { questions, answers } = self;
        drop(questions);
        let mut open = Self { questions: mpsc::channel(1).0, answers };
        let mut rest = Vec::new();
        while let Some(answer) = open.next().await.unwrap() {
            rest.push(answer);
        }
        rest
    }
}

fn question(user: &str) -> proto::CheckAccessRequest {
    proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject(user)),
        action: "view".to_owned(),
        resource: Some(resource("section", "logs")),
        ..Default::default()
    }
}

/// One that must be read from the database.
fn fresh(user: &str) -> proto::CheckAccessRequest {
    let requirement = proto::consistency::Requirement::FullyConsistent(true);
    proto::CheckAccessRequest {
        consistency: Some(proto::Consistency { requirement: Some(requirement) }),
        ..question(user)
    }
}

async fn acme(server: &Server) {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
}

async fn toggle(server: &Server, allowed: bool) {
    let request = proto::SetSectionAccessRequest {
        tenant_id: "acme".to_owned(),
        member_id: "ben".to_owned(),
        sections: [("logs".to_owned(), allowed)].into(),
        ..Default::default()
    };
    assert!(server.operator().set_section_access(request).await.unwrap().into_inner().enforced);
}

#[track_caller]
fn allowed(said: &Said) -> bool {
    match said {
        Said::Response(response) => response.allowed,
        Said::Error(error) => panic!("{error:?}"),
    }
}

#[track_caller]
fn error(said: Said, code: Code, reason: proto::ErrorReason) -> String {
    match said {
        Said::Error(error) => {
            assert_eq!((Code::from(error.code), error.reason()), (code, reason), "{error:?}");
            error.message
        }
        Said::Response(response) => panic!("{response:?}"),
    }
}

/// What a batch of one question answers, as a stream would.
async fn batched(server: &Server, ask: &Ask) -> Result<proto::CheckAccessResponse, Code> {
    let single = world::single(ask);
    let check = proto::Check { action: single.action, resource: single.resource };
    let batch = proto::BatchCheckAccessRequest {
        tenant_id: single.tenant_id,
        subject: single.subject,
        checks: vec![check],
        context: single.context,
        ..Default::default()
    };
    let answer =
        server.operator().batch_check_access(batch).await.map_err(|status| status.code())?.into_inner();
    let result = answer.results.into_iter().next().unwrap();
    Ok(proto::CheckAccessResponse {
        allowed: result.allowed,
        reason: result.reason,
        hide: result.hide,
        revision_token: answer.revision_token,
        valid_until: result.valid_until,
        degraded: answer.degraded,
    })
}

async fn streamed(server: &Server, asks: &[Ask]) -> Vec<Result<proto::CheckAccessResponse, Code>> {
    let open = open(server.another_connection().await).await;
    for (at, ask) in asks.iter().enumerate() {
        open.ask(at as u64, world::single(ask)).await;
    }
    let answers = open.rest().await;
    let count = answers.len();
    let answers: BTreeMap<u64, Said> = answers.into_iter().collect();
    assert_eq!((answers.len(), count), (asks.len(), asks.len()), "each is answered once");
    let told = |said| match said {
        Said::Response(response) => Ok(response),
        Said::Error(error) => Err(Code::from(error.code)),
    };
    answers.into_values().map(told).collect()
}

fn every_answer_is_that_of_a_batch(database: Database, seed: u64) {
    let mut rng = Rng::seeded(seed);
    let world = draw::world(&mut rng, Held::Sound);
    let asks: Vec<Ask> = (0..400).map(|_| draw::ask(&mut rng, &world)).collect();
    let prepare = async |url: &str| world::write(url, &world).await;
    harness::run_over(database, &Clock::manual(world.now), prepare, async |server| {
        let cold = streamed(server, &asks).await;
        let mut wanted = Vec::new();
        for ask in &asks {
            wanted.push(batched(server, ask).await);
        }
        let before = server.decided("near");
        let warm = streamed(server, &asks).await;
        assert!(server.decided("near") - before > 300, "{}", server.decided("near") - before);
        for ((ask, wanted), found) in asks.iter().zip(&wanted).zip(cold.iter().zip(&warm)) {
            assert_eq!((found.0, found.1), (wanted, wanted), "{ask:?}");
        }
        let good = wanted.iter().flatten();
        let is_mixed = [true, false].map(|allowed| good.clone().any(|answer| answer.allowed == allowed));
        assert!(
            is_mixed == [true, true] && wanted.iter().any(Result::is_err),
            "the questions are too much alike"
        );
    });
}

#[test]
fn every_answer_is_that_of_a_batch_on_sqlite() {
    every_answer_is_that_of_a_batch(Database::Sqlite, 301);
}

#[test]
fn every_answer_is_that_of_a_batch_on_postgres() {
    every_answer_is_that_of_a_batch(Database::Postgres, 302);
}

on_both!(what_was_acknowledged_is_seen_by_the_next_question, |server| {
    acme(server).await;
    let mut stream = open(server.another_connection().await).await;
    let mut other = open(server.another_connection().await).await;
    for turn in 0..20 {
        let granted = turn % 2 == 0;
        toggle(server, granted).await;
        assert_eq!(allowed(&stream.check(question("ben")).await), granted, "turn {turn}");
        assert_eq!(allowed(&other.check(question("ben")).await), granted, "turn {turn}");
    }
    assert!(server.decided("near") > 0);
});

on_both!(a_question_that_cannot_be_asked_has_an_error_of_its_own, |server| {
    acme(server).await;
    toggle(server, true).await;
    let mut stream = open(server.operator()).await;
    let nothing = proto::CheckAccessRequest::default();
    let by_id = proto::subject::Kind::ApiKeyId("k1".to_owned());
    let by_id =
        proto::CheckAccessRequest { subject: Some(proto::Subject { kind: Some(by_id) }), ..question("ben") };
    let strange = proto::CheckAccessRequest { action: "fly".to_owned(), ..question("ben") };
    for turn in 0..2 {
        stream.ask(1, question("ben")).await;
        stream.ask(2, nothing.clone()).await;
        stream.ask(u64::MAX, by_id.clone()).await;
        stream.questions.send(proto::StreamCheckAccessRequest { sequence: 3, check: None }).await.unwrap();
        stream.ask(4, strange.clone()).await;
        stream.ask(1, question("stranger")).await;
        let mut found = Vec::new();
        for _ in 0..6 {
            found.push(stream.answer().await);
        }
        found.sort_by_key(|(sequence, _)| *sequence);
        let invalid =
            |at: usize| error(found[at].1.clone(), Code::InvalidArgument, proto::ErrorReason::InvalidField);
        // Nobody compares numbers: one may come twice.
        assert_eq!(
            found.iter().map(|found| found.0).collect::<Vec<_>>(),
            [1, 1, 2, 3, 4, u64::MAX],
            "{turn}"
        );
        assert_ne!(allowed(&found[0].1), allowed(&found[1].1));
        for field in ["tenant_id", "subject", "action", "resource"] {
            assert!(invalid(2).contains(field) && invalid(3).contains(field), "{}", invalid(2));
        }
        assert!(invalid(4).contains("action") && invalid(5).contains("api_key_id"));
    }
    assert!(stream.rest().await.is_empty());
});

#[test]
fn every_decision_and_every_stream_is_counted() {
    harness::run(Database::Sqlite, async |server| {
        acme(server).await;
        let streams = |code: &str| {
            let series =
                format!(r#"rpc_server_call_duration_seconds_count{{rpc="StreamCheckAccess",code="{code}"}}"#);
            server.counted(|found| found == series)
        };
        let stream = open(server.operator()).await;
        for at in 0..500 {
            stream.ask(at, question("ben")).await;
        }
        stream.ask(500, proto::CheckAccessRequest::default()).await;
        in_flight(server, "streams", 1).await;
        assert_eq!(stream.rest().await.len(), 501);
        assert_eq!(server.counted(|found| found.starts_with("doorward_checks_total")), 500);
        in_flight(server, "streams", 0).await;
        assert_eq!((streams("OK"), streams("CANCELLED")), (1, 0));
    });
}

#[test]
fn bytes_that_are_no_question_end_the_stream_behind_the_answers() {
    harness::run(Database::Sqlite, async |server| {
        acme(server).await;
        let path = "/doorward.v1.AccessService/StreamCheckAccess";
        let good = prost::Message::encode_to_vec(&proto::StreamCheckAccessRequest {
            sequence: 1,
            check: Some(question("ben")),
        });
        for (turn, bad) in
            [framed(&[0x08]), framed(&[0xff; 30]), vec![0, 0, 0, 0, 9, 1]].into_iter().enumerate()
        {
            let body = [framed(&good), framed(&good), bad].concat();
            let status = call_framed(server.channel(), path, body, &[operator()]).await;
            refused(Err::<(), _>(status), Code::InvalidArgument, "MALFORMED_MESSAGE");
            let decided = server.counted(|found| found.starts_with("doorward_checks_total"));
            assert_eq!(decided, 2 * (turn as u64 + 1));
        }
        let long = [&[0], &(2_u32 << 20).to_be_bytes()[..], &[0; 64]].concat();
        let status = call_framed(server.channel(), path, long, &[operator()]).await;
        refused(Err::<(), _>(status), Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    });
}

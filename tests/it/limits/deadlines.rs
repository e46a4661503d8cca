//! Deadlines: the caller's, the caps, and that ours is the answer that arrives, not the library's.

use std::time::Duration;

use doorward::clock::Stopwatch;
use doorward::settings::Limits;
use tonic::{Code, Request};

use super::{
    fresh_question, held_up, hold_acme, hold_members, in_flight, members, name, question, run, update,
};
use crate::harness::{TOKEN, invalid, refused};
use crate::raw::{Patient, operator};

const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
const UPDATE: &str = "/doorward.v1.AccessService/UpdateTenant";

/// With a deadline that the server alone keeps.
async fn timed(client: &Patient, path: &str, message: &[u8], timeout: &str) -> tonic::Status {
    client.call(path, message, &[operator(), ("grpc-timeout", timeout.to_owned())]).await
}

#[test]
fn whatever_the_deadline_the_answer_is_ours() {
    run(Limits { tenant_calls_per_s: 0, ..Limits::default() }, async |server| {
        let client = Patient::connect(server.running.grpc).await;
        let lock = hold_members(server).await;
        let message = prost::Message::encode_to_vec(&fresh_question());
        let times = (0..=200).map(|ms| format!("{ms}m")).chain((1..60).map(|n| format!("{}u", n * 331)));
        let times: Vec<_> = times.chain(["1n", "999n", "1u"].map(str::to_owned)).collect();
        for chunk in times.chunks(16) {
            let answers = chunk.iter().map(|timeout| timed(&client, CHECK, &message, timeout));
            for status in futures::future::join_all(answers).await {
                refused(Err::<(), _>(status), Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
            }
        }
        lock.rollback().await.unwrap();
        in_flight(server, "checks", 0).await;
        let late = r#"doorward_calls_refused_total{class="checks",reason="deadline"}"#;
        assert_eq!(server.counted(|found| found == late), times.len() as u64);
    });
}

#[test]
fn a_mutation_that_is_out_of_time_says_that_it_may_have_been_applied_and_can_be_repeated() {
    run(Limits::default(), async |server| {
        let client = Patient::connect(server.running.grpc).await;
        let lock = hold_acme(server).await;
        let request = update("late");
        let message = prost::Message::encode_to_vec(&request);
        let status = timed(&client, UPDATE, &message, "100m").await;
        let text = refused(Err::<(), _>(status), Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        assert!(
            text.contains("may have been applied") && text.contains("same `request_id` is safe"),
            "{text}"
        );
        // It goes on behind its caller. The repeat must not overtake it: who comes when a row is let go may get it first.
        held_up(server, 1).await;
        lock.rollback().await.unwrap();
        in_flight(server, "writes", 0).await;
        let again = server.operator().update_tenant(request).await.unwrap().into_inner();
        assert!(again.replayed);
        assert_eq!(name(&mut server.operator()).await, "late");
        // One whose time was over before it began has done nothing.
        let status = timed(&client, UPDATE, &prost::Message::encode_to_vec(&update("never")), "1n").await;
        let text = refused(Err::<(), _>(status), Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        assert!(!text.contains("applied"), "{text}");
        assert_eq!(name(&mut server.operator()).await, "late");
    });
}

#[test]
fn the_caps_hold_without_a_deadline_and_against_a_longer_one() {
    let limits = Limits { check_deadline_ms: 100, admin_deadline_ms: 300, ..Limits::default() };
    run(limits, async |server| {
        let lock = hold_members(server).await;
        for timeout in [None, Some("99999999H")] {
            let with = |message| {
                let mut request: Request<doorward::proto::CheckAccessRequest> = Request::new(message);
                request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
                if let Some(timeout) = timeout {
                    request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
                }
                request
            };
            let since = Stopwatch::start();
            let answer = server.operator().check_access(with(fresh_question())).await;
            refused(answer, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
            let took = since.elapsed();
            assert!((90..2_000).contains(&took.as_millis()), "{took:?}");
        }
        let since = Stopwatch::start();
        refused(server.operator().list_members(members()).await, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        assert!(since.elapsed() >= Duration::from_millis(290), "{:?}", since.elapsed());
        lock.rollback().await.unwrap();
    });
}

#[test]
fn a_deadline_that_is_none_is_refused_with_what_is_allowed() {
    run(Limits::default(), async |server| {
        let client = Patient::connect(server.running.grpc).await;
        let message = prost::Message::encode_to_vec(&question());
        for timeout in ["1", "s", "1s", "-1S", "123456789S", "1.5S", "1 S", "0x1S"] {
            let answer = Err::<(), _>(timed(&client, CHECK, &message, timeout).await);
            assert!(
                refused(answer.clone(), Code::InvalidArgument, "INVALID_FIELD").contains("1 to 8 digits")
            );
            invalid(answer, &["grpc-timeout"]);
        }
        let twice = [operator(), ("grpc-timeout", "1S".to_owned()), ("grpc-timeout", "2S".to_owned())];
        let status = client.call(CHECK, &message, &twice).await;
        invalid(Err::<(), _>(status), &["grpc-timeout"]);
        assert_eq!(timed(&client, CHECK, &message, "00000005S").await.code(), Code::Ok);
    });
}

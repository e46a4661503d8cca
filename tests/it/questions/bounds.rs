//! What a stream may hold, for how long and how often: everything has an end, and no stream holds up another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward::clock::{Clock, Stopwatch};
use doorward::proto::{self, ErrorReason};
use doorward::settings::{Limits, Settings};
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use super::{Open, acme, allowed, error, fresh, open, question};
use crate::caches::replicas::{replicas_on, until};
use crate::harness::{self, Auth, NOW, Server, refused};
use crate::limits::{hold_members, in_flight, run};
use crate::postgres;

/// Runs a test against a server with other settings.
fn run_with(change: impl Fn(&mut Settings), body: impl AsyncFnOnce(&Server)) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("doorward.db").display());
    replicas_on(
        &url,
        |_, settings| change(settings),
        1,
        async |servers| {
            acme(&servers[0]).await;
            body(&servers[0]).await;
        },
    );
}

/// Asks what only the database can answer, and waits until it has been asked.
async fn ask_held(server: &Server, stream: &Open, sequence: u64) {
    let loads = || server.counted(|series| series == "doorward_loads_total");
    let before = loads();
    stream.ask(sequence, fresh("ben")).await;
    until(async || loads() > before).await;
}

/// Asks until the answer is in memory: what was loaded waits for the feed.
async fn warm(server: &Server, stream: &mut Open) {
    until(async || {
        open(server.operator()).await.check(question("ben")).await;
        server.decided("near") > 0
    })
    .await;
    stream.check(question("ben")).await;
}

#[test]
fn what_is_in_memory_does_not_wait_for_the_database() {
    run(Limits::default(), async |server| {
        let mut stream = open(server.operator()).await;
        warm(server, &mut stream).await;
        let lock = hold_members(server).await;
        // It is with the database before the others come: they are of later passes.
        ask_held(server, &stream, 1).await;
        for at in 2..10 {
            stream.ask(at, question("ben")).await;
        }
        for at in 2..10 {
            assert_eq!(stream.answer().await.0, at);
        }
        assert!(stream.is_silent().await);
        lock.rollback().await.unwrap();
        let (sequence, said) = stream.answer().await;
        assert_eq!(sequence, 1);
        assert!(allowed(&said));
    });
}

#[test]
fn while_many_wait_for_the_database_nothing_more_is_read() {
    run(Limits::default(), async |server| {
        let mut stream = open(server.operator()).await;
        warm(server, &mut stream).await;
        let lock = hold_members(server).await;
        // More than a pass holds beside those that may wait.
        for at in 0..200 {
            stream.ask(at, fresh("ben")).await;
        }
        stream.ask(200, question("ben")).await;
        assert!(stream.is_silent().await);
        // Others are none the worse for it.
        let mut other = open(server.operator()).await;
        assert!(allowed(&other.check(question("ben")).await));
        lock.rollback().await.unwrap();
        let mut sequences: Vec<u64> = stream.rest().await.into_iter().map(|answer| answer.0).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, (0..=200).collect::<Vec<_>>());
    });
}

#[test]
fn a_question_has_its_time_and_the_stream_goes_on() {
    run(Limits { check_deadline_ms: 200, ..Limits::default() }, async |server| {
        let mut stream = open(server.operator()).await;
        warm(server, &mut stream).await;
        let lock = hold_members(server).await;
        error(stream.check(fresh("ben")).await, Code::DeadlineExceeded, ErrorReason::DeadlineExceeded);
        assert!(allowed(&stream.check(question("ben")).await));
        lock.rollback().await.unwrap();
        assert!(allowed(&stream.check(fresh("ben")).await));
    });
}

#[test]
fn too_many_questions_for_the_database_are_refused_one_by_one() {
    run(Limits { loads: 1, ..Limits::default() }, async |server| {
        let mut stream = open(server.operator()).await;
        warm(server, &mut stream).await;
        let lock = hold_members(server).await;
        ask_held(server, &stream, 1).await;
        error(stream.check(fresh("stranger")).await, Code::Unavailable, ErrorReason::Overloaded);
        lock.rollback().await.unwrap();
        assert!(allowed(&stream.answer().await.1));
    });
}

#[test]
fn each_question_counts_in_the_bucket_of_its_tenant() {
    run(Limits { tenant_checks_per_s: 40, ..Limits::default() }, async |server| {
        let stream = open(server.operator()).await;
        let since = Stopwatch::start();
        for at in 0..300 {
            stream.ask(at, question("ben")).await;
        }
        let elsewhere = proto::CheckAccessRequest { tenant_id: "zeta".to_owned(), ..question("ben") };
        stream.ask(300, elsewhere).await;
        let said = stream.rest().await;
        let (answered, limited): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|(_, said)| matches!(said, super::Said::Response(_)));
        // The bucket fills while they are decided.
        let at_most = 42 + since.elapsed().as_millis() as usize * 40 / 1_000;
        assert!((41..=at_most.min(300)).contains(&answered.len()), "{} of {at_most}", answered.len());
        assert!(!limited.is_empty());
        assert!(answered.iter().any(|(sequence, _)| *sequence == 300));
        assert_eq!(answered.len() + limited.len(), 301);
        let count = limited.len() as u64;
        for (_, said) in limited {
            error(said, Code::ResourceExhausted, ErrorReason::RateLimited);
        }
        let series = r#"doorward_calls_refused_total{class="checks",reason="rate_limited"}"#;
        assert_eq!(server.counted(|found| found == series), count);
        // It is one bucket with that of the other checks.
        let mut answer = Ok(());
        for _ in 0..100 {
            answer = answer.and(server.operator().check_access(question("ben")).await.map(drop));
        }
        refused(answer, Code::ResourceExhausted, "RATE_LIMITED");
    });
}

#[test]
fn there_are_as_many_streams_as_the_limit_says() {
    run_with(
        |settings| settings.limits.streams = 2,
        async |server| {
            let first = open(server.operator()).await;
            let mut second = open(server.operator()).await;
            let none = tokio_stream::iter(Vec::<proto::StreamCheckAccessRequest>::new());
            let third = server.operator().stream_check_access(none).await.map(drop).unwrap_err();
            assert!(third.get_details_retry_info().is_some());
            refused(Err::<(), _>(third), Code::Unavailable, "OVERLOADED");
            server.operator().check_access(question("ben")).await.unwrap();
            drop(first);
            in_flight(server, "streams", 1).await;
            second.check(question("ben")).await;
            open(server.operator()).await.check(question("ben")).await;
        },
    );
}

#[test]
fn a_stream_has_its_callers_deadline() {
    run_with(
        |_| {},
        async |server| {
            let asked = tokio_stream::StreamExt::throttle(
                tokio_stream::iter((0..).map(|sequence| proto::StreamCheckAccessRequest {
                    sequence,
                    check: Some(question("ben")),
                })),
                Duration::from_millis(1),
            );
            let mut request = Request::new(asked);
            request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
            let since = Stopwatch::start();
            let mut answers = server.operator().stream_check_access(request).await.unwrap().into_inner();
            let mut count = 0;
            let end = loop {
                match answers.message().await {
                    Ok(answer) => count += u64::from(answer.is_some()),
                    Err(status) => break status,
                }
            };
            refused(Err::<(), _>(end), Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
            assert!(count > 0 && since.elapsed() >= Duration::from_millis(290), "{count}");
        },
    );
}

/// A client that never takes an answer: the server stops reading, and so the client cannot send.
#[test]
fn who_takes_no_answers_can_ask_no_more() {
    run_with(
        |_| {},
        async |server| {
            let address = format!("http://{}", server.running.grpc);
            let channel = Channel::from_shared(address).unwrap();
            let channel = channel.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
            let channel = channel.connect().await.unwrap();
            let mut client = proto::access_service_client::AccessServiceClient::with_interceptor(
                channel,
                Auth::operator(),
            );
            let sent = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&sent);
            let long = "u".repeat(250);
            let asked = tokio_stream::iter((0..1_000_000_u64).map(move |sequence| {
                counted.fetch_add(1, Ordering::SeqCst);
                proto::StreamCheckAccessRequest { sequence, check: Some(question(&long)) }
            }));
            let mut answers = client.stream_check_access(asked).await.unwrap().into_inner();
            let so_far = || sent.load(Ordering::SeqCst);
            let stops = async || {
                let mut last = usize::MAX;
                while so_far() != last {
                    last = so_far();
                    sleep(Duration::from_millis(500)).await;
                }
                last
            };
            // A window of questions (1 MiB), a window of answers, and what is under way between them.
            let first = stops().await;
            assert!((1_000..12_000).contains(&first), "{first}");
            let mut other = open(server.another_connection().await).await;
            assert!(allowed(&other.check(question("ben")).await));
            for _ in 0..3_000 {
                answers.message().await.unwrap().unwrap();
            }
            let second = stops().await;
            assert!((first + 1_000..first + 12_000).contains(&second), "{first} and {second}");
        },
    );
}

#[test]
fn a_stream_ends_well_when_its_connection_is_old() {
    run_with(
        |settings| settings.server.connection_age_s = 1,
        async |server| {
            let since = Stopwatch::start();
            let mut stream = open(server.another_connection().await).await;
            while stream.next().await.unwrap().is_some() {}
            // Calls in flight would have had 30 s.
            assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        },
    );
}

#[test]
fn when_the_server_stops_what_was_asked_is_answered_and_the_stream_ends_well() {
    let url = postgres::fresh_database();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
    let clock = Clock::manual(NOW);
    let running = harness::start(&url, &clock);
    runtime.block_on(async {
        let server = Server::over(running, &url, &clock).await;
        acme(&server).await;
        let mut idle = open(server.operator()).await;
        let mut stream = open(server.operator()).await;
        warm(&server, &mut stream).await;
        let lock = hold_members(&server).await;
        ask_held(&server, &stream, 1).await;
        let stopped = tokio::task::spawn_blocking(move || {
            let since = Stopwatch::start();
            server.running.stop();
            since.elapsed()
        });
        assert!(idle.next().await.unwrap().is_none());
        assert!(stream.is_silent().await);
        lock.rollback().await.unwrap();
        let (sequence, said) = stream.answer().await;
        assert!(sequence == 1 && allowed(&said));
        assert!(stream.next().await.unwrap().is_none());
        let took = stopped.await.unwrap();
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
}

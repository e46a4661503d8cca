//! The whole door before handlers that a test makes up: what leaves it, what it counts, and when a place is free again.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use doorward_engine::api_key::ApiKey;
use doorward_engine::id::{KeyId, TenantId};
use doorward_engine::member::SecretHash;
use http_body::{Body as _, Frame};
use secrecy::SecretString;
use tokio::sync::Notify;
use tonic::codegen::Bytes;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::*;
use crate::caller::{Caller, Configured};
use crate::store::StoreError;
use crate::store::credentials::{Known, Use};

/// Stores nobody: only the operator calls.
struct Nobody;

impl Credentials for Nobody {
    async fn roster(&self) -> Result<Known, StoreError> {
        Err(StoreError::Unavailable("nobody is stored".to_owned()))
    }

    async fn key_by_secret(&self, _: KeyId, _: SecretHash) -> Result<Option<(TenantId, ApiKey)>, StoreError> {
        Ok(None)
    }

    async fn used(&self, _: Vec<Use>) -> Result<(), StoreError> {
        Ok(())
    }
}

const TOKEN: &str = "0123456789abcdef";
const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
const SET_GRANTS: &str = "/doorward.v1.AccessService/SetGrants";
const WATCH: &str = "/doorward.v1.AccessService/WatchChanges";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

struct Door {
    guard: Guard<Nobody>,
    metrics: Arc<Metrics>,
}

fn door(change: impl FnOnce(&mut Limits)) -> Door {
    let mut limits = Limits { in_flight: 1, ..Limits::default() };
    change(&mut limits);
    let metrics = Arc::new(Metrics::new());
    let callers = Arc::new(Callers::over(&SecretString::from(TOKEN), Configured::default(), None, Nobody));
    Door {
        guard: Guard::new(
            callers,
            Denied::new(Arc::clone(&metrics)).0,
            &limits,
            Arc::clone(&metrics),
            Traces::off(),
        ),
        metrics,
    }
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::post(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

fn signed(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = request(path, headers);
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request
}

impl Door {
    /// What comes out where a handler is behind it.
    async fn pass<F>(
        &self,
        request: Request<Body>,
        handler: impl Fn(Request<Body>) -> F + Clone + Send + 'static,
    ) -> Response<Guarded>
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let inner = service_fn(move |request| {
            let answer = handler(request);
            async { Ok(answer.await) }
        });
        let Ok(response) = self.guard.clone().layer().layer(inner).call(request).await;
        response
    }

    fn counts(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|found| found == line)
    }

    fn in_flight(&self, class: &str) -> bool {
        self.counts(&format!("doorward_calls_in_flight{{class=\"{class}\"}} 1"))
    }

    fn called(&self, rpc: &str, code: &str) -> bool {
        self.counts(&format!("rpc_server_call_duration_seconds_count{{rpc=\"{rpc}\",code=\"{code}\"}} 1"))
    }
}

/// A body of frames, each made when it is asked for.
struct Frames<F>(F);

impl<F: FnMut() -> Poll<Option<Frame<Bytes>>> + Unpin> http_body::Body for Frames<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        (self.0)().map(|frame| frame.map(Ok))
    }
}

fn streaming(frames: impl FnMut() -> Poll<Option<Frame<Bytes>>> + Send + Unpin + 'static) -> Response<Body> {
    Response::new(Body::new(Frames(frames)))
}

/// A message, and an end with a status.
fn one_message(status: &Status) -> Response<Body> {
    let mut trailers = http::HeaderMap::new();
    status.add_header(&mut trailers).unwrap();
    let mut frames = vec![Frame::trailers(trailers), Frame::data(Bytes::from_static(b"x"))];
    streaming(move || Poll::Ready(frames.pop()))
}

/// The status, in headers or trailers.
async fn status(response: Response<Guarded>) -> Status {
    let (parts, mut body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&parts.headers) {
        return status;
    }
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
        let frame = frame.expect("an end with a status").unwrap();
        if let Ok(trailers) = frame.into_trailers() {
            return Status::from_header_map(&trailers).unwrap();
        }
        // As a transport does, now and then: timers get their turn.
        tokio::task::yield_now().await;
    }
}

async fn refused(response: Response<Guarded>, code: Code, reason: &str) -> Status {
    let status = status(response).await;
    let info = status.get_details_error_info().unwrap();
    assert_eq!((status.code(), &*info.reason, &*info.domain), (code, reason, "doorward"), "{status:?}");
    status
}

async fn never(_: Request<Body>) -> Response<Body> {
    panic!("the handler must not be reached")
}

#[tokio::test]
async fn a_good_call_reaches_its_handler_with_its_caller_and_is_counted_once() {
    let door = door(|_| {});
    let handler = |mut request: Request<Body>| {
        let caller = request.extensions_mut().remove::<Caller>().unwrap();
        assert!(caller.is_operator());
        ready(one_message(&Status::ok("")))
    };
    let response = door.pass(signed(CHECK, &[]), handler).await;
    assert!(door.in_flight("checks") && !door.called("CheckAccess", "OK"));
    assert_eq!(status(response).await.code(), Code::Ok);
    assert!(!door.in_flight("checks") && door.called("CheckAccess", "OK"));
}

#[tokio::test]
async fn without_a_credential_nothing_is_reached_but_health() {
    let door = door(|_| {});
    let paths = [CHECK, SET_GRANTS, WATCH, "/", "/doorward.v1.AccessService/Nothing", "/metrics"];
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let mut texts = std::collections::BTreeSet::new();
    for path in paths.into_iter().chain([reflection]) {
        for headers in [&[][..], &[("authorization", "Bearer x")], &[("authorization", TOKEN)]] {
            let response = door.pass(request(path, headers), never).await;
            let status = refused(response, Code::Unauthenticated, "UNAUTHENTICATED").await;
            texts.insert(status.message().to_owned());
        }
    }
    assert_eq!(texts.len(), 1);
    let twice = [("authorization", "Bearer 0123456789abcdef"), ("authorization", "Bearer 0123456789abcdef")];
    refused(door.pass(request(CHECK, &twice), never).await, Code::Unauthenticated, "UNAUTHENTICATED").await;
    assert!(door.counts(r#"doorward_mutations_total{operation="SetGrants",outcome="refused"} 3"#));
    let healthy = |_| ready(one_message(&Status::ok("")));
    assert_eq!(status(door.pass(request(HEALTH, &[]), healthy).await).await.code(), Code::Ok);
}

#[tokio::test]
async fn what_is_not_offered_is_told_to_callers() {
    for path in ["/", "/doorward.v1.AccessService/Nothing", "/metrics", "/doorward.v1.Other/CheckAccess"] {
        let response = door(|_| {}).pass(signed(path, &[]), never).await;
        refused(response, Code::Unimplemented, "NOT_IMPLEMENTED").await;
    }
    let twice = [("x-doorward-actor", "ada"), ("x-doorward-actor", "ada")];
    let response = door(|_| {}).pass(signed(CHECK, &twice), never).await;
    assert!(
        refused(response, Code::InvalidArgument, "INVALID_FIELD")
            .await
            .message()
            .contains("x-doorward-actor")
    );
}

#[tokio::test]
async fn who_finds_no_place_is_refused_at_once_and_the_place_is_free_again_after_the_body() {
    let door = door(|_| {});
    let first = door.pass(signed(CHECK, &[]), |_| ready(one_message(&Status::ok("")))).await;
    let second = refused(door.pass(signed(CHECK, &[]), never).await, Code::Unavailable, "OVERLOADED").await;
    let retry = second.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((100..500).contains(&retry.as_millis()), "{retry:?}");
    assert!(door.counts(r#"doorward_calls_refused_total{class="checks",reason="overloaded"} 1"#));
    assert!(door.called("CheckAccess", "UNAVAILABLE"));
    // Health has places of its own.
    let healthy = door.pass(request(HEALTH, &[]), |_| ready(one_message(&Status::ok("")))).await;
    assert_eq!(status(healthy).await.code(), Code::Ok);
    status(first).await;
    let third = door.pass(signed(CHECK, &[]), |_| ready(one_message(&Status::ok("")))).await;
    // A body that is dropped half-way gives it back, too.
    drop(third);
    assert!(door.called("CheckAccess", "CANCELLED"));
    assert!(!door.in_flight("checks"));
}

#[tokio::test]
async fn who_hangs_up_gives_the_place_back_but_a_mutation_holds_it_until_it_has_ended() {
    let door = door(|_| {});
    let short = Duration::from_millis(20);
    let waiting = door.pass(signed(CHECK, &[]), |_| pending());
    assert!(tokio::time::timeout(short, waiting).await.is_err());
    assert!(!door.in_flight("checks") && door.called("CheckAccess", "CANCELLED"));

    let go_on = Arc::new(Notify::new());
    let handler = {
        let go_on = Arc::clone(&go_on);
        move |_| {
            let go_on = Arc::clone(&go_on);
            async move {
                go_on.notified().await;
                one_message(&Status::ok(""))
            }
        }
    };
    let mutation = door.pass(signed(SET_GRANTS, &[]), handler);
    assert!(tokio::time::timeout(short, mutation).await.is_err());
    assert!(door.in_flight("writes") && door.called("SetGrants", "CANCELLED"));
    refused(door.pass(signed(CHECK, &[]), never).await, Code::Unavailable, "OVERLOADED").await;
    go_on.notify_one();
    tokio::time::sleep(short).await;
    assert!(!door.in_flight("writes"));
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_told_without_doing_the_work() {
    for timeout in ["1n", "0S", "0n"] {
        let door = door(|_| {});
        let response = door.pass(signed(SET_GRANTS, &[("grpc-timeout", timeout)]), never).await;
        let status = refused(response, Code::DeadlineExceeded, "DEADLINE_EXCEEDED").await;
        assert!(!status.message().contains("applied"), "{status:?}");
        assert!(door.counts(r#"doorward_calls_refused_total{class="writes",reason="deadline"} 1"#));
    }
    let response = door(|_| {}).pass(signed(CHECK, &[("grpc-timeout", "soon")]), never).await;
    let status = refused(response, Code::InvalidArgument, "INVALID_FIELD").await;
    assert!(status.message().contains("`grpc-timeout`"), "{status:?}");
    // The credential comes first.
    let response = door(|_| {}).pass(request(CHECK, &[("grpc-timeout", "soon")]), never).await;
    refused(response, Code::Unauthenticated, "UNAUTHENTICATED").await;
}

#[tokio::test]
async fn a_slow_handler_is_answered_for_at_the_smaller_of_deadline_and_cap() {
    let slow = |limits: &mut Limits| (limits.check_deadline_ms, limits.admin_deadline_ms) = (30, 60_000);
    let since = Stopwatch::start();
    for (path, timeout, applied) in [(CHECK, "60S", false), (CHECK, "20m", false), (SET_GRANTS, "30m", true)]
    {
        let response = door(slow).pass(signed(path, &[("grpc-timeout", timeout)]), |_| pending()).await;
        let status = refused(response, Code::DeadlineExceeded, "DEADLINE_EXCEEDED").await;
        assert_eq!(status.message().contains("same `request_id` is safe"), applied, "{status:?}");
    }
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_stream_ends_at_its_callers_deadline_and_without_one_goes_on() {
    let door = door(|limits| (limits.check_deadline_ms, limits.admin_deadline_ms) = (1, 1));
    let silent = |_| ready(streaming(|| Poll::Pending));
    let response = door.pass(signed(WATCH, &[("grpc-timeout", "30m")]), silent).await;
    assert!(door.in_flight("streams"));
    refused(response, Code::DeadlineExceeded, "DEADLINE_EXCEEDED").await;
    assert!(!door.in_flight("streams") && door.called("WatchChanges", "DEADLINE_EXCEEDED"));
    let response = door.pass(signed(WATCH, &[]), silent).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), status(response)).await.is_err());
    let busy = |_| ready(streaming(|| Poll::Ready(Some(Frame::data(Bytes::from_static(b"x"))))));
    let response = door.pass(signed(WATCH, &[("grpc-timeout", "30m")]), busy).await;
    refused(response, Code::DeadlineExceeded, "DEADLINE_EXCEEDED").await;
    let response = door.pass(signed(WATCH, &[]), busy).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), status(response)).await.is_err());
}

#[tokio::test]
async fn what_a_library_answers_is_put_into_our_words_in_headers_and_in_trailers() {
    for (theirs, code, reason) in [
        (Status::internal("prost said"), Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (Status::out_of_range("h2 said"), Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        (Status::cancelled("Timeout expired"), Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    ] {
        for in_trailers in [false, true] {
            let theirs = theirs.clone();
            let answer =
                move |_| ready(if in_trailers { one_message(&theirs) } else { theirs.clone().into_http() });
            let status = refused(door(|_| {}).pass(signed(WATCH, &[]), answer).await, code, reason).await;
            assert!(!status.message().contains("said"), "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_one_callers_internal_error() {
    let door = door(|_| {});
    for path in [CHECK, SET_GRANTS] {
        let response = door.pass(signed(path, &[]), |_| async { panic!("secret") }).await;
        let status = refused(response, Code::Internal, "INTERNAL").await;
        assert!(!status.message().contains("secret"), "{status:?}");
    }
    let response = door.pass(signed(CHECK, &[]), |_| -> std::future::Ready<_> { panic!("secret") }).await;
    refused(response, Code::Internal, "INTERNAL").await;
    let response = door.pass(signed(WATCH, &[]), |_| ready(streaming(|| panic!("secret")))).await;
    refused(response, Code::Internal, "INTERNAL").await;
    for (rpc, class) in [("SetGrants", "writes"), ("WatchChanges", "streams")] {
        assert!(door.called(rpc, "INTERNAL") && !door.in_flight(class), "{rpc}");
    }
}

#[tokio::test]
async fn all_workers_share_the_places() {
    let (door, inside) = (door(|_| {}), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let inside = Arc::clone(&inside);
        move |_| {
            inside.fetch_add(1, Ordering::SeqCst);
            pending()
        }
    };
    let calls = (0..8).map(|_| door.pass(signed(CHECK, &[]), handler.clone()));
    let all = futures::future::join_all(calls);
    assert!(tokio::time::timeout(Duration::from_millis(20), all).await.is_err());
    assert_eq!(inside.load(Ordering::SeqCst), 1);
}

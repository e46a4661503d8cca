//! What fuzzing does with requests: a message of any RPC before the handlers, a whole call before the door. It knows
//! what every answer must be like, whatever the bytes were, and nothing of what is stored.

mod backend;
mod text;
mod token;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame};
use secrecy::SecretString;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{Layer, Service as _, ServiceExt};

use self::backend::Empty;
pub use self::text::text;
pub use self::token::token;
use super::{Grpc, Guard, Rates, Watching, rpcs, served};
use crate::caller::{Caller, Callers, Configured, Identity};
use crate::clock::Steady;
use crate::keys::Keys;
use crate::resolver::Resolver;
use crate::service::denied::Denied;
use crate::service::{Operation, Policy, Service};
use crate::settings::Limits;
use crate::telemetry::{Metrics, Traces};

pub(crate) use self::token::seeds;

/// The operator's token: whoever presents another is nobody.
const TOKEN: &str = "0123456789abcdef";
const ACCESS: &str = "/doorward.v1.AccessService/";
const HEALTH: &str = "/grpc.health.v1.Health/";
/// The most violations in one answer: the last says how many more there are.
const VIOLATIONS_MAX: usize = 21;
/// The most bytes of one violation's text, and of the path of its field.
const PROBLEM_BYTES_MAX: usize = 1024;
const FIELD_BYTES_MAX: usize = 256;
/// As much of the caller's bytes is never found in a violation. (The limit is 64; a piece of twice that holds a whole one
/// wherever it begins.)
const ECHO_BYTES_MAX: usize = 64;
/// The most bytes of an answer's headers and trailers.
const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// The service as it is composed, over nothing.
struct Composed {
    grpc: Arc<Grpc<Empty>>,
    guard: Guard<Empty>,
}

fn keys() -> Keys {
    Keys::new([7; 32], None)
}

fn composed() -> Option<&'static Composed> {
    static COMPOSED: OnceLock<Option<Composed>> = OnceLock::new();
    COMPOSED.get_or_init(compose).as_ref()
}

fn compose() -> Option<Composed> {
    let (empty, metrics) = (Empty::new()?, Arc::new(Metrics::new()));
    let limits =
        Limits { tenant_calls_per_s: 0, tenant_checks_per_s: 0, accepts_per_s: 0, ..Limits::default() };
    let resolver = Resolver::over(empty.clone());
    let (policy, of_service) = (Policy::default(), Arc::clone(&metrics));
    let service = Service::over(resolver, empty.clone(), empty.clone(), policy, keys(), of_service);
    let rates = Arc::new(Rates::new(&limits, &Steady::manual()));
    let callers = Arc::new(Callers::over(&SecretString::from(TOKEN), Configured::default(), None, empty));
    // Nobody writes down what is denied: it is dropped.
    let (denied, _) = Denied::new(Arc::clone(&metrics));
    let watching = Watching::new(Duration::ZERO, CancellationToken::new());
    let beside = (denied.clone(), watching, Arc::clone(&callers), Duration::from_secs(5));
    let grpc = Grpc::over(Arc::new(service), rates, keys(), Arc::clone(&metrics), beside);
    let guard = Guard::new(callers, denied, &limits, metrics, Traces::off());
    Some(Composed { grpc: Arc::new(grpc), guard })
}

/// A message of an RPC: the first byte says which, the rest is the message. It goes through the generated code and the
/// handlers, as the operator's.
pub fn request(bytes: &[u8]) {
    let Some((&which, message)) = bytes.split_first() else { return };
    let rpcs = Operation::ALL.len();
    let Some(&operation) = Operation::ALL.get(usize::from(which) % rpcs) else { return };
    let first = handled(operation, message);
    let Some(again) = rpcs::written_again(operation, message) else {
        assert_ne!(first.code, Code::Ok, "{}: what is no message was answered", operation.name());
        return;
    };
    first.check(message);
    assert_eq!(rpcs::written_again(operation, &again).as_ref(), Some(&again), "{}", operation.name());
    assert_eq!(handled(operation, &again), first, "{}: as it is written again", operation.name());
}

fn handled(operation: Operation, message: &[u8]) -> Answer {
    let Some(composed) = composed() else { return Answer::default() };
    let mut request = Request::new(Body::new(Whole(Some(framed(message)))));
    *request.uri_mut() = format!("{ACCESS}{}", operation.name()).parse().unwrap_or_default();
    let caller = Caller { identity: Identity::Operator, actor: None, peer: None, trace_id: None };
    request.extensions_mut().insert(caller);
    // A stream asks again who calls, and has a timer.
    let bearer = HeaderValue::from_static("Bearer 0123456789abcdef");
    request.headers_mut().insert("authorization", bearer);
    let Some(_inside) = runtime().map(Runtime::enter) else { return Answer::default() };
    let answered = served(Arc::clone(&composed.grpc)).call(request).now_or_never();
    let Some(Ok(response)) = answered else { return Answer::default() };
    read(response).now_or_never().unwrap_or_default()
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, message].concat().into()
}

/// A whole call: its path, headers, a line each, an empty line, and the body to the letter.
pub fn door(bytes: &[u8]) {
    let at = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(at);
    let body = body.get(2..).unwrap_or_default();
    let mut lines = head.split(|&byte| byte == b'\n');
    let path = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let Ok(uri) = path.parse::<http::Uri>() else { return };
    let mut request = Request::new(Body::new(Whole(Some(Bytes::copy_from_slice(body)))));
    *request.method_mut() = http::Method::POST;
    let is_health = uri.path().starts_with(HEALTH);
    *request.uri_mut() = uri;
    for (name, value) in lines.filter_map(header) {
        request.headers_mut().append(name, value);
    }
    let may_call = is_operator(request.headers());
    let Some(answer) = passed(request) else { return };
    answer.check(bytes);
    assert!(may_call || is_health || answer.code == Code::Unauthenticated, "{answer:?}");
    assert!(!matches!(answer.code, Code::Internal | Code::Unknown | Code::DataLoss), "{answer:?}");
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let at = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at(at);
    let value = value.get(1..)?.trim_ascii();
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

/// A second reading of what makes the operator.
fn is_operator(headers: &HeaderMap) -> bool {
    let given: Vec<_> = headers.get_all("authorization").iter().collect();
    let [only] = given.as_slice() else { return false };
    let (scheme, token) = only.as_bytes().split_at(only.len().min("Bearer".len()));
    scheme.eq_ignore_ascii_case(b"bearer") && token.trim_ascii() == TOKEN.as_bytes()
}

fn passed(request: Request<Body>) -> Option<Answer> {
    let composed = composed()?;
    let door = composed.guard.clone().layer().layer(served(Arc::clone(&composed.grpc)));
    runtime()?.block_on(async {
        let Ok(response) = door.oneshot(request).await;
        Some(read(response).await)
    })
}

fn runtime() -> Option<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_time().build().ok()).as_ref()
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    code: Code,
    message: String,
    violations: Vec<(String, String)>,
    has_details: bool,
    header_bytes: usize,
}

impl Default for Answer {
    /// None came: no code stands for that, and every check fails.
    fn default() -> Self {
        Self {
            code: Code::Unknown,
            message: "no answer at once".to_owned(),
            violations: Vec::new(),
            has_details: false,
            header_bytes: 0,
        }
    }
}

impl Answer {
    fn of(headers: &HeaderMap) -> Self {
        let header_bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let Some(status) = Status::from_header_map(headers) else { return Self::default() };
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        let violations = violations.into_iter().map(|violation| (violation.field, violation.description));
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            violations: violations.collect(),
            has_details: status.get_error_details().error_info().is_some(),
            header_bytes,
        }
    }

    /// What holds of every answer to whatever bytes.
    fn check(&self, given: &[u8]) {
        assert!(self.header_bytes <= HEADERS_BYTES_MAX, "{} bytes of headers", self.header_bytes);
        assert!(self.has_details || self.code == Code::Ok, "an answer that is not ours: {self:?}");
        assert!(self.violations.len() <= VIOLATIONS_MAX, "{} violations", self.violations.len());
        for (field, problem) in &self.violations {
            assert!(field.len() <= FIELD_BYTES_MAX, "a field of {} bytes: {field}", field.len());
            assert!(problem.len() <= PROBLEM_BYTES_MAX, "{field}: {} bytes: {problem}", problem.len());
            for piece in problem.as_bytes().chunks_exact(ECHO_BYTES_MAX + 1) {
                let is_echo = given.windows(piece.len()).any(|given| given == piece);
                assert!(!is_echo, "{field}: repeats too much: {problem}");
            }
        }
    }
}

/// The answer, its body read to the end: the status is in the headers or in the trailers.
async fn read<B: HttpBody + Unpin>(response: Response<B>) -> Answer {
    let (parts, mut body) = response.into_parts();
    if parts.headers.contains_key(Status::GRPC_STATUS) {
        return Answer::of(&parts.headers);
    }
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Some(trailers) = frame.trailers_ref() {
            return Answer::of(trailers);
        }
    }
    Answer::default()
}

/// A body that is there at once.
struct Whole(Option<Bytes>);

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

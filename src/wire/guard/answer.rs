//! The end of a call: its body passes through here, and with its last frame the call is counted and its place given back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::{Code, Status};

use super::admission::Permit;
use super::counts::Counts;
use super::remap;
use super::route::{Route, Target};
use crate::clock::Stopwatch;
use crate::service::Error;
use crate::telemetry::Outcome;
use crate::telemetry::trace::{self, Trail};
use crate::wire::decline;

/// A call, counted once: with the code that it ends with, or as CANCELLED where its caller goes before.
pub(super) struct Call {
    pub(super) target: Target,
    pub(super) stopwatch: Stopwatch,
    pub(super) counts: Arc<Counts>,
    pub(super) code: Code,
    /// Its place in a trace.
    trail: Option<Trail>,
}

impl Call {
    pub(super) fn begun(
        target: Target,
        stopwatch: Stopwatch,
        counts: Arc<Counts>,
        trail: Option<Trail>,
    ) -> Self {
        Self { target, stopwatch, counts, code: Code::Cancelled, trail }
    }

    /// The answer to a call that is not handled, or not any more: an error without a body.
    pub(super) fn refuse(mut self, error: &Error) -> Response<Guarded> {
        self.count(error);
        let mut response = Response::new(Guarded::empty());
        let content = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(http::header::CONTENT_TYPE, content);
        // Its cause is logged.
        self.code =
            trace::on(self.trail.as_ref(), || remap::write(self.target, response.headers_mut(), error));
        response
    }

    fn count(&self, error: &Error) {
        if let Some(decline) = decline(error) {
            self.counts.metrics.admissions.refused(self.target.class, decline);
        }
        // What has got further counts itself, whenever it ends.
        let ended_here = !matches!(error, Error::DeadlineExceeded { .. } | Error::Internal(_));
        if let (Route::Rpc(operation), true, true) = (self.target.route, self.target.is_mutation, ended_here)
        {
            self.counts.metrics.mutation(operation.name(), Outcome::Refused);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Route::Rpc(operation) = self.target.route {
            self.counts.call(operation, self.code, self.stopwatch.elapsed());
        }
        if let Some(trail) = &self.trail {
            trail.end(self.code.into(), is_fault(self.code));
        }
    }
}

/// Whether the service is at fault, and not its caller.
const fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The body of an answer.
pub struct Guarded {
    body: Body,
    /// Until it has ended.
    held: Option<(Call, Permit)>,
    /// When a stream's time is over.
    over: Option<Pin<Box<Sleep>>>,
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("body", &self.body).finish_non_exhaustive()
    }
}

impl Guarded {
    const fn empty() -> Self {
        Self { body: Body::empty(), held: None, over: None }
    }

    /// The answer of a handler, on its way out.
    pub(super) fn over(
        response: Response<Body>,
        mut call: Call,
        permit: Permit,
        over: Option<Pin<Box<Sleep>>>,
    ) -> Response<Self> {
        let (mut parts, body) = response.into_parts();
        let ended = remap::translate(call.target, &mut parts.headers);
        let held = if let Some(code) = ended {
            call.code = code;
            None
        } else {
            Some((call, permit))
        };
        let body = if ended.is_some() { Body::empty() } else { body };
        Response::from_parts(parts, Self { body, held, over })
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready())
    }

    /// Counts the call, gives its place back, and lets nothing follow.
    fn end(&mut self, code: Code) {
        if let Some((mut call, permit)) = self.held.take() {
            call.code = code;
            drop((call, permit));
        }
        self.body = Body::empty();
        self.over = None;
    }

    /// The last frame of a call that ends with an error.
    fn fail(&mut self, error: &Error) -> Frame<Bytes> {
        let mut trailers = HeaderMap::new();
        let code = self.held.as_ref().map_or(Code::Internal, |(call, _)| {
            call.count(error);
            trace::on(call.trail.as_ref(), || remap::write(call.target, &mut trailers, error))
        });
        self.end(code);
        Frame::trailers(trailers)
    }

    fn last(&mut self, mut trailers: HeaderMap) -> Frame<Bytes> {
        let code = self.held.as_ref().and_then(|(call, _)| remap::translate(call.target, &mut trailers));
        self.end(code.unwrap_or(Code::Unknown));
        Frame::trailers(trailers)
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.held.is_none() {
            return Poll::Ready(None);
        }
        let Ok(polled) = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(cx))) else {
            return Poll::Ready(Some(Ok(this.fail(&Error::Internal("a stream panicked".to_owned())))));
        };
        let frame = match polled {
            Poll::Ready(Some(Ok(frame))) => match frame.into_trailers() {
                Ok(trailers) => this.last(trailers),
                // Also one that always has something to send.
                Err(_) if this.is_over(cx) => this.fail(&Error::DeadlineExceeded { may_be_applied: false }),
                Err(frame) => frame,
            },
            Poll::Ready(Some(Err(status))) => this.fail(&Error::Internal(status.to_string())),
            Poll::Ready(None) => {
                this.end(Code::Unknown);
                return Poll::Ready(None);
            }
            Poll::Pending if this.is_over(cx) => {
                this.fail(&Error::DeadlineExceeded { may_be_applied: false })
            }
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.held.is_none() { SizeHint::with_exact(0) } else { self.body.size_hint() }
    }
}

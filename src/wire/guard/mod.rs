//! The door before every RPC: what is asked for, whether there is room, who asks, for how long. It parses no message.
//!
//! In this order: the path is looked up, a place is taken, the credential becomes a [`Caller`], the deadline is set; only
//! then is anything of the message read. On the way out, what a library answered by itself is put into our words, and
//! the call is counted.

mod admission;
mod answer;
mod counts;
pub(super) mod deadline;
mod parent;
mod remap;
mod route;

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt, poll};
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::body::Body;
use tower::layer::layer_fn;
use tower::{Layer, Service, service_fn};

use self::admission::{Admission, Permit};
use self::answer::Call;
pub use self::answer::Guarded;
use self::counts::Counts;
use self::route::{Route, Routes, Target};
use super::denial;
use super::identify::identify;
use crate::caller::Callers;
use crate::clock::Stopwatch;
use crate::service::denied::Denied;
use crate::service::{Error, authority};
use crate::settings::Limits;
use crate::store::Credentials;
use crate::telemetry::{Metrics, Traces, trace};

pub(super) use self::route::class;

/// The door, one for all workers.
pub struct Guard<C>(Arc<Inner<C>>);

impl<C> Clone for Guard<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<C> {
    routes: Routes,
    admission: Arc<Admission>,
    callers: Arc<Callers<C>>,
    denied: Denied,
    check_deadline_ms: AtomicU64,
    admin_deadline_ms: AtomicU64,
    counts: Arc<Counts>,
    traces: Traces,
}

impl<C: Credentials> Guard<C> {
    /// A door that lets callers in, within the limits, and notes in `denied` who may not.
    #[must_use]
    pub fn new(
        callers: Arc<Callers<C>>,
        denied: Denied,
        limits: &Limits,
        metrics: Arc<Metrics>,
        traces: Traces,
    ) -> Self {
        Self(Arc::new(Inner {
            routes: Routes::new(),
            admission: Arc::new(Admission::new(limits, Arc::clone(&metrics))),
            callers,
            denied,
            check_deadline_ms: limits.check_deadline_ms.into(),
            admin_deadline_ms: limits.admin_deadline_ms.into(),
            counts: Arc::new(Counts::over(metrics)),
            traces,
        }))
    }

    /// Other limits, for calls that begin from now on.
    pub fn limit(&self, limits: &Limits) {
        self.0.admission.limit(limits);
        self.0.check_deadline_ms.store(limits.check_deadline_ms, Ordering::Relaxed);
        self.0.admin_deadline_ms.store(limits.admin_deadline_ms, Ordering::Relaxed);
    }

    /// The door as a layer. Its future is in a box: what stands before the door moves futures about, and this one is large.
    pub fn layer<S>(
        self,
    ) -> impl Layer<
        S,
        Service: Service<Request<Body>, Response = Response<Guarded>, Error = Infallible, Future: Send>
                     + Clone
                     + Send
                     + 'static,
    > + Clone
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>,
        S: Clone + Send + 'static,
    {
        layer_fn(move |inner: S| {
            let guard = Arc::clone(&self.0);
            service_fn(move |request| {
                // Here, and not in the future: a deadline that a library sets later than this never comes first.
                let stopwatch = Stopwatch::start();
                let passed = Arc::clone(&guard).pass(inner.clone(), request, stopwatch);
                Box::pin(passed.map(Ok))
            })
        })
    }
}

impl<C: Credentials> Inner<C> {
    async fn pass<S>(
        self: Arc<Self>,
        inner: S,
        request: Request<Body>,
        stopwatch: Stopwatch,
    ) -> Response<Guarded>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>,
        S: Send + 'static,
    {
        let target = self.routes.find(request.uri().path());
        // Whether the call is recorded is decided here, and nowhere again.
        let trail = match target.route {
            Route::Rpc(operation) => self.traces.begin(parent::parent(request.headers()), operation.name()),
            Route::Health | Route::Reflection | Route::Unknown => None,
        };
        let call = Call::begun(target, stopwatch, Arc::clone(&self.counts), trail.clone());
        let permit = match self.admission.enter(target.class) {
            Ok(permit) => permit,
            Err(error) => return call.refuse(&error),
        };
        let asked = deadline::asked(request.headers());
        let cap = |ms: &AtomicU64| Duration::from_millis(ms.load(Ordering::Relaxed));
        let cap = target.cap(cap(&self.check_deadline_ms), cap(&self.admin_deadline_ms));
        let limit = deadline::limit(asked.as_ref().copied().unwrap_or_default(), cap);
        let until = limit.and_then(|limit| stopwatch.after(limit)).map(Instant::from_std);
        // Pinned where it is: moved, it would be copied, and its room would be taken twice.
        let served = pin!(async {
            let request = self.authenticate(target, request).await?;
            if asked?.is_some_and(|asked| is_over(asked, stopwatch)) {
                return Err(Error::DeadlineExceeded { may_be_applied: false });
            }
            handle(target, inner, request, permit).await
        });
        let mut served = trace::through(trail, served);
        // Most calls end when they are polled for the first time, and need no timer.
        let served = match (poll!(&mut served), until) {
            (Poll::Ready(served), _) => Ok(served),
            (Poll::Pending, Some(until)) => Box::pin(timeout_at(until, served)).await,
            (Poll::Pending, None) => Ok(served.await),
        };
        match served {
            Ok(Ok((response, permit))) => {
                let over = until.filter(|_| target.is_stream).map(|until| Box::pin(sleep_until(until)));
                Guarded::over(response, call, permit, over)
            }
            Ok(Err(error)) => call.refuse(&error),
            Err(_) => call.refuse(&Error::DeadlineExceeded { may_be_applied: target.is_mutation }),
        }
    }

    /// Health is for anybody. All else is for callers, who alone learn what is not there.
    async fn authenticate(&self, target: Target, mut request: Request<Body>) -> Result<Request<Body>, Error> {
        if target.route == Route::Health {
            return Ok(request);
        }
        let caller = identify(&self.callers, request.headers(), request.extensions()).await?;
        match target.route {
            Route::Rpc(operation) => {
                if let Err(error) = authority::permits(&caller, operation) {
                    if matches!(error, Error::PermissionDenied) && !operation.is_check() {
                        // The message, which names the tenant, is not read for this.
                        self.denied.note(denial(operation, caller, ""));
                    }
                    return Err(error);
                }
            }
            Route::Unknown => return Err(Error::UnknownMethod),
            Route::Health | Route::Reflection => {}
        }
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}

/// Whether the time is over that a caller gave; a nanosecond always is.
fn is_over(asked: Duration, stopwatch: Stopwatch) -> bool {
    asked <= stopwatch.elapsed().max(Duration::from_nanos(1))
}

/// Hands a call on. Its place goes with it: whoever hangs up gives it back, but for a mutation, which goes on to its end
/// and holds its place until then.
async fn handle<S>(
    target: Target,
    mut inner: S,
    request: Request<Body>,
    permit: Permit,
) -> Result<(Response<Body>, Permit), Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>,
    S: Send + 'static,
{
    let ended = if target.is_mutation {
        let handled = async move {
            let Ok(response) = inner.call(request).await;
            (response, permit)
        };
        Handle::current().spawn(trace::carried(handled)).await.map_err(drop)
    } else {
        // Where it is, it is not moved.
        let handled = pin!(async move { inner.call(request).await });
        let ended = AssertUnwindSafe(handled).catch_unwind().await;
        ended.map(|Ok(response)| (response, permit)).map_err(drop)
    };
    ended.map_err(|()| Error::Internal("the handler panicked, or was cut off at the end".to_owned()))
}

#[cfg(test)]
mod tests;

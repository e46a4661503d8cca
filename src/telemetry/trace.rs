//! Which trace a call belongs to, and the spans of a call that is recorded. It knows no header and no layer.
//!
//! Whether a call is recorded is decided once, where it comes in ([`Traces::begin`]); from there its [`Trail`] goes with
//! the task that serves it. A call that is not recorded has no span, and all that is asked of it here is a look at that.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::spans::Spans;

pub use opentelemetry::trace::{SpanId, TraceId};

/// The target of spans that are exported, and of nothing else.
pub(super) const TARGET: &str = "doorward::span";
/// The service of every RPC that is recorded.
pub(super) const SERVICE: &str = "doorward.v1.AccessService";

task_local! {
    static TRAIL: Option<Trail>;
}

/// The names by which a call is known in its trace: those of its own span where it is recorded, and else its caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
}

/// What a caller says of the trace that it calls from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its trace, and its span that called.
    pub ids: Ids,
    /// Whether it is recorded.
    pub is_sampled: bool,
}

/// A call's place in its trace; the tasks that serve it carry it. A clone is the same place.
#[derive(Clone)]
pub struct Trail {
    ids: Ids,
    /// The call's span; none: it is not recorded.
    call: Span,
    /// The span that is open here: the call's, or one below it.
    here: Span,
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trail").field(&self.ids).finish()
    }
}

/// Decides which calls are recorded.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// The share of calls that come without a trace; none: nothing is recorded.
    ratio: Option<f64>,
    /// What became of spans.
    pub spans: Spans,
}

impl Traces {
    /// Nothing is recorded.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    pub(super) const fn recording(ratio: f64, spans: Spans) -> Self {
        Self { ratio: Some(ratio), spans }
    }

    /// A call comes in: recorded if its caller's trace is, or, where it comes without one, if its lot falls so.
    #[must_use]
    pub fn begin(&self, parent: Option<Parent>, rpc: &'static str) -> Option<Trail> {
        match (parent, self.ratio) {
            (Some(parent), Some(_)) if parent.is_sampled => Some(Trail::recorded(Some(parent), rpc)),
            (Some(parent), _) => Some(Trail { ids: parent.ids, call: Span::none(), here: Span::none() }),
            (None, Some(ratio)) if ratio > 0.0 && lot() < ratio => Some(Trail::recorded(None, rpc)),
            (None, _) => None,
        }
    }
}

impl Trail {
    fn recorded(parent: Option<Parent>, rpc: &'static str) -> Self {
        let span = info_span!(
            target: TARGET,
            parent: None,
            "rpc",
            otel.name = format!("{SERVICE}/{rpc}"),
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = SERVICE,
            rpc.method = rpc,
            rpc.grpc.status_code = Empty,
            doorward.tenant = Empty,
            doorward.checks = Empty,
            doorward.decision = Empty,
            doorward.reason = Empty,
            doorward.tier = Empty,
        );
        if let Some(Parent { ids, .. }) = parent {
            let caller =
                SpanContext::new(ids.trace, ids.span, TraceFlags::SAMPLED, true, TraceState::default());
            // It can only fail where spans are not exported.
            let _ = span.set_parent(Context::new().with_remote_span_context(caller));
        }
        let context = span.context();
        let own = context.span().span_context().clone();
        let ids = Ids { trace: own.trace_id(), span: own.span_id() };
        Self { ids, here: span.clone(), call: span }
    }

    /// The call has ended, with a status; what goes on in its name is not waited for.
    pub fn end(&self, status: i32, is_fault: bool) {
        if self.call.is_none() {
            return;
        }
        self.call.record("rpc.grpc.status_code", status);
        if is_fault {
            self.call.record("otel.status_code", "ERROR");
        }
        self.call.context().span().end();
    }

    /// The same call, below the span that is open here.
    fn below(self, span: impl FnOnce(&Span) -> Span) -> Self {
        let here = if self.here.is_none() { Span::none() } else { span(&self.here) };
        Self { here, ..self }
    }
}

/// Where this task is in its call's trace; none: it serves no call of a trace.
#[must_use]
pub fn here() -> Option<Trail> {
    TRAIL.try_with(Clone::clone).ok().flatten()
}

/// The names by which this task's call is known.
#[must_use]
pub fn ids() -> Option<Ids> {
    TRAIL.try_with(|trail| trail.as_ref().map(|trail| trail.ids)).ok().flatten()
}

/// Whether this task's call is recorded.
#[must_use]
pub fn is_recorded() -> bool {
    TRAIL.try_with(|trail| trail.as_ref().is_some_and(|trail| !trail.call.is_none())).unwrap_or(false)
}

/// A future that runs at a place of a trace, on whatever task.
pub fn at<F: Future>(trail: Option<Trail>, future: F) -> TaskLocalFuture<Option<Trail>, F> {
    TRAIL.scope(trail, future)
}

/// The same of a future that stays where it is: that of a whole call is large, and costs much to move.
#[derive(Debug)]
pub struct Through<'f, F> {
    trail: Option<Trail>,
    future: Pin<&'f mut F>,
}

/// A future that runs at a place of a trace, on this task.
pub const fn through<F: Future>(trail: Option<Trail>, future: Pin<&mut F>) -> Through<'_, F> {
    Through { trail, future }
}

impl<F: Future> Future for Through<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let Self { trail, future } = &mut *self;
        on(trail.as_ref(), || future.as_mut().poll(cx))
    }
}

/// Does something at a place of a trace.
pub fn on<T>(trail: Option<&Trail>, what: impl FnOnce() -> T) -> T {
    match trail {
        None => what(),
        Some(trail) => TRAIL.sync_scope(Some(trail.clone()), what),
    }
}

/// A future that runs where this task is, on another.
pub fn carried<F: Future>(future: F) -> TaskLocalFuture<Option<Trail>, F> {
    at(here(), future)
}

/// A place below this one, for what a database is asked to do. No value and no text of a statement is told.
#[must_use]
pub fn asking(system: &'static str, operation: &'static str) -> Option<Trail> {
    let name = || format!("{system} {operation}");
    here().map(|trail| {
        trail.below(|parent| {
            info_span!(
                target: TARGET,
                parent: parent,
                "statement",
                otel.name = name(),
                otel.kind = "client",
                otel.status_code = Empty,
                db.system.name = system,
                db.operation.name = operation,
            )
        })
    })
}

/// A place below this one, for a mutation's wait until it is known everywhere.
#[must_use]
pub fn enforcing() -> Option<Trail> {
    here().map(|trail| trail.below(|parent| info_span!(target: TARGET, parent: parent, "enforce")))
}

/// What the span that is open here stands for has failed.
pub fn failed() {
    let _ = TRAIL.try_with(|trail| match trail {
        Some(trail) if !trail.here.is_none() => {
            trail.here.record("otel.status_code", "ERROR");
        }
        _ => {}
    });
}

/// An answer; what the span that is open here stands for has failed, where it is an error.
///
/// # Errors
/// As it was given.
pub fn failing<T, E>(answer: Result<T, E>) -> Result<T, E> {
    if answer.is_err() {
        failed();
    }
    answer
}

fn record(with: impl FnOnce(&Span)) {
    // Nothing in it can ask for the trail again.
    let _ = TRAIL.try_with(|trail| match trail {
        Some(trail) if !trail.call.is_none() => with(&trail.call),
        _ => {}
    });
}

/// The call is about a tenant that there is: whatever else a caller names is not told.
pub fn tenant(id: &str) {
    record(|call| {
        call.record("doorward.tenant", id);
    });
}

/// The call's question was decided, with facts of a tier.
pub fn decided(allowed: bool, reason: &'static str, tier: &'static str) {
    record(|call| {
        call.record("doorward.decision", if allowed { "allowed" } else { "denied" });
        call.record("doorward.reason", reason);
        call.record("doorward.tier", tier);
    });
}

/// So many questions were decided, with facts of a tier.
pub fn decided_many(count: usize, tier: &'static str) {
    record(|call| {
        call.record("doorward.checks", count);
        call.record("doorward.tier", tier);
    });
}

/// A number from 0 to 1: evenly spread, and nobody's secret.
fn lot() -> f64 {
    thread_local! {
        static LOTS: RefCell<SmallRng> = RefCell::new(SmallRng::seed_from_u64(seed()));
    }
    LOTS.with_borrow_mut(|lots| lots.random())
}

fn seed() -> u64 {
    let mut seed = [0; 8];
    // Without random bytes every thread draws the same lots, which are as even.
    let _ = getrandom::fill(&mut seed);
    u64::from_ne_bytes(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(is_sampled: bool) -> Parent {
        Parent { ids: Ids { trace: TraceId::from(7), span: SpanId::from(9) }, is_sampled }
    }

    #[test]
    fn lots_fall_as_often_as_the_ratio_says() {
        for ratio in [0.01, 0.25, 0.9] {
            let drawn = (0..100_000).filter(|_| lot() < ratio).count();
            assert!((drawn as f64 / 100_000.0 - ratio).abs() < 0.01, "{ratio}: {drawn}");
        }
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&lot())));
    }

    #[test]
    fn a_caller_s_word_comes_before_the_lot() {
        let begun = |traces: &Traces, parent| traces.begin(parent, "CheckAccess").map(|trail| trail.ids);
        let (all, some) =
            (Traces::recording(1.0, Spans::default()), Traces::recording(0.0, Spans::default()));
        // Nothing listens to spans here: those of a call that would be recorded have no names.
        let nameless = Ids { trace: TraceId::INVALID, span: SpanId::INVALID };
        assert_eq!(begun(&all, None), Some(nameless));
        assert_eq!(begun(&some, None), None);
        assert_eq!(begun(&all, Some(parent(false))), Some(parent(false).ids), "as its caller is not");
        assert_eq!(begun(&some, Some(parent(true))), Some(nameless), "as its caller is");
        assert_eq!(begun(&Traces::off(), Some(parent(true))), Some(parent(true).ids));
        assert_eq!(begun(&Traces::off(), None), None);
    }

    #[tokio::test]
    async fn a_trail_goes_with_what_is_carried_and_ends_with_it() {
        assert_eq!(ids(), None);
        let trail = Traces::off().begin(Some(parent(true)), "CheckAccess");
        at(trail, async {
            assert_eq!(ids(), Some(parent(true).ids));
            let carried = carried(async { ids() });
            let other = std::thread::spawn(|| futures::executor::block_on(carried));
            assert_eq!(other.join().unwrap(), Some(parent(true).ids));
            assert!(asking("postgresql", "snapshot").is_some_and(|trail| trail.here.is_none()));
        })
        .await;
        assert_eq!(ids(), None);
    }
}

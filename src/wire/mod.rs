//! gRPC: requests become domain words, answers become messages. It decides nothing.

mod convert;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod guard;
mod identify;
pub(crate) mod peer;
mod questions;
mod rate;
mod rpcs;
mod status;
mod watch;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use doorward_engine::id::TenantId;
use tonic::{Code, Request, Response, Status, Streaming};

use self::convert::Context;
pub use self::guard::{Guard, Guarded};
pub use self::rate::Rates;
use self::rpcs::{Streamed, Tenanted};
use crate::caller::{Caller, Callers};
use crate::keys::Keys;
use crate::proto;
use crate::service::denied::Denied;
use crate::service::{Backend, Error, Operation, Service};
use crate::store::denials::Denial;
use crate::telemetry::{Decline, Metrics, Outcome};

/// The longest message of the `AccessService` that is accepted, in bytes: a full batch has less than half of it.
pub const MESSAGE_MAX: usize = 1024 * 1024;

pub use self::watch::Watching;
pub use self::whole::served;

/// The `AccessService` over the service.
pub struct Grpc<B: Backend> {
    service: Arc<Service<B>>,
    rates: Arc<Rates>,
    keys: Keys,
    metrics: Arc<Metrics>,
    denied: Denied,
    watching: Watching,
    callers: Arc<Callers<B::Credentials>>,
    /// The longest that a question may take on a stream.
    patience: Duration,
}

impl<B: Backend> Clone for Grpc<B> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            rates: Arc::clone(&self.rates),
            keys: self.keys.clone(),
            metrics: Arc::clone(&self.metrics),
            denied: self.denied.clone(),
            watching: self.watching.clone(),
            callers: Arc::clone(&self.callers),
            patience: self.patience,
        }
    }
}

/// What of a server is not a service: where denied calls are noted, what streams of changes share, who calls, and the
/// longest that a question on a stream may take.
pub type Beside<C> = (Denied, Watching, Arc<Callers<C>>, Duration);

impl<B: Backend> Grpc<B> {
    /// The wire over a service.
    pub fn over(
        service: Arc<Service<B>>,
        rates: Arc<Rates>,
        keys: Keys,
        metrics: Arc<Metrics>,
        (denied, watching, callers, patience): Beside<B::Credentials>,
    ) -> Self {
        Self { service, rates, keys, metrics, denied, watching, callers, patience }
    }

    /// A unary call that the guard has let in, as tonic hands it over.
    async fn serve<Q, A, F>(
        &self,
        operation: Operation,
        mut request: Request<Q>,
        handler: impl FnOnce(Context<B>, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        Q: Tenanted,
        F: Future<Output = Result<A, Error>>,
    {
        let caller = request.extensions_mut().remove::<Caller>();
        self.answer(operation, caller, request.into_inner(), handler).await.map(Response::new)
    }

    /// The way of every unary call: a token from the caller's bucket, then the handler.
    async fn answer<Q, A, F>(
        &self,
        operation: Operation,
        caller: Option<Caller>,
        request: Q,
        handler: impl FnOnce(Context<B>, Q) -> F,
    ) -> Result<A, Status>
    where
        Q: Tenanted,
        F: Future<Output = Result<A, Error>>,
    {
        let admitted = self.context(operation, caller).and_then(|context| {
            self.take(&context, &request)?;
            Ok(context)
        });
        let answer = match admitted {
            Ok(context) => {
                let asked =
                    (!operation.is_check()).then(|| (context.caller.clone(), request.tenant().to_owned()));
                let answer = handler(context, request).await;
                if let (Err(Error::PermissionDenied), Some((caller, tenant))) = (&answer, asked) {
                    self.denied.note(denial(operation, caller, &tenant));
                }
                answer
            }
            Err(error) => Err(error),
        };
        answer.map_err(|error| self.refused(operation, &error))
    }

    /// An error, counted, as the caller sees it.
    fn refused(&self, operation: Operation, error: &Error) -> Status {
        if let Some(decline) = decline(error) {
            self.metrics.admissions.refused(guard::class(operation), decline);
        }
        if operation.is_mutation() {
            self.metrics.mutation(operation.name(), outcome(error));
        }
        status::of(operation, error)
    }

    fn take<Q: Tenanted>(&self, context: &Context<B>, request: &Q) -> Result<(), Error> {
        self.rates.take(context.operation, &context.caller, request.tenant(), request.weight())
    }

    /// The stream of changes.
    async fn watch(
        &self,
        request: Request<proto::WatchChangesRequest>,
    ) -> Result<Response<Streamed<proto::WatchChangesResponse>>, Status> {
        let identify = self.identify(&request);
        let watching = self.watching.clone();
        let handler = |context, request| watch::watch_changes(context, request, watching, identify);
        self.serve(Operation::WatchChanges, request, handler).await
    }

    /// The stream of questions.
    fn answers(
        &self,
        mut request: Request<Streaming<proto::StreamCheckAccessRequest>>,
    ) -> Result<Response<Streamed<proto::StreamCheckAccessResponse>>, Status> {
        let operation = Operation::StreamCheckAccess;
        let caller = request.extensions_mut().remove::<Caller>();
        let context = self.context(operation, caller).map_err(|error| status::of(operation, &error))?;
        let identify = self.identify(&request);
        let ending = peer::peer_ending(request.extensions());
        let input = (request.into_inner(), ending);
        let rates = Arc::clone(&self.rates);
        Ok(Response::new(questions::answers(context, rates, identify, self.patience, input)))
    }

    /// How a stream asks again who its caller is, for as long as it lasts.
    fn identify<Q>(&self, request: &Request<Q>) -> watch::Identify {
        let callers = Arc::clone(&self.callers);
        let kept = Arc::new((request.metadata().clone().into_headers(), request.extensions().clone()));
        Box::new(move || {
            let (callers, kept) = (Arc::clone(&callers), Arc::clone(&kept));
            Box::pin(async move { identify::identify(&callers, &kept.0, &kept.1).await })
        })
    }

    fn context(&self, operation: Operation, caller: Option<Caller>) -> Result<Context<B>, Error> {
        Ok(Context {
            service: Arc::clone(&self.service),
            caller: caller.ok_or_else(|| Error::Internal("a call without a caller".to_owned()))?,
            operation,
            keys: self.keys.clone(),
            metrics: Arc::clone(&self.metrics),
        })
    }
}

/// What is kept of a call that was denied.
fn denial(operation: Operation, caller: Caller, tenant: &str) -> Denial {
    Denial {
        tenant: TenantId::parse(tenant).ok(),
        operation: operation.name(),
        caller: caller.name().into_owned(),
        actor: caller.actor.map(String::from),
        peer: caller.peer.map(|peer| peer.to_string()),
        trace_id: caller.trace_id.map(|trace| trace.to_string()),
    }
}

/// Why a call or a question was turned away, where that is what the error says.
const fn decline(error: &Error) -> Option<Decline> {
    match error {
        Error::Overloaded { .. } => Some(Decline::Overloaded),
        Error::RateLimited { .. } => Some(Decline::RateLimited),
        Error::DeadlineExceeded { .. } => Some(Decline::Deadline),
        _ => None,
    }
}

const fn outcome(error: &Error) -> Outcome {
    match error {
        Error::Unavailable(_) | Error::Internal(_) => Outcome::Failed,
        _ => Outcome::Refused,
    }
}

/// The code as dashboards know it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

//! gRPC: requests become domain words, answers become messages. It decides nothing.

mod convert;
mod guard;
mod identify;
pub(crate) mod peer;
mod rate;
mod rpcs;
mod status;

use std::sync::Arc;

use tonic::{Code, Request, Response, Status};

use self::convert::Context;
pub use self::guard::{Guard, Guarded};
pub use self::rate::Rates;
use self::rpcs::Tenanted;
use crate::caller::Caller;
use crate::keys::Keys;
use crate::service::{Backend, Error, Operation, Service};
use crate::telemetry::{Decline, Metrics, Outcome};

/// The longest message of the `AccessService` that is accepted, in bytes: a full batch has less than half of it.
pub const MESSAGE_MAX: usize = 1024 * 1024;

/// The `AccessService` over the service.
pub struct Grpc<B: Backend> {
    service: Arc<Service<B>>,
    rates: Arc<Rates>,
    keys: Keys,
    metrics: Arc<Metrics>,
}

impl<B: Backend> Clone for Grpc<B> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            rates: Arc::clone(&self.rates),
            keys: self.keys.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl<B: Backend> Grpc<B> {
    /// The wire over a service.
    pub const fn over(
        service: Arc<Service<B>>,
        rates: Arc<Rates>,
        keys: Keys,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { service, rates, keys, metrics }
    }

    /// The way of every unary call that the guard has let in: a token from the caller's bucket, then the handler.
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
        let admitted = self.context(operation, &mut request).and_then(|context| {
            self.take(&context, request.get_ref())?;
            Ok(context)
        });
        let answer = match admitted {
            Ok(context) => handler(context, request.into_inner()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &answer
            && operation.is_mutation()
        {
            self.metrics.mutation(operation.name(), outcome(error));
        }
        answer.map(Response::new).map_err(|error| status::of(operation, &error))
    }

    fn take<Q: Tenanted>(&self, context: &Context<B>, request: &Q) -> Result<(), Error> {
        let operation = context.operation;
        let taken = self.rates.take(operation, &context.caller, request.tenant(), request.weight());
        if taken.is_err() {
            self.metrics.admissions.refused(guard::class(operation), Decline::RateLimited);
        }
        taken
    }

    /// A stream that is not built yet: who may not call it learns no more than that.
    fn unimplemented<Q>(&self, operation: Operation, request: &mut Request<Q>) -> Status {
        let error = self.context(operation, request).err().unwrap_or(Error::Unimplemented);
        status::of(operation, &error)
    }

    fn context<Q>(&self, operation: Operation, request: &mut Request<Q>) -> Result<Context<B>, Error> {
        let caller = request.extensions_mut().remove::<Caller>();
        Ok(Context {
            service: Arc::clone(&self.service),
            caller: caller.ok_or_else(|| Error::Internal("a call without a caller".to_owned()))?,
            operation,
            keys: self.keys.clone(),
            metrics: Arc::clone(&self.metrics),
        })
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

//! gRPC: requests become domain words, answers become messages. It decides nothing.

mod convert;
mod identify;
mod rpcs;
mod status;

use std::sync::Arc;

use tonic::{Code, Request, Response, Status};

use self::convert::Context;
use crate::caller::Callers;
use crate::clock::Stopwatch;
use crate::keys::Keys;
use crate::service::{Backend, Error, Operation, Service};
use crate::telemetry::{Metrics, Outcome};

/// The `AccessService` over the service.
pub struct Grpc<B: Backend> {
    service: Arc<Service<B>>,
    callers: Arc<Callers<B::Credentials>>,
    keys: Keys,
    metrics: Arc<Metrics>,
}

impl<B: Backend> Clone for Grpc<B> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            callers: Arc::clone(&self.callers),
            keys: self.keys.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl<B: Backend> Grpc<B> {
    /// The wire over a service.
    pub const fn over(
        service: Arc<Service<B>>,
        callers: Arc<Callers<B::Credentials>>,
        keys: Keys,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { service, callers, keys, metrics }
    }

    /// The way of every unary call: identify, handle, answer or map the error, measure.
    async fn serve<Q, A, F>(
        &self,
        operation: Operation,
        request: Request<Q>,
        handler: impl FnOnce(Context<B>, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A, Error>>,
    {
        let stopwatch = Stopwatch::start();
        let answer = match self.context(operation, &request).await {
            Ok(context) => handler(context, request.into_inner()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &answer
            && operation.is_mutation()
        {
            self.metrics.mutation(operation.name(), outcome(error));
        }
        let answer = answer.map(Response::new).map_err(|error| status::of(operation, &error));
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        self.metrics.call(operation.name(), code_name(code), stopwatch.elapsed());
        answer
    }

    /// A stream that is not built yet: who may not call it learns no more than that.
    async fn unimplemented<Q>(&self, operation: Operation, request: &Request<Q>) -> Status {
        let error = self.context(operation, request).await.err().unwrap_or(Error::Unimplemented);
        status::of(operation, &error)
    }

    async fn context<Q>(&self, operation: Operation, request: &Request<Q>) -> Result<Context<B>, Error> {
        Ok(Context {
            service: Arc::clone(&self.service),
            caller: identify::identify(&self.callers, request).await?,
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

//! Calls in this process: of the service, and of ones that decode the same messages and answer at once, the floors.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;

use doorward::proto;
use doorward::proto::stream_check_access_response::Result as Said;
use futures::{Stream, StreamExt};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::StdError;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::world::{AGENTS, TOKEN, World};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// One question.
    Check,
    /// As many as there are agents, in one message.
    Batch,
    /// As many, each in a message, on one stream.
    Stream,
}

impl What {
    pub(crate) const ALL: [Self; 3] = [Self::Check, Self::Batch, Self::Stream];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Batch => "batch",
            Self::Stream => "stream",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Check => "/doorward.v1.AccessService/CheckAccess",
            Self::Batch => "/doorward.v1.AccessService/BatchCheckAccess",
            Self::Stream => "/doorward.v1.AccessService/StreamCheckAccess",
        }
    }

    /// How many questions a call holds.
    pub(crate) const fn questions(self) -> usize {
        match self {
            Self::Check => 1,
            Self::Batch | Self::Stream => AGENTS,
        }
    }

    /// The call as it lies on the wire.
    pub(crate) fn message(self, world: &World) -> Bytes {
        match self {
            Self::Check => world.check(),
            Self::Batch => world.batch(),
            Self::Stream => world.stream(),
        }
    }
}

/// A call of the service, to its last frame.
pub(crate) fn ask(world: &World, what: What, message: &Bytes) -> Bytes {
    let mut service = world.running.calls();
    world.runtime.block_on(async { answer(service.call(request(what, message)).await).await })
}

/// The floor: the same request through tonic's decoder and encoder, as many answers, and nothing between them.
pub(crate) fn nothing(world: &World, what: What, message: &Bytes) -> Bytes {
    world.runtime.block_on(async {
        let request = request(what, message);
        let response = match what {
            What::Check => Grpc::new(ProstCodec::default()).unary(Nothing, request).await,
            What::Batch => Grpc::new(ProstCodec::default()).unary(NothingOfMany, request).await,
            What::Stream => Grpc::new(ProstCodec::default()).streaming(NothingOnAStream, request).await,
        };
        answer(Ok(response)).await
    })
}

struct Nothing;
struct NothingOfMany;
struct NothingOnAStream;

impl UnaryService<proto::CheckAccessRequest> for Nothing {
    type Response = proto::CheckAccessResponse;
    type Future = Ready<Result<tonic::Response<Self::Response>, Status>>;

    fn call(&mut self, _: tonic::Request<proto::CheckAccessRequest>) -> Self::Future {
        ready(Ok(tonic::Response::new(allowed())))
    }
}

impl UnaryService<proto::BatchCheckAccessRequest> for NothingOfMany {
    type Response = proto::BatchCheckAccessResponse;
    type Future = Ready<Result<tonic::Response<Self::Response>, Status>>;

    fn call(&mut self, request: tonic::Request<proto::BatchCheckAccessRequest>) -> Self::Future {
        let allowed = proto::CheckResult { allowed: true, ..Default::default() };
        let results = vec![allowed; request.get_ref().checks.len()];
        ready(Ok(tonic::Response::new(proto::BatchCheckAccessResponse { results, ..Default::default() })))
    }
}

impl StreamingService<proto::StreamCheckAccessRequest> for NothingOnAStream {
    type Response = proto::StreamCheckAccessResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Self::Response, Status>> + Send>>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<proto::StreamCheckAccessRequest>>) -> Self::Future {
        let answer = |asked: Result<proto::StreamCheckAccessRequest, Status>| {
            let result = Some(Said::Response(allowed()));
            Ok(proto::StreamCheckAccessResponse { sequence: asked?.sequence, result })
        };
        ready(Ok(tonic::Response::new(Box::pin(request.into_inner().map(answer)))))
    }
}

fn allowed() -> proto::CheckAccessResponse {
    proto::CheckAccessResponse { allowed: true, ..Default::default() }
}

fn request(what: What, message: &Bytes) -> Request<Body> {
    Request::post(what.path())
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::new(Full::new(message.clone())))
        .unwrap()
}

async fn answer<B>(response: Result<Response<B>, Infallible>) -> Bytes
where
    B: http_body::Body<Data = Bytes, Error: Into<StdError> + std::fmt::Debug>,
{
    let Ok(response) = response;
    let collected = response.into_body().collect().await.unwrap();
    let status = collected.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    assert_eq!(status.map(|code| Code::from_bytes(code.as_bytes())), Some(Code::Ok));
    collected.to_bytes()
}

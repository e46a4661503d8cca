//! Calls in this process: of the service, and of one that decodes the same message and answers at once, the floor.

use std::convert::Infallible;
use std::future::{Ready, ready};

use doorward::proto;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::StdError;
use tonic::server::UnaryService;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::world::{TOKEN, World};

/// The methods that are called.
pub(crate) const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
pub(crate) const BATCH: &str = "/doorward.v1.AccessService/BatchCheckAccess";

/// A call of the service, to its last frame.
pub(crate) fn ask(world: &World, path: &'static str, message: &Bytes) -> Bytes {
    let mut service = world.running.calls();
    world.runtime.block_on(async { answer(service.call(request(path, message)).await).await })
}

/// The floor: the same request through tonic's decoder and encoder, and nothing between them.
pub(crate) fn nothing(world: &World, message: &Bytes) -> Bytes {
    world.runtime.block_on(async {
        let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
        answer(Ok(grpc.unary(Nothing, request(CHECK, message)).await)).await
    })
}

struct Nothing;

impl UnaryService<proto::CheckAccessRequest> for Nothing {
    type Response = proto::CheckAccessResponse;
    type Future = Ready<Result<tonic::Response<Self::Response>, Status>>;

    fn call(&mut self, _: tonic::Request<proto::CheckAccessRequest>) -> Self::Future {
        ready(Ok(tonic::Response::new(proto::CheckAccessResponse { allowed: true, ..Default::default() })))
    }
}

fn request(path: &'static str, message: &Bytes) -> Request<Body> {
    Request::post(path)
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

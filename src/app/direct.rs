//! The way of most calls to their service without a router: its paths have one beginning. It knows no RPC.

use std::convert::Infallible;

use futures::future::Either;
use http::{Request, Response};
use tonic::body::Body;
use tower::layer::layer_fn;
use tower::{Layer, Service, service_fn};

/// Calls of the service with this name go to `known`, and all others to what is below.
pub(super) fn past<K, S>(
    name: &'static str,
    known: K,
) -> impl Layer<
    S,
    Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
                 + Clone
                 + Send
                 + Sync
                 + 'static,
> + Clone
where
    K: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>,
    K: Clone + Send + Sync + 'static,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>,
    S: Clone + Send + Sync + 'static,
{
    layer_fn(move |mut others: S| {
        let mut known = known.clone();
        service_fn(move |request: Request<Body>| {
            // Neither is ever busy: who has no place was refused before.
            if is_of(name, request.uri().path()) {
                Either::Left(known.call(request))
            } else {
                Either::Right(others.call(request))
            }
        })
    })
}

/// Whether a path is `/SERVICE/METHOD`.
fn is_of(service: &str, path: &str) -> bool {
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(service));
    method.is_some_and(|method| method.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_the_service_that_it_names_whole() {
        let service = "doorward.v1.AccessService";
        assert!(is_of(service, "/doorward.v1.AccessService/CheckAccess"));
        for path in [
            "/doorward.v1.AccessService",
            "/doorward.v1.AccessServiceX/CheckAccess",
            "//doorward.v1.AccessService/CheckAccess",
            "doorward.v1.AccessService/CheckAccess",
            "/grpc.health.v1.Health/Check",
            "/",
            "",
        ] {
            assert!(!is_of(service, path), "{path}");
        }
    }
}

//! The admin listener: metrics and probes over HTTP. It knows what it is told, and asks no layer.

mod readiness;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use self::readiness::Readiness;

use crate::telemetry::{CONTENT_TYPE, Metrics};

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    ready: Arc<Readiness>,
}

/// `/metrics`, `/livez` (the process answers) and `/readyz` (200, or 503 with the reason in a line).
pub fn router(metrics: Arc<Metrics>, ready: Arc<Readiness>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(show_readiness))
        .with_state(Shown { metrics, ready })
}

async fn show_metrics(State(shown): State<Shown>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], shown.metrics.encode())
}

async fn show_readiness(State(shown): State<Shown>) -> Response {
    match shown.ready.reason() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn get_status(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_what_is_said() {
        let ready = Arc::new(Readiness::starting());
        let router = router(Arc::new(Metrics::new()), Arc::clone(&ready));
        let (status, text) = get_status(&router, "/readyz").await;
        assert_eq!((status, text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting\n"));
        ready.ready();
        assert_eq!(get_status(&router, "/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
        ready.set("draining");
        assert_eq!(get_status(&router, "/readyz").await.1, "not ready: draining\n");
        assert_eq!(get_status(&router, "/livez").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_shown_and_nothing_else() {
        let router = router(Arc::new(Metrics::new()), Arc::new(Readiness::starting()));
        let (status, text) = get_status(&router, "/metrics").await;
        assert!(status == StatusCode::OK && text.contains("doorward_build_info"), "{text}");
        assert_eq!(get_status(&router, "/").await.0, StatusCode::NOT_FOUND);
    }
}

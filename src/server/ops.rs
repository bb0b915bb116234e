//! The ops listener: `/livez`, `/readyz`, `/metrics`, plain HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use super::clock;
use super::tls::TlsStatus;
use crate::metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics};

/// What the probes look at.
#[derive(Debug, Clone)]
pub struct Ops {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The served certificate.
    pub tls: watch::Receiver<TlsStatus>,
    /// Whether the process was told to stop.
    pub stopping: watch::Receiver<bool>,
}

/// The routes of the ops listener.
pub fn router(ops: Ops) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(ops)
}

async fn readyz(State(ops): State<Ops>) -> impl IntoResponse {
    let status = ops.tls.borrow().clone();
    let (code, verdict) = if *ops.stopping.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if status.certificate.not_after < clock() {
        (StatusCode::SERVICE_UNAVAILABLE, "the served certificate has expired")
    } else if let Some(distrust) = &status.distrust {
        (StatusCode::SERVICE_UNAVAILABLE, distrust.as_str())
    } else {
        (StatusCode::OK, "ok")
    };
    let problem =
        status.problem.as_ref().map(|problem| format!("new files not served: {problem}\n")).unwrap_or_default();
    (code, format!("{verdict}\n{}\n{problem}", status.certificate))
}

async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], ops.metrics.encode())
}

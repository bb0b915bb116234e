//! The ops listener: `/livez`, `/readyz`, `/metrics`, plain HTTP.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use super::tls::TlsStatus;
use super::{Stage, clock};
use crate::metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics};
use crate::telemetry;

/// Connections at once: a kubelet and a scraper need some few, and the rest of the process's files are for the webhooks.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// What the probes look at.
#[derive(Debug, Clone)]
pub struct OpsState {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The served certificate.
    pub tls: watch::Receiver<TlsStatus>,
    /// How far the server is.
    pub stage: watch::Receiver<Stage>,
}

/// The routes of the ops listener.
pub fn router(ops: OpsState) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(ops)
}

async fn readyz(State(ops): State<OpsState>) -> impl IntoResponse {
    let status = ops.tls.borrow().clone();
    let (code, verdict) = if *ops.stage.borrow() > Stage::Serving {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if status.certificate.not_after < clock() {
        (StatusCode::SERVICE_UNAVAILABLE, "the served certificate has expired")
    } else if let Some(distrust) = &status.distrust {
        (StatusCode::SERVICE_UNAVAILABLE, distrust.as_str())
    } else {
        (StatusCode::OK, "ok")
    };
    let refused = status.error.as_ref().map(|error| format!("new files not served: {error}\n")).unwrap_or_default();
    (code, format!("{verdict}\n{}\n{refused}", status.certificate))
}

async fn metrics(State(ops): State<OpsState>) -> impl IntoResponse {
    ops.metrics.log_lines_lost.inner().store(telemetry::lost_lines(), Ordering::Relaxed);
    ([(CONTENT_TYPE, METRICS_TYPE)], ops.metrics.encode())
}

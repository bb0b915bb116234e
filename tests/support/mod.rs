//! What several tests need: a review, a way to send it, certificates.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod certificates;
pub mod client;
pub mod program;
pub mod recorded;
pub mod test_server;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use session_webhook::core::settings::Settings;
use session_webhook::metrics::Metrics;
use session_webhook::server::router::{App, router};
use session_webhook::server::tls::Handshake;
use session_webhook::server::{Config, Limits, Listeners, Timeouts, TlsSource};
use tower::ServiceExt;

/// Long enough for a loaded machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// HobbyFarm moving `end_time` forward.
pub fn review() -> Value {
    let session = |end: &str| {
        json!({
            "apiVersion": "hobbyfarm.io/v1",
            "kind": "Session",
            "metadata": {
                "name": "s0",
                "namespace": "hobbyfarm-system",
                "uid": "700eab7d-185a-405b-b1aa-a69923a0c475",
                "creationTimestamp": "2026-11-24T00:09:59Z",
                "resourceVersion": "794"
            },
            "spec": {
                "scenario": "s-lkjsdflkjs",
                "course": "c-lkjsdflkjs",
                "keep_course_vm": true,
                "user": "u-lkjsdflkjs",
                "vm_claim": ["vmc-lkjsdflkjsf"],
                "access_code": "ac-ljw4s4dsdf"
            },
            "status": {
                "paused": false,
                "paused_time": "",
                "active": true,
                "finished": false,
                "start_time": "Tue Nov 24 00:10:00 UTC 2026",
                "end_time": end
            }
        })
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "a0f31bcb-42c7-4e98-b153-e293750c00b1",
            "kind": { "group": "hobbyfarm.io", "version": "v1", "kind": "Session" },
            "resource": { "group": "hobbyfarm.io", "version": "v1", "resource": "sessions" },
            "subResource": "status",
            "name": "s0",
            "namespace": "hobbyfarm-system",
            "operation": "UPDATE",
            "userInfo": {
                "username": "system:serviceaccount:hobbyfarm-system:hobbyfarm-session",
                "uid": "4206a40d-4936-451b-9a31-c39650762966",
                "groups": ["system:serviceaccounts", "system:authenticated"]
            },
            "object": session("Tue Nov 24 00:20:00 UTC 2026"),
            "oldObject": session("Tue Nov 24 00:15:00 UTC 2026"),
            "dryRun": false
        }
    })
}

/// Metrics as the server makes them.
pub fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new("0.0.0", "test"))
}

/// The real policy with its default settings.
pub fn app(limits: Limits, metrics: &Arc<Metrics>) -> App {
    App::new(Settings::default(), limits, Arc::clone(metrics))
}

/// The real router, policy and clock, with defaults.
pub fn default_router() -> Router {
    router(Arc::new(app(Limits::default(), &metrics())))
}

/// A `POST` of JSON.
pub fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends one request through the router, without a socket.
pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A server on ports of the system's choice that stops at once.
pub fn config(tls: TlsSource) -> Config {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Config {
        settings: Settings::default(),
        listeners: Listeners { webhook: local, ops: local },
        limits: Limits::default(),
        timeouts: Timeouts {
            handshake: PATIENCE,
            header: PATIENCE,
            idle: PATIENCE,
            age: Duration::ZERO,
            drain_delay: Duration::ZERO,
            drain: PATIENCE,
        },
        tls,
        handshake: Handshake::default(),
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

//! Traces by OTLP, with the feature `traces` alone: one span for each request, below the caller's where it sends a `traceparent`.
//!
//! The variables of the OpenTelemetry specification say where to and how many (`OTEL_EXPORTER_OTLP_ENDPOINT`,
//! `OTEL_TRACES_SAMPLER` and others); without an endpoint nothing is measured and nothing sent. The decision is read from the
//! audit annotations of the answer, so that nothing on the way to it knows of traces.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::{Bytes, HttpBody as Body};
use axum::http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry::{KeyValue, global};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::config::Environment;

/// The name of the service, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "session-webhook";
/// One of these has to be set.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// A collector that takes longer loses what it was sent.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// What sends the spans.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to trace, where the environment names an endpoint. Called within the runtime that sends.
    ///
    /// # Errors
    ///
    /// An endpoint that is none, and one by TLS, which is not spoken here: the collector is meant to be near.
    pub fn begin(environment: Environment<'_>) -> anyhow::Result<Option<Self>> {
        let said =
            |name| environment(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
        let Some((name, endpoint)) = ENDPOINTS.into_iter().find_map(|name| Some((name, said(name)?))) else {
            return Ok(None);
        };
        anyhow::ensure!(
            endpoint.starts_with("http://"),
            "{name}={endpoint}: expected http://HOST:PORT (OTLP over HTTP)"
        );
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(RuntimeHttpClient { runtime: Handle::current(), client })
            .build()?;
        let resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", crate::VERSION))
            .with_attribute(KeyValue::new(
                "service.name",
                said("OTEL_SERVICE_NAME").unwrap_or_else(|| SERVICE.to_owned()),
            ))
            .build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        global::set_tracer_provider(provider.clone());
        tracing::info!(endpoint, "sending traces");
        Ok(Some(Self(provider)))
    }

    /// Sends what is left.
    pub async fn end(self) {
        // It blocks, and what sends needs the runtime.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(EXPORT_TIMEOUT)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "traces were lost");
        }
    }
}

/// The span of one request.
pub struct RequestSpan(global::BoxedSpan);

/// Begins the span of a request.
pub fn begin_request_span<B>(request: &Request<B>) -> RequestSpan {
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    let path = request.uri().path();
    // Two paths are served; any other is a client's text.
    let path =
        if matches!(path, "/mutate" | "/validate") { Cow::Owned(path.to_owned()) } else { Cow::Borrowed("other") };
    let tracer = global::tracer_provider().tracer(SERVICE);
    let builder =
        tracer.span_builder(format!("{} {path}", method(request.method().as_str()))).with_kind(SpanKind::Server);
    let mut span = builder.start_with_context(&tracer, &parent);
    span.set_attribute(KeyValue::new("http.request.method", method(request.method().as_str())));
    span.set_attribute(KeyValue::new("http.route", path));
    RequestSpan(span)
}

impl RequestSpan {
    /// Ends it with what was answered.
    pub async fn end_with_response<B>(mut self, response: Response<B>) -> Response<B>
    where
        B: Body<Data = Bytes> + From<Bytes> + Unpin,
    {
        if !self.0.is_recording() {
            return response;
        }
        let code = response.status();
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(code.as_u16())));
        if code.is_server_error() {
            self.0.set_status(Status::error(code.as_str().to_owned()));
        }
        let (parts, body) = response.into_parts();
        // It is in memory: nothing is waited for.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        for (key, value) in decision(&body) {
            self.0.set_attribute(KeyValue::new(format!("session_webhook.{key}"), value));
        }
        self.0.end();
        Response::from_parts(parts, B::from(body))
    }
}

/// The audit annotations of an answer: rule, decision, repairs and others.
fn decision(body: &[u8]) -> Vec<(String, String)> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let annotations = answer.pointer("/response/auditAnnotations").and_then(Value::as_object);
    let entries = annotations.into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A method, from a closed set.
fn method(name: &str) -> &'static str {
    match name {
        "POST" => "POST",
        "GET" => "GET",
        _ => "_OTHER",
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// Sends from the runtime, whatever thread asks for it: batches are made on one of their own.
#[derive(Debug)]
struct RuntimeHttpClient {
    runtime: Handle,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[async_trait::async_trait]
impl HttpClient for RuntimeHttpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, request) = (self.client.clone(), request.map(Full::new));
        let sending = async move {
            let (parts, body) = client.request(request).await?.into_parts();
            Ok::<_, HttpError>(Response::from_parts(parts, body.collect().await?.to_bytes()))
        };
        // Within the task: a timer can only be made in the runtime.
        self.runtime.spawn(async move { tokio::time::timeout(EXPORT_TIMEOUT, sending).await }).await??
    }
}

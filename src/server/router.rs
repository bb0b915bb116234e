//! `POST /mutate` and `POST /validate`: from an HTTP request to a verdict, or to the reason why there is none.

use std::borrow::Cow;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Bytes, HttpBody as Body};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response};
use futures::FutureExt;
use http_body_util::Full;
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::task::spawn_blocking;

use super::Limits;
use super::body::{self, InFlightBudget, InFlightPermit};
use super::log::{self, LogThrottle};
use super::request_error::RequestError;
use super::tls::UnknownClient;
use crate::core::admission::decision::Decision;
use crate::core::admission::policy::Policy;
use crate::core::admission::response::respond;
use crate::core::admission::review::{Review, ReviewError, Webhook};
use crate::core::settings::Settings;
use crate::metrics::{Metrics, ReviewLabels, RuleLabel};

/// Decides one review at one point in time; [`Policy::decide`] in production.
pub type Decide = dyn Fn(Webhook, &Review<'_>, Timestamp) -> Result<Decision, ReviewError> + Send + Sync;

/// Tells the time; read once per request.
pub type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// Bodies above this many bytes are decided off the async workers, where some milliseconds of parsing hold nobody up.
const LARGE_BODY: usize = 256 << 10;

/// The content type of reviews and their answers.
const JSON: &str = "application/json";

/// What all requests share. Immutable but for counters.
pub struct App {
    decide: Box<Decide>,
    clock: Box<Clock>,
    limits: Limits,
    metrics: Arc<Metrics>,
    requests: Arc<InFlightBudget>,
    decisions: Arc<InFlightBudget>,
    bytes: Arc<InFlightBudget>,
    not_sessions_throttle: LogThrottle,
    errors_throttle: LogThrottle,
}

impl App {
    /// The policy with these settings, and the system's clock.
    pub fn new(settings: Settings, limits: Limits, metrics: Arc<Metrics>) -> Self {
        let policy = Policy::new(settings);
        // From the start, or the first of them would not be seen as one.
        for error in [RequestError::TooManyRequests, RequestError::TooManyBytes, RequestError::Stopping] {
            drop(metrics.refused.get_or_create(&error.labels()));
        }
        Self {
            decide: Box::new(move |webhook, review, now| policy.decide(webhook, review, now)),
            clock: Box::new(super::clock),
            limits,
            requests: InFlightBudget::new(usize::MAX, metrics.requests_in_flight.clone()),
            decisions: InFlightBudget::new(limits.requests, metrics.decisions_in_flight.clone()),
            bytes: InFlightBudget::new(limits.bytes, metrics.bytes_in_flight.clone()),
            metrics,
            not_sessions_throttle: LogThrottle::new(),
            errors_throttle: LogThrottle::new(),
        }
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(self, clock: Box<Clock>) -> Self {
        Self { clock, ..self }
    }

    /// With something else than the policy.
    #[must_use]
    pub fn with_decide(self, decide: Box<Decide>) -> Self {
        Self { decide, ..self }
    }

    /// Answers one request, whatever happens on the way.
    ///
    /// There is no router in between: two paths need none, and it would take longer than the decision.
    pub(super) fn respond<B>(self: Arc<Self>, request: Request<B>) -> impl Future<Output = Response<Full<Bytes>>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let app = Arc::clone(&self);
        let (parts, body) = request.into_parts();
        // Of its head, this alone goes along, or all that follows would have room for the rest.
        let webhook = route(&parts);
        let path = match &webhook {
            Ok(webhook) => Cow::Borrowed(webhook.path()),
            Err(_) => Cow::Owned(parts.uri.path().to_owned()),
        };
        AssertUnwindSafe(self.respond_with(webhook, path, parts.headers, body)).catch_unwind().map(move |result| {
            result.unwrap_or_else(|_panic| {
                app.metrics.panics.inc();
                // Where it happened, the panic hook has logged.
                app.error_response("", &RequestError::Panic)
            })
        })
    }

    #[expect(clippy::manual_async_fn, reason = "an async function would have room for its arguments twice")]
    fn respond_with<B>(
        self: Arc<Self>,
        webhook: Result<Webhook, RequestError>,
        path: Cow<'static, str>,
        headers: HeaderMap,
        mut body: B,
    ) -> impl Future<Output = Response<Full<Bytes>>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        async move {
            let result = match webhook {
                Err(error) => Err(error),
                Ok(webhook) => {
                    let started = Instant::now();
                    let result = review_response(&self, webhook, &headers, &mut body).await;
                    self.metrics.duration_of(webhook).observe(started.elapsed().as_secs_f64());
                    result
                }
            };
            match result {
                Ok(answer) => {
                    let mut response = Response::new(Full::from(answer));
                    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
                    response
                }
                Err(error) => {
                    body::discard(&headers, &mut body).await;
                    self.error_response(&path, &error)
                }
            }
        }
    }

    fn error_response(&self, path: &str, error: &RequestError) -> Response<Full<Bytes>> {
        let labels = error.labels();
        log::request_error(path, labels.code, labels.reason, &self.errors_throttle);
        self.metrics.refused.get_or_create(&labels).inc();
        error.response()
    }

    /// Reads, decides and answers one review.
    fn answer(&self, webhook: Webhook, body: &[u8]) -> Result<Vec<u8>, RequestError> {
        let review = Review::parse(body).map_err(RequestError::Unreadable)?;
        let decision = (self.decide)(webhook, &review, (self.clock)()).map_err(RequestError::Unreadable)?;

        let labels = ReviewLabels::new(webhook, &review, decision.rule, &decision.verdict);
        self.metrics.count_review(&labels);
        for &rule in &decision.broken_invariants {
            self.metrics.broken_invariants.get_or_create(&RuleLabel { rule }).inc();
        }
        log::decision(webhook, &review, &decision);
        log::not_a_session(&review, &decision, &self.not_sessions_throttle);
        Ok(respond(&review, &decision))
    }
}

/// The webhook that a request calls.
fn route(parts: &Parts) -> Result<Webhook, RequestError> {
    match Webhook::ALL.into_iter().find(|webhook| webhook.path() == parts.uri.path()) {
        _ if parts.extensions.get::<UnknownClient>().is_some() => Err(RequestError::UnknownClient),
        None => Err(RequestError::UnknownPath),
        Some(_) if parts.method != Method::POST => Err(RequestError::Method),
        Some(webhook) => Ok(webhook),
    }
}

/// Answers one request of the webhooks' listener.
pub(super) fn answer_request(
    app: Arc<App>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> {
    #[cfg(feature = "traces")]
    let span = crate::traces::begin_request_span(&request);
    let response = app.respond(request);
    #[cfg(feature = "traces")]
    let response = response.then(|response| span.end_with_response(response));
    response.map(Ok)
}

/// The app as a service, for those who bring their own connections.
pub fn router(app: Arc<App>) -> Router {
    Router::new().fallback(async move |request: Request<axum::body::Body>| Arc::clone(&app).respond(request).await)
}

async fn review_response<B>(
    app: &Arc<App>,
    webhook: Webhook,
    headers: &HeaderMap,
    body: &mut B,
) -> Result<Vec<u8>, RequestError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let request_permit = app.requests.acquire(1);
    let (body, permit, decision_permit) = read_body(app, headers, body).await?;
    if body.len() <= LARGE_BODY {
        return app.answer(webhook, &body);
    }
    let shared = Arc::clone(app);
    let work = spawn_blocking(move || {
        let result = shared.answer(webhook, &body);
        // Held to here even when the client has gone: the work is still being done.
        drop((permit, decision_permit, request_permit));
        result
    });
    work.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_cancelled) => Err(RequestError::Stopping),
    })
}

/// The body, and the permits for its bytes and for deciding.
async fn read_body<B>(
    app: &App,
    headers: &HeaderMap,
    body: &mut B,
) -> Result<(Bytes, InFlightPermit, InFlightPermit), RequestError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if !is_json(headers) {
        return Err(RequestError::ContentType);
    }
    let (body, permit) = body::read(headers, body, &app.bytes, app.limits.body_timeout).await?;
    // Not before the body is there: slow clients would hold all places.
    let decision_permit = app.decisions.acquire(1).ok_or(RequestError::TooManyRequests)?;
    Ok((body, permit, decision_permit))
}

/// Whether the content type is JSON, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    let essence = || value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    // The first is what an API server sends.
    value == JSON || essence().trim().eq_ignore_ascii_case(JSON)
}

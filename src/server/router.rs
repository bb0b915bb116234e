//! `POST /mutate` and `POST /validate`: from an HTTP request to a verdict, or to the reason why there is none.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tower_http::catch_panic::CatchPanicLayer;

use super::Limits;
use super::body::{self, Budget, Charge};
use super::connection::UnknownClient;
use super::log::{self, Throttle};
use super::refusal::Refusal;
use crate::core::policy::{Decision, Policy};
use crate::core::response::respond;
use crate::core::review::{Review, ReviewError, Webhook};
use crate::core::settings::Settings;
use crate::metrics::{Metrics, ReviewLabels, RuleLabel, WebhookLabel};

/// Decides one review at one point in time; [`Policy::decide`] in production.
pub type Decide = dyn Fn(Webhook, &Review<'_>, Timestamp) -> Result<Decision, ReviewError> + Send + Sync;

/// Tells the time; read once per request.
pub type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// Bodies above this many bytes are decided off the async workers, where some milliseconds of parsing hold nobody up.
const LARGE_BODY: usize = 256 << 10;

/// What all requests share. Immutable but for counters.
pub struct App {
    decide: Box<Decide>,
    clock: Box<Clock>,
    limits: Limits,
    metrics: Arc<Metrics>,
    requests: Arc<Budget>,
    decisions: Arc<Budget>,
    bytes: Arc<Budget>,
    strangers: Throttle,
    refusals: Throttle,
}

impl App {
    /// The policy with these settings, and the system's clock.
    pub fn new(settings: Settings, limits: Limits, metrics: Arc<Metrics>) -> Self {
        let policy = Policy::new(settings);
        // From the start, or the first of them would not be seen as one.
        for refusal in [Refusal::TooManyRequests, Refusal::TooManyBytes, Refusal::Stopping] {
            drop(metrics.refused.get_or_create(&refusal.labels()));
        }
        Self {
            decide: Box::new(move |webhook, review, now| policy.decide(webhook, review, now)),
            clock: Box::new(super::clock),
            limits,
            requests: Budget::new(usize::MAX, metrics.requests_in_flight.clone()),
            decisions: Budget::new(limits.requests, metrics.decisions_in_flight.clone()),
            bytes: Budget::new(limits.bytes, metrics.bytes_in_flight.clone()),
            metrics,
            strangers: Throttle::new(),
            refusals: Throttle::new(),
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

    fn refuse(&self, path: &str, refusal: Refusal) -> Response {
        let labels = refusal.labels();
        log::refused(path, labels.code, labels.reason, &self.refusals);
        self.metrics.refused.get_or_create(&labels).inc();
        refusal.into_response()
    }

    /// Reads, decides and answers one review.
    fn answer(&self, webhook: Webhook, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let review = Review::parse(body).map_err(Refusal::Unreadable)?;
        let decision = (self.decide)(webhook, &review, (self.clock)()).map_err(Refusal::Unreadable)?;

        let labels = ReviewLabels::new(webhook, &review, decision.rule, &decision.verdict);
        self.metrics.reviews.get_or_create(&labels).inc();
        for &rule in &decision.broken_invariants {
            self.metrics.broken_invariants.get_or_create(&RuleLabel { rule }).inc();
        }
        log::decision(webhook, &review, &decision);
        log::not_a_session(&review, &decision, &self.strangers);
        Ok(respond(&review, &decision))
    }
}

/// The two webhooks, and an answer for everything else.
pub fn router(app: Arc<App>) -> Router {
    let (panicked, doorkeeper) = (Arc::clone(&app), Arc::clone(&app));
    Router::new()
        .route(Webhook::Mutate.path(), webhook(Webhook::Mutate))
        .route(Webhook::Validate.path(), webhook(Webhook::Validate))
        .fallback(async |State(app): State<Arc<App>>, uri: Uri| app.refuse(uri.path(), Refusal::UnknownPath))
        .with_state(app)
        .layer(from_fn(move |request: Request, next: Next| {
            let app = Arc::clone(&doorkeeper);
            async move {
                if request.extensions().get::<UnknownClient>().is_some() {
                    return app.refuse(request.uri().path(), Refusal::UnknownClient);
                }
                next.run(request).await
            }
        }))
        .layer(CatchPanicLayer::custom(move |_| {
            panicked.metrics.panics.inc();
            // Where it happened, the panic hook has logged.
            panicked.refuse("", Refusal::Panic)
        }))
}

fn webhook(webhook: Webhook) -> MethodRouter<Arc<App>> {
    post(async move |State(app): State<Arc<App>>, request: Request| {
        let started = Instant::now();
        let result = verdict(&app, webhook, request).await;
        app.metrics.duration.get_or_create(&WebhookLabel { webhook }).observe(started.elapsed().as_secs_f64());
        match result {
            Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
            Err(refusal) => app.refuse(webhook.path(), refusal),
        }
    })
    .fallback(async |State(app): State<Arc<App>>, uri: Uri| app.refuse(uri.path(), Refusal::Method))
}

async fn verdict(app: &Arc<App>, webhook: Webhook, request: Request) -> Result<Vec<u8>, Refusal> {
    let (parts, mut body) = request.into_parts();
    let in_flight = app.requests.take(1);
    let (body, charge, deciding) = match read(app, &parts.headers, &mut body).await {
        Ok(read) => read,
        Err(refusal) => {
            body::discard(&parts.headers, body).await;
            return Err(refusal);
        }
    };
    if body.len() <= LARGE_BODY {
        return app.answer(webhook, &body);
    }
    let shared = Arc::clone(app);
    let work = spawn_blocking(move || {
        let result = shared.answer(webhook, &body);
        // Held to here even when the client has gone: the work is still being done.
        drop((charge, deciding, in_flight));
        result
    });
    work.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_cancelled) => Err(Refusal::Stopping),
    })
}

/// The body, and what it is charged with.
async fn read(app: &App, headers: &HeaderMap, body: &mut Body) -> Result<(Vec<u8>, Charge, Charge), Refusal> {
    if !is_json(headers) {
        return Err(Refusal::ContentType);
    }
    let (body, charge) = body::read(headers, body, &app.bytes, app.limits.body_timeout).await?;
    // Not before the body is there: slow clients would hold all places.
    let deciding = app.decisions.take(1).ok_or(Refusal::TooManyRequests)?;
    Ok((body, charge, deciding))
}

/// Whether the content type is JSON, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

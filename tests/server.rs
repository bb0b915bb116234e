//! The wire contract, through the real router without a socket.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use rstest::rstest;
use session_webhook::core::admission::policy::Policy;
use session_webhook::core::settings::Settings;
use session_webhook::metrics::Metrics;
use session_webhook::server::ops::{self, OpsState};
use session_webhook::server::router::router;
use session_webhook::server::tls::{Certificate, TlsStatus};
use session_webhook::server::{Limits, MAX_BODY, Stage};
use support::{Answer, app, default_router, eventually, metrics, post, review, send};
use tokio::sync::watch;

/// The router with the real policy and these limits, and its metrics.
fn limited(limits: Limits) -> (Router, Arc<Metrics>) {
    let metrics = metrics();
    (router(Arc::new(app(limits, &metrics))), metrics)
}

/// A body that never comes.
fn never() -> Body {
    Body::from_stream(stream::pending::<io::Result<Bytes>>())
}

fn declared(length: usize, body: Body) -> Request<Body> {
    let mut request = post("/validate", body);
    request.headers_mut().insert("content-length", length.into());
    request
}

fn assert_refused(answer: &Answer, status: StatusCode, word: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    let text = answer.text();
    assert!(text.contains(word) && text.len() < 500 && text.trim_end().lines().count() == 1, "{text}");
}

#[rstest]
#[case("/mutate")]
#[case("/validate")]
#[case("/validate?timeout=10s")]
#[tokio::test]
async fn a_readable_review_is_answered_with_its_uid(#[case] path: &str) {
    let answer = send(&default_router(), post(path, review().to_string())).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/json");
    let answer = answer.json();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["uid"], review()["request"]["uid"]);
    assert_eq!(answer["response"]["allowed"], true);
}

#[rstest]
#[case::empty("", "AdmissionReview")]
#[case::no_json("hello", "AdmissionReview")]
#[case::another_kind(r#"{"apiVersion":"admission.k8s.io/v1","kind":"Pod"}"#, "kind")]
#[case::v1beta1(
    r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}"#,
    "admission.k8s.io/v1,"
)]
#[case::v1beta1_way_out(
    r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#,
    "admissionReviewVersions"
)]
#[case::no_request(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, "no request")]
#[case::null_request(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}"#, "request")]
#[tokio::test]
async fn an_unreadable_body_is_400_with_text_that_helps(#[case] body: &'static str, #[case] word: &str) {
    let (router, metrics) = limited(Limits::default());
    assert_refused(&send(&router, post("/validate", body)).await, StatusCode::BAD_REQUEST, word);
    assert!(metrics.encode().contains(r#"requests_refused_total{code="400""#));
}

/// Until they are read, answers wait outside the budget of bytes in flight.
#[rstest]
#[case::uid("/uid", 256)]
#[case::name("/name", usize::MAX)]
#[case::namespace("/namespace", usize::MAX)]
#[case::kind("/kind/kind", usize::MAX)]
#[case::user("/userInfo/username", usize::MAX)]
#[case::time("/object/status/end_time", usize::MAX)]
#[case::flag("/object/status/active", usize::MAX)]
#[tokio::test]
async fn an_answer_repeats_little_of_a_request(
    #[case] field: &str,
    #[case] longest: usize,
    #[values("/mutate", "/validate")] path: &str,
    #[values("alice", "system:serviceaccount:hobbyfarm:gargantua")] user: &str,
) {
    for length in [256, 257, 1_000_000] {
        let mut review = review();
        review["request"]["userInfo"]["username"] = user.into();
        *review["request"].pointer_mut(field).unwrap() = "x".repeat(length).into();
        let answer = send(&default_router(), post(path, review.to_string())).await;
        let status = if length > longest { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().len() < 4096, "{length}: {} bytes", answer.text().len());
        assert!(length <= longest || answer.text().starts_with(&format!("request.uid has {length} bytes")));
    }
}

#[rstest]
#[case("application/json", StatusCode::OK)]
#[case("application/json; charset=utf-8", StatusCode::OK)]
#[case("Application/JSON", StatusCode::OK)]
#[case("application/yaml", StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case("application/jsonp", StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case("", StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[tokio::test]
async fn another_content_type_than_json_is_415(#[case] content_type: &str, #[case] status: StatusCode) {
    let request = Request::post("/validate").header("content-type", content_type);
    let answer = send(&default_router(), request.body(review().to_string().into()).unwrap()).await;
    assert_eq!(answer.status, status);
}

#[tokio::test]
async fn a_missing_content_type_is_415() {
    let request = Request::post("/validate").body(review().to_string().into()).unwrap();
    assert_refused(&send(&default_router(), request).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/json");
}

#[rstest]
#[tokio::test]
async fn another_method_than_post_is_405(
    #[values("/mutate", "/validate")] path: &str,
    #[values("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "ODD")] method: Method,
) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let answer = send(&default_router(), request).await;
    assert_refused(&answer, StatusCode::METHOD_NOT_ALLOWED, "POST");
    assert_eq!(answer.headers["allow"], "POST");
}

#[rstest]
#[tokio::test]
async fn an_unknown_path_is_404(#[values("/", "/mutate/", "/Mutate", "/metrics", "/validate/x", "/%00")] path: &str) {
    assert_refused(&send(&default_router(), post(path, "{}")).await, StatusCode::NOT_FOUND, "/validate");
}

#[tokio::test]
async fn a_body_that_is_declared_too_large_is_refused_unread() {
    let answer = send(&default_router(), declared(MAX_BODY + 1, never())).await;
    assert_refused(&answer, StatusCode::PAYLOAD_TOO_LARGE, "33554432");
}

#[tokio::test]
async fn a_chunked_body_that_grows_too_large_is_refused() {
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let chunks = stream::iter((0..33).map(move |_| Ok::<_, io::Error>(chunk.clone())));
    let answer = send(&default_router(), post("/validate", Body::from_stream(chunks))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_review_of_20_mb_is_answered() {
    let mut large = review();
    large["request"]["object"]["spec"]["course"] = "<".repeat(3_300_000).into();
    let body = large.to_string().replace('<', "\\u003c");
    assert!(body.len() > 19_000_000);
    let (router, metrics) = limited(Limits::default());
    let answer = send(&router, declared(body.len(), body.into())).await;
    assert_eq!(answer.json()["response"]["uid"], review()["request"]["uid"]);
    assert_eq!(metrics.bytes_in_flight.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_too_many_is_503_at_once_and_without_retry_after() {
    let metrics = metrics();
    let policy = Policy::new(Settings::default());
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let app = app(Limits { requests: 1, ..Limits::default() }, &metrics).with_decide(Box::new(
        move |webhook, review, now| {
            wait.lock().unwrap().recv().unwrap();
            policy.decide(webhook, review, now)
        },
    ));
    let router = router(Arc::new(app));
    let first = tokio::spawn({
        let router = router.clone();
        async move { send(&router, post("/validate", review().to_string())).await.status }
    });
    eventually("the first is being decided", || metrics.decisions_in_flight.get() == 1).await;
    let answer = send(&router, post("/validate", review().to_string())).await;
    assert_refused(&answer, StatusCode::SERVICE_UNAVAILABLE, "overloaded");
    assert!(!answer.headers.contains_key("retry-after"));

    go_on.send(()).unwrap();
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    go_on.send(()).unwrap();
    assert_eq!(send(&router, post("/validate", review().to_string())).await.status, StatusCode::OK);
}

#[tokio::test]
async fn clients_that_send_no_body_take_nobodys_place() {
    let (router, metrics) = limited(Limits { requests: 1, bytes: MAX_BODY, ..Limits::default() });
    let slow: Vec<_> = (0..10)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { send(&router, declared(MAX_BODY, never())).await })
        })
        .collect();
    eventually("all are waited for", || metrics.requests_in_flight.get() == 10).await;
    assert_eq!(send(&router, post("/validate", review().to_string())).await.status, StatusCode::OK);
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}

#[rstest]
#[case::declared(true)]
#[case::chunked(false)]
#[tokio::test]
async fn more_bytes_than_all_may_have_together_are_503(#[case] declares: bool) {
    let (router, metrics) = limited(Limits { bytes: MAX_BODY, ..Limits::default() });
    let first = tokio::spawn({
        let router = router.clone();
        let begun = stream::iter([Ok(Bytes::from(vec![b' '; MAX_BODY]))]).chain(stream::pending::<io::Result<Bytes>>());
        async move { send(&router, declared(MAX_BODY, Body::from_stream(begun))).await }
    });
    eventually("the first is charged", || usize::try_from(metrics.bytes_in_flight.get()) == Ok(MAX_BODY)).await;
    let body = review().to_string();
    let request = if declares { declared(body.len(), body.into()) } else { post("/validate", body) };
    let answer = send(&router, request).await;
    assert_refused(&answer, StatusCode::SERVICE_UNAVAILABLE, "bytes");
    assert!(!answer.headers.contains_key("retry-after"));

    first.abort();
    eventually("the first has gone", || metrics.bytes_in_flight.get() == 0).await;
    assert_eq!(send(&router, post("/validate", review().to_string())).await.status, StatusCode::OK);
}

#[test]
fn several_of_the_largest_reviews_fit_at_once() {
    assert!(Limits::default().bytes >= 6 * 20_444_536);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let (router, metrics) = limited(Limits { body_timeout: Duration::from_millis(10), ..Limits::default() });
    let answer = send(&router, declared(100, never())).await;
    assert_refused(&answer, StatusCode::REQUEST_TIMEOUT, "too long");
    assert_eq!((metrics.requests_in_flight.get(), metrics.bytes_in_flight.get()), (0, 0));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(io::Error::other("reset"))]);
    let answer = send(&default_router(), post("/validate", Body::from_stream(broken))).await;
    assert_refused(&answer, StatusCode::BAD_REQUEST, "early");
}

/// A router whose policy panics for the Session named `panic`, and decides all others.
fn fragile(metrics: &Arc<Metrics>) -> Router {
    let policy =
        session_webhook::core::admission::policy::Policy::new(session_webhook::core::settings::Settings::default());
    let app = app(Limits::default(), metrics).with_decide(Box::new(move |webhook, review, now| {
        assert_ne!(review.name, "panic");
        policy.decide(webhook, review, now)
    }));
    router(Arc::new(app))
}

#[rstest]
#[case::small(0)]
#[case::large(1 << 20)]
#[tokio::test]
async fn a_panic_is_500_and_counted_and_the_next_request_is_answered(#[case] padding: usize) {
    let metrics = metrics();
    let router = fragile(&metrics);
    let mut bad = review();
    bad["request"]["name"] = "panic".into();
    bad["request"]["object"]["spec"]["course"] = "x".repeat(padding).into();
    for count in 1..=3 {
        let answer = send(&router, post("/mutate", bad.to_string())).await;
        assert_refused(&answer, StatusCode::INTERNAL_SERVER_ERROR, "internal error");
        assert_eq!(metrics.panics.get(), count);
        assert_eq!(send(&router, post("/mutate", review().to_string())).await.status, StatusCode::OK);
    }
    assert_eq!((metrics.requests_in_flight.get(), metrics.bytes_in_flight.get()), (0, 0));
}

#[tokio::test]
async fn the_clock_is_read_once_per_request() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let app = app(Limits::default(), &metrics()).with_clock(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Timestamp::UNIX_EPOCH
    }));
    send(&router(Arc::new(app)), post("/mutate", review().to_string())).await;
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn labels_come_from_closed_sets() {
    let (router, metrics) = limited(Limits::default());
    for odd in 0..50 {
        let mut stranger = review();
        stranger["request"]["subResource"] = format!("odd-{odd}").into();
        stranger["request"]["userInfo"]["username"] = format!("eve-{odd}").into();
        send(&router, post("/validate", stranger.to_string())).await;
        send(&router, post(&format!("/odd-{odd}"), "")).await;
    }
    let text = metrics.encode();
    let series = text
        .lines()
        .filter(|line| line.starts_with("session_webhook_reviews_total{") && !line.ends_with(" 0"))
        .collect::<Vec<_>>();
    assert_eq!(series.len(), 1, "{series:?}");
    for label in [r#"webhook="validate""#, r#"operation="UPDATE""#, r#"subresource="other""#] {
        assert!(series[0].contains(label), "{series:?}");
    }
    assert!(!text.contains("odd-") && !text.contains("eve"), "{text}");
}

fn status(not_after: &str) -> TlsStatus {
    let certificate = Certificate {
        subject: "CN=hook".to_owned(),
        names: vec!["hook.example".to_owned()],
        not_before: Timestamp::UNIX_EPOCH,
        not_after: not_after.parse().unwrap(),
    };
    TlsStatus { certificate, loads: 1, error: None, distrust: None }
}

#[rstest]
#[case::served("2200-01-01T00:00:00Z", Stage::Serving, StatusCode::OK, "ok\n")]
#[case::expired("2020-01-01T00:00:00Z", Stage::Serving, StatusCode::SERVICE_UNAVAILABLE, "expired")]
#[case::stopping("2200-01-01T00:00:00Z", Stage::Draining, StatusCode::SERVICE_UNAVAILABLE, "stopping")]
#[tokio::test]
async fn readiness_tells_the_certificate(
    #[case] not_after: &str,
    #[case] stage: Stage,
    #[case] code: StatusCode,
    #[case] word: &str,
) {
    let (_tls, tls) = watch::channel(status(not_after));
    let (_stage, stage) = watch::channel(stage);
    let router = ops::router(OpsState { metrics: metrics(), tls, stage });
    let ready = send(&router, Request::get("/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!(ready.status, code);
    for part in [word, "CN=hook", "hook.example", not_after] {
        assert!(ready.text().contains(part), "{}", ready.text());
    }
    let live = send(&router, Request::get("/livez").body(Body::empty()).unwrap()).await;
    assert_eq!(live.status, StatusCode::OK);
    let metrics = send(&router, Request::get("/metrics").body(Body::empty()).unwrap()).await;
    assert!(metrics.text().contains("session_webhook_build_info"));
    let lost = send(&router, Request::get("/").body(Body::empty()).unwrap()).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
}

/// What nobody looks at is skipped without recursion; where a value is read, `serde_json` stops at 128 levels.
#[rstest]
#[case::beside_what_is_read("/request/object/spec/scenario", StatusCode::OK)]
#[case::in_the_review("/request/dryRun", StatusCode::BAD_REQUEST)]
#[case::in_the_status("/request/object/status/end_time", StatusCode::OK)]
#[tokio::test]
async fn a_review_nested_ten_thousand_deep_is_answered(
    #[values("/mutate", "/validate")] path: &str,
    #[case] place: &str,
    #[case] code: StatusCode,
) {
    let mut review = review();
    *review.pointer_mut(place).unwrap() = "NEST".into();
    let nest = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let body = review.to_string().replace(r#""NEST""#, &nest);
    let answer = send(&default_router(), post(path, body)).await;
    assert_eq!(answer.status, code, "{}", answer.text());
}

//! Requests that get no verdict: which HTTP code, which text.

use axum::body::Bytes;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::MAX_BODY;
use crate::core::admission::review::ReviewError;
use crate::metrics::RefusalLabels;

/// Why a request got no verdict. The API server then does what `failurePolicy` says and shows the text to its client.
#[derive(Debug)]
pub(super) enum RequestError {
    /// 403.
    UnknownClient,
    /// 404.
    UnknownPath,
    /// 405.
    Method,
    /// 415.
    ContentType,
    /// 413.
    TooLarge,
    /// 503, for the number of requests.
    TooManyRequests,
    /// 503, for the bytes of their bodies.
    TooManyBytes,
    /// 408.
    BodyTimeout,
    /// 400: the body ended before its time.
    BodyBroken,
    /// 400.
    Unreadable(ReviewError),
    /// 503: the process ends before the answer is there.
    Stopping,
    /// 500.
    Panic,
}

impl RequestError {
    pub(super) const fn code(&self) -> StatusCode {
        match self {
            Self::UnknownClient => StatusCode::FORBIDDEN,
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // Never with Retry-After: the API server would try again until its own timeout and keep its client waiting.
            Self::TooManyRequests | Self::TooManyBytes | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken | Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For the metric.
    pub(super) const fn labels(&self) -> RefusalLabels {
        RefusalLabels { code: self.code().as_u16(), reason: self.reason() }
    }

    /// One word for logs and metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownClient => "unknown-client",
            Self::UnknownPath => "unknown-path",
            Self::Method => "method",
            Self::ContentType => "content-type",
            Self::TooLarge => "too-large",
            Self::TooManyRequests => "too-many-requests",
            Self::TooManyBytes => "too-many-bytes",
            Self::BodyTimeout => "body-timeout",
            Self::BodyBroken => "body-broken",
            Self::Unreadable(ReviewError::Unreadable(_)) => "unreadable",
            Self::Unreadable(ReviewError::Kind(_)) => "kind",
            Self::Unreadable(ReviewError::Version(_)) => "version",
            Self::Unreadable(ReviewError::NoRequest) => "no-request",
            Self::Unreadable(ReviewError::Uid(_)) => "uid",
            Self::Unreadable(ReviewError::Object { .. }) => "object",
            Self::Unreadable(ReviewError::Missing { .. }) => "missing-object",
            Self::Stopping => "stopping",
            Self::Panic => "panic",
        }
    }

    /// One line for a person.
    fn text(&self) -> String {
        match self {
            Self::UnknownClient => "the client certificate is not among those that are answered here".to_owned(),
            Self::UnknownPath => "unknown path: the webhooks are POST /mutate and POST /validate".to_owned(),
            Self::Method => "only POST with an AdmissionReview is answered here".to_owned(),
            Self::ContentType => "expected Content-Type: application/json".to_owned(),
            Self::TooLarge => format!("the body is larger than {MAX_BODY} bytes"),
            Self::TooManyRequests => "overloaded: too many requests in flight".to_owned(),
            Self::TooManyBytes => "overloaded: too many bytes in flight".to_owned(),
            Self::BodyTimeout => "the body took too long to arrive".to_owned(),
            Self::BodyBroken => "the body ended early".to_owned(),
            Self::Unreadable(error) => error.to_string(),
            Self::Stopping => "stopping".to_owned(),
            Self::Panic => "internal error".to_owned(),
        }
    }

    /// The answer that a client gets.
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let mut text = self.text();
        text.push('\n');
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = self.code();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if matches!(self, Self::Method) {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

//! One connection to an API server: each request has a deadline that covers retries and the whole answer, credentials are
//! read again when they expire or are refused, and an answer has a largest size.
//!
//! A watch and an upgraded connection go on for as long as they like once they have begun.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyDataStream, BodyExt, Full, Limited, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout_at};

use super::ConnectOptions;
use super::credentials::{self, Credentials};
use super::error::{BoxError, ClusterError, RequestError, causes, describe};
use crate::server::clock;

/// Largest answer: a page of Sessions is a hundredth of it.
const MAX_RESPONSE: usize = 64 << 20;
/// Before the second attempt at a request that the API server had no time for; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// The longest pause, whatever `Retry-After` says.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Credentials that are refused are read again this often at most.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);
/// A token file is read again after this time.
const TOKEN_LIFE: Duration = Duration::from_secs(30);
/// Credentials are renewed this long before they expire.
const EXPIRY_MARGIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);
/// How often [`Connection::is_unresponsive`] looks.
const TICK: Duration = Duration::from_millis(100);

/// What an answer holds, all of it or as it comes.
type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

pub(super) struct Connection {
    options: ConnectOptions,
    server: String,
    /// Held while credentials are read, so that an exec plugin runs once.
    current: tokio::sync::Mutex<Current>,
    activity: Mutex<Activity>,
}

struct Current {
    client: Client,
    loaded: Instant,
    valid_until: Option<jiff::Timestamp>,
    token_file: Option<PathBuf>,
    token: Option<(HeaderValue, Instant)>,
}

/// What is going on.
struct Activity {
    last_success: Instant,
    last_error: Option<String>,
    pending: BTreeMap<u64, (String, Instant)>,
    next: u64,
}

impl Connection {
    /// Reads the credentials; an exec plugin has twice the time of a request.
    pub(super) async fn open(options: ConnectOptions) -> Result<(Self, String, Uri), ClusterError> {
        let credentials = load_credentials(&options).await?;
        let (namespace, address) = (credentials.namespace.clone(), credentials.address.clone());
        let now = Instant::now();
        let activity = Activity { last_success: now, last_error: None, pending: BTreeMap::new(), next: 0 };
        let connection = Self {
            options,
            server: address.to_string().trim_end_matches('/').to_owned(),
            current: tokio::sync::Mutex::new(Current::new(credentials)),
            activity: Mutex::new(activity),
        };
        Ok((connection, namespace, address))
    }

    pub(super) fn pending_request(&self) -> Option<(String, Duration)> {
        let activity = self.activity.lock();
        let (request, since) = activity.pending.values().min_by_key(|(_, since)| *since)?;
        Some((format!("{}: {request}", self.server), since.elapsed()))
    }

    pub(super) async fn is_unresponsive(&self) -> ClusterError {
        let (longest, begun) = (self.options.request_timeout * 2, Instant::now());
        loop {
            sleep(TICK).await;
            let activity = self.activity.lock();
            let waited = activity.last_success.max(begun).elapsed();
            if waited >= longest {
                let last = activity.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                return ClusterError::Unresponsive { server: self.server.clone(), waited, last };
            }
        }
    }

    /// Sends a request, and waits for all of its answer.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<AnswerBody>, BoxError> {
        let name = format!("{} {}", request.method(), request.uri().path());
        let _pending = PendingRequest::new(self, name.clone());
        let timeout = self.options.request_timeout;
        let deadline = Instant::now() + timeout;
        let answer = timeout_at(deadline.into(), self.answer(request, deadline)).await;
        let reason = match answer {
            Ok(Ok(response)) => {
                let mut activity = self.activity.lock();
                // A refusal is no sign that asking on is of use.
                if response.status().as_u16() < 400 || response.status() == StatusCode::NOT_FOUND {
                    activity.last_success = Instant::now();
                }
                return Ok(response);
            }
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {timeout:?}"),
        };
        let error = RequestError { request: name, server: self.server.clone(), reason };
        self.activity.lock().last_error = Some(error.to_string());
        Err(error.into())
    }

    /// The whole answer, after as many attempts as the deadline leaves room for.
    async fn answer(&self, request: Request<Body>, deadline: Instant) -> Result<Response<AnswerBody>, String> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| describe(&error))?.to_bytes();
        let is_watch = parts.uri.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("watch=")));
        let is_upgrade = parts.headers.contains_key(UPGRADE);
        let (mut retry, mut refreshed) = (FIRST_RETRY, false);
        loop {
            let (client, token, loaded) = self.credentials().await?;
            let mut attempt = Request::from_parts(parts.clone(), Body::from(body.to_vec()));
            if let Some(token) = token {
                attempt.headers_mut().insert(AUTHORIZATION, token);
            }
            let response = client.send(attempt).await.map_err(|error| explain_tls_error(&describe(&error)))?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED
                && !std::mem::replace(&mut refreshed, true)
                && self.refresh(loaded).await
            {
                continue;
            }
            if is_busy(status, &parts.method) {
                let pause = retry_after(&response).unwrap_or(retry).clamp(retry, LONGEST_RETRY);
                retry = (retry * 2).min(LONGEST_RETRY);
                // Half of what is left is for the answer.
                if pause * 2 < deadline.saturating_duration_since(Instant::now()) {
                    sleep(pause).await;
                    continue;
                }
            }
            if status == StatusCode::SWITCHING_PROTOCOLS || (is_watch && status.is_success()) || is_upgrade {
                return Ok(response.map(bounded_lines));
            }
            return read_whole_body(response).await;
        }
    }

    /// A client that is authenticated, the token to send with it, if that is in a file, and when both were loaded.
    async fn credentials(&self) -> Result<(Client, Option<HeaderValue>, Instant), String> {
        let mut current = self.current.lock().await;
        let expires = current.valid_until.is_some_and(|until| until.duration_since(clock()) < EXPIRY_MARGIN);
        if expires && current.loaded.elapsed() > REFRESH_INTERVAL {
            *current = Current::new(load_credentials(&self.options).await.map_err(|error| error.to_string())?);
        }
        let token = current.token()?;
        Ok((current.client.clone(), token, current.loaded))
    }

    /// Reads credentials again that were loaded then, and refused; whether there may be others now.
    async fn refresh(&self, loaded: Instant) -> bool {
        let mut current = self.current.lock().await;
        if current.loaded > loaded {
            // Another request was faster.
            return true;
        }
        if current.loaded.elapsed() < REFRESH_INTERVAL {
            return false;
        }
        match load_credentials(&self.options).await {
            Ok(credentials) => *current = Current::new(credentials),
            Err(_) => return false,
        }
        true
    }
}

impl Current {
    fn new(credentials: Credentials) -> Self {
        let Credentials { client, token_file, valid_until, namespace: _, address: _ } = credentials;
        Self { client, loaded: Instant::now(), valid_until, token_file, token: None }
    }

    /// The token of the file as a header, without the line end that it may have. A file that is gone leaves the last one.
    fn token(&mut self) -> Result<Option<HeaderValue>, String> {
        let Some(path) = &self.token_file else { return Ok(None) };
        if let Some((token, read)) = &self.token
            && read.elapsed() < TOKEN_LIFE
        {
            return Ok(Some(token.clone()));
        }
        #[expect(clippy::disallowed_methods, reason = "the shell reads the token that the kubeconfig names")]
        let text = match (std::fs::read_to_string(path), &self.token) {
            (Ok(text), _) => text,
            (Err(_), Some((token, _))) => return Ok(Some(token.clone())),
            (Err(error), None) => return Err(format!("token file {}: {error}", path.display())),
        };
        let mut token = HeaderValue::try_from(format!("Bearer {}", text.trim()))
            .map_err(|_| format!("token file {}: expected one line with a token", path.display()))?;
        token.set_sensitive(true);
        self.token = Some((token.clone(), Instant::now()));
        Ok(Some(token))
    }
}

/// Counts a request as pending until it is dropped.
struct PendingRequest<'a> {
    connection: &'a Connection,
    id: u64,
}

impl<'a> PendingRequest<'a> {
    fn new(connection: &'a Connection, request: String) -> Self {
        let mut activity = connection.activity.lock();
        activity.next += 1;
        let id = activity.next;
        activity.pending.insert(id, (request, Instant::now()));
        Self { connection, id }
    }
}

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        self.connection.activity.lock().pending.remove(&self.id);
    }
}

/// Reads the credentials on a thread that may block, as an exec plugin does.
async fn load_credentials(options: &ConnectOptions) -> Result<Credentials, ClusterError> {
    let context = options.context.clone();
    let limit = options.request_timeout * 2;
    let task = tokio::task::spawn_blocking(move || credentials::load(context.as_deref()));
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(_)) => Err(ClusterError::Credentials("reading the credentials failed".to_owned())),
        Err(_) => Err(ClusterError::Credentials(format!(
            "reading the credentials took longer than {limit:?}, most likely in an exec plugin of the kubeconfig; see --request-timeout"
        ))),
    }
}

/// Whether the same request may succeed in a moment, and does no harm when it is made twice.
fn is_busy(status: StatusCode, method: &Method) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => true,
        StatusCode::GATEWAY_TIMEOUT => *method == Method::GET,
        _ => false,
    }
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Holds the whole body.
async fn read_whole_body(response: Response<Body>) -> Result<Response<AnswerBody>, String> {
    let (parts, body) = response.into_parts();
    let body: Bytes = match Limited::new(body, MAX_RESPONSE).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(format!("the answer is longer than {} MiB", MAX_RESPONSE >> 20));
        }
        Err(error) => {
            return Err(match error.downcast_ref::<kube::Error>() {
                Some(error) => describe(error),
                None => causes(error.as_ref()),
            });
        }
    };
    let body = Full::new(body).map_err(|never| match never {});
    Ok(Response::from_parts(parts, UnsyncBoxBody::new(body)))
}

/// A watch, which goes on until a line of it is longer than any object.
fn bounded_lines(body: Body) -> AnswerBody {
    let mut length = 0;
    let stream = BodyDataStream::new(body).map(move |chunk| {
        let chunk = chunk?;
        length = match chunk.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => chunk.len() - end - 1,
            None => length + chunk.len(),
        };
        if length > MAX_RESPONSE {
            return Err(format!("a line of the watch is longer than {} MiB", MAX_RESPONSE >> 20).into());
        }
        Ok::<_, BoxError>(Frame::data(chunk))
    });
    UnsyncBoxBody::new(StreamBody::new(stream))
}

/// What else there is to say about faults of TLS.
fn explain_tls_error(reason: &str) -> String {
    let more = if reason.contains("CaUsedAsEndEntity") {
        "the API server shows an authority's certificate as its own: put this very certificate, or the authority that signed it, into \
         certificate-authority"
    } else if reason.contains("UnsupportedCertVersion") {
        "the API server's certificate is of X.509 version 1, which holds no name that could be verified: give it one of version 3, or \
         connect through `kubectl proxy`"
    } else {
        return reason.to_owned();
    };
    format!("{reason}; {more}")
}

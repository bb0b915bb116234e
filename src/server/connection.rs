//! One connection: its handshake, its requests, and the ways in which it ends.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{AlertDescription, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::log::{LONGEST_NAME, Throttle};
use super::peer::{Closed, Peer};
use super::router::App;
use super::tls::client_names;
use super::{Stage, Timeouts};
use crate::core::text::sanitize_line;

/// Largest head of an HTTP/1.1 request and largest list of headers in HTTP/2, bytes; an API server's has some hundred.
const MAX_HEAD: u32 = 16 << 10;

/// Requests at once on one HTTP/2 connection. An API server that has more opens another.
const MAX_STREAMS: u32 = 100;

/// What HTTP/2 clients may send ahead of being read, on one stream and on one connection, bytes.
const WINDOW: u32 = 1 << 20;

/// Streams that a client may reset before they were looked at, and that we may reset for its errors, until the connection
/// is closed: honest clients reset one when their own time is up.
const MAX_RESETS: usize = 20;

/// What all connections share.
pub(super) struct Shared {
    app: Arc<App>,
    timeouts: Timeouts,
    client_names: Vec<String>,
    complaints: Throttle,
    tls: watch::Receiver<Arc<ServerConfig>>,
    stage: watch::Receiver<Stage>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    requests: AtomicUsize,
}

impl Shared {
    pub(super) fn new(
        app: Arc<App>,
        timeouts: Timeouts,
        client_names: Vec<String>,
        tls: watch::Receiver<Arc<ServerConfig>>,
        stage: watch::Receiver<Stage>,
    ) -> Self {
        // Time is kept here, for both versions alike.
        // Answers are small: one buffer for head and body is less work than two that are written together.
        let mut http1 = http1::Builder::new();
        http1.header_read_timeout(None).max_buf_size(MAX_HEAD as usize).writev(false);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .max_header_list_size(MAX_HEAD)
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_RESETS);
        let (complaints, requests) = (Throttle::new(), AtomicUsize::new(0));
        Self { app, timeouts, client_names, complaints, tls, stage, http1, http2, requests }
    }

    /// Requests that have no answer yet, on all connections.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }

    pub(super) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }
}

/// A request without an answer; ends on drop.
struct InFlight(Arc<Shared>, Arc<Peer>);

impl InFlight {
    fn begin(shared: &Arc<Shared>, peer: &Arc<Peer>) -> Self {
        shared.requests.fetch_add(1, Ordering::AcqRel);
        peer.request_begins();
        Self(Arc::clone(shared), Arc::clone(peer))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Self(shared, peer) = self;
        peer.request_ends();
        shared.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Serves one connection to its end.
///
/// A future keeps room for all that it ever held: what is large is boxed, and only as long as it is needed.
pub(super) async fn serve(shared: Arc<Shared>, peer: Arc<Peer>, stream: TcpStream) -> Closed {
    let mut tls = shared.tls.clone();
    let config = Arc::clone(&tls.borrow_and_update());
    match Box::pin(shake_hands(&shared, config, stream)).await {
        Ok(stream) => {
            peer.was_active();
            begin(shared, peer, stream, tls).await
        }
        Err(closed) => closed,
    }
}

async fn shake_hands(
    shared: &Shared,
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> Result<Box<TlsStream<TcpStream>>, Closed> {
    let mut stage = shared.stage();
    // Answers are written as a whole; without this HTTP/2's small frames would wait for each other's acknowledgement.
    let handshake = async { TlsAcceptor::from(config).accept(stream.set_nodelay(true).map(|()| stream)?).await };
    tokio::select! {
        done = timeout(shared.timeouts.handshake, handshake) => match done {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(&error, &shared.complaints)),
            Err(_) => Err(Closed::HandshakeTimeout),
        },
        () = reached(&mut stage, Stage::Closing) => Err(Closed::Stopping),
    }
}

/// Tells failures that a person must do something about from those that any scanner causes.
fn failed(error: &std::io::Error, complaints: &Throttle) -> Closed {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let closed = match error {
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            Closed::ClientCertificate
        }
        Some(rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        )) => Closed::Distrusted,
        _ => return Closed::Handshake,
    };
    if let (Some(error), Some(suppressed)) = (error, complaints.pass()) {
        let reason = closed.reason();
        tracing::warn!(reason, %error, suppressed, "handshake failed over a certificate");
    }
    closed
}

/// Whether the client's certificate has a name that is answered.
fn is_known(stream: &TlsStream<TcpStream>, shared: &Shared) -> bool {
    let allowed = &shared.client_names;
    if allowed.is_empty() {
        return true;
    }
    let names = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(client_names).unwrap_or_default();
    let known = names.iter().any(|name| allowed.contains(name));
    if let (false, Some(suppressed)) = (known, shared.complaints.pass()) {
        let names = names.join(", ");
        let names = &*sanitize_line(&names, LONGEST_NAME);
        tracing::warn!(names, suppressed, "client certificate is not among those of --client-name");
    }
    known
}

/// The conversation after the handshake, in the version that was agreed on.
fn begin(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    stream: Box<TlsStream<TcpStream>>,
    tls: watch::Receiver<Arc<ServerConfig>>,
) -> BoxFuture<'static, Closed> {
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let client = Client { http2, known: is_known(&stream, &shared) };
    let answerer = (Arc::clone(&shared), Arc::clone(&peer));
    let service = service_fn(move |request| answer(Arc::clone(&answerer.0), Arc::clone(&answerer.1), client, request));
    let stream = TokioIo::new(stream);
    if http2 {
        let connection = Box::pin(shared.http2.serve_connection(stream, service));
        Box::pin(talk(shared, peer, connection, http2::Connection::graceful_shutdown, http2, tls))
    } else {
        let connection = Box::pin(shared.http1.serve_connection(stream, service));
        Box::pin(talk(shared, peer, connection, http1::Connection::graceful_shutdown, http2, tls))
    }
}

async fn talk<C>(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    mut connection: Pin<Box<C>>,
    shut_down: fn(Pin<&mut C>),
    http2: bool,
    tls: watch::Receiver<Arc<ServerConfig>>,
) -> Closed
where
    C: Future<Output = hyper::Result<()>>,
{
    // As a set, because it looks only at those that have something to say, and not at each of them at every byte.
    let mut events: FuturesUnordered<BoxFuture<'_, Event>> = FuturesUnordered::new();
    let mut stage = shared.stage();
    events.push(Box::pin(async move {
        reached(&mut stage, Stage::Closing).await;
        Event::Closing
    }));
    events.push(Box::pin(retire(&shared, &peer, http2, tls).map(Event::Retire)));
    events.push(Box::pin(idle(&peer, &shared.timeouts).map(Event::Idle)));
    let mut why = None;
    loop {
        tokio::select! {
            // What is known before a request is answered goes into its answer.
            biased;
            Some(event) = events.next() => match event {
                Event::Closing => {
                    why = Some(Closed::Stopping);
                    shut_down(connection.as_mut());
                }
                Event::Retire(_) if why.is_some() => {}
                Event::Retire(closed) => {
                    why = Some(closed);
                    peer.retire();
                    if http2 {
                        // GOAWAY names no last request until the client has read it, so none is lost.
                        shut_down(connection.as_mut());
                    }
                }
                Event::Idle(closed) => return why.unwrap_or(closed),
            },
            result = &mut connection => return why.unwrap_or(if result.is_ok() { Closed::Client } else { Closed::Broken }),
        }
    }
}

/// What may happen to a connection beside its requests.
enum Event {
    /// It has to end with the requests in flight.
    Closing,
    /// It should take no more requests.
    Retire(Closed),
    /// Nothing was asked for too long.
    Idle(Closed),
}

/// Waits until the connection should take no more requests. HTTP/1.1 says so with its next answer: closing an idle
/// connection could meet a request that is on its way, which API servers do not send twice.
async fn retire(shared: &Shared, peer: &Peer, http2: bool, mut tls: watch::Receiver<Arc<ServerConfig>>) -> Closed {
    let mut stage = shared.stage();
    let why = tokio::select! {
        () = reached(&mut stage, Stage::Draining) => Closed::Stopping,
        // An error is the end of the store: nothing is reloaded any more.
        Ok(()) = tls.changed() => Closed::Reload,
        () = age(shared.timeouts.age) => Closed::Age,
    };
    if http2 {
        // A client that is told to go away before it asked anything asks elsewhere, which may be here again.
        peer.first_request().await;
    }
    why
}

/// Waits until a connection is old. Zero is no limit.
async fn age(limit: Duration) {
    if limit.is_zero() {
        std::future::pending::<()>().await;
    }
    // The standard library's only source of randomness.
    let [random, ..] = RandomState::new().hash_one(()).to_ne_bytes();
    sleep(lifetime(limit, random)).await;
}

/// Three to four quarters of `limit`, so that connections that were opened together do not end together.
fn lifetime(limit: Duration, random: u8) -> Duration {
    let quarter = limit / 4;
    quarter * 3 + quarter / u32::from(u8::MAX) * u32::from(random)
}

/// Waits until nothing was asked for too long.
async fn idle(peer: &Peer, timeouts: &Timeouts) -> Closed {
    loop {
        let (limit, closed) =
            if peer.is_stranger() { (timeouts.header, Closed::HeaderTimeout) } else { (timeouts.idle, Closed::Idle) };
        let now = Instant::now();
        let deadline = peer.idle_since().unwrap_or(now) + limit;
        if deadline <= now {
            return closed;
        }
        // Not later than another look would be due if the first request came and was answered just now.
        sleep_until(deadline.min(now + timeouts.idle)).await;
    }
}

/// Waits for `wanted` or a later stage.
pub(super) async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    if stage.wait_for(|stage| *stage >= wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What the handshake told of a client.
#[derive(Debug, Clone, Copy)]
struct Client {
    http2: bool,
    /// Whether it is one that is answered.
    known: bool,
}

async fn answer(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    client: Client,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let in_flight = InFlight::begin(&shared, &peer);
    #[cfg(feature = "traces")]
    let span = crate::traces::begin_request_span(&request);
    let response = shared.app.respond(request, client.known).await;
    #[cfg(feature = "traces")]
    let response = span.end_with_response(response).await;
    let mut response = response;
    if !client.http2 && peer.is_retired() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    drop(in_flight);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::lifetime;

    #[test]
    fn connections_live_for_three_to_four_quarters_of_their_age() {
        let limit = Duration::from_mins(20);
        assert_eq!(lifetime(limit, 0), Duration::from_mins(15));
        assert!(lifetime(limit, 1) > lifetime(limit, 0));
        assert!(lifetime(limit, u8::MAX) <= limit && lifetime(limit, u8::MAX) > Duration::from_mins(19));
    }
}

//! The server: the webhooks over TLS, the ops listener beside them, and an orderly end.

mod body;
mod log;
pub mod ops;
mod refusal;
pub mod router;
pub mod tls;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::middleware::{Next, from_fn};
use axum_server::Handle;
use axum_server::accept::DefaultAcceptor;
use axum_server::tls_rustls::RustlsAcceptor;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::router::App;
use self::tls::{Offer, Pair, PairFiles, Problem, TlsStatus, TlsStore};
use crate::core::settings::Settings;
use crate::metrics::Metrics;

/// Largest body of a request, bytes. The API server takes objects of 3 MiB, writes some characters as six (`\u003c`) and
/// sends the old object along: reviews of 20 MB have been measured.
pub const MAX_BODY: usize = 32 << 20;

/// How often the certificate files are looked at.
pub const TLS_POLL: Duration = Duration::from_secs(10);

/// Reads the clock.
pub fn clock() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the shell's one look at the clock, passed on from here")]
    Timestamp::now()
}

/// The addresses to listen on, or listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// TLS: the webhooks.
    pub webhook: SocketAddr,
    /// Plain HTTP: probes and metrics.
    pub ops: SocketAddr,
}

/// What requests may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests being worked on at once.
    pub requests: usize,
    /// Bytes of their bodies together, at least [`MAX_BODY`].
    pub bytes: usize,
    /// Time for one body to arrive.
    pub body_timeout: Duration,
}

impl Default for Limits {
    /// Six of the largest reviews, or hundreds of ordinary ones; bodies within the API server's own longest timeout.
    fn default() -> Self {
        Self { requests: 256, bytes: 128 << 20, body_timeout: Duration::from_secs(30) }
    }
}

/// How long connections may take, and stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the end of the first request's headers.
    pub header: Duration,
    /// From an answer to the end of the next request's headers.
    pub idle: Duration,
    /// Time between being told to stop and taking no more connections.
    pub drain_delay: Duration,
    /// Time for requests in flight after that.
    pub drain: Duration,
}

/// Where the serving certificate comes from.
#[derive(Debug, Clone)]
pub enum TlsSource {
    /// Files, looked at again at each interval.
    Files(PairFiles, Duration),
    /// One pair, for good.
    Fixed(Pair),
    /// The pair that stands here, and each that comes after it.
    Offers(watch::Receiver<Offer>),
}

/// All that a server needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the policy.
    pub settings: Settings,
    /// Port 0 lets the system choose.
    pub listeners: Listeners,
    /// What requests may take.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Where the serving certificate comes from.
    pub tls: TlsSource,
}

/// Why a server cannot start or go on.
#[derive(Debug, Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("{flag} {address}: cannot listen: {source}; choose another address or port with {flag}")]
    Listen {
        /// The flag that chooses the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// There is no usable certificate.
    #[error(
        "cannot serve TLS: {0}; give a certificate and its key with --tls-cert and --tls-key, or try things out with \
         --tls self-signed"
    )]
    Certificate(#[from] Problem),
    /// A listener failed.
    #[error("the {name} listener failed: {source}")]
    Failed {
        /// `webhook` or `ops`.
        name: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A server that has its addresses and its certificate, and serves from [`Server::run`] on.
pub struct Server {
    listeners: Listeners,
    timeouts: Timeouts,
    metrics: Arc<Metrics>,
    tls: TlsStore,
    tls_poll: Duration,
    webhook: axum_server::Server<SocketAddr, RustlsAcceptor<DefaultAcceptor>>,
    ops: axum_server::Server<SocketAddr>,
    routes: Router,
}

impl Server {
    /// Takes the addresses and opens the certificate. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ServerError`], naming the flag to change.
    pub fn bind(config: Config) -> Result<Self, ServerError> {
        let metrics = Arc::new(Metrics::new(crate::VERSION, crate::COMMIT));
        let app = App::new(config.settings.clone(), config.limits, Arc::clone(&metrics));
        Self::bind_app(config, app, metrics)
    }

    /// [`Server::bind`] with an app and metrics of the caller's making.
    ///
    /// # Errors
    ///
    /// [`ServerError`], naming the flag to change.
    pub fn bind_app(config: Config, app: App, metrics: Arc<Metrics>) -> Result<Self, ServerError> {
        let Config { settings: _, listeners, limits: _, timeouts, tls } = config;
        let (tls, tls_poll) = match tls {
            TlsSource::Files(files, every) => (TlsStore::from_files(files, Arc::clone(&metrics))?, every),
            TlsSource::Fixed(pair) => (TlsStore::fixed(pair, Arc::clone(&metrics))?, TLS_POLL),
            TlsSource::Offers(offers) => (TlsStore::from_offers(offers, Arc::clone(&metrics))?, TLS_POLL),
        };
        let (webhook_address, webhook) = listen("--listen", listeners.webhook)?;
        let (ops_address, ops) = listen("--ops-listen", listeners.ops)?;

        let acceptor = RustlsAcceptor::new(tls.config()).handshake_timeout(timeouts.handshake);
        let mut webhook = webhook.acceptor(acceptor).first_request_timeout(timeouts.header);
        webhook.http_builder().http1().header_read_timeout(timeouts.idle);
        let mut ops = ops.first_request_timeout(timeouts.header);
        ops.http_builder().http1().header_read_timeout(timeouts.idle);

        let listeners = Listeners { webhook: webhook_address, ops: ops_address };
        let routes = router::router(Arc::new(app));
        Ok(Self { listeners, timeouts, metrics, tls, tls_poll, webhook, ops, routes })
    }

    /// The addresses listened on, with the ports that the system chose.
    pub fn listeners(&self) -> Listeners {
        self.listeners
    }

    /// What is served, as it changes.
    pub fn tls_status(&self) -> watch::Receiver<TlsStatus> {
        self.tls.status()
    }

    /// Serves until told to stop. The first message of `stop` begins an orderly end: unready at once, on with serving for
    /// the drain delay, then no new connections, and what is in flight has the drain timeout to finish. A second message
    /// ends everything at once. A closed channel says nothing.
    ///
    /// # Errors
    ///
    /// [`ServerError::Failed`] when a listener fails.
    pub async fn run(self, mut stop: mpsc::Receiver<()>) -> Result<(), ServerError> {
        let Self { listeners, timeouts, metrics, tls, tls_poll, webhook, ops, routes } = self;
        let (stopping, is_stopping) = watch::channel(false);
        let draining = Arc::new(AtomicBool::new(false));
        let (webhook_handle, ops_handle) = (Handle::new(), Handle::new());

        let probes = ops::router(ops::Ops { metrics, tls: tls.status(), stopping: is_stopping });
        let ops = ops.handle(ops_handle.clone()).serve(probes.into_make_service());
        let mut ops = tokio::spawn(ops);
        let routes = closing(routes, Arc::clone(&draining)).into_make_service();
        let mut webhook = tokio::spawn(webhook.handle(webhook_handle.clone()).serve(routes));
        let follow = tokio::spawn(tls.follow(tls_poll));
        tracing::info!(listen = %listeners.webhook, ops_listen = %listeners.ops, "listening");

        let result = tokio::select! {
            () = told(&mut stop) => {
                stopping.send_replace(true);
                draining.store(true, Ordering::Release);
                tracing::info!(delay = ?timeouts.drain_delay, "stopping; unready, serving on for the drain delay");
                tokio::select! {
                    () = drain(timeouts, &webhook_handle, &mut webhook) => tracing::info!("stopped"),
                    () = told(&mut stop) => tracing::warn!("told to stop again; ending at once"),
                }
                Ok(())
            }
            result = &mut webhook => failed("webhook", result),
            result = &mut ops => failed("ops", result),
        };
        webhook_handle.shutdown();
        ops_handle.shutdown();
        follow.abort();
        result
    }
}

/// Waits for the next message; a closed channel says nothing.
async fn told(stop: &mut mpsc::Receiver<()>) {
    if stop.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

type Serving = JoinHandle<std::io::Result<()>>;

async fn drain(timeouts: Timeouts, handle: &Handle<SocketAddr>, webhook: &mut Serving) {
    tokio::time::sleep(timeouts.drain_delay).await;
    let connections = handle.connection_count();
    tracing::info!(connections, timeout = ?timeouts.drain, "draining");
    handle.graceful_shutdown(Some(timeouts.drain));
    if let Err(error) = failed("webhook", webhook.await) {
        tracing::error!(%error, "draining failed");
    }
}

fn failed(name: &'static str, result: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), ServerError> {
    result.unwrap_or_else(|error| Err(error.into())).map_err(|source| ServerError::Failed { name, source })
}

fn listen(
    flag: &'static str,
    address: SocketAddr,
) -> Result<(SocketAddr, axum_server::Server<SocketAddr>), ServerError> {
    let error = |source| ServerError::Listen { flag, address, source };
    let listener = TcpListener::bind(address).map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    Ok((address, axum_server::from_tcp(listener).map_err(error)?))
}

/// Asks clients to open their next connection elsewhere once `draining` is set (HTTP/1.1; HTTP/2 has GOAWAY at the end).
fn closing(routes: Router, draining: Arc<AtomicBool>) -> Router {
    routes.layer(from_fn(move |request: Request, next: Next| {
        let draining = Arc::clone(&draining);
        async move {
            let version = request.version();
            let mut response = next.run(request).await;
            if version < Version::HTTP_2 && draining.load(Ordering::Acquire) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }))
}

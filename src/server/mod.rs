//! The server: the webhooks over TLS, the ops listener beside them, and an orderly end.

mod bind;
mod body;
mod listener;
mod log;
pub mod ops;
mod request_error;
pub mod router;
pub mod tls;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::ServiceExt;
use axum::http::Request;
use hyper::body::Incoming;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::service_fn;

use self::bind::bind;
use self::listener::Acceptor;
use self::listener::limits::Connections;
use self::router::App;
use self::tls::{CertificateError, ClientPolicy, Handshake, Pair, PairFiles, ServingCertificate, TlsStatus, TlsStore};
use crate::core::settings::Settings;
use crate::metrics::Metrics;

/// Largest body of a request, bytes. The API server takes objects of 3 MiB, writes some characters as six (`\u003c`) and
/// sends the old object along: reviews of 20 MB have been measured.
pub const MAX_BODY: usize = 32 << 20;

/// How often the certificate files are looked at, unless told otherwise.
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

/// How far the server is on its way from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// All is well.
    Serving,
    /// Told to stop: unready, but each request is answered, and clients are asked to open no further ones here.
    Draining,
    /// No new connections, and those that are open end with the requests in flight.
    Closing,
}

/// What clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// Requests being worked on at once.
    pub requests: usize,
    /// Bytes of their bodies together, at least [`MAX_BODY`].
    pub bytes: usize,
    /// Time for one body to arrive.
    pub body_timeout: Duration,
}

impl Default for Limits {
    /// Six of the largest reviews, or hundreds of ordinary ones, and as many idle connections; bodies within the API
    /// server's own longest timeout.
    fn default() -> Self {
        Self { connections: 512, requests: 256, bytes: 128 << 20, body_timeout: Duration::from_secs(30) }
    }
}

/// How long connections may take, and stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the first request, and from the first byte of a request to the end of its headers.
    pub header: Duration,
    /// From an answer to the next request.
    pub idle: Duration,
    /// How old a connection may grow until it is closed with its next answer; zero: any age.
    pub age: Duration,
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
    Received(watch::Receiver<ServingCertificate>),
}

/// All that a server needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the policy.
    pub settings: Settings,
    /// Port 0 lets the system choose.
    pub listeners: Listeners,
    /// What clients may take.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Where the serving certificate comes from.
    pub tls: TlsSource,
    /// What a handshake must be like.
    pub handshake: Handshake,
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
    #[error("cannot serve TLS: {problem}; {advice}", problem = .0, advice = .0.advice())]
    Certificate(#[from] CertificateError),
    /// Requests in flight were cut at the end, by the drain timeout or because told to stop twice.
    #[error("stopped with {requests} requests in flight")]
    RequestsAborted {
        /// How many.
        requests: i64,
    },
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
    app: Arc<App>,
    tls: TlsStore,
    tls_poll: Duration,
    stage: watch::Sender<Stage>,
    webhook: axum_server::Server<SocketAddr, Acceptor>,
    ops: axum_server::Server<SocketAddr, Acceptor>,
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
        let Config { settings: _, listeners, limits, timeouts, tls, handshake } = config;
        let clients = Arc::new(ClientPolicy::new(handshake.client_names.clone()));
        let (tls, tls_poll) = match tls {
            TlsSource::Files(files, every) => (TlsStore::from_files(files, handshake, Arc::clone(&metrics))?, every),
            TlsSource::Fixed(pair) => (TlsStore::fixed(pair, handshake, Arc::clone(&metrics))?, TLS_POLL),
            TlsSource::Received(certificates) => {
                (TlsStore::from_receiver(certificates, handshake, Arc::clone(&metrics))?, TLS_POLL)
            }
        };
        let stage = watch::Sender::new(Stage::Serving);
        let ops_limits = Limits { connections: ops::MAX_CONNECTIONS, ..limits };
        let of_webhook = Connections::new(limits, timeouts, stage.subscribe(), metrics.webhook_connections());
        let of_ops = Connections::new(ops_limits, timeouts, stage.subscribe(), metrics.ops_connections());
        let (webhook_address, webhook) = listen("--listen", listeners.webhook, |listener| {
            let (connections, clients) = (Arc::clone(&of_webhook), Arc::clone(&clients));
            let acceptor = Acceptor { connections, tls: Some(tls.config()), clients };
            acceptor.server(listener, Arc::clone(&of_ops))
        })?;
        let (ops_address, ops) = listen("--ops-listen", listeners.ops, |listener| {
            Acceptor { connections: of_ops, tls: None, clients }.server(listener, of_webhook)
        })?;
        let listeners = Listeners { webhook: webhook_address, ops: ops_address };
        Ok(Self { listeners, timeouts, metrics, app: Arc::new(app), tls, tls_poll, stage, webhook, ops })
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
    /// [`ServerError::Failed`] when a listener fails, [`ServerError::RequestsAborted`] when requests in flight were not answered.
    pub async fn run(self, mut stop: mpsc::Receiver<()>) -> Result<(), ServerError> {
        let Self { listeners, timeouts, metrics, app, tls, tls_poll, stage, webhook, ops } = self;
        let connections = Arc::clone(&webhook.get_ref().connections);
        let ops_connections = Arc::clone(&ops.get_ref().connections);
        let requests_in_flight = metrics.requests_in_flight.clone();
        let probes = ops::router(ops::OpsState { metrics, tls: tls.status(), stage: stage.subscribe() });
        let mut background = JoinSet::new();
        background.spawn(tls.follow(tls_poll));
        background.spawn(Arc::clone(&connections).enforce_timeouts());
        background.spawn(Arc::clone(&ops_connections).enforce_timeouts());
        let mut ops = tokio::spawn(ops.serve(probes.into_make_service()));
        let reviews = service_fn(move |request: Request<Incoming>| router::answer_request(Arc::clone(&app), request));
        let mut webhook = tokio::spawn(webhook.serve(reviews.into_make_service()));
        tracing::info!(listen = %listeners.webhook, ops_listen = %listeners.ops, "listening");

        let result = tokio::select! {
            () = next_stop_message(&mut stop) => {
                let drained = async {
                    stage.send_replace(Stage::Draining);
                    let delay_seconds = timeouts.drain_delay.as_secs_f64();
                    tracing::info!(delay_seconds, "stopping; unready, serving on for the drain delay");
                    sleep(timeouts.drain_delay).await;
                    stage.send_replace(Stage::Closing);
                    let requests = requests_in_flight.get();
                    tracing::info!(requests, timeout_seconds = timeouts.drain.as_secs_f64(), "draining");
                    connections.handle.graceful_shutdown(None);
                    drop(timeout(timeouts.drain, &mut webhook).await);
                };
                tokio::select! {
                    () = drained => {}
                    () = next_stop_message(&mut stop) => tracing::warn!("told to stop again; ending at once"),
                }
                match requests_in_flight.get() {
                    0 => {
                        tracing::info!("stopped");
                        Ok(())
                    }
                    requests => Err(ServerError::RequestsAborted { requests }),
                }
            }
            result = &mut webhook => listener_result("webhook", result),
            result = &mut ops => listener_result("ops", result),
        };
        connections.handle.shutdown();
        ops_connections.handle.shutdown();
        result
    }
}

/// Waits for the next message; a closed channel says nothing.
async fn next_stop_message(stop: &mut mpsc::Receiver<()>) {
    if stop.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

fn listener_result(
    name: &'static str,
    result: Result<std::io::Result<()>, tokio::task::JoinError>,
) -> Result<(), ServerError> {
    result.unwrap_or_else(|error| Err(error.into())).map_err(|source| ServerError::Failed { name, source })
}

/// Listens, and hands the listener to what serves it.
fn listen<L>(
    flag: &'static str,
    address: SocketAddr,
    serve: impl FnOnce(TcpListener) -> std::io::Result<L>,
) -> Result<(SocketAddr, L), ServerError> {
    let error = |source| ServerError::Listen { flag, address, source };
    let listener = bind(address).map_err(error)?;
    Ok((listener.local_addr().map_err(error)?, serve(listener).map_err(error)?))
}

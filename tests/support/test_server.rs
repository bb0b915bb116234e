//! A server that runs in the test's own process, and what a test does with it.

use std::sync::Arc;
use std::time::Duration;

use session_webhook::metrics::{ClosedLabel, LoadLabel, Metrics};
use session_webhook::server::tls::TlsStatus;
use session_webhook::server::{Config, Listeners, Server, ServerError, TlsSource};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::certificates::{ALIVE, Authority, Secret};
use super::client::{Client, post_head};
use super::{PATIENCE, app, config, eventually, metrics, review};

/// Short, so that a test takes no time; what it waits for is the status, never the clock.
pub const POLL: Duration = Duration::from_millis(5);

pub struct TestServer {
    /// The certificate of the authority, DER.
    pub authority: Vec<u8>,
    pub listeners: Listeners,
    pub status: watch::Receiver<TlsStatus>,
    pub metrics: Arc<Metrics>,
    pub stop: mpsc::Sender<()>,
    pub end: JoinHandle<Result<(), ServerError>>,
}

impl TestServer {
    /// With a certificate that never changes; `change` says what is special about it.
    pub fn start(change: impl FnOnce(&mut Config)) -> Self {
        let authority = Authority::new();
        let tls = TlsSource::Fixed(authority.issue("a", ALIVE));
        Self::with(&authority, tls, change)
    }

    /// With a certificate that follows its files.
    pub fn following(authority: &Authority, secret: &Secret, change: impl FnOnce(&mut Config)) -> Self {
        Self::with(authority, TlsSource::Files(secret.files(), POLL), change)
    }

    fn with(authority: &Authority, tls: TlsSource, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(tls);
        change(&mut config);
        let metrics = metrics();
        let app = app(config.limits, &metrics);
        let server = Server::bind_app(config, app, Arc::clone(&metrics)).unwrap();
        let (stop, stopped) = mpsc::channel(1);
        let (listeners, status) = (server.listeners(), server.tls_status());
        let authority = authority.der();
        Self { authority, listeners, status, metrics, stop, end: tokio::spawn(server.run(stopped)) }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.listeners.webhook, &self.authority).unwrap()
    }

    /// A request that lacks the end of its body; returns what is missing.
    pub async fn half_a_request(&self) -> (Client, Vec<u8>) {
        let before = self.metrics.requests_in_flight.get();
        let mut client = self.connect();
        let mut body = review().to_string().into_bytes();
        client.send(post_head("/validate", body.len()).as_bytes());
        let rest = body.split_off(body.len() / 2);
        client.send(&body);
        eventually("the request is in flight", || self.metrics.requests_in_flight.get() > before).await;
        (client, rest)
    }

    pub async fn wait_for(&mut self, condition: impl FnMut(&TlsStatus) -> bool) {
        tokio::time::timeout(PATIENCE, self.status.wait_for(condition)).await.unwrap().unwrap();
    }

    pub async fn unready(&self) {
        let ready = || Client::plain(self.listeners.ops).unwrap().get("/readyz").starts_with("HTTP/1.1 200");
        eventually("readyz fails", || !ready()).await;
    }

    pub async fn ends(self) -> Result<(), ServerError> {
        tokio::time::timeout(PATIENCE, self.end).await.unwrap().unwrap()
    }

    /// How many pairs were looked at with this result.
    pub fn loads(&self, result: &'static str) -> u64 {
        self.metrics.certificate_loads.get_or_create(&LoadLabel { result }).get()
    }

    /// How many connections were closed for this reason.
    pub fn closed(&self, reason: &'static str) -> u64 {
        self.metrics.connections_closed.get_or_create(&ClosedLabel { reason }).get()
    }
}

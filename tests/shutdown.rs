//! Nothing in flight is lost when the server is told to stop, and nothing can keep it from stopping.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use session_webhook::metrics::Metrics;
use session_webhook::server::{Limits, Listeners, Server, ServerError, Timeouts, TlsSource};
use support::certificates::{ALIVE, Authority};
use support::client::{Client, post_head};
use support::{PATIENCE, app, config, eventually, metrics, review};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const FOREVER: Duration = Duration::from_hours(1);

struct Running {
    authority: Vec<u8>,
    listeners: Listeners,
    metrics: Arc<Metrics>,
    stop: mpsc::Sender<()>,
    end: JoinHandle<Result<(), ServerError>>,
}

impl Running {
    fn start(drain_delay: Duration, drain: Duration) -> Self {
        let authority = Authority::new();
        let mut config = config(TlsSource::Fixed(authority.issue("a", ALIVE)));
        config.timeouts = Timeouts { drain_delay, drain, ..config.timeouts };
        let metrics = metrics();
        let server = Server::bind_app(config, app(Limits::default(), &metrics), Arc::clone(&metrics)).unwrap();
        let (stop, stopped) = mpsc::channel(1);
        let listeners = server.listeners();
        let end = tokio::spawn(server.run(stopped));
        Self { authority: authority.der(), listeners, metrics, stop, end }
    }

    fn connect(&self) -> Client {
        Client::connect(self.listeners.webhook, &self.authority).unwrap()
    }

    /// A request that lacks the end of its body; returns what is missing.
    async fn half_a_request(&self) -> (Client, Vec<u8>) {
        let mut client = self.connect();
        let mut body = review().to_string().into_bytes();
        client.send(post_head("/validate", body.len()).as_bytes());
        let rest = body.split_off(body.len() / 2);
        client.send(&body);
        eventually("the request is in flight", || self.metrics.requests_in_flight.get() == 1).await;
        (client, rest)
    }

    async fn unready(&self) {
        let ready = || Client::plain(self.listeners.ops).unwrap().get("/readyz").starts_with("HTTP/1.1 200");
        eventually("readyz fails", || !ready()).await;
    }

    async fn ends(self) {
        tokio::time::timeout(PATIENCE, self.end).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_and_no_new_connection_taken() {
    let server = Running::start(Duration::ZERO, FOREVER);
    let (mut client, rest) = server.half_a_request().await;
    server.stop.send(()).await.unwrap();
    server.unready().await;
    eventually("new connections are refused", || Client::plain(server.listeners.webhook).is_err()).await;
    assert!(!server.end.is_finished());

    client.send(&rest);
    let answer = client.response().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    server.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_drain_delay_it_is_unready_and_serves_on() {
    let server = Running::start(FOREVER, FOREVER);
    let mut kept = server.connect();
    let body = review().to_string();
    assert!(!kept.post("/mutate", body.as_bytes()).to_ascii_lowercase().contains("connection: close"));

    server.stop.send(()).await.unwrap();
    server.unready().await;
    let answers = [kept.post("/mutate", body.as_bytes()), server.connect().post("/mutate", body.as_bytes())];
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
    assert!(Client::plain(server.listeners.ops).unwrap().get("/livez").starts_with("HTTP/1.1 200"));
    assert!(!server.end.is_finished());
    server.stop.send(()).await.unwrap();
    server.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once_whatever_is_in_flight() {
    let server = Running::start(Duration::ZERO, FOREVER);
    let (mut client, _) = server.half_a_request().await;
    server.stop.send(()).await.unwrap();
    server.unready().await;
    server.stop.send(()).await.unwrap();
    server.ends().await;
    assert!(client.response().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_hold_the_server_up() {
    let server = Running::start(Duration::ZERO, FOREVER);
    let mut idle = server.connect();
    idle.post("/mutate", review().to_string().as_bytes());
    server.stop.send(()).await.unwrap();
    server.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_cut_after_the_drain_timeout() {
    let server = Running::start(Duration::ZERO, Duration::from_millis(50));
    let (_client, _) = server.half_a_request().await;
    server.stop.send(()).await.unwrap();
    server.ends().await;
}

/// The real program, with its signals.
#[test]
fn sigterm_ends_the_program_with_0() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_session-webhook"))
        .args("serve --tls self-signed --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 --drain-delay 0s".split(' '))
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("listening")));
    Command::new("kill").arg(program.id().to_string()).status().unwrap();
    assert!(lines.any(|line| line.contains("stopped")));
    assert_eq!(program.wait().unwrap().code(), Some(0));
}

//! No connection outlives its certificate or its age by more than one request, and none loses a request for it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::certificates::{ALIVE, Authority, Secret};
use support::client::Client;
use support::test_server::TestServer;
use support::{PATIENCE, eventually, review};

fn is_asked_to_close(client: &mut Client) -> bool {
    let answer = client.post("/mutate", review().to_string().as_bytes()).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    answer.contains("connection: close")
}

struct Rotating {
    server: TestServer,
    authority: Authority,
    secret: Secret,
}

impl Rotating {
    fn start() -> Self {
        let authority = Authority::new();
        let secret = Secret::new(&authority.issue("old", ALIVE));
        Self { server: TestServer::following(&authority, &secret, |_| {}), authority, secret }
    }

    async fn rotate(&mut self) {
        self.secret.swap(&self.authority.issue("new", ALIVE));
        self.server.wait_for(|status| status.loads == 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reload_a_connection_ends_with_its_next_answer() {
    let mut rotating = Rotating::start();
    let mut old = rotating.server.connect();
    assert!(!is_asked_to_close(&mut old));
    let (mut slow, rest) = rotating.server.half_a_request().await;
    rotating.rotate().await;
    assert!(is_asked_to_close(&mut old));
    assert!(old.response().is_err(), "the connection is closed");
    slow.send(&rest);
    let answer = slow.response().unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{answer}");
    eventually("both are counted", || rotating.server.closed("reload") == 2).await;

    let mut new = rotating.server.connect();
    assert!(!is_asked_to_close(&mut new) && !is_asked_to_close(&mut new));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_ends_with_its_next_answer() {
    let server = TestServer::start(|config| config.timeouts.age = Duration::from_millis(50));
    let mut client = server.connect();
    let started = Instant::now();
    while !is_asked_to_close(&mut client) {
        assert!(started.elapsed() < PATIENCE, "it is never asked to close");
    }
    assert!(client.response().is_err(), "the connection is closed");
    eventually("it is counted", || server.closed("age") == 1).await;
}

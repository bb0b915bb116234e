//! A client that does nothing does not hold a connection for ever, and HTTP/1.1 connections are kept between requests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::client::{Client, post_head};
use support::running::Running;
use support::{PATIENCE, eventually, review};

const SHORT: Duration = Duration::from_millis(50);

/// The server ends the connection, and soon.
fn assert_closed<S: std::io::Read + std::io::Write>(client: &mut Client<S>) {
    let started = Instant::now();
    assert!(client.response().is_err());
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_shakes_hands_is_cut() {
    let server = Running::start(|config| config.timeouts.handshake = SHORT);
    assert_closed(&mut Client::plain(server.listeners.webhook).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_headers_is_cut() {
    let server = Running::start(|config| config.timeouts.header = SHORT);
    let mut client = server.connect();
    client.send(b"POST /mutate HTTP/1.1\r\nhost: loc");
    assert_closed(&mut client);
    let mut client = Client::plain(server.listeners.ops).unwrap();
    client.send(b"GET /livez");
    assert_closed(&mut client);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_cut_after_the_idle_timeout() {
    let server = Running::start(|config| config.timeouts.idle = SHORT);
    let mut client = server.connect();
    assert!(client.post("/mutate", review().to_string().as_bytes()).starts_with("HTTP/1.1 200"));
    assert_closed(&mut client);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_connections_are_cut_alike() {
    let server = Running::start(|config| config.timeouts.header = SHORT);
    let _silent = server.http2().await;
    eventually("the silent one is cut", || server.closed("header-timeout") == 1).await;

    let server = Running::start(|config| config.timeouts.idle = SHORT);
    let mut idle = server.http2().await;
    assert_eq!(idle.review().await, 200);
    eventually("the idle one is cut", || server.closed("idle") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_take_longer_than_headers_and_idling() {
    let server = Running::start(|config| {
        config.timeouts.header = SHORT;
        config.timeouts.idle = SHORT;
    });
    let mut client = server.connect();
    let body = review().to_string();
    client.send(post_head("/mutate", body.len()).as_bytes());
    for part in body.as_bytes().chunks(body.len() / 4) {
        tokio::time::sleep(SHORT).await;
        client.send(part);
    }
    assert!(client.response().unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_carries_many_requests_good_and_bad() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let body = review().to_string();
    for _ in 0..3 {
        assert!(client.post("/validate", body.as_bytes()).starts_with("HTTP/1.1 200"));
        assert!(client.post("/validate", b"{").starts_with("HTTP/1.1 400"));
        assert!(client.get("/validate").starts_with("HTTP/1.1 405"));
        assert!(client.get("/").starts_with("HTTP/1.1 404"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_body_is_refused_before_it_is_sent() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    client.send(post_head("/mutate", session_webhook::server::MAX_BODY + 1).as_bytes());
    assert!(client.response().unwrap().starts_with("HTTP/1.1 413"));
}

/// Unread bytes would reset the connection, and the reason be lost on the way.
#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_refusal_reaches_a_client_that_sends_its_body_first() {
    let server = Running::start(|_| ());
    for _ in 0..10 {
        let mut client = server.connect();
        let body = vec![b' '; 300_000];
        client.send(post_head("/validate", body.len()).replace("application/json", "text/plain").as_bytes());
        client.send(&body);
        assert!(client.response().unwrap().starts_with("HTTP/1.1 415"));
    }
    let answer = server.connect().post("/mutate", &vec![b' '; session_webhook::server::MAX_BODY + 1]);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_sent_before_their_answers_are_answered_in_turn() {
    let server = Running::start(|_| ());
    let mut client = server.connect();
    let body = review().to_string();
    for path in ["/mutate", "/nowhere", "/validate"] {
        client.send(format!("{}{body}", post_head(path, body.len())).as_bytes());
    }
    for code in ["200", "404", "200"] {
        let answer = client.response().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
    }
}

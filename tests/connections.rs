//! A client that does nothing does not hold a connection for ever, and HTTP/1.1 connections are kept between requests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use session_webhook::server::Listeners;
use support::client::{Client, client_config, post_head};
use support::test_server::TestServer;
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
    let server = TestServer::start(|config| config.timeouts.handshake = SHORT);
    assert_closed(&mut Client::plain(server.listeners.webhook).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_headers_is_cut() {
    let server = TestServer::start(|config| config.timeouts.header = SHORT);
    let mut client = server.connect();
    client.send(b"POST /mutate HTTP/1.1\r\nhost: loc");
    assert_closed(&mut client);
    let mut client = Client::plain(server.listeners.ops).unwrap();
    client.send(b"GET /livez");
    assert_closed(&mut client);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_cut_after_the_idle_timeout() {
    let server = TestServer::start(|config| config.timeouts.idle = SHORT);
    let mut client = server.connect();
    assert!(client.post("/mutate", review().to_string().as_bytes()).starts_with("HTTP/1.1 200"));
    assert_closed(&mut client);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_is_counted() {
    let server = TestServer::start(|config| config.timeouts.header = SHORT);
    let _silent = server.connect();
    eventually("the silent one is cut", || server.closed("header-timeout") == 1).await;

    let server = TestServer::start(|config| config.timeouts.idle = SHORT);
    let mut idle = server.connect();
    assert!(idle.post("/mutate", review().to_string().as_bytes()).starts_with("HTTP/1.1 200"));
    eventually("the idle one is cut", || server.closed("idle") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_for_headers_begins_with_their_first_byte() {
    let server = TestServer::start(|config| config.timeouts.header = SHORT);
    let body = review().to_string();
    let mut client = server.connect();
    assert!(client.post("/mutate", body.as_bytes()).starts_with("HTTP/1.1 200"));
    // Idle for longer than headers may take: for as long as another one was granted.
    assert_closed(&mut server.connect());
    assert!(client.post("/mutate", body.as_bytes()).starts_with("HTTP/1.1 200"));
    client.send(b"POST /mutate HTTP/1.1\r\nhost: loc");
    assert_closed(&mut client);
    eventually("both are counted", || server.closed("header-timeout") == 2).await;
}

/// An API server speaks nothing else to a Service.
#[tokio::test(flavor = "multi_thread")]
async fn http_1_1_alone_is_spoken() {
    let server = TestServer::start(|_| ());
    let connect = |protocols: &[&[u8]]| {
        let mut config = client_config(&server.authority, None, rustls::ALL_VERSIONS);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Client::connect_as(server.listeners.webhook, config)
    };
    let mut both = connect(&[b"h2", b"http/1.1"]).unwrap();
    assert!(both.post("/mutate", review().to_string().as_bytes()).starts_with("HTTP/1.1 200"));
    assert!(connect(&[b"h2"]).is_err());
    eventually("it is counted", || server.closed("handshake") == 1).await;

    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut client = server.connect();
    client.send(preface);
    assert_closed(&mut client);
    eventually("it is counted", || server.closed("broken") == 1).await;
    let mut client = Client::plain(server.listeners.ops).unwrap();
    client.send(preface);
    assert_closed(&mut client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_take_longer_than_headers_and_idling() {
    let server = TestServer::start(|config| {
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
    let server = TestServer::start(|_| {});
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
    let server = TestServer::start(|_| {});
    let mut client = server.connect();
    client.send(post_head("/mutate", session_webhook::server::MAX_BODY + 1).as_bytes());
    assert!(client.response().unwrap().starts_with("HTTP/1.1 413"));
}

/// Unread bytes would reset the connection, and the reason be lost on the way.
#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_refusal_reaches_a_client_that_sends_its_body_first() {
    let server = TestServer::start(|_| ());
    let refusals = [
        ("application/json", "text/plain", "415"),
        ("POST /validate", "PUT /validate", "405"),
        ("/validate", "/valid", "404"),
    ];
    for (text, instead, code) in refusals {
        for _ in 0..10 {
            let mut client = server.connect();
            let body = vec![b' '; 300_000];
            client.send(post_head("/validate", body.len()).replace(text, instead).as_bytes());
            client.send(&body);
            let answer = client.response().unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
        }
    }
    let answer = server.connect().post("/mutate", &vec![b' '; session_webhook::server::MAX_BODY + 1]);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_sent_before_their_answers_are_answered_in_turn() {
    let server = TestServer::start(|_| ());
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

/// IPv4 alone where the host that runs this test has no IPv6.
#[tokio::test(flavor = "multi_thread")]
async fn the_default_addresses_are_of_both_families() {
    let server = TestServer::start(|config| {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        config.listeners = Listeners { webhook: any, ops: any };
    });
    let Listeners { webhook, ops } = server.listeners;
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let [ipv6, ipv4] = [IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into()];
    for address in if has_ipv6 { vec![ipv6, ipv4] } else { vec![ipv4] } {
        let mut client = Client::connect((address, webhook.port()).into(), &server.authority).unwrap();
        assert!(client.post("/mutate", review().to_string().as_bytes()).starts_with("HTTP/1.1 200"), "{address}");
        let mut probe = Client::plain((address, ops.port()).into()).unwrap();
        assert!(probe.get("/livez").starts_with("HTTP/1.1 200"), "{address}");
    }
}

//! However many connections are opened, and however few the system grants, an honest client is answered.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use rstest::rstest;
use support::client::{Client, post_head};
use support::program::Program;
use support::test_server::TestServer;
use support::{eventually, review};

fn body() -> Vec<u8> {
    review().to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_silent_connections_locks_nobody_out_and_pushes_out_nobody_who_is_served() {
    let server = TestServer::start(|config| config.limits.connections = 4);
    let mut honest = server.connect();
    assert!(honest.post("/mutate", &body()).starts_with("HTTP/1.1 200"));
    let _flood: Vec<_> = (0..20).map(|_| Client::plain(server.listeners.webhook).unwrap()).collect();
    eventually("the flood is cut", || server.closed("evicted") == 17).await;
    assert_eq!(server.metrics.connections.get(), 4);

    assert!(server.connect().post("/mutate", &body()).starts_with("HTTP/1.1 200"));
    assert!(honest.post("/mutate", &body()).starts_with("HTTP/1.1 200"));
    assert_eq!(server.metrics.connections_refused.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_that_were_served_make_place_for_a_new_one() {
    let server = TestServer::start(|config| config.limits.connections = 3);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert!(client.post("/mutate", &body()).starts_with("HTTP/1.1 200"));
        // The time of an answer is kept in milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(server.connect().post("/mutate", &body()).starts_with("HTTP/1.1 200"));
    assert_eq!(server.closed("evicted"), 1);
    assert!(clients[0].response().is_err(), "the one that was idle for longest goes");
    for client in &mut clients[1..] {
        assert!(client.post("/mutate", &body()).starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_end_their_bodies_make_place_for_a_new_one() {
    let server = TestServer::start(|config| config.limits.connections = 2);
    let (mut one, _) = server.half_a_request().await;
    let (mut two, rest) = server.half_a_request().await;
    // Refused while their requests are young enough to be honest work.
    eventually("a new client is served", || {
        let client = Client::connect(server.listeners.webhook, &server.authority);
        client.is_ok_and(|mut client| client.post("/mutate", &body()).starts_with("HTTP/1.1 200"))
    })
    .await;
    assert_eq!(server.closed("evicted"), 1);
    assert!(one.response().is_err(), "the one that has been waiting for longest goes");
    two.send(&rest);
    assert!(two.response().unwrap().starts_with("HTTP/1.1 200"));
}

/// Or whoever begins one request after another, and is slow with each, holds all places for good.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_may_still_be_honest_work_make_place_where_nothing_else_does() {
    let server = TestServer::start(|config| config.limits.connections = 2);
    let (mut one, _) = server.half_a_request().await;
    let (mut two, rest) = server.half_a_request().await;
    // Most decisions take less, the longest a tenth of a second.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(server.connect().post("/mutate", &body()).starts_with("HTTP/1.1 200"));
    assert_eq!((server.metrics.connections_refused.get(), server.closed("evicted")), (0, 1));
    assert!(one.response().is_err(), "the older one goes");
    two.send(&rest);
    assert!(two.response().unwrap().starts_with("HTTP/1.1 200"));
}

/// The largest review that an API server sends: 3 MB of `<`, each escaped, in the new object, and half as many in the old one.
#[test]
fn a_review_of_20_mb_over_a_slow_link_is_answered_with_the_default_limits() {
    let program = Program::start("", 1024);
    let mut large = review();
    for (object, count) in [("object", 3_000_000_usize), ("oldObject", 400_000)] {
        large["request"][object]["spec"]["notes"] = "<".repeat(count).into();
    }
    let body = large.to_string().replace('<', "\\u003c").into_bytes();
    assert!(body.len() > 20_000_000, "{}", body.len());
    let mut client = program.connect();
    client.send(post_head("/validate", body.len()).as_bytes());
    for part in body.chunks(64 << 10) {
        client.send(part);
        // This is the slow link: some 50 Mbit/s.
        std::thread::sleep(Duration::from_millis(10));
    }
    let answer = client.response().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"uid\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_while_they_are_open() {
    let server = TestServer::start(|_| {});
    let mut client = server.connect();
    client.post("/mutate", &body());
    assert_eq!(server.metrics.connections.get(), 1);
    drop(client);
    eventually("the end is seen", || server.metrics.connections.get() == 0).await;
    let mut garbage = Client::plain(server.listeners.webhook).unwrap();
    garbage.send(b"GET / HTTP/1.1\r\n\r\n");
    eventually("garbage is counted", || server.closed("handshake") == 1).await;
}

/// The real program with fewer files than connections, as in a container with a low limit.
#[test]
fn without_file_descriptors_it_makes_room_and_does_not_spin() {
    const FILES: u64 = 48;
    let started = Instant::now();
    let mut program = Program::start("--max-connections 1000", FILES);
    let _flood: Vec<_> = (0..4 * FILES).map(|_| Client::plain(program.webhook).unwrap()).collect();
    program.logs("out of file descriptors; taking fewer connections from now on");
    for _ in 0..3 {
        assert!(program.connect().post("/mutate", &body()).starts_with("HTTP/1.1 200"));
    }
    let errors = program.metric("accept_errors_total");
    let most = u64::try_from(started.elapsed().as_millis() / 50 + 1).unwrap();
    assert!((1..=most).contains(&errors), "{errors} errors, {most} at most");
    assert!(program.metric("connections") < FILES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_the_ops_listener_takes_only_so_many_places() {
    let server = TestServer::start(|_| {});
    let mut scraper = Client::plain(server.listeners.ops).unwrap();
    assert!(scraper.get("/metrics").starts_with("HTTP/1.1 200"));
    let mut flood: Vec<_> = (0..100).map(|_| Client::plain(server.listeners.ops).unwrap()).collect();
    // All of them are admitted when so many have made way; one that asks before would make way after its answer.
    eventually("the rest is evicted", || flood.iter().filter(|client| client.is_closed()).count() == 37).await;
    let answered = flood.iter_mut().filter_map(|client| client.try_get("/livez").ok()).count();
    assert_eq!(answered, 63, "beside the scraper");
    assert!(scraper.get("/metrics").starts_with("HTTP/1.1 200"));
    assert!(server.connect().post("/mutate", &body()).starts_with("HTTP/1.1 200"));
    drop(flood);
    eventually("places are free again", || Client::plain(server.listeners.ops).unwrap().try_get("/livez").is_ok())
        .await;
}

const PROBE: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Whatever the connections are held with, kubelet and scraper are answered.
#[rstest]
#[case::silent(b"", 0)]
#[case::half_a_head(b"GET /livez HTTP/1.1\r\nHost: x\r\n", 0)]
#[case::kept(PROBE, 1)]
#[case::half_a_body(b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 1)]
#[case::pipelining(&[PROBE, PROBE, b"GET /metr"].concat(), 2)]
#[case::http2(b"PRI * HTTP/2.0\r\n\r\n", 0)]
#[tokio::test(flavor = "multi_thread")]
async fn held_connections_of_the_ops_listener_starve_no_probe(#[case] sent: &[u8], #[case] answers: usize) {
    let server = TestServer::start(|_| {});
    let mut scraper = Client::plain(server.listeners.ops).unwrap();
    assert!(scraper.get("/metrics").starts_with("HTTP/1.1 200"));
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut client = Client::plain(server.listeners.ops).unwrap();
        client.send(sent);
        for _ in 0..answers {
            client.response().unwrap();
        }
        held.push(client);
    }
    // Some of the last of them may be admitted later than a probe that comes now, which would have to make way for them.
    eventually("the rest is evicted", || held.iter().filter(|client| client.is_closed()).count() >= held.len() - 64)
        .await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert!(Client::plain(server.listeners.ops).unwrap().get(path).starts_with("HTTP/1.1 200"));
    }
    assert!(server.connect().post("/mutate", &body()).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    // More than the pipe and the queue take.
    const DENIALS: u64 = 3_000;
    let mut program = Program::start("", 256);
    let mut denied = review();
    denied["request"]["userInfo"]["username"] = "alice".into();
    let denied = denied.to_string().into_bytes();
    let mut client = program.connect();
    let blocked = program.stop_reading_the_log();
    for _ in 0..DENIALS {
        assert!(client.post("/validate", &denied).contains(r#""allowed":false"#));
    }
    let lost = program.metric("log_lines_lost_total");
    assert!((1..DENIALS).contains(&lost), "{lost} lines lost");
    drop(blocked);
    // What is not told is counted.
    for _ in lost..DENIALS {
        program.logs("denied");
    }
    program.terminate();
    assert!(!program.rest_of_the_log().iter().any(|line| line.contains(r#""message":"denied""#)));
    assert_eq!(program.exit_code(), Some(0));
}

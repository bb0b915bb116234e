//! Nothing in flight is lost when the server is told to stop, and nothing can keep it from stopping.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use rstest::rstest;
use session_webhook::server::{ServerError, Timeouts};
use support::client::{Client, post_head};
use support::program::Program;
use support::test_server::TestServer;
use support::{eventually, review};

const FOREVER: Duration = Duration::from_hours(1);

fn start(drain_delay: Duration, drain: Duration) -> TestServer {
    TestServer::start(|config| config.timeouts = Timeouts { drain_delay, drain, ..config.timeouts })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_and_no_new_connection_taken() {
    let server = start(Duration::ZERO, FOREVER);
    let (mut client, rest) = server.half_a_request().await;
    server.stop.send(()).await.unwrap();
    server.unready().await;
    eventually("new connections are refused", || Client::plain(server.listeners.webhook).is_err()).await;
    assert!(!server.end.is_finished());

    client.send(&rest);
    let answer = client.response().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    server.ends().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_drain_delay_it_is_unready_and_serves_on() {
    let server = start(FOREVER, FOREVER);
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
    server.ends().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once_whatever_is_in_flight() {
    let server = start(Duration::ZERO, FOREVER);
    let (mut client, _) = server.half_a_request().await;
    server.stop.send(()).await.unwrap();
    server.unready().await;
    server.stop.send(()).await.unwrap();
    assert!(matches!(server.ends().await, Err(ServerError::RequestsAborted { requests: 1 })));
    assert!(client.response().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_hold_the_server_up() {
    let server = start(Duration::ZERO, FOREVER);
    let mut idle = server.connect();
    idle.post("/mutate", review().to_string().as_bytes());
    server.stop.send(()).await.unwrap();
    server.ends().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_cut_after_the_drain_timeout() {
    let server = start(Duration::ZERO, Duration::from_millis(50));
    let (_client, _) = server.half_a_request().await;
    server.stop.send(()).await.unwrap();
    assert!(matches!(server.ends().await, Err(ServerError::RequestsAborted { requests: 1 })));
}

/// The real program: what a rolling restart does to it, and to a client in the middle of a request.
#[rstest]
fn a_signal_lets_it_answer_what_is_in_flight_and_end_with_0(#[values("TERM", "INT", "HUP")] signal: &str) {
    let mut program = Program::start("--drain-delay 2s", 1024);
    let body = review().to_string().into_bytes();
    let (mut slow, mut kept) = (program.connect(), program.connect());
    assert!(kept.post("/mutate", &body).starts_with("HTTP/1.1 200"));
    slow.send(post_head("/validate", body.len()).as_bytes());
    while program.metric("in_flight_requests") == 0 {}

    program.signal(signal);
    program.logs("stopping; unready, serving on for the drain delay");
    for client in [&mut kept, &mut program.connect()] {
        let answer = client.post("/mutate", &body).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{answer}");
    }
    program.logs("draining");
    while Client::plain(program.webhook).is_ok() {}

    slow.send(&body);
    let answer = slow.response().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    program.logs("stopped");
    assert_eq!(program.exit_code(), Some(0));
}

#[rstest]
#[case::a_second_signal("--drain-delay 1h", true)]
#[case::the_drain_timeout("--drain-delay 0s --drain-timeout 0s", false)]
fn a_program_that_cuts_requests_ends_with_1(#[case] options: &str, #[case] twice: bool) {
    let mut program = Program::start(options, 1024);
    let mut client = program.connect();
    client.send(post_head("/validate", 100).as_bytes());
    while program.metric("in_flight_requests") == 0 {}
    program.terminate();
    if twice {
        // Not before: a signal that meets one that was not looked at yet is the same signal.
        program.logs("stopping; unready, serving on for the drain delay");
        program.terminate();
    }
    assert_eq!(program.exit_code(), Some(1));
    assert!(client.response().is_err());
}

#[rstest]
#[case::all_answered(false, 0)]
#[case::a_request_cut(true, 1)]
fn it_ends_although_nobody_reads_its_log(#[case] in_flight: bool, #[case] code: i32) {
    let mut program = Program::start("--drain-delay 0s --drain-timeout 50ms", 1024);
    program.never_read_the_log_again();
    let mut denied = review();
    denied["request"]["userInfo"]["username"] = "alice".into();
    let denied = denied.to_string().into_bytes();
    let mut client = program.connect();
    // Until neither the pipe nor the queue takes another line.
    while program.metric("log_lines_lost_total") == 0 {
        for _ in 0..100 {
            assert!(client.post("/validate", &denied).contains(r#""allowed":false"#));
        }
    }
    if in_flight {
        client.send(post_head("/validate", 100).as_bytes());
        while program.metric("in_flight_requests") == 0 {}
    }
    program.terminate();
    assert_eq!(program.exit_code(), Some(code));
}

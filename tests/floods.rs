//! Floods of bytes end the connection that they come by, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use rustls::pki_types::ServerName;
use support::client::{Client, client_config, post_head};
use support::test_server::TestServer;
use support::{PATIENCE, eventually, review};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn connect(server: &TestServer) -> TlsStream<TcpStream> {
    let config = client_config(&server.authority, None, rustls::ALL_VERSIONS);
    let stream = TcpStream::connect(server.listeners.webhook).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// Sends all that `flood` has to give; the server must have ended the connection before the end of it.
async fn is_cut(server: &TestServer, flood: impl Iterator<Item = Vec<u8>>) {
    let (mut answers, mut requests) = tokio::io::split(connect(server).await);
    let closed = tokio::spawn(async move {
        let mut answer = [0; 4096];
        while matches!(answers.read(&mut answer).await, Ok(1..)) {}
    });
    let flooding = async {
        for bytes in flood {
            if closed.is_finished() || requests.write_all(&bytes).await.is_err() {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, flooding).await.unwrap(), "the whole flood was taken");
}

fn honest_requests(client: &mut Client, count: usize) {
    for _ in 0..count {
        assert!(client.post("/validate", review().to_string().as_bytes()).starts_with("HTTP/1.1 200"));
    }
}

/// An honest client, over its own connection, before, while and after `flood` comes.
async fn nobody_else_notices(flood: impl Iterator<Item = Vec<u8>>) {
    let server = TestServer::start(|_| {});
    let mut honest = server.connect();
    honest_requests(&mut honest, 1);
    let answered = spawn_blocking(move || {
        honest_requests(&mut honest, 20);
        honest
    });
    is_cut(&server, flood).await;
    honest_requests(&mut answered.await.unwrap(), 1);
    assert!(server.connect().post("/validate", review().to_string().as_bytes()).starts_with("HTTP/1.1 200"));
    assert_eq!(server.metrics.panics.get(), 0);
}

/// Headers that never end, 1 GiB of them.
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_end_their_connection() {
    let header = [&b"a: "[..], &[b'x'; 16_255], b"\r\n"].concat();
    let begin = std::iter::once(b"POST /validate HTTP/1.1\r\nhost: localhost\r\n".to_vec());
    nobody_else_notices(begin.chain((0..65_536).map(move |_| header.clone()))).await;
}

/// Bytes that are no TLS, and TLS that is no HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_its_connection() {
    let server = TestServer::start(|_| {});
    let mut plain = TcpStream::connect(server.listeners.webhook).await.unwrap();
    plain.write_all(&[0xff; 4096]).await.unwrap();
    let mut rest = Vec::new();
    // An alert, then the end; or a reset on what was not read.
    let _ = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut rest)).await.unwrap();

    nobody_else_notices((0..65_536).map(|_| vec![0xff; 16_384])).await;
}

/// Asks on and on, and reads no answer: up to 1 GiB of requests.
async fn never_reads(mut stream: impl AsyncWrite + Unpin, request: Vec<u8>) {
    let asking = async {
        let requests = request.repeat(100);
        for _ in 0..(1 << 30) / requests.len() {
            if stream.write_all(&requests).await.is_err() {
                return;
            }
        }
        panic!("the whole flood was taken");
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_given_up() {
    const SHORT: Duration = Duration::from_millis(50);
    let server = TestServer::start(|config| {
        config.timeouts.idle = SHORT;
        config.limits.body_timeout = SHORT;
    });
    let body = review().to_string();
    never_reads(connect(&server).await, [post_head("/validate", body.len()), body].concat().into_bytes()).await;
    eventually("it is counted", || server.closed("idle") == 1).await;
    let ops = TcpStream::connect(server.listeners.ops).await.unwrap();
    never_reads(ops, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()).await;
}

/// hyper reads further requests while such answers wait to be read, once a body has come that nobody asked for.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_that_nobody_reads_are_given_up(#[values("GET", "HEAD")] method: &str) {
    const HEADERS: &str = "host: localhost\r\nexpect: 100-continue\r\ncontent-length: 1";
    let server = TestServer::start(|config| config.timeouts.idle = Duration::from_millis(50));
    let request = format!("{method} /x HTTP/1.1\r\n{HEADERS}\r\n\r\nx").into_bytes();
    never_reads(TcpStream::connect(server.listeners.ops).await.unwrap(), request.clone()).await;
    never_reads(connect(&server).await, request).await;
    eventually("it is counted", || server.closed("idle") == 1).await;
}

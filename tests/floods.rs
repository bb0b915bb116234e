//! Floods of HTTP/2 frames end the connection that they come by, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use rustls::pki_types::ServerName;
use support::client::client_config;
use support::running::Running;
use support::{PATIENCE, review};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// RFC 9113, section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `POST https://localhost/validate`, in HPACK (RFC 7541) with indexed names.
fn request() -> Vec<u8> {
    [&[0x83, 0x87, 0x04, 9][..], b"/validate", &[0x01, 9], b"localhost"].concat()
}

async fn connect(server: &Running) -> TlsStream<TcpStream> {
    let mut config = client_config(&server.authority, None, rustls::ALL_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(server.listeners.webhook).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// Sends all that `flood` has to give; the server must have ended the connection before the end of it.
async fn is_cut(server: &Running, flood: impl Iterator<Item = Vec<u8>>) {
    let (mut answers, mut requests) = tokio::io::split(connect(server).await);
    let closed = tokio::spawn(async move {
        let mut answer = [0; 4096];
        while matches!(answers.read(&mut answer).await, Ok(1..)) {}
    });
    let flooding = async {
        for frames in flood {
            if closed.is_finished() || requests.write_all(&frames).await.is_err() {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, flooding).await.unwrap(), "the whole flood was taken");
}

/// An honest client, over its own connection, before, while and after `flood` comes.
async fn nobody_else_notices(flood: impl Iterator<Item = Vec<u8>>) {
    let server = Running::start(|_| {});
    let mut honest = server.http2().await;
    assert_eq!(honest.review().await, 200);
    let answered = async {
        for _ in 0..20 {
            assert_eq!(honest.review().await, 200);
        }
    };
    tokio::join!(is_cut(&server, flood), answered);
    assert_eq!(honest.review().await, 200);
    assert!(server.connect().post("/validate", review().to_string().as_bytes()).starts_with("HTTP/1.1 200"));
    assert_eq!(server.metrics.panics.get(), 0);
}

/// CVE-2023-44487: each request is taken back as soon as it is sent.
#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_their_connection() {
    let request = request();
    let streams = (1..2_000_000).step_by(2);
    nobody_else_notices(streams.map(move |stream| {
        let cancel = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS, stream, &request), cancel].concat()
    }))
    .await;
}

/// Headers that never end, 1 GiB of them.
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_end_their_connection() {
    // A literal field without indexing: name `a`, and a value as long as a length of two bytes can say.
    let field = [&[0x00, 1, b'a', 0x7f, 0x80, 0x7e][..], &[b'x'; 16_255]].concat();
    let begin = std::iter::once(frame(HEADERS, 0, 1, &request()));
    nobody_else_notices(begin.chain((0..65_536).map(move |_| frame(CONTINUATION, 0, 1, &field)))).await;
}

/// Bytes that are no TLS, and TLS that is no HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_its_connection() {
    let server = Running::start(|_| {});
    let mut plain = TcpStream::connect(server.listeners.webhook).await.unwrap();
    plain.write_all(&[0xff; 4096]).await.unwrap();
    let mut rest = Vec::new();
    // An alert, then the end; or a reset on what was not read.
    let _ = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut rest)).await.unwrap();

    nobody_else_notices((0..65_536).map(|_| vec![0xff; 16_384])).await;
}

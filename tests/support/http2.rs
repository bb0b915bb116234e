//! An HTTP/2 client that tells how its connection ends.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::{PATIENCE, review};

pub struct Http2 {
    requests: SendRequest<Body>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    pub async fn connect(address: SocketAddr, mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    /// Sends a review and returns the code of the answer.
    pub async fn review(&mut self) -> u16 {
        let (_, answer) = self.begin(review().to_string().into_bytes());
        answer.await.unwrap()
    }

    /// Sends the beginning of a request; the body ends when the sender is dropped.
    pub fn begin(&mut self, part: Vec<u8>) -> (UnboundedSender<Vec<u8>>, JoinHandle<u16>) {
        let (body, parts) = unbounded::<Vec<u8>>();
        body.unbounded_send(part).unwrap();
        let parts = StreamBody::new(parts.map(|part| Ok::<_, std::io::Error>(Frame::data(Bytes::from(part)))));
        let request = Request::post("https://localhost/mutate").header("content-type", "application/json");
        let answer = self.requests.send_request(request.body(Body::new(parts)).unwrap());
        let answer = tokio::spawn(async move {
            let (head, body) = answer.await.unwrap().into_parts();
            body.collect().await.unwrap();
            head.status.as_u16()
        });
        (body, answer)
    }

    /// Waits until the server has ended the connection in good order.
    pub async fn goes_away_in_order(self) {
        tokio::time::timeout(PATIENCE, self.connection).await.unwrap().unwrap().unwrap();
    }
}

//! A stand-in for the kubelet of a node that there is none of, as far as port-forwards go: what the API server hands on to it
//! leads to a port of this machine.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::http::HeaderValue;
use futures::{SinkExt, StreamExt};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::pki::Authority;

/// The channel of data of the first port; the next one tells of errors.
const DATA: u8 = 0;
const ERRORS: u8 = 1;

/// It forwards until it is dropped.
pub(crate) struct Kubelet {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Forwards to ports of this address.
    pub(crate) async fn start(address: IpAddr) -> Self {
        // API servers that are told no authority of kubelets ask for none.
        let identity = Authority::new("kubelet").server("kubelet");
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move { forward(acceptor.accept(stream).await.unwrap(), address).await });
            }
        });
        Self { port, task }
    }
}

async fn forward(stream: impl AsyncRead + AsyncWrite + Unpin, address: IpAddr) {
    let mut port = 0;
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let callback = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        assert!(request.uri().path().starts_with("/portForward/"), "{request:?}");
        let query = request.uri().query().unwrap();
        port = query.split('&').find_map(|part| part.strip_prefix("port=")).unwrap().parse().unwrap();
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("v4.channel.k8s.io"));
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, callback).await.unwrap();
    let [low, high] = u16::to_le_bytes(port);
    for channel in [DATA, ERRORS] {
        socket.send(Message::binary(vec![channel, low, high])).await.unwrap();
    }
    let mut pod = TcpStream::connect((address, port)).await.unwrap();
    let mut bytes = vec![0; 32 << 10];
    loop {
        tokio::select! {
            read = pod.read(&mut bytes) => match read {
                Ok(length @ 1..) => {
                    let frame = [&[DATA], &bytes[..length]].concat();
                    if socket.send(Message::binary(frame)).await.is_err() { return }
                }
                _ => return drop(socket.close(None).await),
            },
            message = socket.next() => match message {
                Some(Ok(Message::Binary(frame))) if frame.first() == Some(&DATA) => {
                    if pod.write_all(&frame[1..]).await.is_err() { return }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

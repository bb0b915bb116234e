//! A TLS server in front of a replica: for certificates that the program would not serve, and for clocks that are wrong.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::fmt::strtime;
use jiff::{SignedDuration, tz::TimeZone};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::doctoring::{HOST, Installation};
use crate::pki::Identity;

/// It answers until it is dropped.
pub(crate) struct Impostor {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

/// A replica.
#[derive(Clone)]
struct Upstream {
    address: (IpAddr, u16),
    connector: TlsConnector,
}

const DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

impl Impostor {
    /// Hands everything on to a replica, and back with a date that is so many seconds ahead.
    pub(crate) async fn start(it: &Installation<'_>, identity: &Identity, seconds_ahead: i64) -> Self {
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(it.authority.der())).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let address = (it.address, it.ports().await[0]);
        let upstream = Upstream { address, connector: TlsConnector::from(Arc::new(config)) };
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
                tokio::spawn(async move {
                    // Clients that do not trust the certificate go away.
                    let Ok(client) = acceptor.accept(stream).await else { return };
                    let server = TcpStream::connect(upstream.address).await.unwrap();
                    let name = ServerName::try_from(HOST).unwrap();
                    hand_on(client, upstream.connector.connect(name, server).await.unwrap(), seconds_ahead).await;
                });
            }
        });
        Self { port, task }
    }
}

async fn hand_on(
    client: impl AsyncRead + AsyncWrite + Send + 'static,
    server: impl AsyncRead + AsyncWrite + Send + 'static,
    seconds_ahead: i64,
) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (tokio::io::split(client), tokio::io::split(server));
    let requests = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut answer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from_server.read(&mut answer).await {
        if to_client.write_all(&redated(&answer[..length], seconds_ahead)).await.is_err() {
            break;
        }
    }
    let _ = to_client.shutdown().await;
    requests.abort();
}

/// An answer with another date.
fn redated(answer: &[u8], seconds_ahead: i64) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let Some(line) = text.lines().find(|line| line.to_ascii_lowercase().starts_with("date: ")) else {
        return answer.to_vec();
    };
    let date = strtime::parse(DATE, &line["date: ".len()..]).unwrap().to_datetime().unwrap();
    let date = date.to_zoned(TimeZone::UTC).unwrap() + SignedDuration::from_secs(seconds_ahead);
    text.replacen(line, &format!("date: {}", date.strftime(DATE)), 1).into_bytes()
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

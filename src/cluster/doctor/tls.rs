//! What servers present, held against what the API server trusts.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Standpoint;
use super::look::{http_date, plain, right};
use crate::core::doctor::{Bundle, BundleState, Clock, Endpoint, Leaf, Look, Obstacle, Place, Presented, Served};
use crate::server::tls::alternative_names;

/// Time for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Headers are some hundred bytes.
const MAX_HEADERS: u64 = 16 << 10;

/// Who is asked.
pub(super) enum Server {
    /// Somebody who is reached from here.
    At { host: String, port: u16 },
    /// A pod, through the API server.
    Pod { namespace: String, name: String, port: u16 },
}

/// Bytes as objects hold them.
pub(super) fn decode(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}

/// The certificates in a PEM file.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("no certificate".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(error.to_string()),
    }
}

/// What is known of a certificate.
pub(super) fn describe(der: &CertificateDer<'_>) -> Option<Leaf> {
    let (_, x509) = X509Certificate::from_der(der).ok()?;
    let time = |seconds| Timestamp::from_second(seconds).ok();
    let mut serial = String::new();
    for byte in x509.raw_serial() {
        // Writing to a string cannot fail.
        let _ = write!(serial, "{byte:02x}");
    }
    Some(Leaf {
        subject: x509.subject().to_string(),
        issuer: x509.issuer().to_string(),
        serial,
        names: alternative_names(&x509),
        not_before: time(x509.validity().not_before.timestamp())?,
        not_after: time(x509.validity().not_after.timestamp())?,
    })
}

/// The `caBundle` of each entry: for people, and as certificates.
pub(super) fn bundles(configurations: &[Look<Value>; 2]) -> (Vec<Bundle>, Vec<Vec<CertificateDer<'static>>>) {
    let all = configurations.iter().filter_map(Look::found);
    let entries = all.flat_map(|object| object.get("webhooks").and_then(Value::as_array).into_iter().flatten());
    let bundle = |entry: &Value| {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let pem = entry.pointer("/clientConfig/caBundle").and_then(decode).unwrap_or_default();
        if pem.is_empty() {
            return (Bundle { entry: name, state: BundleState::Empty }, Vec::new());
        }
        match certificates(&pem) {
            Ok(authorities) => {
                let leaves = authorities.iter().filter_map(describe).collect();
                (Bundle { entry: name, state: BundleState::Certificates(leaves) }, authorities)
            }
            Err(reason) => (Bundle { entry: name, state: BundleState::NoCertificate(reason) }, Vec::new()),
        }
    };
    entries.map(bundle).unzip()
}

/// Whom to ask: each ready replica, or whoever the entries or the Service name.
pub(super) fn servers(
    place: &Place,
    service: Option<&Value>,
    endpoints: Option<&[Endpoint]>,
    standpoint: Standpoint,
    namespace: &str,
) -> Vec<Server> {
    let port = match place {
        Place::Url { host, port } => return vec![Server::At { host: host.clone(), port: *port }],
        Place::Service { port, .. } => *port,
    };
    if let Some(host) = service.and_then(|service| service.pointer("/spec/externalName")?.as_str()) {
        return vec![Server::At { host: host.to_owned(), port }];
    }
    let ready = endpoints.unwrap_or_default().iter().filter(|endpoint| endpoint.ready);
    let server = |endpoint: &Endpoint| match (&endpoint.pod, standpoint) {
        (Some(pod), Standpoint::Outside) => {
            Server::Pod { namespace: namespace.to_owned(), name: pod.clone(), port: endpoint.port }
        }
        _ => Server::At { host: endpoint.address.clone(), port: endpoint.port },
    };
    ready.map(server).collect()
}

/// Asks one server for its certificate and the time.
pub(super) async fn ask(
    client: &Client,
    server: Server,
    name: &str,
    authorities: &[Vec<CertificateDer<'static>>],
    now: fn() -> Timestamp,
) -> Served {
    let (from, answer) = match &server {
        Server::At { host, port } => {
            let from = match host.parse() {
                Ok(ip) => SocketAddr::new(ip, *port).to_string(),
                Err(_) => format!("{host}:{port}"),
            };
            let connect = tokio::time::timeout(PATIENCE, TcpStream::connect((host.as_str(), *port)));
            let answer = match connect.await {
                Ok(Ok(stream)) => handshake(stream, name, now).await,
                Ok(Err(error)) => Err(Obstacle::Failed(error.to_string())),
                Err(_) => Err(Obstacle::Failed("no connection within 5 s".to_owned())),
            };
            (from, answer)
        }
        Server::Pod { namespace, name: pod, port } => {
            (format!("pod {pod}"), by_port_forward(client, namespace, pod, *port, name, now).await)
        }
    };
    Served { from, presented: answer.map(|answer| judge(answer, name, authorities, now())) }
}

async fn by_port_forward(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
    name: &str,
    now: fn() -> Timestamp,
) -> Result<Answer, Obstacle> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let may = || Obstacle::Forbidden(right("get and create", "pods/portforward", Some(namespace)));
    let forward = tokio::time::timeout(PATIENCE, pods.portforward(pod, &[port])).await;
    let mut forward = match forward {
        Ok(Ok(forward)) => forward,
        Ok(Err(kube::Error::UpgradeConnection(error))) if error.to_string().contains("403") => return Err(may()),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => return Err(may()),
        Ok(Err(error)) => return Err(Obstacle::Failed(plain(&error))),
        Err(_) => return Err(Obstacle::Failed("no port-forward within 5 s".to_owned())),
    };
    let Some(stream) = forward.take_stream(port) else {
        return Err(Obstacle::Failed("the port-forward has no stream".to_owned()));
    };
    let answer = handshake(stream, name, now).await;
    forward.abort();
    answer
}

/// What came over a connection.
struct Answer {
    chain: Vec<CertificateDer<'static>>,
    clock: Option<Clock>,
}

/// Notes what the server presents, whatever it is.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    name: &str,
    now: fn() -> Timestamp,
) -> Result<Answer, Obstacle> {
    let failed = |error: &dyn std::fmt::Display| Obstacle::Failed(error.to_string());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let recorder = Arc::new(Recorder { provider: Arc::clone(&provider), chain: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Recorder>::clone(&recorder))
        .with_no_client_auth();
    let server_name = ServerName::try_from(name.to_owned()).map_err(|error| failed(&error))?;
    let connect = TlsConnector::from(Arc::new(config)).connect(server_name, stream);
    let connected = tokio::time::timeout(PATIENCE, connect).await;
    let clock = match connected {
        // A server that wants a certificate of its clients ends here, having shown its own.
        Ok(Ok(mut stream)) => tokio::time::timeout(PATIENCE, clock(&mut stream, name, now)).await.ok().flatten(),
        Ok(Err(error)) if is_empty(&recorder) => return Err(failed(&error)),
        Err(_) if is_empty(&recorder) => return Err(failed(&"no TLS handshake within 5 s")),
        Ok(Err(_)) | Err(_) => None,
    };
    let chain = recorder.chain.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Answer { chain, clock })
}

fn is_empty(recorder: &Recorder) -> bool {
    recorder.chain.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// What the server's clock shows, by the header that each of its answers has.
async fn clock(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    name: &str,
    now: fn() -> Timestamp,
) -> Option<Clock> {
    let request = format!("GET /validate HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let mut limited = stream.take(MAX_HEADERS);
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        if limited.read_buf(&mut answer).await.ok()? == 0 {
            break;
        }
    }
    let here = now();
    let text = String::from_utf8_lossy(&answer);
    let date = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("date").then(|| http_date(value.trim())).flatten()
    });
    date.map(|there| Clock { there, here })
}

/// Judges what was presented as the API server does.
fn judge(answer: Answer, name: &str, authorities: &[Vec<CertificateDer<'static>>], now: Timestamp) -> Presented {
    let Answer { chain, clock } = answer;
    let (leaf, intermediates) = match chain.split_first() {
        Some((leaf, intermediates)) => (leaf.clone(), intermediates.to_vec()),
        None => (CertificateDer::from(Vec::new()), Vec::new()),
    };
    let for_name = ServerName::try_from(name).is_ok_and(|name| {
        ParsedCertificate::try_from(&leaf).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    });
    let described = describe(&leaf).unwrap_or_else(|| Leaf {
        subject: "something that is no certificate".to_owned(),
        issuer: String::new(),
        serial: String::new(),
        names: Vec::new(),
        not_before: Timestamp::MIN,
        not_after: Timestamp::MIN,
    });
    // Whether somebody vouches for it is one question, and whether it is alive another.
    let alive = now.clamp(described.not_before, described.not_after);
    let trusted = authorities.iter().map(|all| vouch(all, &leaf, &intermediates, name, now, alive)).collect();
    Presented { leaf: described, for_name, trusted, clock }
}

/// Whether one of the authorities that are alive vouches for a certificate.
fn vouch(
    authorities: &[CertificateDer<'static>],
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &str,
    now: Timestamp,
    alive: Timestamp,
) -> bool {
    let mut roots = RootCertStore::empty();
    // webpki does not look at the lives of roots; the API server does.
    let lives = |authority: &&CertificateDer<'_>| {
        describe(authority).is_some_and(|authority| (authority.not_before..=authority.not_after).contains(&now))
    };
    roots.add_parsable_certificates(authorities.iter().filter(lives).cloned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let Ok(name) = ServerName::try_from(name) else { return false };
    let alive = UnixTime::since_unix_epoch(Duration::from_secs(alive.as_second().unsigned_abs()));
    // For whom the certificate is, is another question.
    let of_name = |error: &Error| {
        let Error::InvalidCertificate(error) = error else { return false };
        matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
    };
    match verifier.verify_server_cert(leaf, intermediates, &name, &[], alive) {
        Ok(_) => true,
        Err(error) => of_name(&error),
    }
}

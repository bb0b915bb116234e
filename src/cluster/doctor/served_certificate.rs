//! The certificate that each replica serves: asked for over TLS, and verified as the API server does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::certificates::certificate_info;
use super::reader::{describe_right, http_date};
use crate::cluster::client::describe;
use crate::core::doctor::{
    CertificateInfo, ClockReading, Endpoint, PresentedCertificate, ServedCertificate, Unobservable, WebhookTarget,
};
use crate::server::tls::why_unfit;

/// Time for a connection, and for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Headers are some hundred bytes.
const MAX_HEADERS: u64 = 16 << 10;

/// Where this program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vantage {
    /// In a pod of the cluster, from where Services and pods are reached.
    Inside,
    /// Elsewhere: pods are reached through the API server.
    Outside,
}

/// A server to ask for its certificate.
pub(super) enum Server {
    /// One that is reached from here.
    At { host: String, port: u16 },
    /// A pod, through the API server.
    Pod { namespace: String, name: String, port: u16 },
}

/// The servers to ask: each ready replica, or the host that the entries or the Service name.
pub(super) fn servers(
    target: &WebhookTarget,
    service: Option<&Value>,
    endpoints: Option<&[Endpoint]>,
    vantage: Vantage,
    namespace: &str,
) -> Vec<Server> {
    let port = match target {
        WebhookTarget::Url { host, port } => return vec![Server::At { host: host.clone(), port: *port }],
        WebhookTarget::Service { port, .. } => *port,
    };
    if let Some(host) = service.and_then(|service| service.pointer("/spec/externalName")?.as_str()) {
        return vec![Server::At { host: host.to_owned(), port }];
    }
    let ready = endpoints.unwrap_or_default().iter().filter(|endpoint| endpoint.ready);
    let server = |endpoint: &Endpoint| match (&endpoint.pod, vantage) {
        (Some(pod), Vantage::Outside) => {
            Server::Pod { namespace: namespace.to_owned(), name: pod.clone(), port: endpoint.port }
        }
        _ => Server::At { host: endpoint.address.clone(), port: endpoint.port },
    };
    ready.map(server).collect()
}

/// Asks one server for its certificate and the time.
pub(super) async fn request_certificate(
    client: &Client,
    server: Server,
    name: &str,
    authorities: &[Vec<CertificateDer<'static>>],
    now: fn() -> Timestamp,
) -> ServedCertificate {
    let (server, answer) = match &server {
        Server::At { host, port } => {
            let address = match host.parse() {
                Ok(ip) => SocketAddr::new(ip, *port).to_string(),
                Err(_) => format!("{host}:{port}"),
            };
            let connect = tokio::time::timeout(TIMEOUT, TcpStream::connect((host.as_str(), *port)));
            let answer = match connect.await {
                Ok(Ok(stream)) => handshake(stream, name, now).await,
                Ok(Err(error)) => Err(Unobservable::Failed(error.to_string())),
                Err(_) => Err(Unobservable::Failed("no connection within 5 s".to_owned())),
            };
            (address, answer)
        }
        Server::Pod { namespace, name: pod, port } => {
            (format!("pod {pod}"), by_port_forward(client, namespace, pod, *port, name, now).await)
        }
    };
    ServedCertificate { server, presented: answer.map(|answer| verify(answer, name, authorities, now())) }
}

async fn by_port_forward(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
    name: &str,
    now: fn() -> Timestamp,
) -> Result<Answer, Unobservable> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let forbidden = || Unobservable::Forbidden(describe_right("get and create", "pods/portforward", Some(namespace)));
    let forward = tokio::time::timeout(TIMEOUT, pods.portforward(pod, &[port])).await;
    let mut forward = match forward {
        Ok(Ok(forward)) => forward,
        Ok(Err(kube::Error::UpgradeConnection(error))) if error.to_string().contains("403") => return Err(forbidden()),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => return Err(forbidden()),
        Ok(Err(error)) => return Err(Unobservable::Failed(describe(&error))),
        Err(_) => return Err(Unobservable::Failed("no port-forward within 5 s".to_owned())),
    };
    let Some(stream) = forward.take_stream(port) else {
        return Err(Unobservable::Failed("the port-forward has no stream".to_owned()));
    };
    let answer = handshake(stream, name, now).await;
    forward.abort();
    answer
}

/// What a server presented over a connection.
struct Answer {
    chain: Vec<CertificateDer<'static>>,
    clock: Option<ClockReading>,
}

/// Accepts any certificate, and keeps the chain that the server presents.
#[derive(Debug)]
struct CertificateRecorder {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for CertificateRecorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned()).collect();
        *self.chain.lock() = chain;
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
) -> Result<Answer, Unobservable> {
    let failed = |error: &dyn std::fmt::Display| Unobservable::Failed(error.to_string());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let recorder = Arc::new(CertificateRecorder { provider: Arc::clone(&provider), chain: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<CertificateRecorder>::clone(&recorder))
        .with_no_client_auth();
    let server_name = ServerName::try_from(name.to_owned()).map_err(|error| failed(&error))?;
    let connect = TlsConnector::from(Arc::new(config)).connect(server_name, stream);
    let connected = tokio::time::timeout(TIMEOUT, connect).await;
    let clock = match connected {
        // A server that wants a certificate of its clients ends here, having shown its own.
        Ok(Ok(mut stream)) => tokio::time::timeout(TIMEOUT, read_clock(&mut stream, name, now)).await.ok().flatten(),
        Ok(Err(error)) if is_empty(&recorder) => return Err(failed(&error)),
        Err(_) if is_empty(&recorder) => return Err(failed(&"no TLS handshake within 5 s")),
        Ok(Err(_)) | Err(_) => None,
    };
    let chain = recorder.chain.lock().clone();
    Ok(Answer { chain, clock })
}

fn is_empty(recorder: &CertificateRecorder) -> bool {
    recorder.chain.lock().is_empty()
}

/// The server's clock, by the `Date` header that each of its answers has.
async fn read_clock(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    name: &str,
    now: fn() -> Timestamp,
) -> Option<ClockReading> {
    let request = format!("GET /validate HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let mut limited = stream.take(MAX_HEADERS);
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        if limited.read_buf(&mut answer).await.ok()? == 0 {
            break;
        }
    }
    let local = now();
    let text = String::from_utf8_lossy(&answer);
    let date = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("date").then(|| http_date(value.trim())).flatten()
    });
    date.map(|remote| ClockReading { remote, local })
}

/// Verifies what was presented as the API server does.
fn verify(
    answer: Answer,
    name: &str,
    authorities: &[Vec<CertificateDer<'static>>],
    now: Timestamp,
) -> PresentedCertificate {
    let Answer { chain, clock } = answer;
    let (leaf, intermediates) = match chain.split_first() {
        Some((leaf, intermediates)) => (leaf.clone(), intermediates.to_vec()),
        None => (CertificateDer::from(Vec::new()), Vec::new()),
    };
    let matches_name = ServerName::try_from(name).is_ok_and(|name| {
        ParsedCertificate::try_from(&leaf).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    });
    let described = certificate_info(&leaf).unwrap_or_else(|| CertificateInfo {
        subject: "something that is no certificate".to_owned(),
        issuer: String::new(),
        serial: String::new(),
        names: Vec::new(),
        not_before: Timestamp::MIN,
        not_after: Timestamp::MIN,
    });
    let unfit = why_unfit(&leaf).map(|error| error.to_string());
    // Whether an authority has signed it is one question, and whether it is valid now another.
    let valid_at = now.clamp(described.not_before, described.not_after);
    let trusted_by_bundle =
        authorities.iter().map(|all| is_signed_by(all, &leaf, &intermediates, name, now, valid_at)).collect();
    PresentedCertificate { certificate: described, unfit, matches_name, trusted_by_bundle, clock }
}

/// Whether one of the authorities that are valid now has signed a certificate that is valid at `valid_at`.
fn is_signed_by(
    authorities: &[CertificateDer<'static>],
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &str,
    now: Timestamp,
    valid_at: Timestamp,
) -> bool {
    let mut roots = RootCertStore::empty();
    // webpki does not look at the validity of roots; the API server does.
    let is_valid = |authority: &&CertificateDer<'_>| {
        certificate_info(authority).is_some_and(|authority| (authority.not_before..=authority.not_after).contains(&now))
    };
    roots.add_parsable_certificates(authorities.iter().filter(is_valid).cloned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let Ok(name) = ServerName::try_from(name) else { return false };
    let valid_at = UnixTime::since_unix_epoch(Duration::from_secs(valid_at.as_second().unsigned_abs()));
    // The names and the purpose that the certificate is for are judged on their own.
    let is_about_leaf = |error: &Error| {
        let Error::InvalidCertificate(error) = error else { return false };
        matches!(
            error,
            CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. }
                | CertificateError::InvalidPurpose
                | CertificateError::InvalidPurposeContext { .. }
        )
    };
    match verifier.verify_server_cert(leaf, intermediates, &name, &[], valid_at) {
        Ok(_) => true,
        Err(error) => is_about_leaf(&error),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
    };
    use rstest::rstest;

    use super::{Answer, verify};

    const NAME: &str = "webhook.ns.svc";

    fn without_an_end(params: &mut CertificateParams) {
        params.not_after = date_time_ymd(9999, 12, 31);
    }

    fn for_clients(params: &mut CertificateParams) {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }

    /// Authority and certificate are made alike, as one issuer does.
    #[rstest]
    #[case::sound(|_: &mut CertificateParams| (), None)]
    #[case::without_an_end(without_an_end, None)]
    #[case::for_any_purpose(|p: &mut CertificateParams| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any], None)]
    #[case::for_clients(for_clients, Some("serverAuth"))]
    #[case::without_alternative_names(|p: &mut CertificateParams| p.subject_alt_names.clear(), Some("alternative name"))]
    fn a_certificate_is_judged_as_serve_judges_it(
        #[case] change: fn(&mut CertificateParams),
        #[case] unfit: Option<&str>,
    ) {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        change(&mut authority);
        authority.extended_key_usages.clear();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        change(&mut params);
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap();
        let now: Timestamp = "2026-11-27T00:00:00Z".parse().unwrap();
        let answer = Answer { chain: vec![leaf.der().clone()], clock: None };
        let presented = verify(answer, NAME, &[vec![authority.der().clone()]], now);
        match (&presented.unfit, unfit) {
            (Some(told), Some(expected)) => assert!(told.contains(expected), "{told}"),
            (told, expected) => assert_eq!(told.as_deref(), expected),
        }
        assert!(presented.certificate.not_after > now);
        assert_eq!(presented.trusted_by_bundle, [true], "who has signed it is another question");
    }
}

//! Certificates of API servers and of users: those that kubectl takes are taken, and no others.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rstest::rstest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use serde_json::json;
use session_webhook::server::tls::Pair;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::api_server::ApiServer;
use crate::certificates::{ALIVE, Authority, of_version_1};
use crate::credentials::{assert_audited, blocking};
use crate::program::{Ended, Serving, kubeconfig_text, run_with};

const HERE: &str = "127.0.0.1";

/// Speaks TLS, and passes on what comes to `target`.
pub(crate) async fn tls_in_front_of(target: SocketAddr, config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await?;
                copy_bidirectional(&mut client, &mut TcpStream::connect(target).await?).await
            });
        }
    });
    address
}

/// Shows this certificate, and wants none.
pub(crate) fn server_config(pair: &Pair) -> ServerConfig {
    let (chain, key) = identity(pair);
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap()
}

fn identity(pair: &Pair) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(&pair.certificate).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(&pair.key).unwrap())
}

/// A certificate that signs itself, for this name and these years; `is_ca` as `openssl req -x509` makes it.
fn self_signed(name: &str, last_year: i32, is_ca: bool) -> Pair {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Pair { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
}

/// Audits over TLS; `authority` is what the kubeconfig trusts, `user` who asks.
async fn audit(server: SocketAddr, authority: &[u8], user: &str) -> Ended {
    audit_as_told(server, &format!("certificate-authority-data: {}", STANDARD.encode(authority)), user).await
}

/// `cluster` is what the kubeconfig says about TLS.
async fn audit_as_told(server: SocketAddr, cluster: &str, user: &str) -> Ended {
    let text = kubeconfig_text(server, user, &format!(", {cluster}")).replace("http://", "https://");
    blocking(move || run_with(&text, "audit --request-timeout 5s", "")).await
}

#[rstest]
#[case::authority_of_its_own(self_signed(HERE, 2200, true))]
#[case::no_authority(self_signed(HERE, 2200, false))]
#[case::signed_by_somebody(Authority::new().issue(HERE, ALIVE))]
#[tokio::test(flavor = "multi_thread")]
async fn the_api_servers_own_certificate_may_be_the_one_that_is_trusted(#[case] pair: Pair) {
    let server = ApiServer::start(None).await;
    let address = tls_in_front_of(server.address, server_config(&pair)).await;
    assert_audited(&audit(address, &pair.certificate, "token: a").await);
}

#[rstest]
#[case::other_name(self_signed("10.1.2.3", 2200, true), None, "not valid for name")]
#[case::expired(self_signed(HERE, 2021, true), None, "expired")]
#[case::other_certificate(
    self_signed(HERE, 2200, false),
    Some(self_signed(HERE, 2200, false)),
    "invalid peer certificate"
)]
#[case::other_authority(
    self_signed(HERE, 2200, true),
    Some(self_signed(HERE, 2200, true)),
    "put this very certificate"
)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_trusted_certificate_is_told(
    #[case] pair: Pair,
    #[case] trusted: Option<Pair>,
    #[case] expected: &str,
) {
    let server = ApiServer::start(None).await;
    let address = tls_in_front_of(server.address, server_config(&pair)).await;
    let ended = audit(address, &trusted.as_ref().unwrap_or(&pair).certificate, "token: a").await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    assert_eq!(server.authorization(), "", "nothing is sent to a stranger");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_may_be_expected_and_verification_left_out() {
    let (server, authority) = (ApiServer::start(None).await, Authority::new());
    let address = tls_in_front_of(server.address, server_config(&authority.issue("api.example", ALIVE))).await;
    let trusted = format!("certificate-authority-data: {}", STANDARD.encode(authority.pem()));
    assert_audited(&audit_as_told(address, &format!("{trusted}, tls-server-name: api.example"), "token: a").await);
    assert_audited(&audit_as_told(address, "insecure-skip-tls-verify: true", "token: a").await);
    for cluster in [&trusted, &format!("{trusted}, tls-server-name: other.example"), "tls-server-name: api.example"] {
        assert_eq!(audit_as_told(address, cluster, "token: a").await.code, Some(2), "{cluster}");
    }
}

/// Wants one of these very certificates of its clients, of whatever version, and the proof that they hold its key.
#[derive(Debug)]
struct KnownClients {
    known: Vec<Vec<u8>>,
    shown: Mutex<Vec<Vec<u8>>>,
}

impl KnownClients {
    fn new<const COUNT: usize>(known: [&[u8]; COUNT]) -> Arc<Self> {
        Arc::new(Self { known: known.map(<[u8]>::to_vec).into(), shown: Mutex::default() })
    }

    fn have_shown(&self, certificate: &[u8]) -> bool {
        self.shown.lock().unwrap().iter().any(|shown| shown == certificate)
    }

    /// A server that shows this certificate.
    fn server_config(self: &Arc<Self>, shown: &Pair) -> ServerConfig {
        let (chain, key) = identity(shown);
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::<Self>::clone(self))
            .with_single_cert(chain, key)
            .unwrap()
    }
}

impl ClientCertVerifier for KnownClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.shown.lock().unwrap().push(end_entity.to_vec());
        let is_known = self.known.iter().any(|known| *known == **end_entity);
        is_known
            .then(ClientCertVerified::assertion)
            .ok_or_else(|| CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 alone is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (_, x509) = X509Certificate::from_der(certificate).unwrap();
        let key = SubjectPublicKeyInfoDer::from(x509.public_key().raw);
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A user's certificate of this version, in DER.
fn client_certificate(version: u32, key: &KeyPair) -> Vec<u8> {
    client_certificate_until(2200, version, key)
}

fn client_certificate_until(last_year: i32, version: u32, key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(last_year, 1, 1));
    let certificate = params.self_signed(key).unwrap();
    let der = if version == 1 { of_version_1(certificate.der(), key) } else { certificate.der().to_vec() };
    let (_, x509) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(x509.version().0 + 1, version);
    der
}

fn certificate_pem(certificate: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate))
}

/// A plugin that prints this certificate, beside one in the kubeconfig that nobody wants.
fn plugin(certificate: &[u8], key: &KeyPair, folder: &Path) -> String {
    let status = json!({"clientCertificateData": certificate_pem(certificate), "clientKeyData": key.serialize_pem()});
    let credential =
        json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status});
    let file = folder.join("credential");
    std::fs::write(&file, credential.to_string()).unwrap();
    let other = KeyPair::generate().unwrap();
    format!(
        "{}, exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: cat, args: ['{}']}}",
        user(&client_certificate(3, &other), &other),
        file.display()
    )
}

fn user(certificate: &[u8], key: &KeyPair) -> String {
    let certificate = certificate_pem(certificate);
    format!(
        "client-certificate-data: {}, client-key-data: {}",
        STANDARD.encode(certificate),
        STANDARD.encode(key.serialize_pem())
    )
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_of_any_version_is_shown(#[values(1, 3)] version: u32) {
    let (server, shown, key) =
        (ApiServer::start(None).await, self_signed(HERE, 2200, true), KeyPair::generate().unwrap());
    let certificate = client_certificate(version, &key);
    let config = KnownClients::new([&certificate]).server_config(&shown);
    let address = tls_in_front_of(server.address, config).await;
    assert_audited(&audit(address, &shown.certificate, &user(&certificate, &key)).await);
    if version == 3 {
        let folder = TempDir::new().unwrap();
        let user = plugin(&certificate, &key, folder.path());
        assert_audited(&audit(address, &shown.certificate, &user).await);
    }
    let ended = audit(address, &shown.certificate, "token: a").await;
    assert_eq!(ended.code, Some(2), "without it nobody is let in\n{}", ended.stdout);
}

/// What a plugin printed has expired, and what it prints now has not.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_run_again_when_its_certificate_has_expired() {
    let (server, shown, folder) =
        (ApiServer::start(None).await, self_signed(HERE, 2200, true), TempDir::new().unwrap());
    let [expired, alive] = [2021, 2200].map(|last_year| {
        let key = KeyPair::generate().unwrap();
        (client_certificate_until(last_year, 3, &key), key)
    });
    let clients = KnownClients::new([&expired.0, &alive.0]);
    let address = tls_in_front_of(server.address, clients.server_config(&shown)).await;
    let cluster = format!(", certificate-authority-data: {}", STANDARD.encode(&shown.certificate));
    let user = plugin(&expired.0, &expired.1, folder.path());
    let text = kubeconfig_text(address, &user, &cluster).replace("http://", "https://");
    let serving = Serving::start_as(&text, "--audit-interval 1s").unwrap();
    serving.becomes("shown the first", |_| clients.have_shown(&expired.0)).await.unwrap();
    plugin(&alive.0, &alive.1, folder.path());
    serving.becomes("shown the second", |_| clients.have_shown(&alive.0)).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_certificate_is_told(#[values(1, 3)] version: u32) {
    let certificate = client_certificate(version, &KeyPair::generate().unwrap());
    let nowhere = (Ipv4Addr::LOCALHOST, 1).into();
    let shown = self_signed(HERE, 2200, true);
    let ended = audit(nowhere, &shown.certificate, &user(&certificate, &KeyPair::generate().unwrap())).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("client-key is not the key of client-certificate"), "{}", ended.stderr);
}

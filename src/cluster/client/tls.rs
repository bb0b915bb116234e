//! TLS to an API server: whom to trust and what to show it, as kubectl does it.
//!
//! Two things that rustls leaves to its caller are done here. A server's own certificate may stand as `certificate-authority`, and a
//! client certificate may be of X.509 version 1, as `MicroK8s` issues them: it is only sent, and judged by the API server.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::client::ConfigExt;
use kube::config::AuthInfo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use secrecy::ExposeSecret;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::unusable;

/// The certificates that are trusted and the one that is shown. Runs an exec plugin, and takes the client certificate out of
/// the configuration.
///
/// # Errors
///
/// What is wrong with a certificate or a key, which is not quoted.
pub(super) fn client_config(config: &mut Config) -> Result<ClientConfig, String> {
    let identity = take_identity(&mut config.auth_info)?;
    let mut tls = config.rustls_client_config().map_err(|error| unusable(&error))?;
    // An exec plugin's comes first.
    if let Some(identity) = identity.filter(|_| !tls.client_auth_cert_resolver.has_certs()) {
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
    }
    // In a pod, where it is a file that changes, it is an authority's; kube reads it again.
    let is_fixed = config.root_cert_file.is_none() && !config.accept_invalid_certs;
    if let Some(authorities) = config.root_cert.as_ref().filter(|_| is_fixed) {
        tls.dangerous().set_certificate_verifier(Arc::new(ServerVerifier::new(authorities)?));
    }
    Ok(tls)
}

/// When the certificate that is shown expires, if one is.
pub(super) fn valid_until(tls: &ClientConfig) -> Option<jiff::Timestamp> {
    let shown = tls.client_auth_cert_resolver.resolve(&[], &[])?;
    let (_, x509) = X509Certificate::from_der(shown.cert.first()?).ok()?;
    jiff::Timestamp::from_second(x509.validity().not_after.timestamp()).ok()
}

/// The client certificate of the kubeconfig with its key.
fn take_identity(auth: &mut AuthInfo) -> Result<Option<CertifiedKey>, String> {
    let certificate = pem("client-certificate", auth.client_certificate_data.take(), auth.client_certificate.take())?;
    let key_data = auth.client_key_data.take().map(|data| data.expose_secret().to_owned());
    let key = pem("client-key", key_data, auth.client_key.take())?;
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => return Err("the kubeconfig names a client-certificate and no client-key".to_owned()),
        (None, Some(_)) => return Err("the kubeconfig names a client-key and no client-certificate".to_owned()),
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or("client-certificate: expected a certificate in PEM")?;
    let unreadable = "client-key: expected a private key in PEM (PKCS#8, PKCS#1 or SEC1), not encrypted";
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| unreadable)?;
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key).map_err(|_| unreadable)?;
    // rustls's own check reads certificates of version 3 alone.
    let leaf = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
    let (_, leaf) = leaf.ok_or("client-certificate: no X.509 certificate")?;
    if key.public_key().is_some_and(|public| public.as_ref() != leaf.public_key().raw) {
        return Err("client-key is not the key of client-certificate".to_owned());
    }
    Ok(Some(CertifiedKey::new(chain, key)))
}

/// What a kubeconfig holds in base64, or names the file of.
fn pem(name: &str, data: Option<String>, file: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (data, file) {
        (Some(data), _) => STANDARD.decode(data).map(Some).map_err(|_| format!("{name}-data: expected base64")),
        #[expect(clippy::disallowed_methods, reason = "the shell reads the file that the kubeconfig names")]
        (None, Some(file)) => std::fs::read(&file).map(Some).map_err(|error| format!("{name} {file}: {error}")),
        (None, None) => Ok(None),
    }
}

/// Trusts what the authorities have signed, and, as Go does, a certificate that is itself among them.
#[derive(Debug)]
struct ServerVerifier {
    pinned: Vec<CertificateDer<'static>>,
    signed: Arc<WebPkiServerVerifier>,
}

impl ServerVerifier {
    fn new(authorities: &[Vec<u8>]) -> Result<Self, String> {
        let pinned: Vec<_> = authorities.iter().cloned().map(CertificateDer::from).collect();
        let failed = |error: &dyn std::fmt::Display| format!("certificate-authority: {error}");
        let mut roots = RootCertStore::empty();
        for certificate in &pinned {
            roots.add(certificate.clone()).map_err(|error| failed(&error))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self { pinned, signed: signed.map_err(|error| failed(&error))? })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.contains(end_entity) {
            return verify_pinned(end_entity, server_name, now);
        }
        self.signed.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// That nobody signed it for others to trust is of no interest; its name, dates and purpose are.
fn verify_pinned(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let (_, x509) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let at = |seconds: i64| UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().unwrap_or(0)));
    let (not_before, not_after) =
        (at(x509.validity().not_before.timestamp()), at(x509.validity().not_after.timestamp()));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    let usages = x509.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    if usages.is_some_and(|usages| !usages.value.server_auth && !usages.value.any) {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}

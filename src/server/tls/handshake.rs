//! What a handshake must be like: TLS versions, our own names, and who the client is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::CertificateError;

/// What a handshake must be like.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// What clients call this server: the certificate must stand for each.
    pub names: Vec<ServerName<'static>>,
    /// PEM file with the authorities of client certificates; none: clients need no certificate.
    pub client_ca: Option<PathBuf>,
    /// Names in client certificates that are answered; none: any.
    pub client_names: Vec<String>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TlsVersion {
    /// 1.2.
    #[default]
    #[value(name = "1.2")]
    V1_2,
    /// 1.3.
    #[value(name = "1.3")]
    V1_3,
}

static SINCE_1_3: [&SupportedProtocolVersion; 1] = [&TLS13];

impl TlsVersion {
    /// This version and the later ones.
    pub(super) fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::V1_2 => rustls::ALL_VERSIONS,
            Self::V1_3 => &SINCE_1_3,
        }
    }
}

/// Whether clients can be checked with these authorities, PEM.
pub(super) fn check_client_authorities(authorities: Option<&[u8]>) -> Result<(), CertificateError> {
    client_verifier(authorities, &Arc::new(aws_lc_rs::default_provider())).map(drop)
}

/// What rustls checks clients with; `authorities` is PEM.
pub(super) fn client_verifier(
    authorities: Option<&[u8]>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let Some(pem) = authorities else { return Ok(Arc::new(NoClientAuth)) };
    let broken = |error: &dyn fmt::Display| CertificateError::ClientAuthority(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|error| broken(&error))?).map_err(|error| broken(&error))?;
    }
    match WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build() {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(broken(&error)),
    }
}

//! The serving certificate: what makes a usable pair of certificate and key, and what is known of it.

mod certificate;
mod clients;
mod error;
mod handshake;
mod self_signed;
mod store;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};

pub use self::certificate::{Certificate, alternative_names, timestamp, why_unfit};
pub(super) use self::clients::{ClientPolicy, UnknownClient};
pub use self::error::CertificateError;
use self::handshake::client_verifier;
pub use self::handshake::{Handshake, TlsVersion};
pub use self::self_signed::{SelfSigned, self_signed};
pub use self::store::{ConfigReceiver, TlsStatus, TlsStore};

/// Largest certificate or key file, bytes: what fits into a Secret.
const MAX_FILE: u64 = 1 << 20;

/// How often files that change under our eyes are read again, before they are judged as they are.
const REREADS: usize = 3;

/// What stands in the PEM of an encrypted key: PKCS#8, and the older form of OpenSSL.
const ENCRYPTED_KEYS: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];

/// A certificate chain and its key, as PEM, not yet looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// Certificate chain, serving certificate first.
    pub certificate: Vec<u8>,
    /// Private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Pair {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

/// A pair that is handed over to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingCertificate {
    /// What to serve.
    pub pair: Pair,
    /// Why clients do not trust it yet, where they do not: then the server is not ready.
    pub distrust: Option<String>,
}

/// Where a pair is read from.
#[derive(Debug, Clone)]
pub struct PairFiles {
    /// `--tls-cert`.
    pub certificate: PathBuf,
    /// `--tls-key`.
    pub key: PathBuf,
}

impl PairFiles {
    /// Reads both files, here and now.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Unreadable`] or [`CertificateError::TooLarge`].
    pub fn read(&self) -> Result<Pair, CertificateError> {
        // Between the two the files can be swapped; what is read twice alike is one pair.
        let mut pair = self.read_once()?;
        for _ in 0..REREADS {
            let again = self.read_once()?;
            if again == pair {
                break;
            }
            pair = again;
        }
        Ok(pair)
    }

    fn read_once(&self) -> Result<Pair, CertificateError> {
        Ok(Pair { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| CertificateError::Unreadable { path: path.to_owned(), message: error.to_string() })?;
    if bytes.len() as u64 > MAX_FILE { Err(CertificateError::TooLarge { path: path.to_owned() }) } else { Ok(bytes) }
}

impl Pair {
    /// What rustls serves with this pair, and what is known of the certificate. `authorities` of clients are PEM.
    ///
    /// # Errors
    ///
    /// Each [`CertificateError`] but those of reading files.
    pub fn open(
        &self,
        handshake: &Handshake,
        authorities: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<(Arc<ServerConfig>, Certificate), CertificateError> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CertificateError::Certificate(error.to_string()))?;
        let leaf =
            chain.first().ok_or_else(|| CertificateError::Certificate("no PEM certificate in the file".to_owned()))?;
        let certificate = Certificate::parse(leaf)?;
        let untrustworthy = certificate.check(leaf, &handshake.names);
        let key = self.private_key()?;

        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = client_verifier(authorities, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(handshake.min_version.and_later())
            .map_err(|error| CertificateError::Key(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => self.mismatch(&chain),
                rustls::Error::InvalidCertificate(error) => CertificateError::Certificate(error.to_string()),
                error => CertificateError::Key(error.to_string()),
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // API servers resume no session: tickets would be made, sent and remembered in vain.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});

        // Last, so that an old pair that is broken too is named by its fault.
        untrustworthy?;
        if now > certificate.not_after {
            return Err(CertificateError::Expired(certificate.not_after));
        }
        if now < certificate.not_before {
            return Err(CertificateError::NotYetValid(certificate.not_before));
        }
        Ok((Arc::new(config), certificate))
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        let is_encrypted = ENCRYPTED_KEYS.iter().any(|mark| self.key.windows(mark.len()).any(|part| part == *mark));
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| match error {
            _ if is_encrypted => CertificateError::EncryptedKey,
            error => CertificateError::Key(error.to_string()),
        })
    }

    /// Why the key is not the first certificate's.
    fn mismatch(&self, chain: &[CertificateDer<'static>]) -> CertificateError {
        let is_of_key = |certificate: &&CertificateDer<'static>| {
            let key = self.private_key().ok().and_then(|key| any_supported_type(&key).ok());
            key.is_some_and(|key| CertifiedKey::new(vec![(*certificate).clone()], key).keys_match().is_ok())
        };
        let subject = |der: &CertificateDer<'_>| Certificate::parse(der).map(|certificate| certificate.subject);
        match (chain.first().map(subject), chain.iter().find(is_of_key).map(subject)) {
            (Some(Ok(first)), Some(Ok(leaf))) => CertificateError::WrongOrder { first, leaf },
            _ => CertificateError::Mismatch,
        }
    }
}

//! The serving certificate: what makes a usable pair of certificate and key, and what is known of it.

mod clients;
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
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{InconsistentKeys, ServerConfig};
use thiserror::Error;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Error};

pub(super) use self::clients::ClientPolicy;
use self::handshake::client_verifier;
pub use self::handshake::{Handshake, TlsVersion};
pub use self::self_signed::{SelfSigned, self_signed};
pub use self::store::{TlsStatus, TlsStore};

/// Largest certificate or key file, bytes: what fits into a Secret.
const MAX_FILE: u64 = 1 << 20;

/// How often files that change under our eyes are read again, before they are judged as they are.
const REREADS: usize = 3;

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
pub struct Offer {
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

/// Why a pair cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A file cannot be read.
    #[error("cannot read {}: {message}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        message: String,
    },
    /// A file is larger than a Secret can be.
    #[error("{} is larger than {MAX_FILE} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The certificate file holds no PEM certificate, or a broken one.
    #[error("no usable certificate: {0}")]
    Certificate(String),
    /// The key file holds no unencrypted PEM key, or a broken one.
    #[error("no usable private key: {0}")]
    Key(String),
    /// The key is another certificate's; half of a rotation, most likely.
    #[error("the certificate and the key do not belong together")]
    Mismatch,
    /// The certificate does not stand for a name that clients use.
    #[error("the certificate does not stand for {missing}, only for: {}", names.join(", "))]
    WrongName {
        /// What `--tls-name` says.
        missing: String,
        /// What the certificate says.
        names: Vec<String>,
    },
    /// The file of client authorities holds no PEM certificate, or a broken one.
    #[error("no usable client authority: {0}")]
    ClientAuthority(String),
    /// The certificate's life is over.
    #[error("the certificate expired at {0}")]
    Expired(Timestamp),
    /// The certificate's life has not begun.
    #[error("the certificate is not valid before {0}")]
    NotYetValid(Timestamp),
}

impl Problem {
    /// One word, for the metric.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too-large",
            Self::Certificate(_) => "bad-certificate",
            Self::Key(_) => "bad-key",
            Self::Mismatch => "mismatch",
            Self::WrongName { .. } => "wrong-name",
            Self::ClientAuthority(_) => "bad-client-ca",
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) => "not-yet-valid",
        }
    }

    /// What to do about it at start.
    pub(super) const fn advice(&self) -> &'static str {
        match self {
            Self::WrongName { .. } => "give a certificate for each --tls-name, or leave those out",
            Self::ClientAuthority(_) => "give PEM certificates with --client-ca",
            _ => {
                "give a certificate and its key with --tls-cert and --tls-key, or try things out with --tls self-signed"
            }
        }
    }
}

/// What is known of a serving certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Distinguished name.
    pub subject: String,
    /// DNS names, IP addresses and URIs that it stands for.
    pub names: Vec<String>,
    /// Start of its life.
    pub not_before: Timestamp,
    /// End of its life.
    pub not_after: Timestamp,
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "certificate subject: {}", self.subject)?;
        writeln!(f, "certificate names: {}", self.names.join(", "))?;
        writeln!(f, "certificate not before: {}", self.not_before)?;
        write!(f, "certificate not after: {}", self.not_after)
    }
}

impl PairFiles {
    /// Reads both files, here and now.
    ///
    /// # Errors
    ///
    /// [`Problem::Unreadable`] or [`Problem::TooLarge`].
    pub fn read(&self) -> Result<Pair, Problem> {
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

    fn read_once(&self) -> Result<Pair, Problem> {
        Ok(Pair { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| Problem::Unreadable { path: path.to_owned(), message: error.to_string() })?;
    if bytes.len() as u64 > MAX_FILE { Err(Problem::TooLarge { path: path.to_owned() }) } else { Ok(bytes) }
}

impl Pair {
    /// What rustls serves with this pair, and what is known of the certificate. `authorities` of clients are PEM.
    ///
    /// # Errors
    ///
    /// Each [`Problem`] but those of reading files.
    pub fn open(
        &self,
        handshake: &Handshake,
        authorities: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<(Arc<ServerConfig>, Certificate), Problem> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Problem::Certificate(error.to_string()))?;
        let leaf = chain.first().ok_or_else(|| Problem::Certificate("no PEM certificate in the file".to_owned()))?;
        let certificate = describe(leaf)?;
        let wrong_name = handshake.check_names(leaf, &certificate);
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| Problem::Key(error.to_string()))?;

        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = client_verifier(authorities, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(handshake.min_version.and_later())
            .map_err(|error| Problem::Key(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Problem::Mismatch,
                rustls::Error::InvalidCertificate(error) => Problem::Certificate(error.to_string()),
                error => Problem::Key(error.to_string()),
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // API servers resume no session: tickets would be made, sent and remembered in vain.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});

        // Last, so that an old pair that is broken too is named by its fault.
        wrong_name?;
        if now > certificate.not_after {
            return Err(Problem::Expired(certificate.not_after));
        }
        if now < certificate.not_before {
            return Err(Problem::NotYetValid(certificate.not_before));
        }
        Ok((Arc::new(config), certificate))
    }
}

fn describe(der: &CertificateDer<'_>) -> Result<Certificate, Problem> {
    let broken = |error: &dyn fmt::Display| Problem::Certificate(error.to_string());
    let (_, x509) = X509Certificate::from_der(der).map_err(|error| broken(&error))?;
    let time = |seconds| Timestamp::from_second(seconds).map_err(|error| broken(&error));
    Ok(Certificate {
        subject: x509.subject().to_string(),
        names: names(&x509).map_err(|error| broken(&error))?,
        not_before: time(x509.validity().not_before.timestamp())?,
        not_after: time(x509.validity().not_after.timestamp())?,
    })
}

/// The alternative names of a certificate.
fn names(x509: &X509Certificate<'_>) -> Result<Vec<String>, X509Error> {
    let extension = x509.subject_alternative_name()?;
    Ok(extension.map(|extension| extension.value.general_names.iter().filter_map(name).collect()).unwrap_or_default())
}

/// The alternative names of a certificate; none when they cannot be read.
pub fn alternative_names(x509: &X509Certificate<'_>) -> Vec<String> {
    names(x509).unwrap_or_default()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(|bytes| std::net::IpAddr::from(bytes).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string()))
            .ok(),
        _ => None,
    }
}

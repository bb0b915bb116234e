//! Why a certificate, its key or the authorities of clients cannot be used.

use std::path::PathBuf;

use jiff::Timestamp;
use thiserror::Error;

use super::MAX_FILE;

/// Why a pair cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
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
    /// The key is encrypted.
    #[error(
        "the private key is encrypted, and a server has nobody to ask for its passphrase; \
         `openssl pkey -in tls.key -out plain.key` decrypts it"
    )]
    EncryptedKey,
    /// The key belongs to a certificate further down in the file.
    #[error(
        "the certificate of the key, {leaf}, does not come first, but after {first}: \
         put the serving certificate first, then each one's issuer"
    )]
    WrongOrder {
        /// The first certificate of the file.
        first: String,
        /// The one that belongs to the key.
        leaf: String,
    },
    /// The certificate has no name that a client looks at.
    #[error(
        "the certificate of {subject} has no subject alternative name, so that no API server trusts it: the common name does not \
         count; issue one with the Service's name, such as NAME.NAMESPACE.svc, as DNS name"
    )]
    NoAlternativeName {
        /// Its distinguished name.
        subject: String,
    },
    /// The certificate is for something else than servers.
    #[error(
        "the certificate of {subject} has extended key usages, but not serverAuth among them, so that no API server trusts it"
    )]
    NotForServers {
        /// Its distinguished name.
        subject: String,
    },
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

impl CertificateError {
    /// One word, for the metric.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too-large",
            Self::Certificate(_) => "bad-certificate",
            Self::Key(_) => "bad-key",
            Self::Mismatch => "mismatch",
            Self::EncryptedKey => "encrypted-key",
            Self::WrongOrder { .. } => "wrong-order",
            Self::NoAlternativeName { .. } => "no-alternative-name",
            Self::NotForServers { .. } => "not-for-servers",
            Self::WrongName { .. } => "wrong-name",
            Self::ClientAuthority(_) => "bad-client-ca",
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) => "not-yet-valid",
        }
    }

    /// What to do about it at start.
    pub(in super::super) const fn advice(&self) -> &'static str {
        match self {
            Self::WrongName { .. } => "give a certificate for each --tls-name, or leave those out",
            Self::ClientAuthority(_) => "give PEM certificates with --client-ca",
            Self::EncryptedKey
            | Self::WrongOrder { .. }
            | Self::NoAlternativeName { .. }
            | Self::NotForServers { .. } => "or try things out with --tls self-signed",
            _ => {
                "give a certificate and its key with --tls-cert and --tls-key, or try things out with --tls self-signed"
            }
        }
    }
}

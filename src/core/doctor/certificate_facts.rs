//! Certificates, and the servers that present them.

use jiff::Timestamp;

use super::observation::Unobservable;

/// The `caBundle` of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaBundle {
    /// Name of the entry.
    pub entry: String,
    /// What is in it.
    pub content: CaBundleContent,
}

/// What is in a `caBundle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaBundleContent {
    /// Nothing.
    Empty,
    /// Something that holds no certificate, and why.
    NoCertificate(String),
    /// These authorities.
    Certificates(Vec<CertificateInfo>),
}

/// What is known of a certificate, an authority's or a server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Subject.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// Serial number, which tells certificates of one subject apart.
    pub serial: String,
    /// Subject alternative names.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
}

/// One server behind the entries and the certificate that it presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedCertificate {
    /// The server: a pod, or an address.
    pub server: String,
    /// The certificate, or why it could not be read.
    pub presented: Result<PresentedCertificate, Unobservable>,
}

/// A certificate that a server presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedCertificate {
    /// The certificate.
    pub certificate: CertificateInfo,
    /// Why no API server trusts it, whatever name it calls the server by and whoever has signed it.
    pub unfit: Option<String>,
    /// Whether it is for the name that the API server calls the server by.
    pub matches_name: bool,
    /// For each of `Facts::ca_bundles`, whether an authority in it has signed the certificate.
    pub trusted_by_bundle: Vec<bool>,
    /// The server's clock.
    pub clock: Option<ClockReading>,
}

/// The time on a remote clock, and on this machine's at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// There.
    pub remote: Timestamp,
    /// Here.
    pub local: Timestamp,
}

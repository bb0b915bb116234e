//! What a certificate says, and whether clients can trust what it says.

use std::fmt;

use jiff::Timestamp;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Error};

use super::CertificateError;

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

impl Certificate {
    /// What a certificate says.
    pub(super) fn parse(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let x509 = parse(der)?;
        Ok(Self {
            subject: x509.subject().to_string(),
            names: names(&x509).map_err(broken)?,
            not_before: timestamp(x509.validity().not_before.timestamp()),
            not_after: timestamp(x509.validity().not_after.timestamp()),
        })
    }

    /// Whether an API server that calls this server by any of these names can trust it, but for its issuer and its dates.
    pub(super) fn check(&self, der: &CertificateDer<'_>, wanted: &[ServerName<'_>]) -> Result<(), CertificateError> {
        let x509 = parse(der)?;
        let subject = || self.subject.clone();
        let alternative = x509.subject_alternative_name().map_err(broken)?;
        let is_host = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_));
        if !alternative.is_some_and(|extension| extension.value.general_names.iter().any(is_host)) {
            return Err(CertificateError::NoAlternativeName { subject: subject() });
        }
        let usages = x509.extended_key_usage().map_err(broken)?;
        if usages.is_some_and(|usages| !usages.value.server_auth && !usages.value.any) {
            return Err(CertificateError::NotForServers { subject: subject() });
        }
        let parsed = ParsedCertificate::try_from(der).map_err(broken)?;
        match wanted.iter().find(|name| verify_server_name(&parsed, name).is_err()) {
            None => Ok(()),
            Some(name) => {
                Err(CertificateError::WrongName { missing: name.to_str().into_owned(), names: self.names.clone() })
            }
        }
    }
}

fn broken(error: impl fmt::Display) -> CertificateError {
    CertificateError::Certificate(error.to_string())
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    X509Certificate::from_der(der).map(|(_, x509)| x509).map_err(broken)
}

/// Why no API server trusts a server with this certificate, whatever name it calls it by and whoever has signed it.
pub fn why_unfit(der: &CertificateDer<'_>) -> Option<CertificateError> {
    Certificate::parse(der).and_then(|certificate| certificate.check(der, &[])).err()
}

/// Certificates without an end are valid until the end of 9999, which is a day later than times are known here.
pub fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The alternative names of a certificate.
pub(super) fn names(x509: &X509Certificate<'_>) -> Result<Vec<String>, X509Error> {
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

//! Who the clients are: why their handshakes fail, and which of them are answered.

use std::io;

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CommonState, Error};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::log::LogThrottle;
use super::certificate::names;
use crate::core::text::{LONGEST_NAME, sanitize_line};

/// Among a request's extensions: its client is none of those that are answered.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct UnknownClient;

/// Which clients are answered.
pub(in super::super) struct ClientPolicy {
    /// Names in client certificates that are answered; none: any.
    names: Vec<String>,
    complaints: LogThrottle,
}

impl ClientPolicy {
    pub(in super::super) fn new(names: Vec<String>) -> Self {
        Self { names, complaints: LogThrottle::new() }
    }

    /// Why a handshake failed. Tells failures that a person must do something about from those that any scanner causes.
    pub(in super::super) fn handshake_failure(&self, error: &io::Error) -> &'static str {
        let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        let reason = match error {
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => "client-certificate",
            Some(Error::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA,
            )) => "distrusted",
            _ => return "handshake",
        };
        if let (Some(error), Some(suppressed)) = (error, self.complaints.pass()) {
            tracing::warn!(reason, %error, suppressed, "handshake failed over a certificate");
        }
        reason
    }

    /// Whether the client of this connection shows a certificate with a name that is answered.
    pub(in super::super) fn is_allowed(&self, connection: &CommonState) -> bool {
        if self.names.is_empty() {
            return true;
        }
        let shown = connection.peer_certificates().and_then(<[_]>::first).map(client_names).unwrap_or_default();
        let is_allowed = shown.iter().any(|name| self.names.contains(name));
        if let (false, Some(suppressed)) = (is_allowed, self.complaints.pass()) {
            let names = shown.join(", ");
            let names = &*sanitize_line(&names, LONGEST_NAME);
            tracing::warn!(names, suppressed, "client certificate is not among those of --client-name");
        }
        is_allowed
    }
}

/// The common names and the alternative names of a client's certificate; none when it cannot be read.
fn client_names(der: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, x509)) = X509Certificate::from_der(der) else { return Vec::new() };
    let common = x509.subject().iter_common_name().filter_map(|name| Some(name.as_str().ok()?.to_owned()));
    common.chain(names(&x509).unwrap_or_default()).collect()
}

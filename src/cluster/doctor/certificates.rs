//! Certificates in objects: the Secret's, and the authorities in each `caBundle`.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::reader::{ObjectReader, Resource};
use crate::core::doctor::{CaBundle, CaBundleContent, CertificateInfo, Observation};
use crate::server::tls::{alternative_names, timestamp};

const SECRETS: Resource = Resource::new("secrets", "", "Secret");

impl ObjectReader {
    /// The certificate in a Secret; its key is not looked at.
    pub(super) async fn secret(&self, namespace: &str, name: &str) -> Observation<Option<CertificateInfo>> {
        self.get(&SECRETS, Some(namespace), name).await.map(|secret| {
            let pem = secret.pointer("/data/tls.crt").and_then(decode_base64).unwrap_or_default();
            parse_pem(&pem).ok().and_then(|all| all.first().and_then(certificate_info))
        })
    }
}

/// Bytes as objects hold them.
fn decode_base64(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}

/// The certificates in a PEM file.
fn parse_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("no certificate".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(error.to_string()),
    }
}

/// What is known of a certificate.
pub(super) fn certificate_info(der: &CertificateDer<'_>) -> Option<CertificateInfo> {
    let (_, x509) = X509Certificate::from_der(der).ok()?;
    let mut serial = String::new();
    for byte in x509.raw_serial() {
        // Writing to a string cannot fail.
        let _ = write!(serial, "{byte:02x}");
    }
    Some(CertificateInfo {
        subject: x509.subject().to_string(),
        issuer: x509.issuer().to_string(),
        serial,
        names: alternative_names(&x509),
        not_before: timestamp(x509.validity().not_before.timestamp()),
        not_after: timestamp(x509.validity().not_after.timestamp()),
    })
}

/// The `caBundle` of each entry: described for the report, and as certificates to verify with.
pub(super) fn ca_bundles(
    configurations: &[Observation<Value>; 2],
) -> (Vec<CaBundle>, Vec<Vec<CertificateDer<'static>>>) {
    let all = configurations.iter().filter_map(Observation::found);
    let entries = all.flat_map(|object| object.get("webhooks").and_then(Value::as_array).into_iter().flatten());
    let bundle = |entry: &Value| {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let pem = entry.pointer("/clientConfig/caBundle").and_then(decode_base64).unwrap_or_default();
        if pem.is_empty() {
            return (CaBundle { entry: name, content: CaBundleContent::Empty }, Vec::new());
        }
        match parse_pem(&pem) {
            Ok(authorities) => {
                let described = authorities.iter().filter_map(certificate_info).collect();
                (CaBundle { entry: name, content: CaBundleContent::Certificates(described) }, authorities)
            }
            Err(reason) => (CaBundle { entry: name, content: CaBundleContent::NoCertificate(reason) }, Vec::new()),
        }
    };
    entries.map(bundle).unzip()
}

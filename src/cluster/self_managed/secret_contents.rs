//! What the Secret holds, and how it is made: an authority, the serving certificate, the next authority, what is still
//! trusted of older ones. No clock and no API server: the time comes in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use thiserror::Error;
use x509_parser::asn1_rs::Tag;
use x509_parser::oid_registry::OID_X509_COMMON_NAME;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::server::tls::{Certificate, Handshake, Pair};

/// How long certificates live, and how carefully it is introduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of an authority, from its making.
    pub authority: SignedDuration,
    /// Of a serving certificate, from its making.
    pub certificate: SignedDuration,
    /// How much earlier than its making a certificate's life begins, for clients whose clock is behind.
    pub backdate: SignedDuration,
    /// How long each `caBundle` has to hold a new authority before it signs what is served: API servers learn of a change
    /// one after another.
    pub propagation: SignedDuration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            authority: SignedDuration::from_hours(24 * 3650),
            certificate: SignedDuration::from_hours(24 * 90),
            backdate: SignedDuration::from_hours(1),
            propagation: SignedDuration::from_mins(1),
        }
    }
}

/// Something cannot be made; only a DNS name that is none leads here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot make a certificate: {0}")]
pub struct IssueError(#[from] rcgen::Error);

/// A certificate of an authority, and its key unless that is lost.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateAuthority {
    /// What clients trust.
    pub certificate: CertificateDer<'static>,
    /// Its subject is this common name alone.
    name: String,
    /// What signs, PEM.
    key: Option<String>,
    /// End of its life.
    pub not_after: Timestamp,
}

impl fmt::Debug for CertificateAuthority {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// Makes one; the generation tells it from others in its name.
    ///
    /// # Errors
    ///
    /// Never in practice.
    pub fn make(generation: i64, now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, IssueError> {
        let name = format!("session-webhook CA {generation}");
        let mut params = authority_params(&name)?;
        let not_after = set_validity(&mut params, now, lifetimes.authority, lifetimes);
        // Else one that was made while the clock was ahead would sign for hours what no API server trusts.
        params.not_before = date_time_ymd(1970, 1, 1);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, name, key: Some(key.serialize_pem()), not_after })
    }

    /// Reads one; a key that is not its own counts as lost.
    fn read(certificate: &[u8], key: Option<&[u8]>) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(certificate).ok()?;
        let (_, x509) = X509Certificate::from_der(&certificate).ok()?;
        if !x509.is_ca() {
            return None;
        }
        let not_after = Timestamp::from_second(x509.validity().not_after.timestamp()).ok()?;
        let key = key.and_then(|pem| String::from_utf8(pem.to_vec()).ok()).filter(|pem| {
            KeyPair::from_pem(pem).is_ok_and(|key| key.subject_public_key_info() == x509.public_key().raw)
        });
        // A subject that was not made here could not be named as the issuer byte for byte.
        let name = rcgen_common_name(x509.subject());
        let key = key.filter(|_| name.is_some());
        Some(Self { name: name.unwrap_or_default(), key, not_after, certificate: certificate.clone() })
    }

    /// Whether it can sign.
    pub const fn can_sign(&self) -> bool {
        self.key.is_some()
    }

    /// Makes a serving certificate, which never outlives the authority.
    ///
    /// # Errors
    ///
    /// When a name is no DNS name and no IP address.
    pub fn issue(&self, names: &[String], now: Timestamp, lifetimes: &Lifetimes) -> Result<Pair, IssueError> {
        let lost = || IssueError(rcgen::Error::CouldNotParseKeyPair);
        let signer = KeyPair::from_pem(self.key.as_deref().ok_or_else(lost)?)?;
        let issuer = Issuer::new(authority_params(&self.name)?, signer);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = common_name("session-webhook");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let life = lifetimes.certificate.min(self.not_after.duration_since(now));
        set_validity(&mut params, now, life, lifetimes);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Pair { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() })
    }

    /// What is known of a pair, if it can be served now to those who trust this authority.
    pub fn verifies(&self, pair: &Pair, now: Timestamp) -> Option<Certificate> {
        let (_, certificate) = pair.open(&Handshake::default(), None, now).ok()?;
        let leaf = CertificateDer::from_pem_slice(&pair.certificate).ok()?;
        trusts([&self.certificate], &leaf, certificate.names.first()?, now).then_some(certificate)
    }
}

/// Whether a client that trusts these authorities takes this certificate for that server.
pub fn trusts<'a>(
    authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    certificate: &CertificateDer<'_>,
    name: &str,
    now: Timestamp,
) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.into_iter().cloned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let Ok(name) = ServerName::try_from(name) else { return false };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs()));
    verifier.verify_server_cert(certificate, &[], &name, &[], now).is_ok()
}

/// All that the replicas share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretContents {
    /// When the authority was made, seconds since 1970: of two, the greater one is the newer.
    pub generation: i64,
    /// What signs.
    pub authority: CertificateAuthority,
    /// What is served.
    pub pair: Option<Pair>,
    /// What will sign, once every `caBundle` holds it.
    pub next: Option<CertificateAuthority>,
    /// What signed before, and is trusted until then.
    pub old: Vec<CertificateDer<'static>>,
    /// When none of the certificates that older authorities signed is alive any more.
    pub old_until: Timestamp,
}

/// The data of the Secret.
pub type Data = BTreeMap<String, Vec<u8>>;

const GENERATION: &str = "generation";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITY: [&str; 2] = ["ca.crt", "ca.key"];
const NEXT: [&str; 2] = ["next-ca.crt", "next-ca.key"];
const OLD: &str = "old-ca.crt";
const OLD_UNTIL: &str = "old-ca-until";

impl SecretContents {
    /// Reads the Secret.
    ///
    /// # Errors
    ///
    /// Which key keeps it from being this program's.
    pub fn read(data: &Data) -> Result<Self, &'static str> {
        let text = |key| data.get(key).and_then(|value| std::str::from_utf8(value).ok());
        let authority = |[certificate, key]: [&str; 2]| {
            CertificateAuthority::read(data.get(certificate)?, data.get(key).map(Vec::as_slice))
        };
        let pair = match (data.get(CERTIFICATE), data.get(KEY)) {
            (Some(certificate), Some(key)) => Some(Pair { certificate: certificate.clone(), key: key.clone() }),
            _ => None,
        };
        Ok(Self {
            generation: text(GENERATION).and_then(|text| text.parse().ok()).ok_or(GENERATION)?,
            authority: authority(AUTHORITY).ok_or(AUTHORITY[0])?,
            pair,
            // One that cannot sign is of no use.
            next: authority(NEXT).filter(CertificateAuthority::can_sign),
            old: data.get(OLD).map(|pem| certificates(pem)).unwrap_or_default(),
            old_until: text(OLD_UNTIL).and_then(|text| text.parse().ok()).unwrap_or(Timestamp::MAX),
        })
    }

    /// Writes the Secret.
    pub fn data(&self) -> Data {
        let mut data = Data::new();
        let mut add = |key: &str, value: Vec<u8>| drop(data.insert(key.to_owned(), value));
        add(GENERATION, self.generation.to_string().into_bytes());
        let next = self.next.iter().map(|next| (NEXT, next));
        for ([certificate, key], authority) in std::iter::once((AUTHORITY, &self.authority)).chain(next) {
            add(certificate, pem([&authority.certificate]).into_bytes());
            if let Some(pem) = &authority.key {
                add(key, pem.clone().into_bytes());
            }
        }
        if let Some(pair) = &self.pair {
            add(CERTIFICATE, pair.certificate.clone());
            add(KEY, pair.key.clone());
        }
        if !self.old.is_empty() {
            add(OLD, pem(&self.old).into_bytes());
            add(OLD_UNTIL, self.old_until.to_string().into_bytes());
        }
        data
    }

    /// What every `caBundle` has to hold.
    pub fn trusted(&self) -> Vec<&CertificateDer<'static>> {
        let mut all = vec![&self.authority.certificate];
        all.extend(self.next.iter().map(|next| &next.certificate));
        all.extend(&self.old);
        all
    }

    /// What is known of the serving certificate, if it can be served now.
    pub fn certificate(&self, now: Timestamp) -> Option<Certificate> {
        self.authority.verifies(self.pair.as_ref()?, now)
    }
}

/// The certificates in a PEM text; none where it is no PEM.
pub fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap_or_default()
}

/// A PEM text of certificates.
pub fn pem<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> String {
    use base64::Engine;
    let block = |certificate: &CertificateDer<'_>| {
        let text = base64::engine::general_purpose::STANDARD.encode(certificate);
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    };
    certificates.into_iter().map(block).collect()
}

fn authority_params(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// The common name, where it is all of the subject and written as rcgen writes it.
fn rcgen_common_name(subject: &X509Name<'_>) -> Option<String> {
    let mut attributes = subject.iter_attributes();
    let only = attributes.next().filter(|_| attributes.next().is_none())?;
    let ours = *only.attr_type() == OID_X509_COMMON_NAME && only.attr_value().tag() == Tag::Utf8String;
    ours.then(|| only.as_str().ok().map(str::to_owned)).flatten()
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// The end of the life.
fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    life: SignedDuration,
    lifetimes: &Lifetimes,
) -> Timestamp {
    let epoch = date_time_ymd(1970, 1, 1);
    let time = |at: Timestamp| epoch + Duration::from_secs(at.as_second().unsigned_abs());
    let not_after = now.saturating_add(life).unwrap_or(Timestamp::MAX);
    params.not_before = time(now.saturating_sub(lifetimes.backdate).unwrap_or(now));
    params.not_after = time(not_after);
    not_after
}

//! `--tls self-signed`: a throw-away authority and serving certificate, for trying things out.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use super::Pair;

/// Days that a throw-away certificate lives; it dies with the process anyway.
const LIFE: i64 = 90;

/// A pair, and the authority that a client must trust. The authority's key is thrown away.
#[derive(Debug)]
pub struct SelfSigned {
    /// What to serve.
    pub pair: Pair,
    /// Certificate of the authority, PEM.
    pub authority: String,
}

/// Makes a pair for `localhost`, `127.0.0.1`, `::1` and `names` (DNS names or IP addresses).
///
/// # Errors
///
/// When a name is no DNS name.
pub fn self_signed(names: &[String], now: Timestamp) -> Result<SelfSigned, Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name = common_name("session-webhook throw-away CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    limit_life(&mut authority, now);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)?;

    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    all.extend(names.iter().filter(|name| !matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1")).cloned());
    let mut serving = CertificateParams::new(all)?;
    serving.distinguished_name = common_name("session-webhook");
    serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    serving.use_authority_key_identifier_extension = true;
    limit_life(&mut serving, now);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = serving.signed_by(&key, &authority)?;

    let pair = Pair { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() };
    Ok(SelfSigned { pair, authority: authority.pem() })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From yesterday, for clients whose clock is behind.
fn limit_life(params: &mut CertificateParams, now: Timestamp) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |days: i64| today.checked_add(Span::new().days(days)).unwrap_or(Date::MAX);
    let time = |date: Date| date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
    params.not_before = time(day(-1));
    params.not_after = time(day(LIFE));
}

//! Certificates for tests, and a directory that changes as a mounted Secret does.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SigningKey,
    date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use session_webhook::server::tls::{Pair, PairFiles};
use tempfile::TempDir;
use x509_parser::der_parser::parse_der;

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        Self(CertifiedIssuer::self_signed(Self::params(), KeyPair::generate().unwrap()).unwrap())
    }

    /// The DER of the authority's certificate.
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// The authority's certificate, PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// An authority below this one.
    pub fn intermediate(&self) -> Self {
        Self(CertifiedIssuer::signed_by(Self::params(), KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    fn params() -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Else a chain would be a loop.
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", next()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    }

    /// A pair for `localhost` and `name`, alive in these years.
    pub fn issue(&self, name: &str, years: Range<i32>) -> Pair {
        self.issue_for(&["localhost", name], years, &KeyPair::generate().unwrap())
    }

    /// A pair for these names, the first being the common name too, with this key.
    pub fn issue_for(&self, names: &[&str], years: Range<i32>, key: &KeyPair) -> Pair {
        self.issue_changed(names, years, key, |_| ())
    }

    /// The same with something special about it.
    pub fn issue_changed(
        &self,
        names: &[&str],
        years: Range<i32>,
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        change(&mut params);
        let certificate = params.signed_by(key, &self.0).unwrap();
        Pair { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
    }
}

fn next() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The same key without its PKCS#8 wrapping, as `openssl ecparam -genkey` (SEC1) and `openssl genrsa -traditional` (PKCS#1)
/// write keys.
pub fn unwrapped(pair: Pair, label: &str) -> Pair {
    let pkcs8 = PrivateKeyDer::from_pem_slice(&pair.key).unwrap();
    let (_, info) = parse_der(pkcs8.secret_der()).unwrap();
    let inner = info.as_sequence().unwrap()[2].as_slice().unwrap();
    let key = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(inner));
    Pair { key: key.into_bytes(), ..pair }
}

/// Years in which this test is run.
pub const ALIVE: Range<i32> = 2020..2200;

/// A directory as the kubelet mounts a Secret: files are links through `..data`, which is swapped as a whole.
pub struct Secret {
    directory: TempDir,
    versions: AtomicUsize,
}

impl Secret {
    pub fn new(pair: &Pair) -> Self {
        let secret = Self { directory: TempDir::new().unwrap(), versions: AtomicUsize::new(0) };
        secret.swap(pair);
        for file in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{file}"), secret.path(file)).unwrap();
        }
        secret
    }

    /// What the kubelet does when the Secret has changed.
    pub fn swap(&self, pair: &Pair) {
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        let name = format!("..version_{version}");
        fs::create_dir(self.path(&name)).unwrap();
        fs::write(self.path(&name).join("tls.crt"), &pair.certificate).unwrap();
        fs::write(self.path(&name).join("tls.key"), &pair.key).unwrap();
        symlink(&name, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        if let Some(old) = version.checked_sub(1) {
            fs::remove_dir_all(self.path(&format!("..version_{old}"))).unwrap();
        }
    }

    pub fn files(&self) -> PairFiles {
        PairFiles { certificate: self.path("tls.crt"), key: self.path("tls.key") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// The same certificate by X.509 version 1, which knows no extensions, signed by its own key.
pub fn of_version_1(certificate: &[u8], key: &KeyPair) -> Vec<u8> {
    let outer = elements(content(certificate));
    // Between the version and the extensions.
    let signed = tagged(0x30, &elements(content(outer[0]))[1..7].concat());
    let signature = [vec![0], key.sign(&signed).unwrap()].concat();
    tagged(0x30, &[signed, outer[1].to_vec(), tagged(0x03, &signature)].concat())
}

/// How many bytes of DER come before the content, and how many the content has.
fn lengths(der: &[u8]) -> (usize, usize) {
    let short = usize::from(der[1]);
    if short < 0x80 {
        return (2, short);
    }
    let count = short - 0x80;
    (2 + count, der[2..2 + count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

fn content(der: &[u8]) -> &[u8] {
    let (head, length) = lengths(der);
    &der[head..head + length]
}

fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut elements = Vec::new();
    while !der.is_empty() {
        let (head, length) = lengths(der);
        let (element, rest) = der.split_at(head + length);
        elements.push(element);
        der = rest;
    }
    elements
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], content].concat()
}

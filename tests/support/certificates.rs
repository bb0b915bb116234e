//! Certificates for tests, and a directory that changes as a mounted Secret does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use session_webhook::server::tls::{Pair, PairFiles};
use tempfile::TempDir;

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The DER of the authority's certificate.
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// A pair for `localhost` and `name`, alive in these years.
    pub fn issue(&self, name: &str, years: std::ops::Range<i32>) -> Pair {
        let mut params = CertificateParams::new(["localhost".to_owned(), name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
    }
}

/// Years in which this test is run.
pub const ALIVE: std::ops::Range<i32> = 2020..2200;

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

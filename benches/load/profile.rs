//! Where the CPU goes: samples of perf, by what the function that was running belongs to.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::client::{Client, Mode};
use crate::server::Server;

/// What functions belong to, and how they are recognised; the first that holds.
const PARTS: [(&str, &[&str]); 7] = [
    ("kernel", &["[k]"]),
    ("TLS", &["aws_lc", "aes_", "aesni", "gcm", "aead", "EVP_", "CRYPTO_", "_IV", "rustls", "TlsStream"]),
    ("memory", &["malloc", "free", "calloc", "memmove", "memcpy", "memset", "mi_", "unlink_chunk"]),
    ("JSON", &["serde", "Deserialize", "core::session::RawObject", "memcmp", "BTreeMap"]),
    ("HTTP", &["hyper", "http", "Bytes", "bytes::", "axum"]),
    ("tokio", &["tokio", "mio::", "epoll", "writev", "recv", "parking_lot"]),
    // The webhook's own, and what it calls: jiff, metrics, formatting.
    ("own", &[""]),
];

/// The names of the parts.
pub(crate) fn parts() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|(name, _)| *name)
}

/// The share of each part in what a server does while it is asked; `None` where there is no perf.
pub(crate) fn shares(server: &Server, client: &mut Client, count: usize, request: &Arc<[u8]>) -> Option<Vec<f64>> {
    const TIME: Duration = Duration::from_secs(4);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut recording = Command::new("perf")
        .args(["record", "--quiet", "-e", "cpu-clock", "-F", "5000", "-p", &server.pid().to_string(), "-o"])
        .arg(file.path())
        .args(["--", "sleep", &TIME.as_secs().to_string()])
        .spawn()
        .ok()?;
    client.ask(Mode::Kept, count, request, TIME + Duration::from_secs(1));
    recording.wait().unwrap();
    let report = Command::new("perf")
        .args(["report", "--no-children", "--sort", "symbol", "--percent-limit", "0", "--stdio", "-i"])
        .arg(file.path())
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    let mut shares = vec![0.0; PARTS.len()];
    for line in report.lines() {
        let Some((percent, symbol)) = line.trim().split_once('%') else { continue };
        let Ok(percent) = percent.parse::<f64>() else { continue };
        let part = PARTS.iter().position(|(_, marks)| marks.iter().any(|mark| symbol.contains(mark)));
        shares[part.unwrap()] += percent / 100.0;
    }
    Some(shares)
}

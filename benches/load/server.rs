//! A server under load: the released program, or the floor.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::support::CORES;
use crate::tests::certificates::{ALIVE, Authority};

/// Certificate and key of both servers, in files.
pub(crate) struct Certificate {
    folder: tempfile::TempDir,
    pub(crate) authority: Vec<u8>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let pair = authority.issue("session-webhook.hobbyfarm-session-webhook.svc", ALIVE);
        let this = Self { folder: tempfile::tempdir().unwrap(), authority: authority.der() };
        std::fs::write(this.file("tls.crt"), pair.certificate).unwrap();
        std::fs::write(this.file("tls.key"), pair.key).unwrap();
        this
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A running server. Ends with its owner.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn webhook(certificate: &Certificate, options: &[String]) -> Self {
        let mut command = Self::webhook_command(certificate, &["--ops-listen=127.0.0.1:0".to_owned()]);
        let mut child = command.args(options).stderr(Stdio::piped()).spawn().unwrap();
        let log = child.stderr.take().unwrap();
        Self { address: first(log, listening), child }
    }

    /// The webhook as it is shipped but for its addresses, the number of connections, and these options.
    pub(crate) fn webhook_command(certificate: &Certificate, options: &[String]) -> Command {
        let mut command = pinned(Path::new(env!("CARGO_BIN_EXE_session-webhook")));
        command
            .arg("serve")
            .arg(concat!("--config=", env!("CARGO_MANIFEST_DIR"), "/manifests/base/config.yaml"))
            .args(["--listen=127.0.0.1:0", "--max-connections=2048"])
            .arg("--tls-cert")
            .arg(certificate.file("tls.crt"))
            .arg("--tls-key")
            .arg(certificate.file("tls.key"))
            .args(options);
        command
    }

    pub(crate) fn floor(certificate: &Certificate) -> Self {
        let own = std::env::current_exe().unwrap();
        let floor = own.ancestors().nth(2).unwrap().join("examples/floor");
        assert!(floor.exists(), "no {}: cargo build --profile bench --example floor", floor.display());
        let mut command = pinned(&floor);
        command.arg(certificate.file("tls.crt")).arg(certificate.file("tls.key"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        Self { address: first(output, |line| line.parse().ok()), child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// On a core of its own from the start, so that it makes itself at home there.
fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CORES.0]).arg(program).env_clear();
    command
}

/// What the first line that says something says. The rest is read and forgotten.
fn first<T>(output: impl Read + Send + 'static, said: impl Fn(&str) -> Option<T>) -> T {
    let mut lines = BufReader::new(output).lines();
    let found = lines.by_ref().map_while(Result::ok).find_map(|line| said(&line));
    thread::spawn(move || lines.for_each(drop));
    found.expect("the server listens")
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] == "listening" { line["listen"].as_str()?.parse().ok() } else { None }
}

//! A server under load: the released program, or the floor.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{CORES, PATIENCE, argument};
use crate::tests::certificates::{ALIVE, Authority};

/// The released program.
pub(crate) const WEBHOOK: &str = env!("CARGO_BIN_EXE_session-webhook");

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
        fs::write(this.file("tls.crt"), pair.certificate).unwrap();
        fs::write(this.file("tls.key"), pair.key).unwrap();
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
        Self::webhook_of(Path::new(WEBHOOK), certificate, options)
    }

    fn webhook_of(program: &Path, certificate: &Certificate, options: &[String]) -> Self {
        let address = free_address();
        let mut command = webhook_command(program, certificate, &format!("--listen={address}"));
        // Into a file: whoever reads a pipe takes time from the load, and makes the server wait when he is late.
        let log = tempfile::tempfile_in(&certificate.folder).unwrap();
        let child = command.arg("--ops-listen=127.0.0.1:0").args(options).stderr(log).spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "the server listens");
            thread::sleep(Duration::from_millis(5));
        }
        Self { child, address }
    }

    /// What the webhook is compared with: the floor, or the build of another commit that `--against` names.
    pub(crate) fn floor(certificate: &Certificate, options: &[String]) -> Self {
        if let Some(other) = argument("--against") {
            return Self::webhook_of(Path::new(&other), certificate, options);
        }
        let own = std::env::current_exe().unwrap();
        let floor = own.ancestors().nth(2).unwrap().join("examples/floor");
        assert!(floor.exists(), "no {}: cargo build --profile bench --example floor", floor.display());
        let mut command = pinned(&floor);
        command.arg(certificate.file("tls.crt")).arg(certificate.file("tls.key"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().unwrap(), child }
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

/// The webhook as it is shipped but for its addresses, the number of connections, and this option.
pub(crate) fn webhook_command(program: &Path, certificate: &Certificate, option: &str) -> Command {
    let mut command = pinned(program);
    command
        .arg("serve")
        .arg(concat!("--config=", env!("CARGO_MANIFEST_DIR"), "/manifests/base/config.yaml"))
        .args(["--max-connections=2048", option])
        .arg("--tls-cert")
        .arg(certificate.file("tls.crt"))
        .arg("--tls-key")
        .arg(certificate.file("tls.key"));
    command
}

/// On a core of its own from the start, so that it makes itself at home there.
fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CORES.0]).arg(program).env_clear();
    command
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

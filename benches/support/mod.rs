//! The released program on a core of its own, and a client that costs less than it.
#![allow(dead_code, unreachable_pub, reason = "each benchmark uses a part of it")]

pub mod page;
pub mod plot;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{self, Command};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use session_webhook::core::admission::review::Webhook;

use crate::tests::client::{client_config, post_head};
use crate::tests::program::Program;

/// The core of the program under test, and that of the load.
pub const CORES: (&str, &str) = ("1", "0");
/// As an API server gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Of `/proc/PID/stat`, in each second.
const TICKS: f64 = 100.0;

/// The value behind a flag of this benchmark.
pub fn argument(flag: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != flag).nth(1)
}

/// Starts the program with these options and gives it a core, and the load the other.
pub fn start(options: &str) -> Program {
    let mut program = Program::start(options, 4_096);
    program.forget_the_log();
    for (core, pid) in [(CORES.0, program.pid()), (CORES.1, process::id())] {
        let pinned = Command::new("taskset").args(["-acp", core, &pid.to_string()]).output();
        assert!(pinned.is_ok_and(|output| output.status.success()), "taskset (util-linux) and two cores are needed");
    }
    program
}

/// A figure of `/proc/PID/status` that is given in kB.
pub fn kilobytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Seconds of CPU that a process has used.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // behind the name, which may hold anything: state is field 3, utime and stime are 14 and 15
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

/// The process of this name that was started here.
pub fn child(name: &str) -> u32 {
    let mine = format!(" {} ", process::id());
    let stat = |path: std::path::PathBuf| fs::read_to_string(path.join("stat")).ok();
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| stat(entry.unwrap().path()));
    let found = stats.into_iter().find_map(|stat| {
        let (head, rest) = stat.rsplit_once(')')?;
        let (pid, comm) = head.split_once(" (")?;
        // Behind the name: state and parent.
        (comm == name && rest.get(2..)?.starts_with(&mine)).then(|| pid.parse().unwrap())
    });
    found.unwrap_or_else(|| panic!("{name} runs"))
}

/// A recorded request and the path that it came by, ready to be sent.
pub struct RecordedCall(pub Vec<u8>);

impl RecordedCall {
    pub fn recorded(name: &str) -> Self {
        let (webhook, body) = recorded(name);
        Self([post_head(webhook.path(), body.len()).as_bytes(), &body].concat())
    }
}

/// `folder/name.mutating` or `.validating` below `tests/fixtures/admission`; line breaks taken out, as an API server sends it.
pub fn recorded(name: &str) -> (Webhook, Vec<u8>) {
    let file = format!("{}/tests/fixtures/admission/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let body: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let webhook = if name.ends_with(".mutating") { Webhook::Mutate } else { Webhook::Validate };
    (webhook, body.to_string().into_bytes())
}

/// One connection, kept.
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

/// What all connections share; sessions are resumed as Go's client does.
pub fn config(program: &Program) -> Arc<ClientConfig> {
    Arc::new(client_config(&program.authority, None, &[&rustls::version::TLS13]))
}

impl Connection {
    /// Connects and shakes hands.
    pub fn open(webhook: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let socket = TcpStream::connect(webhook)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self { stream, buffer: vec![0; 16 << 10] })
    }

    /// Whether the call was answered with 200, and whether the connection may be used again.
    pub fn call(&mut self, call: &RecordedCall) -> io::Result<Answer> {
        self.stream.write_all(&call.0)?;
        self.stream.flush()?;
        let mut length = 0;
        loop {
            match self.stream.read(&mut self.buffer[length..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => length += read,
            }
            if let Some(answer) = Answer::read(&self.buffer[..length]) {
                return Ok(answer);
            }
        }
    }
}

pub struct Answer {
    pub ok: bool,
    pub close: bool,
}

impl Answer {
    /// `None` as long as a part is missing.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
        let close = head.lines().any(|line| line == "connection: close");
        (bytes.len() >= end + 4 + length).then(|| Self { ok: head.starts_with("HTTP/1.1 200"), close })
    }
}

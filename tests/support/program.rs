//! The real program, with its signals and its limits.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::PATIENCE;
use super::client::Client;

pub struct Program {
    child: Child,
    lines: Receiver<String>,
    reading: Arc<Mutex<()>>,
    pub authority: Vec<u8>,
    pub webhook: SocketAddr,
    pub ops: SocketAddr,
}

impl Program {
    /// Starts it with a throw-away certificate, these options, and at most so many open files.
    pub fn start(options: &str, files: u64) -> Self {
        Self::start_with(options, files, &[])
    }

    /// With these environment variables too.
    pub fn start_with(options: &str, files: u64, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", r#"ulimit -n "$0" && exec "$@""#, &files.to_string()])
            .arg(env!("CARGO_BIN_EXE_session-webhook"))
            .args("serve --tls self-signed --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 --log-format json".split(' '))
            .args(options.split_whitespace())
            .env_clear()
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reading = Arc::new(Mutex::new(()));
        let may_read = Arc::clone(&reading);
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| {
                drop(may_read.lock());
                tell.send(line)
            })
        });
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut program = Self { child, lines, reading, authority: Vec::new(), webhook: none, ops: none };
        let made = program.logs("throw-away certificate authority");
        let pem = made["session_webhook"]["authority"].as_str().unwrap();
        program.authority = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
        let listening = program.logs("listening");
        let address = |field: &str| listening["session_webhook"][field].as_str().unwrap().parse().unwrap();
        (program.webhook, program.ops) = (address("listen"), address("ops_listen"));
        program
    }

    /// Waits for the log line with this message.
    pub fn logs(&mut self, message: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("never said {message:?}"));
            match serde_json::from_str::<Value>(&line) {
                Ok(line) if line["message"] == message => return line,
                _ => {}
            }
        }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.webhook, &self.authority).unwrap()
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> u64 {
        let text = Client::plain(self.ops).unwrap().get("/metrics");
        let name = format!("session_webhook_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }

    /// From now on nobody reads the log.
    pub fn forget_the_log(&mut self) {
        let lines = std::mem::replace(&mut self.lines, channel().1);
        thread::spawn(move || lines.into_iter().for_each(drop));
    }

    /// Until the guard goes its log is read no more; it stays open.
    pub fn stop_reading_the_log(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().unwrap()
    }

    /// From now on its log is never read, but stays open.
    pub fn never_read_the_log_again(&self) {
        std::mem::forget(self.stop_reading_the_log());
    }

    /// What it logs until it ends.
    pub fn rest_of_the_log(&self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends the signal of this name.
    pub fn signal(&self, name: &str) {
        Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
    }
}

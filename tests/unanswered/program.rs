//! The program, told to find a test's API server.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::api_server::{ApiServer, MARKER, NAMESPACE};

/// No command and no recovery takes as long as this.
const BOUND: Duration = Duration::from_secs(90);

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A kubeconfig for this server, with a token that nobody may repeat; `user` is what stands in place of the token, `cluster` what
/// else is said of the cluster.
pub(crate) fn kubeconfig_text(server: SocketAddr, user: &str, cluster: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         clusters: [{{name: lab, cluster: {{server: 'http://{server}'{cluster}}}}}]\n\
         contexts: [{{name: lab, context: {{cluster: lab, user: lab, namespace: {NAMESPACE}}}}}]\n\
         users: [{{name: lab, user: {{{user}}}}}]\n"
    )
}

fn kubeconfig(folder: &TempDir, server: SocketAddr) -> PathBuf {
    let path = folder.path().join("kubeconfig");
    let text = kubeconfig_text(server, &format!("token: {MARKER}"), "");
    std::fs::write(&path, text).unwrap();
    path
}

fn command(kubeconfig: &Path, arguments: &str) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["-k", "1", &BOUND.as_secs().to_string(), env!("CARGO_BIN_EXE_session-webhook")])
        .args(arguments.split_whitespace())
        .args(["--request-timeout", "1s"])
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null());
    command
}

/// Runs a command with a kubeconfig of this text, and what it reads.
pub(crate) fn run_with(text: &str, arguments: &str, input: &str) -> Ended {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    let (stdin, arguments) =
        (folder.path().join("input"), arguments.replace("INPUT", &folder.path().join("input").to_string_lossy()));
    std::fs::write(&stdin, input).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
    command.args(arguments.split_whitespace()).env_clear().env("KUBECONFIG", path);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    ended(&command.stdin(Stdio::null()).output().unwrap())
}

fn ended(output: &std::process::Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Runs `audit` with these environment variables.
pub(crate) fn audit_with(variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
    command.args(["audit", "--request-timeout", "5s"]).env_clear().envs(variables.iter().copied());
    command.env("PATH", std::env::var_os("PATH").unwrap());
    ended(&command.stdin(Stdio::null()).output().unwrap())
}

/// Runs a command on a terminal, and returns what it shows there.
pub(crate) async fn shown_on_a_terminal(server: &ApiServer, arguments: &str) -> String {
    let folder = TempDir::new().unwrap();
    let path = kubeconfig(&folder, server.address);
    let program = format!("{} {arguments}", env!("CARGO_BIN_EXE_session-webhook"));
    let mut command = Command::new("script");
    command.args(["-qec", &program, "/dev/null"]).env("KUBECONFIG", path).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    ended(&output).stdout
}

/// Starts a command that waits for the API server.
pub(crate) fn start(server: &ApiServer, folder: &TempDir, arguments: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
    command.args(arguments.split_whitespace()).env_clear().env("KUBECONFIG", kubeconfig(folder, server.address));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Runs a command to its end. One that does not end is killed, and has no exit code of its own.
pub(crate) async fn run(server: &ApiServer, arguments: &str) -> Ended {
    let folder = TempDir::new().unwrap();
    let mut command = command(&kubeconfig(&folder, server.address), arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    ended(&output)
}

/// A running server.
pub(crate) struct Serving {
    child: Child,
    folder: TempDir,
    ops: SocketAddr,
}

impl Serving {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(server: &ApiServer, options: &str) -> Result<Self, String> {
        Self::start_as(&kubeconfig_text(server.address, &format!("token: {MARKER}"), ""), options)
    }

    /// With a kubeconfig of this text.
    pub(crate) fn start_as(kubeconfig: &str, options: &str) -> Result<Self, String> {
        let folder = TempDir::new().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let tls = if options.contains("--tls ") { "" } else { "--tls self-signed" };
        let arguments = format!(
            "serve {tls} --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 --log-format json --drain-delay 0s {options}"
        );
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig).unwrap();
        let child = command(&path, &arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut serving = Self { child, folder, ops: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let end = Instant::now() + BOUND;
        while Instant::now() < end {
            let log = serving.log();
            let listening = log.lines().find(|line| line.contains("\"listening\""));
            if let Some(line) = listening.and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
                serving.ops = line["session_webhook"]["ops_listen"].as_str().unwrap().parse().unwrap();
                return Ok(serving);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("never listened\n{}", serving.log()))
    }

    /// Waits until the log says this, so many times.
    pub(crate) async fn logs(&self, text: &str, times: usize) -> Result<(), String> {
        self.becomes(&format!("{text:?} is logged"), |_| self.log().matches(text).count() >= times).await
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The answer to a request on the ops port.
    pub(crate) fn get(&self, path: &str) -> Result<String, String> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.ops)?;
            stream.set_read_timeout(Some(BOUND))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().map_err(|error| format!("{path}: {error}"))?;
        if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(format!("{path}: {answer}")) }
    }

    /// Waits until what the metrics say, or something else, is as it should be.
    pub(crate) async fn becomes(&self, what: &str, condition: impl Fn(&str) -> bool) -> Result<(), String> {
        let end = Instant::now() + BOUND;
        let mut metrics = String::new();
        while Instant::now() < end {
            metrics = self.get("/metrics")?;
            if condition(&metrics) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut text = format!("{what}: never");
        for line in metrics.lines().filter(|line| line.starts_with("session_webhook_") && !line.ends_with(" 0")) {
            let _ = write!(text, "\n{line}");
        }
        Err(text)
    }

    /// Ends it as Kubernetes does: its exit code, and all that it has logged.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        // `timeout` passes it on.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        let code = self.child.wait().ok().and_then(|status| status.code());
        (code, self.log())
    }
}

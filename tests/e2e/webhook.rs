//! The program under test, as the Deployment runs it but for its ports.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::pki::{Authority, Identity};
use crate::process::{Process, eventually};

const START: Duration = Duration::from_secs(20);

/// The running program, or the lack of one. It keeps its port from one start to the next.
pub(crate) struct Webhook {
    folder: PathBuf,
    authority: Authority,
    listen: SocketAddr,
    ops: SocketAddr,
    starts: u32,
    process: Option<Process>,
}

impl Webhook {
    /// Starts it with the shipped configuration file.
    pub(crate) async fn start(folder: PathBuf, config: &str) -> Self {
        fs::write(folder.join("config.yaml"), config).unwrap();
        let authority = Authority::new("session-webhook");
        authority.server("session-webhook").write(&folder, "session-webhook");
        let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut this = Self { folder, authority, listen: unbound, ops: unbound, starts: 0, process: None };
        this.restart(&[]).await;
        this
    }

    /// Ends it and starts it again, with these flags on top of the shipped configuration.
    pub(crate) async fn restart(&mut self, flags: &[&str]) {
        self.stop();
        self.starts += 1;
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
        let file = |name: &str| self.folder.join(name).display().to_string();
        command
            .env_clear()
            .env("SESSION_WEBHOOK_OWN_SERVICE_ACCOUNT", "hobbyfarm-session-webhook/session-webhook")
            .arg("serve")
            .args(["--config", &file("config.yaml")])
            .args(["--listen", &self.listen.to_string(), "--ops-listen", &self.ops.to_string()])
            .args(["--tls-cert", &file("session-webhook.crt"), "--tls-key", &file("session-webhook.key")])
            .args(flags);
        let mut process = Process::start(&format!("session-webhook-{}", self.starts), &self.folder, &mut command);
        (self.listen, self.ops) = eventually("the webhook listens", START, async || {
            process.assert_running();
            listening(&process.output())
        })
        .await;
        self.process = Some(process);
    }

    /// Ends it at once: an outage.
    pub(crate) fn stop(&mut self) {
        self.process.take();
    }

    /// Where the API server finds one of its paths.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.listen)
    }

    /// Where it listens, or listened before it ended.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listen
    }

    /// A certificate as trusted as its own.
    pub(crate) fn trusted_identity(&self) -> Identity {
        self.authority.server("session-webhook")
    }

    /// The authority that signed its certificate, PEM.
    pub(crate) fn authority(&self) -> String {
        self.authority.pem()
    }

    /// How many reviews it decided since its start, by the path that they came by.
    pub(crate) async fn reviews(&self, webhook: &str) -> u64 {
        self.reviews_with(&[("webhook", webhook)]).await
    }

    /// How many reviews with these labels it decided since its start.
    pub(crate) async fn reviews_with(&self, labels: &[(&str, &str)]) -> u64 {
        let url = format!("http://{}/metrics", self.ops);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        text.lines()
            .filter(|line| line.starts_with("session_webhook_reviews_total{"))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

/// The addresses in the log line that the program writes when it listens.
fn listening(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["message"] == "listening")?;
    let address =
        |key: &str| line["session_webhook"][key].as_str().unwrap_or_else(|| panic!("{key} in {line}")).parse().unwrap();
    Some((address("listen"), address("ops_listen")))
}

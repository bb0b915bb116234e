//! A replica of the released program with everything switched on, behind a link of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::control_plane::ControlPlane;
use crate::link::Link;
use crate::process::{Process, eventually, free_port};
use crate::support::kilobytes;

/// Of the webhook.
pub(crate) const NAMESPACE: &str = "hobbyfarm-session-webhook";
/// Of both webhook configurations.
pub(crate) const CONFIGURATION: &str = "hobbyfarm-session-webhook";

pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    pub(crate) link: Link,
    ops: SocketAddr,
    process: Process,
}

impl Replica {
    pub(crate) async fn start(control_plane: &ControlPlane, folder: &Path, number: usize) -> Self {
        let link = Link::start(control_plane.address()).await;
        let [address, ops] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let mut config: Value =
            serde_json::from_str(&fs::read_to_string(control_plane.admin_kubeconfig()).unwrap()).unwrap();
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://127.0.0.1:{}", link.port));
        config["contexts"][0]["context"]["namespace"] = json!(NAMESPACE);
        let kubeconfig = folder.join(format!("replica-{number}.kubeconfig"));
        fs::write(&kubeconfig, config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
        command
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .args(["serve", "--tls", "self-managed", "--tls-name", "127.0.0.1", "--log-format", "json"])
            .args(["--backfill", "--backfill-after", "1s", "--audit-interval", "10s", "--drain-delay", "0s"])
            .args(["--webhook-configuration", CONFIGURATION, "--break-glass-group", "system:masters"])
            .args(["--listen", &address.to_string(), "--ops-listen", &ops.to_string()]);
        let process = Process::start(&format!("replica-{number}"), folder, &mut command);
        Self { address, link, ops, process }
    }

    pub(crate) fn log(&self) -> String {
        self.process.output()
    }

    /// Resident memory in kB, threads and files.
    pub(crate) fn resources(&self) -> [u64; 3] {
        let pid = self.process.id();
        let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count() as u64;
        [kilobytes(pid, "VmRSS"), count("task"), count("fd")]
    }

    /// Most resident memory so far, kB.
    pub(crate) fn peak(&self) -> u64 {
        kilobytes(self.process.id(), "VmHWM")
    }

    /// The value of a metric with these labels.
    pub(crate) async fn metric(&self, name: &str) -> i64 {
        self.values(&format!("session_webhook_{name} ")).await.iter().sum()
    }

    /// The sum of a metric over its labels.
    pub(crate) async fn sum_of(&self, name: &str) -> i64 {
        self.values(&format!("session_webhook_{name}{{")).await.iter().sum()
    }

    async fn values(&self, prefix: &str) -> Vec<i64> {
        let url = format!("http://{}/metrics", self.ops);
        let response = eventually("metrics are told", PATIENCE, async || reqwest::get(&url).await.ok()).await;
        let text = response.text().await.unwrap();
        let lines = text.lines().filter(|line| line.starts_with(prefix));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    /// Ends it in an orderly way.
    pub(crate) async fn stop(&mut self) {
        self.process.terminate();
        eventually("the replica has ended", PATIENCE, async || self.process.has_ended()).await;
    }
}

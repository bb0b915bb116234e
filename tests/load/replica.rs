//! One replica: the real program with a folder that changes as a mounted Secret does.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::balancer::Backends;
use crate::pki::Identity;
use crate::process::{Process, eventually};

const SOON: Duration = Duration::from_secs(30);

/// The files of a Secret, mounted: the names lead through `..data` to a folder that is swapped as a whole.
pub(crate) struct Mount {
    folder: PathBuf,
    generation: u32,
}

impl Mount {
    pub(crate) fn new(folder: &Path, identity: &Identity) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut this = Self { folder: folder.to_owned(), generation: 0 };
        this.swap(identity);
        for (name, file) in [("tls.crt", "pair.crt"), ("tls.key", "pair.key")] {
            symlink(Path::new("..data").join(file), folder.join(name)).unwrap();
        }
        this
    }

    /// What the kubelet does: a new folder, a new link to it beside the old one, and a rename.
    pub(crate) fn swap(&mut self, identity: &Identity) {
        let old = self.folder.join(format!("..{}", self.generation));
        self.generation += 1;
        let new = self.folder.join(format!("..{}", self.generation));
        fs::create_dir(&new).unwrap();
        identity.write(&new, "pair");
        let link = self.folder.join("..data_tmp");
        symlink(new.file_name().unwrap(), &link).unwrap();
        fs::rename(&link, self.folder.join("..data")).unwrap();
        let _ = fs::remove_dir_all(old);
    }
}

pub(crate) struct Replica {
    process: Process,
    mount: Mount,
    listen: SocketAddr,
    ops: SocketAddr,
}

impl Replica {
    /// Starts the program and puts it behind the balancer once it is ready.
    pub(crate) async fn start(folder: &Path, name: &str, identity: &Identity, backends: &Backends) -> Self {
        let mount = Mount::new(&folder.join(name), identity);
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
        command
            .env_clear()
            .args(["serve", "--log-format", "json", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .args(["--drain-delay", "2s", "--drain-timeout", "5s", "--tls-poll", "100ms"])
            .arg("--tls-cert")
            .arg(mount.folder.join("tls.crt"))
            .arg("--tls-key")
            .arg(mount.folder.join("tls.key"));
        let mut process = Process::start(name, folder, &mut command);
        let (listen, ops) = eventually("a replica listens", SOON, async || {
            process.assert_running();
            listening(&process.output())
        })
        .await;
        let this = Self { process, mount, listen, ops };
        eventually("a replica is ready", SOON, async || this.is_ready().await.then_some(())).await;
        backends.add(listen);
        this
    }

    /// Ends it as a rolling update does: SIGTERM, and no new connections once it says that it is unready.
    pub(crate) async fn stop(mut self, backends: &Backends) -> u64 {
        self.process.terminate();
        eventually("a replica is unready", SOON, async || (!self.is_ready().await).then_some(())).await;
        backends.remove(self.listen);
        // Its last count; it goes on answering for the drain delay.
        let mut reviews = self.reviews().await.unwrap_or_default();
        eventually("a replica ends", SOON, async || {
            if let Some(count) = self.reviews().await {
                reviews = count;
            }
            self.process.has_ended()
        })
        .await;
        assert!(self.process.output().contains("\"stopped\""), "a replica ended in disorder");
        reviews
    }

    /// Puts another certificate into its mounted Secret.
    pub(crate) fn mount(&mut self, identity: &Identity) {
        self.mount.swap(identity);
    }

    /// Waits until it serves the `loads`th certificate of its life.
    pub(crate) async fn serves(&self, loads: u64) {
        eventually("a certificate is served", SOON, async || {
            let loaded = self.metric("session_webhook_tls_reloads_total{result=\"loaded\"}").await?;
            (loaded >= loads).then_some(())
        })
        .await;
    }

    /// How many certificates it has served.
    pub(crate) fn mounted(&self) -> u64 {
        self.mount.generation.into()
    }

    async fn is_ready(&self) -> bool {
        let url = format!("http://{}/readyz", self.ops);
        reqwest::get(url).await.is_ok_and(|answer| answer.status() == 200)
    }

    /// How many reviews it decided.
    pub(crate) async fn reviews(&self) -> Option<u64> {
        self.metric("session_webhook_reviews_total{").await
    }

    /// The sum of all series that begin so; `None` when it does not answer.
    async fn metric(&self, series: &str) -> Option<u64> {
        let text = reqwest::get(format!("http://{}/metrics", self.ops)).await.ok()?.text().await.ok()?;
        let values = text.lines().filter(|line| line.starts_with(series));
        Some(values.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum())
    }
}

fn listening(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["message"] == "listening")?;
    let address = |key: &str| line["session_webhook"][key].as_str().unwrap().parse().unwrap();
    Some((address("listen"), address("ops_listen")))
}

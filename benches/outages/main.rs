//! Ten minutes in which the API server is killed, stopped, cut off and slowed down, under two replicas with everything switched on:
//! how long until a Session is repaired again, and what grows or stays behind. After each round its Sessions are deleted, so that what
//! grows does not grow with them.
//!
//! `cargo bench --bench outages [-- --minutes 10 --seconds 25]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    dead_code,
    reason = "this stops at the first thing that is not as it should be, and shares modules with tests"
)]

#[path = "../../tests/e2e/control_plane.rs"]
mod control_plane;
mod link;
#[path = "../../tests/e2e/pki.rs"]
mod pki;
#[path = "../../tests/e2e/process.rs"]
mod process;
mod replica;
#[path = "../../tests/e2e/session.rs"]
mod session;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../tests/support/mod.rs"]
mod tests;
#[path = "../../tests/e2e/verbs.rs"]
mod verbs;
#[path = "../../tests/e2e/writer.rs"]
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use control_plane::ControlPlane;
use jiff::Timestamp;
use link::State;
use process::eventually;
use replica::{CONFIGURATION, NAMESPACE, Replica};
use serde_json::{Value, json};
use session::Form;
use support::argument;
use support::page::Table;
use verbs::accepts;
use writer::{HOBBYFARM, Request, Writer};

/// How long anything may take once the API server answers again.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two Sessions without times.
const PACE: Duration = Duration::from_secs(1);

/// What happens to the API server, or to the way there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    /// Its process is killed, and started again.
    Killed,
    /// Its process is stopped, and goes on.
    Stopped,
    /// The leader's packets are lost.
    LeaderCutOff,
    /// The packets of both replicas are lost.
    CutOff,
    /// Connections of both replicas are reset.
    Reset,
    /// Both replicas get a kilobyte in each half second.
    Slow,
}

impl Disturbance {
    const ALL: [Self; 6] = [Self::Killed, Self::Stopped, Self::LeaderCutOff, Self::CutOff, Self::Reset, Self::Slow];

    const fn name(self) -> &'static str {
        match self {
            Self::Killed => "API server killed",
            Self::Stopped => "API server stopped",
            Self::LeaderCutOff => "the leader cut off",
            Self::CutOff => "both replicas cut off",
            Self::Reset => "connections reset",
            Self::Slow => "2 kB a second",
        }
    }
}

/// The API server, what stands in front of it, and those who look for it.
struct Trial {
    control_plane: ControlPlane,
    admin: Writer,
    form: Form,
    replicas: Vec<Replica>,
    sessions: AtomicU64,
}

fn main() {
    let number = |flag: &str, default: u64| argument(flag).map_or(default, |text| text.parse().unwrap());
    let (total, each) =
        (Duration::from_secs(60 * number("--minutes", 10)), Duration::from_secs(number("--seconds", 25)));
    let assets = control_plane::assets().unwrap_or_else(|reason| panic!("{reason}"));
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("no other provider is installed");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("outages-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { Trial::new(assets, &folder).await.run(total, each).await });
    fs::remove_dir_all(folder).unwrap();
}

impl Trial {
    async fn new(assets: PathBuf, folder: &Path) -> Self {
        let control_plane = ControlPlane::start(assets, folder.to_owned(), &[]).await;
        let admin = Writer { user: "kubernetes-admin".to_owned(), client: control_plane.admin() };
        let form = Form::ALL[0];
        for name in [HOBBYFARM, NAMESPACE] {
            accepts(&admin, Request::post("/api/v1/namespaces", json!({"metadata": {"name": name}}))).await;
        }
        accepts(&admin, Request::post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", form.crd())).await;
        let probe = Request::create(&form.session("probe")).dry_run();
        eventually("the resource is served", PATIENCE, async || (admin.sends(&probe).await.code == 201).then_some(()))
            .await;
        let mut replicas = Vec::new();
        for number in 0..2 {
            replicas.push(Replica::start(&control_plane, folder, number).await);
        }
        install(&admin, &replicas).await;
        Self { control_plane, admin, form, replicas, sessions: AtomicU64::new(0) }
    }

    async fn run(self, total: Duration, each: Duration) {
        self.until_repaired().await;
        let (began, mut resources) = (Instant::now(), vec![self.resources()]);
        let mut recoveries = Disturbance::ALL.map(|_| Vec::new());
        let mut stored = 0;
        while began.elapsed() < total {
            for (disturbance, recoveries) in Disturbance::ALL.into_iter().zip(&mut recoveries) {
                let writing = async {
                    loop {
                        self.plant().await;
                        tokio::time::sleep(PACE).await;
                    }
                };
                tokio::select! {
                    () = self.disturb(disturbance, each) => {}
                    () = writing => {}
                }
                recoveries.push(self.until_repaired().await);
            }
            stored += self.until_all_are_repaired().await;
            let sessions = format!("/apis/hobbyfarm.io/v1/namespaces/{HOBBYFARM}/sessions");
            accepts(&self.admin, Request::delete_path(sessions, "Background")).await;
            resources.push(self.resources());
            println!("{} s: round {} has ended", began.elapsed().as_secs(), resources.len() - 1);
        }
        let taken = began.elapsed();
        self.report(taken, &resources, &recoveries).await;
        println!("{stored} Sessions were stored without times; all of them have theirs");
        self.stop().await;
    }

    async fn disturb(&self, disturbance: Disturbance, time: Duration) {
        let links = |state: State| self.replicas.iter().for_each(|replica| replica.link.set(state));
        match disturbance {
            Disturbance::Killed => {
                self.control_plane.kill_api_server();
                tokio::time::sleep(time).await;
                self.control_plane.restart_api_server().await;
            }
            Disturbance::Stopped => {
                let pid = support::child("kube-apiserver").to_string();
                signal("STOP", &pid);
                tokio::time::sleep(time).await;
                signal("CONT", &pid);
            }
            Disturbance::LeaderCutOff => {
                self.leader().await.link.set(State::CutOff);
                tokio::time::sleep(time).await;
            }
            Disturbance::CutOff => {
                links(State::CutOff);
                tokio::time::sleep(time).await;
            }
            Disturbance::Reset => {
                links(State::Reset);
                tokio::time::sleep(time).await;
            }
            Disturbance::Slow => {
                links(State::Slow);
                tokio::time::sleep(time).await;
            }
        }
        links(State::Open);
    }

    /// Stores a Session without times, where the API server takes it.
    async fn plant(&self) -> Option<Value> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let session = self.form.session(&format!("lost-{number}"));
        let reply = tokio::time::timeout(PACE, self.admin.try_sends(&Request::create(&session))).await.ok()?.ok()?;
        (reply.code == 201).then_some(session)
    }

    /// How long it takes until a Session that is stored now has its times, one replica leads, and an audit has ended.
    async fn until_repaired(&self) -> Duration {
        let (began, now) = (Instant::now(), Timestamp::now().as_second());
        let session = eventually("a Session is stored", PATIENCE, async || self.plant().await).await;
        eventually("the Session is repaired", PATIENCE, async || {
            let reply = self.admin.sends(&Request::read(&session)).await;
            (!reply.body["status"]["end_time"].as_str().unwrap_or_default().is_empty()).then_some(())
        })
        .await;
        let taken = began.elapsed();
        self.leader().await;
        eventually("an audit has ended", PATIENCE, async || {
            let mut ended = false;
            for replica in &self.replicas {
                ended |= replica.metric("audit_ended_seconds").await >= now;
            }
            ended.then_some(())
        })
        .await;
        taken
    }

    /// Waits until no Session lacks its times; how many there are.
    async fn until_all_are_repaired(&self) -> usize {
        let path = format!("/apis/hobbyfarm.io/v1/namespaces/{HOBBYFARM}/sessions");
        eventually("all Sessions are repaired", PATIENCE, async || {
            let stored = accepts(&self.admin, Request::get(&path)).await.body;
            let stored = stored["items"].as_array().unwrap();
            let lacks_times = |session: &Value| session["status"]["end_time"].as_str().is_none_or(str::is_empty);
            (!stored.iter().any(lacks_times)).then_some(stored.len())
        })
        .await
    }

    /// The one replica that leads.
    async fn leader(&self) -> &Replica {
        eventually("one replica leads", PATIENCE, async || {
            let mut leaders = Vec::new();
            for replica in &self.replicas {
                if replica.metric("backfill_leading").await == 1 {
                    leaders.push(replica);
                }
            }
            (leaders.len() == 1).then(|| leaders[0])
        })
        .await
    }

    /// Resident memory in kB, threads and files of each replica.
    fn resources(&self) -> Vec<[u64; 3]> {
        self.replicas.iter().map(Replica::resources).collect()
    }

    async fn report(&self, taken: Duration, resources: &[Vec<[u64; 3]>], recoveries: &[Vec<Duration>]) {
        let version = accepts(&self.admin, Request::get("/version")).await.body;
        println!("\nKubernetes {}, {} s\n", version["gitVersion"].as_str().unwrap(), taken.as_secs());
        let mut table = Table::new(&["disturbance", "times", "repaired again after s, median", "longest"]);
        for (disturbance, recoveries) in Disturbance::ALL.into_iter().zip(recoveries) {
            let mut sorted = recoveries.clone();
            sorted.sort_unstable();
            let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
            let figures =
                [sorted.len().to_string(), seconds(sorted[sorted.len() / 2]), seconds(*sorted.last().unwrap())];
            table.row([disturbance.name().to_owned()].iter().chain(&figures));
        }
        println!("{}", table.text());
        let mut table = Table::new(&["replica", "round", "MB", "threads", "files"]);
        for (round, resources) in resources.iter().enumerate() {
            for (replica, [kilobytes, threads, files]) in resources.iter().enumerate() {
                let megabytes = format!("{:.1}", *kilobytes as f64 / 1024.0);
                let cells = [replica.to_string(), round.to_string(), megabytes, threads.to_string(), files.to_string()];
                table.row(cells.iter());
            }
        }
        println!("{}", table.text());
        let mut table =
            Table::new(&["replica", "MB at most", "restarts", "panics", "log lines of warnings and errors"]);
        for (number, replica) in self.replicas.iter().enumerate() {
            let peak = format!("{:.1}", replica.peak() as f64 / 1024.0);
            let restarts = replica.sum_of("controller_restarts_total").await.to_string();
            let panics = replica.metric("panics_total").await.to_string();
            let log = replica.log();
            let told = |line: &&str| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
            // Each Session of this trial is written by somebody who breaks glass.
            let lines = log.lines().filter(told).filter(|line| !line.contains("break-glass")).count().to_string();
            table.row([number.to_string(), peak, restarts, panics, lines].iter());
        }
        println!("{}", table.text());
    }

    /// Both end in an orderly way, and nobody leads.
    async fn stop(mut self) {
        let began = Instant::now();
        for replica in &mut self.replicas {
            replica.stop().await;
        }
        println!("both ended {:.1} s after SIGTERM", began.elapsed().as_secs_f64());
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
        let leases = accepts(&self.admin, Request::get(path)).await.body;
        for lease in leases["items"].as_array().unwrap() {
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
            println!("Lease {}: held by {holder:?}", lease["metadata"]["name"].as_str().unwrap());
        }
    }
}

/// Makes the webhook configurations, which lead to the first replica.
async fn install(admin: &Writer, replicas: &[Replica]) {
    let address = replicas[0].address;
    for (kind, path) in [("mutating", "mutate"), ("validating", "validate")] {
        let object = json!({"metadata": {"name": CONFIGURATION}, "webhooks": [{
            "name": format!("{path}.session-webhook.hobbyfarm.io"),
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": format!("https://{address}/{path}")},
            "rules": [{"apiGroups": ["hobbyfarm.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["sessions", "sessions/status"]}],
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "timeoutSeconds": 1,
        }]});
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations");
        accepts(admin, Request::post(path, object)).await;
    }
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args(["-s", name, pid]).status().unwrap().success());
}

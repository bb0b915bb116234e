//! A real kube-apiserver with and without the webhook: what a client sees of a keep-alive, what the API server says that
//! admission takes, and who uses up the machine when it is driven as hard as it goes.
//!
//! `KUBEBUILDER_ASSETS=$(tests/control-plane) cargo bench --bench cluster [-- --seconds 10 --turns 3]`

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
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

#[path = "../../tests/load/cluster.rs"]
mod cluster;
#[path = "../../tests/e2e/control_plane.rs"]
mod control_plane;
#[path = "../../tests/e2e/pki.rs"]
mod pki;
#[path = "../../tests/e2e/process.rs"]
mod process;
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

mod admission;
mod keep_alive;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use admission::Admission;
use cluster::Cluster;
use control_plane::ControlPlane;
use keep_alive::Writers;
use pki::Authority;
use process::{Process, eventually, free_port};
use serde_json::json;
use session_webhook::core::policy_twin::keep_alive::{CONDITION, expression};
use support::page::{Table, write_section};
use support::{argument, cpu_seconds};
use writer::Request;

/// Who works for a write, by the name of the process.
const PARTS: [&str; 3] = ["etcd", "kube-apiserver", "session-webhook"];
/// Writers at a time: one after the other, and as many as keep every core busy.
const WRITERS: [usize; 2] = [1, 32];

/// One turn.
struct Turn {
    /// Writes in a second.
    rate: f64,
    /// p50 and p99 of a write, milliseconds.
    latency: [f64; 2],
    /// CPU of each part for one write, milliseconds.
    cost: [f64; 3],
    /// p50 and p99 of each webhook as the API server measures it, milliseconds.
    admission: Option<[[f64; 2]; 2]>,
}

fn main() {
    let assets = control_plane::assets().unwrap_or_else(|reason| panic!("{reason}"));
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("no other provider is installed");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(assets));
}

async fn measure(assets: PathBuf) {
    let time = Duration::from_secs(argument("--seconds").map_or(8, |seconds| seconds.parse().unwrap()));
    let turns: usize = argument("--turns").map_or(3, |turns| turns.parse().unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let control_plane = ControlPlane::start(assets, folder.clone(), &[]).await;
    let port = free_port();
    let mut cluster = Cluster::new(control_plane, port).await;
    let authority = Authority::new("bench");
    let webhook = webhook(&folder, &authority, port).await;
    let parts = PARTS.map(support::child);
    let mut writers = Writers::new(&cluster, WRITERS[1]).await;

    let mut table = Table::new(&[
        "writers",
        "writes/s",
        "p50 ms",
        "p99 ms",
        "etcd",
        "API server",
        "webhook",
        "mutate p50 p99",
        "validate p50 p99",
    ]);
    for count in WRITERS {
        let mut turned = [const { Vec::new() }; 3];
        for _ in 0..turns {
            for (setup, turned) in Setup::ALL.into_iter().zip(&mut turned) {
                setup.install(&mut cluster, &authority).await;
                // Until connections are open and caches warm.
                writers.write(count, time / 8).await;
                turned.push(turn(&cluster, &mut writers, &parts, count, time, setup == Setup::Called).await);
            }
        }
        for (setup, turned) in Setup::ALL.iter().zip(&turned) {
            row(&mut table, &format!("{count}, {}", setup.name()), turned);
        }
    }
    Setup::Spared.install(&mut cluster, &authority).await;
    drop(webhook);
    let hanging = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let latencies = sorted(writers.write(1, time).await);
    drop(hanging);
    let hanging = format!(
        "With an endpoint that accepts connections and never answers, a keep-alive that is spared the call took {:.2} ms at p50 and {:.2} ms at \
         p99 ({} writes).",
        milliseconds(&latencies, 50),
        milliseconds(&latencies, 99),
        latencies.len()
    );
    write_section("cluster", &format!("Kubernetes {}\n\n{}\n{hanging}", cluster.version().await, table.text()));
    drop(fs::remove_dir_all(folder));
}

/// What is installed while writers write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setup {
    /// No webhook.
    Without,
    /// The webhook is called for every write.
    Called,
    /// Keep-alives are spared the call.
    Spared,
}

impl Setup {
    const ALL: [Self; 3] = [Self::Without, Self::Called, Self::Spared];

    const fn name(self) -> &'static str {
        match self {
            Self::Without => "without the webhook",
            Self::Called => "called for each keep-alive",
            Self::Spared => "as shipped",
        }
    }

    async fn install(self, cluster: &mut Cluster, authority: &Authority) {
        let user = format!("system:serviceaccount:{}:hobbyfarm-session", writer::HOBBYFARM);
        cluster.conditions = match self {
            Self::Without => return forget(cluster).await,
            Self::Called => json!([]),
            Self::Spared => json!([{"name": CONDITION, "expression": expression(&[user])}]),
        };
        cluster.trust(&authority.pem()).await;
    }
}

fn sorted(mut latencies: Vec<Duration>) -> Vec<Duration> {
    latencies.sort_unstable();
    latencies
}

fn milliseconds(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

/// The released program with the configuration that is shipped.
async fn webhook(folder: &Path, authority: &Authority, port: u16) -> Process {
    let (certificate, key) = authority.service().write(folder, "session-webhook");
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
    command
        .env_clear()
        .arg("serve")
        .arg(concat!("--config=", env!("CARGO_MANIFEST_DIR"), "/manifests/base/config.yaml"))
        .args([format!("--listen=127.0.0.1:{port}"), "--ops-listen=127.0.0.1:0".to_owned()])
        .arg("--tls-cert")
        .arg(certificate)
        .arg("--tls-key")
        .arg(key);
    let process = Process::start("session-webhook", folder, &mut command);
    eventually("the webhook listens", Duration::from_secs(30), async || {
        process.output().contains("\"listening\"").then_some(())
    })
    .await;
    process
}

/// Takes the webhook configurations away, and waits until the API server goes without.
async fn forget(cluster: &Cluster) {
    for kind in ["mutating", "validating"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/load");
        cluster.admin.sends(&Request::delete_path(path, "Background")).await;
    }
    let probe = serde_json::json!({"metadata": {"name": "probe", "labels": {
        "MutatingWebhookConfiguration": "g0", "ValidatingWebhookConfiguration": "g0"}}});
    let probe = Request::post(format!("/api/v1/namespaces/{}/configmaps", writer::HOBBYFARM), probe).dry_run();
    eventually("the webhook configurations are gone", Duration::from_secs(30), async || {
        (cluster.admin.sends(&probe).await.code == 201).then_some(())
    })
    .await;
    // What the API server measured last is not of a turn without.
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn turn(
    cluster: &Cluster,
    writers: &mut Writers,
    parts: &[u32; 3],
    count: usize,
    time: Duration,
    with: bool,
) -> Turn {
    let admission = Admission::read(cluster).await;
    let (began, before) = (Instant::now(), parts.map(cpu_seconds));
    let latencies = sorted(writers.write(count, time).await);
    let (taken, after) = (began.elapsed().as_secs_f64(), parts.map(cpu_seconds));
    let written = latencies.len();
    let cost = |part: usize| (after[part] - before[part]) / written as f64 * 1e3;
    Turn {
        rate: written as f64 / taken,
        latency: [50, 99].map(|percent| milliseconds(&latencies, percent)),
        cost: [0, 1, 2].map(cost),
        admission: if with { Some(Admission::read(cluster).await.since(&admission)) } else { None },
    }
}

fn row(table: &mut Table, name: &str, turns: &[Turn]) {
    let median = |figure: &dyn Fn(&Turn) -> f64| {
        let mut figures: Vec<f64> = turns.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let mut cells = vec![name.to_owned(), format!("{:.0}", median(&|turn| turn.rate))];
    cells.extend([0, 1].map(|of| format!("{:.2}", median(&|turn| turn.latency[of]))));
    cells.extend([0, 1, 2].map(|of| format!("{:.3}", median(&|turn| turn.cost[of]))));
    let admission =
        |webhook: usize, of: usize| median(&|turn| turn.admission.map_or(0.0, |figures| figures[webhook][of]));
    for webhook in [0, 1] {
        let known = turns.iter().all(|turn| turn.admission.is_some());
        let figures = format!("{:.2} {:.2}", admission(webhook, 0), admission(webhook, 1));
        cells.push(if known { figures } else { String::new() });
    }
    table.row(cells.iter());
}

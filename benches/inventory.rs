//! A large HobbyFarm: what `audit` takes for 10,000 Sessions, what `serve --backfill` takes at start when 100,000 lack their
//! times, and how long a new Session then waits for its own.
//!
//! `KUBEBUILDER_ASSETS=$(tests/control-plane) cargo bench --bench inventory [-- --sessions 100000]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    dead_code,
    reason = "a benchmark stops at the first thing that is not as it should be; it shares modules with tests/e2e"
)]

#[path = "../tests/e2e/control_plane.rs"]
mod control_plane;
#[path = "../tests/e2e/pki.rs"]
mod pki;
#[path = "../tests/e2e/process.rs"]
mod process;
#[path = "../tests/e2e/session.rs"]
mod session;
#[path = "../tests/e2e/verbs.rs"]
mod verbs;
#[path = "../tests/e2e/writer.rs"]
mod writer;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use control_plane::ControlPlane;
use process::{Process, eventually, free_port};
use session::Form;
use verbs::accepts;
use writer::{HOBBYFARM, Request, Writer};

const AUDITED: usize = 10_000;
const WRITERS: usize = 32;
const SOON: Duration = Duration::from_mins(1);
/// The times at which the backfill's work is looked at, after its start.
const LOOKS: [u64; 3] = [5, 15, 30];
/// How old a Session has to be.
const AGE: Duration = Duration::from_secs(2);
/// Sessions that are stored while the others wait.
const NEWCOMERS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let given = arguments.iter().skip_while(|argument| *argument != "--sessions").nth(1);
    let sessions = given.map_or(100_000, |sessions| sessions.parse().expect("--sessions takes a number"));
    let assets = control_plane::assets().unwrap();
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(run(assets, sessions));
}

async fn run(assets: std::path::PathBuf, sessions: usize) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = ControlPlane::start(assets, folder.path().to_owned(), &[]).await;
    let admin = Writer { user: "kubernetes-admin".to_owned(), client: cluster.admin() };
    let form = Form { status_subresource: false, ..Form::ALL[0] };
    accepts(&admin, Request::post("/api/v1/namespaces", json!({"metadata": {"name": HOBBYFARM}}))).await;
    accepts(&admin, Request::post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", form.crd())).await;
    let probe = Request::create(&form.session("probe")).dry_run();
    eventually("the definition is served", SOON, async || (admin.sends(&probe).await.code == 201).then_some(())).await;

    let now = Timestamp::now();
    let [start, end] = [-10, 600].map(|minutes| form.time(now + SignedDuration::from_mins(minutes)));
    let sound = |number: usize| {
        let mut session = form.session(&format!("sound-{number}"));
        session["spec"]["scenario"] = Value::from("");
        session["status"] = form.status(false, "", true, false, [&start, &end]);
        session
    };
    write(&admin, (0..AUDITED).map(sound)).await;
    audit(&cluster.admin_kubeconfig(), AUDITED);
    write(&admin, (0..sessions).map(|number| form.session(&format!("without-times-{number}")))).await;
    audit(&cluster.admin_kubeconfig(), AUDITED + sessions);
    backfill(&cluster.admin_kubeconfig(), folder.path(), &admin, form).await;
}

async fn write(admin: &Writer, sessions: impl Iterator<Item = Value>) {
    let start = Instant::now();
    let write = async |session: Value| drop(accepts(admin, Request::create(&session)).await);
    let written = futures::stream::iter(sessions).map(write).buffer_unordered(WRITERS).count().await;
    println!("{written} Sessions written in {:.0} s", start.elapsed().as_secs_f64());
}

fn audit(kubeconfig: &Path, sessions: usize) {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_session-webhook"))
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .args(["audit", "--output", "json", "--backfill-after", "0s"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(kilobytes(child.id(), "VmHWM").unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("audit of {sessions} Sessions: {:.2} s, {} MB at most", start.elapsed().as_secs_f64(), peak / 1024);
}

async fn backfill(kubeconfig: &Path, folder: &Path, admin: &Writer, form: Form) {
    let ops = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
    command
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .args(["serve", "--tls", "self-signed", "--log-level", "warn", "--listen", "127.0.0.1:0", "--ops-listen", &ops])
        .args(["--backfill", "--backfill-after"])
        .arg(format!("{}s", AGE.as_secs()));
    let before = requests(admin).await;
    let start = Instant::now();
    let process = Process::start("backfill", folder, &mut command);
    for look in LOOKS {
        tokio::time::sleep_until((start + Duration::from_secs(look)).into()).await;
        let text = reqwest::get(format!("http://{ops}/metrics")).await.unwrap().text().await.unwrap();
        let metric = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("session_webhook_{name} ")));
            line.map_or(0, |value| value.parse::<u64>().unwrap())
        };
        println!(
            "backfill after {look} s: {} wait, {} repaired, {} requests, {} MB now, {} MB at most",
            metric("backfill_waiting_sessions"),
            metric("backfill_sessions_total{result=\"repaired\"}"),
            requests(admin).await - before,
            kilobytes(process.id(), "VmRSS").unwrap() / 1024,
            kilobytes(process.id(), "VmHWM").unwrap() / 1024,
        );
    }
    for number in 0..NEWCOMERS {
        let session = form.session(&format!("new-{number}"));
        accepts(admin, Request::create(&session)).await;
        let start = Instant::now();
        eventually("the new Session is repaired", SOON, async || {
            let stored = accepts(admin, Request::read(&session)).await.body;
            stored["status"]["end_time"].as_str().filter(|time| !time.is_empty()).map(drop)
        })
        .await;
        let late = start.elapsed().saturating_sub(AGE).as_secs_f64();
        println!("a Session that is stored meanwhile is repaired {late:.2} s after it is due");
    }
}

/// What the API server has answered so far, watches left out.
async fn requests(admin: &Writer) -> u64 {
    let request = axum::http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = admin.client.request_text(request).await.unwrap();
    let counts = text.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && !line.contains("verb=\"WATCH\"")
            && line.contains("group=\"hobbyfarm.io\"")
    });
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map(|count| count as u64).sum()
}

/// A figure of `/proc/PID/status` that is given in kB; nothing once the process is gone.
fn kilobytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

//! The chart and the overlays in a real cluster, by the real Helm and kubectl: what the server makes of every object, and that
//! installs, upgrades, rollbacks and uninstalls leave what they should and nothing else. See `scenarios`.
//!
//! `PATH=$(tests/tools/build kubectl):$(tests/tools/build helm3):$PATH HELM4=$(tests/tools/build helm4)/helm
//! cargo test --test chart_in_cluster [-- PART-OF-A-NAME]`

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is test code, which shares modules with tests/e2e and prints a report"
)]

mod after_install;
mod cert_manager;
mod first_hour;
mod lifecycle;
mod node;
mod objects;
mod other_managers;
mod own_overlay;
mod replica;
mod scenarios;
mod world;

#[path = "../e2e/control_plane.rs"]
mod control_plane;
#[path = "../e2e/kubectl.rs"]
mod kubectl;
#[path = "../e2e/pki.rs"]
mod pki;
#[path = "../e2e/process.rs"]
mod process;
#[path = "../e2e/servers.rs"]
mod servers;
#[path = "../e2e/session.rs"]
mod session;
#[path = "../e2e/verbs.rs"]
mod verbs;
#[path = "../e2e/writer.rs"]
mod writer;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use futures::FutureExt;

use scenarios::{ALL, Scenario};
use servers::{Servers, run_on_each, told_to_stop};
use world::World;

fn main() -> ExitCode {
    let (flags, parts): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let is_selected = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()));
    let selected: Vec<_> = ALL.iter().filter(|scenario| is_selected(scenario.name)).collect();
    if flags.iter().any(|flag| flag == "--list") {
        for scenario in selected {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    if selected.is_empty() {
        println!("chart_in_cluster: no scenario has such a name");
        return ExitCode::SUCCESS;
    }
    let servers = match Servers::from_environment() {
        Ok(servers) => servers,
        Err(reason) => {
            eprintln!("\nchart_in_cluster: {reason}\n");
            return ExitCode::FAILURE;
        }
    };
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("no other provider is installed");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let Servers::One(assets) = servers else { return run_on_each().await };
        tokio::select! {
            outcome = run(assets, &selected) => outcome,
            // Children end with their owners, which are dropped here.
            () = told_to_stop() => ExitCode::FAILURE,
        }
    })
}

async fn run(assets: PathBuf, selected: &[&Scenario]) -> ExitCode {
    let start = Instant::now();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chart-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let world = World::new(assets, folder.clone()).await;
    println!("\nchart in Kubernetes {}, by Helm {}\n", world.server, world.helm_versions().join(" and "));
    let mut failed = 0;
    for scenario in selected {
        let start = Instant::now();
        let outcome = AssertUnwindSafe((scenario.run)(&world)).catch_unwind().await;
        let verdict = if outcome.is_ok() { "ok    " } else { "FAILED" };
        println!("{verdict} {}: {} ({:.1} s)", world.server, scenario.name, start.elapsed().as_secs_f64());
        if outcome.is_err() {
            failed += 1;
            world.clean_up();
        }
    }
    let passed = selected.len() - failed;
    let seconds = start.elapsed().as_secs_f64();
    println!("\nchart in Kubernetes {}: {passed} scenarios passed, {failed} failed, in {seconds:.0} s", world.server);
    drop(world);
    if failed > 0 {
        println!("Logs: {}", folder.display());
        return ExitCode::FAILURE;
    }
    // Logs of a success interest nobody.
    let _ = std::fs::remove_dir_all(folder);
    ExitCode::SUCCESS
}

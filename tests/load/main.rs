//! Proof under load: a steady stream of HobbyFarm's status writes through a real API server, every call under
//! `failurePolicy: Fail`, while replicas are restarted, certificates are rotated and the authority is replaced. Not one
//! write may fail.
//!
//! `KUBEBUILDER_ASSETS=$(tests/control-plane) cargo test --test load [-- --long]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    reason = "this is test code, which shares modules with tests/e2e and prints a report"
)]

mod balancer;
mod cluster;
mod load;
mod proof;
mod replica;

#[path = "../e2e/control_plane.rs"]
mod control_plane;
#[path = "../e2e/pki.rs"]
mod pki;
#[path = "../e2e/process.rs"]
mod process;
#[path = "../e2e/session.rs"]
mod session;
#[path = "../e2e/verbs.rs"]
mod verbs;
#[path = "../e2e/writer.rs"]
mod writer;

use std::process::ExitCode;

use proof::Plan;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let plan = if arguments.iter().any(|argument| argument == "--long") { Plan::LONG } else { Plan::SHORT };
    let assets = match control_plane::assets() {
        Ok(assets) => assets,
        Err(reason) => {
            eprintln!("\nload: {reason}\n");
            return ExitCode::FAILURE;
        }
    };
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("no other provider is installed");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            () = proof::run(assets, plan) => ExitCode::SUCCESS,
            // Children end with their owners, which are dropped here.
            _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
        }
    })
}

//! The specification of the installed webhook, held against a real API server: see `scenarios`.
//!
//! `PATH=$(tests/tools/build kubectl):$PATH [E2E_ON=1.37] cargo test --test e2e [-- PART-OF-A-NAME]`

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a scenario stops at the first thing that is not as it should be; the report goes to the terminal; tests/load \
              shares modules with these"
)]

mod auditing;
mod backfilling;
mod control_plane;
mod diagnosis;
mod doctoring;
mod impostor;
mod install;
mod kubectl;
mod kubelet;
mod managed;
mod pki;
mod playground;
mod process;
mod report;
// A scenario that is missing in the list of its module would never run.
#[warn(dead_code)]
mod scenarios;
mod servers;
mod session;
mod stand_in;
mod surroundings;
mod twin;
mod verbs;
mod version;
mod webhook;
mod world;
mod writer;

use std::process::ExitCode;

use report::Selection;
use servers::{Servers, run_on_each, told_to_stop};

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == playground::FLAG) {
        return prepared_runtime().block_on(playground::run());
    }
    let selection = Selection::from_arguments(std::env::args().skip(1));
    if selection.only_lists() {
        return ExitCode::SUCCESS;
    }
    let servers = match Servers::from_environment() {
        Ok(servers) => servers,
        Err(reason) => {
            eprintln!("\ne2e: {reason}\n");
            return ExitCode::FAILURE;
        }
    };
    prepared_runtime().block_on(async {
        let Servers::One(assets) = servers else { return run_on_each().await };
        tokio::select! {
            outcome = report::run(assets, &selection) => outcome,
            // Children end with their owners, which are dropped here.
            () = told_to_stop() => ExitCode::FAILURE,
        }
    })
}

fn prepared_runtime() -> tokio::runtime::Runtime {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("no other provider is installed");
    report::collect_panics();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

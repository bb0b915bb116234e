//! On which API servers a report is made: on each tested version, on the one that `E2E_ON` names, or on that of `KUBEBUILDER_ASSETS`.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::control_plane;
use crate::control_plane::kubernetes_versions::TESTED;

/// Names the one version to run on.
const E2E_ON: &str = "E2E_ON";

/// Where the report is made.
pub(crate) enum Servers {
    /// In this process, on the server of these programs.
    One(PathBuf),
    /// In a process for each tested version.
    EachTested,
}

impl Servers {
    /// What the environment says.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let version = env::var(E2E_ON).ok().filter(|version| !version.is_empty());
        match version {
            Some(version) if env::var_os(control_plane::KUBEBUILDER_ASSETS).is_some() => Err(format!(
                "{E2E_ON} is {version}, and KUBEBUILDER_ASSETS names the programs of one server already: unset either"
            )),
            Some(version) if TESTED.contains(&version.as_str()) => control_plane::assets_of(&version).map(Self::One),
            Some(version) => Err(format!("{E2E_ON} is {version}, which is none of: {}", TESTED.join(", "))),
            None if env::var_os(control_plane::KUBEBUILDER_ASSETS).is_some() => control_plane::assets().map(Self::One),
            None => Ok(Self::EachTested),
        }
    }
}

/// Runs this program once for each tested version, all at once: a server waits for most of its time.
pub(crate) async fn run_on_each() -> ExitCode {
    let mut children = Vec::new();
    for version in TESTED {
        // Built one after the other, where it is not there yet.
        if let Err(reason) = control_plane::assets_of(version) {
            eprintln!("\n{reason}\n");
            return ExitCode::FAILURE;
        }
        let program = env::current_exe().expect("this program has a path");
        let child = Command::new(program).args(env::args().skip(1)).env(E2E_ON, version).spawn();
        children.push(child.expect("this program can be started again"));
    }
    let ids: Vec<_> = children.iter().map(|child| child.id().to_string()).collect();
    let waits = children.into_iter().map(|mut child| tokio::task::spawn_blocking(move || child.wait()));
    let mut all_end = futures::future::join_all(waits);
    let outcomes = tokio::select! {
        outcomes = &mut all_end => outcomes,
        () = told_to_stop() => {
            // They let their own children end.
            let _ = Command::new("kill").args(&ids).status();
            all_end.await
        }
    };
    let passed = outcomes.into_iter().all(|outcome| matches!(outcome, Ok(Ok(status)) if status.success()));
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ends with the first signal that asks this program to end.
pub(crate) async fn told_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be waited for");
    tokio::select! {
        _ = terminate.recv() => (),
        _ = tokio::signal::ctrl_c() => (),
    }
}

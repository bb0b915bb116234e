//! A signal ends each command, in the middle of a request too. That it does so by its own handling shows that it does so as the
//! first process of a container as well, for which the system has none.

use std::process::{Child, Command};

use rstest::rstest;
use tempfile::TempDir;

use crate::api_server::{ApiServer, Kind};
use crate::faults::Fault;
use crate::program::start;

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
}

#[rstest]
#[case::audit("audit", Kind::List, "TERM", 143)]
#[case::audit_interrupted("audit", Kind::List, "INT", 130)]
#[case::fix("audit --fix --yes", Kind::Patch, "TERM", 143)]
#[case::doctor("doctor", Kind::Version, "TERM", 143)]
#[case::doctor_waiting("doctor --wait 10m", Kind::Version, "INT", 130)]
#[case::doctor_hung_up("doctor --wait 10m", Kind::Version, "HUP", 129)]
// It knows of nothing that is wrong.
#[case::watch("audit --watch", Kind::List, "TERM", 0)]
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_command_in_the_middle_of_a_request(
    #[case] command: &str,
    #[case] kind: Kind,
    #[case] name: &str,
    #[case] code: i32,
) {
    let (server, folder) = (ApiServer::start(Some((kind, Fault::NoAnswer))).await, TempDir::new().unwrap());
    let mut child = start(&server, &folder, command);
    server.is_asked(kind, 1).await.unwrap();
    signal(&child, name);
    assert_eq!(child.wait().unwrap().code(), Some(code));
}

/// Its standard input stays open, and nothing comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_review_that_waits_for_its_input() {
    let (server, folder) = (ApiServer::start(None).await, TempDir::new().unwrap());
    let mut child = start(&server, &folder, "review -");
    // Or waiting for the child would close it.
    let _input = child.stdin.take();
    // The handling is in place once there is a thread for it.
    let threads = format!("/proc/{}/task", child.id());
    while std::fs::read_dir(&threads).unwrap().count() < 2 {
        tokio::task::yield_now().await;
    }
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

//! What is told to people and to those who collect logs, and in which words.

use std::collections::HashSet;
use std::net::TcpListener;

use rstest::rstest;
use serde_json::Value;

use crate::api_server::{ApiServer, Kind};
use crate::credentials::blocking;
use crate::faults::Fault;
use crate::program::{Serving, kubeconfig_text, run_with, shown_on_a_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_the_log_is_one_that_collectors_file() {
    let server = ApiServer::start(None).await;
    let serving = Serving::start(&server, "--backfill --audit-interval 1s").unwrap();
    serving.becomes("audited", |metrics| metrics.contains("\nsession_webhook_audit_sessions 1\n")).await.unwrap();
    let (_, log) = serving.stop();
    let known = ["timestamp", "severity", "level", "message", "target", "session_webhook"];
    let mut authority = None;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let unknown = line.as_object().unwrap().keys().find(|key| !known.contains(&key.as_str()));
        assert!(unknown.is_none() && line["severity"].is_string(), "{line}");
        authority = authority.or_else(|| line["session_webhook"]["authority"].as_str().map(str::to_owned));
    }
    assert!(authority.unwrap().starts_with("-----BEGIN CERTIFICATE-----"), "what clients have to trust");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_told_in_the_words_of_the_options() {
    let server = ApiServer::start(None).await;
    let serving =
        Serving::start(&server, "--mode warn --dialect gargantua --impersonation allow --invariants off").unwrap();
    let (_, log) = serving.stop();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let policy = lines.into_iter().find(|line| line["message"] == "policy").unwrap();
    let told = ["mode", "dialect", "impersonation", "invariants"].map(|key| policy["session_webhook"][key].clone());
    assert_eq!(told, ["warn", "gargantua", "allow", "off"]);
}

/// An error and its causes often say the same.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_each_thing_once(#[values("http", "https")] scheme: &str) {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = kubeconfig_text(nobody, "token: a", "").replace("http:", &format!("{scheme}:"));
    let ended = blocking(move || run_with(&text, "audit --request-timeout 1s", "")).await;
    let parts: Vec<_> = ended.stderr.trim().split(": ").collect();
    let distinct: HashSet<_> = parts.iter().collect();
    assert!(ended.stderr.contains("refused") && distinct.len() == parts.len(), "{}", ended.stderr);
    assert!(ended.stderr.contains(&nobody.to_string()), "not said to whom: {}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_told_what_is_waited_for() {
    for command in ["audit", "doctor"] {
        let server = ApiServer::start(Some((Kind::Groups, Fault::NoAnswer))).await;
        server.fail(if command == "audit" { Kind::Groups } else { Kind::Version }, Fault::NoAnswer);
        let shown = shown_on_a_terminal(&server, &format!("{command} --request-timeout 4s")).await;
        let expected = format!("waiting for http://{}: GET /", server.address);
        assert!(shown.contains(&expected), "{command}: {shown}");
    }
}

/// While the Lease is renewed three times, every five seconds: with one and the same pause there would be nine lists or more.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_refused_is_asked_for_less_and_less() {
    let server = ApiServer::start(Some((Kind::List, Fault::Forbidden))).await;
    let serving = Serving::start(&server, "--backfill --backfill-after 0s").unwrap();
    server.is_asked(Kind::List, 1).await.unwrap();
    server.is_asked(Kind::LeaseWrite, server.times_asked(Kind::LeaseWrite) + 3).await.unwrap();
    let lists = server.times_asked(Kind::List);
    let (_, log) = serving.stop();
    assert!((2..=6).contains(&lists), "{lists}");
    assert_eq!(log.lines().filter(|line| line.contains("cannot look after stored sessions")).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_being_repaired_wait_too() {
    let server = ApiServer::start(Some((Kind::Get, Fault::NoAnswer))).await;
    server.store_sessions(20);
    let serving = Serving::start(&server, "--backfill --backfill-after 0s").unwrap();
    let waiting = |count: u32| format!("\nsession_webhook_backfill_waiting_sessions {count}\n");
    serving.becomes("all wait", |metrics| metrics.contains(&waiting(21))).await.unwrap();
    server.heal();
    serving.becomes("none waits", |metrics| metrics.contains(&waiting(0)) && server.is_repaired()).await.unwrap();
}

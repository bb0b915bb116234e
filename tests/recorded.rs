//! Every request that a real API server sent (`tests/fixtures/admission`), answered.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "this is test code")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use session_webhook::core::admission::decision::Verdict;
use session_webhook::core::admission::review::Webhook;
use session_webhook::server::Limits;
use session_webhook::server::router::{App, router};
use support::recorded::{Recorded, decide, now, recorded, shipped};
use support::{metrics, post, send};

/// The response of the router to a recorded request, with its patch readable.
async fn response(request: &Recorded) -> Value {
    let app = App::new(shipped(), Limits::default(), metrics()).with_clock(Box::new(now));
    let answer = send(&router(Arc::new(app)), post(request.webhook.path(), request.body.clone())).await;
    assert_eq!(answer.status, 200, "{}/{}", request.folder, request.scenario);
    let mut response = answer.json()["response"].take();
    if let Some(patch) = response.get("patch") {
        let patch = STANDARD.decode(patch.as_str().unwrap()).unwrap();
        response["patch"] = serde_json::from_slice(&patch).unwrap();
    }
    response
}

#[tokio::test]
async fn every_request_gets_the_reviewed_response() {
    let mut by_folder: BTreeMap<String, String> = BTreeMap::new();
    for request in recorded() {
        let text = by_folder.entry(format!("{}-{}", request.folder, request.webhook.name())).or_default();
        let response = serde_json::to_string_pretty(&response(&request).await).unwrap();
        writeln!(text, "{}\n{response}\n", request.scenario).unwrap();
    }
    for (name, text) in by_folder {
        insta::assert_snapshot!(name, text);
    }
}

/// `tests/fixtures/rules.md`, the table for people, holds for the requests.
#[test]
fn every_scenario_is_decided_by_the_rule_in_the_table() {
    let folders = ["documented-nostatus", "documented-status", "gargantua-status"];
    let mut rows: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for request in recorded() {
        let verdict = |webhook| {
            let decision = decide(&shipped(), webhook, &request.json());
            format!("{} {}", decision.name(), decision.rule)
        };
        // Where a request did not get as far as the validating webhook, what that would have said of it.
        if request.webhook == Webhook::Validate || !has_validating_twin(&request) {
            rows.entry(request.scenario.clone())
                .or_default()
                .insert(request.folder.clone(), verdict(Webhook::Validate));
        }
    }
    let mut table = format!("| scenario | {} |\n|---|---|---|---|\n", folders.join(" | "));
    for (scenario, cells) in rows {
        let cells = folders.map(|folder| cells.get(folder).map_or("–", String::as_str));
        writeln!(table, "| {scenario} | {} |", cells.join(" | ")).unwrap();
    }
    let expected = include_str!("fixtures/rules.md");
    let expected = expected.split_once("\n\n").unwrap().1;
    assert_eq!(table, expected, "the rules decide differently from tests/fixtures/rules.md");
}

fn has_validating_twin(request: &Recorded) -> bool {
    let path = format!("tests/fixtures/admission/{}/{}.validating.json", request.folder, request.scenario);
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

/// What the API server does with the answer: the patch is applied, the object is sent again and validated.
#[tokio::test]
async fn a_repaired_session_needs_no_second_repair_and_is_allowed() {
    let mut repaired = 0;
    for request in recorded().iter().filter(|request| request.webhook == Webhook::Mutate) {
        let patch = response(request).await["patch"].take();
        if patch.is_null() {
            continue;
        }
        repaired += 1;
        let mut review = request.json();
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
        let name = format!("{}/{}", request.folder, request.scenario);
        assert!(decide(&shipped(), Webhook::Mutate, &review).edits.is_empty(), "{name} is repaired twice");
        assert_eq!(decide(&shipped(), Webhook::Validate, &review).verdict, Verdict::Allow, "{name}");
    }
    assert!(repaired > 15, "only {repaired} requests were repaired");
}

#[tokio::test]
async fn no_response_holds_the_access_code() {
    for request in recorded() {
        let code = request.json()["request"]["object"]["spec"]["access_code"].as_str().unwrap_or("ac-").to_owned();
        let response = response(&request).await.to_string();
        assert!(!response.contains(&code), "{}/{}: {response}", request.folder, request.scenario);
    }
}

#[tokio::test]
async fn the_sample_of_the_documentation_is_accepted_from_hobbyfarm() {
    let sample = |request: &&Recorded| request.scenario == "13-create-seed-sample";
    for request in recorded().iter().filter(sample) {
        assert_eq!(response(request).await["allowed"], json!(true));
        assert_eq!(response(request).await.get("patch"), None);
    }
}

//! What is logged about requests, and what never is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../src/telemetry/captured.rs"]
mod captured;
mod support;

use std::sync::Arc;

use captured::Captured;
use rstest::rstest;
use serde_json::Value;
use session_webhook::core::admission::decision::{Decision, Denial, Verdict};
use session_webhook::core::admission::rule::Rule;
use session_webhook::core::settings::Mode;
use session_webhook::server::Limits;
use session_webhook::server::router::router;
use support::{app, metrics, post, review, send};
use tracing::subscriber::set_default;

/// Sends `reviews` to a policy that always decides alike, and returns the log's lines.
async fn logged(decide: fn() -> Decision, reviews: &[Value]) -> Vec<Value> {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
    let _guard = set_default(subscriber);
    let app = app(Limits::default(), &metrics()).with_decide(Box::new(move |_, _, _| Ok(decide())));
    let router = router(Arc::new(app));
    for review in reviews {
        send(&router, post("/validate", review.to_string())).await;
    }
    let text = captured.text();
    for secret in ["ac-ljw4s4dsdf", "vmc-lkjsdflkjsf", "u-lkjsdflkjs"] {
        assert!(!text.contains(secret), "{text}");
    }
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn allowed() -> Decision {
    Decision {
        rule: Rule::HobbyFarm,
        verdict: Verdict::Allow,
        mode: Mode::Enforce,
        status_is_missing: false,
        edits: Vec::new(),
        warnings: Vec::new(),
        broken_invariants: Vec::new(),
        break_glass: false,
    }
}

fn denied() -> Decision {
    let refusal = Denial { message: "no".to_owned(), causes: Vec::new() };
    Decision { rule: Rule::ManualEdit, verdict: Verdict::Deny(refusal), ..allowed() }
}

fn not_enforced() -> Decision {
    Decision { mode: Mode::Warn, ..denied() }
}

fn broken() -> Decision {
    Decision { broken_invariants: vec![Rule::StartMoved, Rule::Resurrected], ..allowed() }
}

fn not_guarded() -> Decision {
    Decision { rule: Rule::NotGuarded, ..allowed() }
}

#[rstest]
#[case::allowed(allowed, &[])]
#[case::denied(denied, &[("INFO", "denied", "ManualEdit")])]
#[case::not_enforced(not_enforced, &[("INFO", "would be denied", "ManualEdit")])]
#[case::broken(broken, &[("WARN", "invariant broken", "StartMoved"), ("WARN", "invariant broken", "Resurrected")])]
#[tokio::test]
async fn one_line_tells_one_fact_and_all_of_the_request(
    #[case] decide: fn() -> Decision,
    #[case] expected: &[(&str, &str, &str)],
) {
    let lines = logged(decide, &[review()]).await;
    let facts: Vec<_> = lines
        .iter()
        .map(|line| ["level", "message", "rule"].map(|field| line[field].as_str().unwrap()))
        .map(|[level, message, rule]| (level, message, rule))
        .collect();
    assert_eq!(facts, expected);
    for line in lines {
        let request = &review()["request"];
        assert_eq!(line["uid"], request["uid"]);
        assert_eq!(line["user"], request["userInfo"]["username"]);
        assert_eq!(line["operation"], "UPDATE");
        assert_eq!(line["namespace"], "hobbyfarm-system");
        assert_eq!(line["name"], "s0");
        assert_eq!(line["subresource"], "status");
        assert_eq!(line["mode"], decide().mode.name());
    }
}

#[tokio::test]
async fn a_user_name_cannot_forge_or_flood_the_log() {
    let mut forged = review();
    forged["request"]["userInfo"]["username"] = format!("eve\n\u{1b}[2J\u{202e}{}", "x".repeat(100_000)).into();
    let lines = logged(denied, &[forged]).await;
    let user = lines[0]["user"].as_str().unwrap();
    assert!(user.starts_with("eve\\n\\u{1b}[2J\\u{202e}xxx"), "{user}");
    assert!(user.chars().count() < 300, "{user}");
}

#[tokio::test]
async fn requests_about_something_else_are_told_a_bounded_number_of_times() {
    let mut pod = review();
    pod["request"]["resource"] = serde_json::json!({ "group": "", "version": "v1", "resource": "pods" });
    let lines = logged(not_guarded, &vec![pod; 100]).await;
    assert!((1..=10).contains(&lines.len()), "{} lines", lines.len());
    assert_eq!((&lines[0]["level"], &lines[0]["resource"]), (&"WARN".into(), &"/v1/pods".into()));
    assert_eq!(logged(not_guarded, &[review()]).await.len(), 0);
}

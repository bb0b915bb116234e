//! The same policy with Google's own CEL (`tests/cel`), which checks types as an API server does, as the crate here does not.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::Deserialize;
use serde_json::Value;
use session_webhook::core::policy_twin::admission_policy::objects;

use crate::recorded::recorded;
use crate::reviews::{Choices, review};
use crate::write_guard::{Outcome, WriteGuard, settings};

/// Of generated reviews, beside the recorded ones, for each of the settings.
const REVIEWS: usize = 1_000;

#[derive(Deserialize)]
struct Line {
    rule: String,
    refused_by: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
}

/// What Google's CEL says about these reviews.
fn google(policy: &Value, reviews: &[Value]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cel");
    let packages = Command::new(folder.join("packages")).output().unwrap();
    assert!(packages.status.success(), "{}", String::from_utf8_lossy(&packages.stderr));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(policy.to_string().as_bytes()).unwrap();
    let mut child = Command::new("python3")
        .arg(folder.join("check.py"))
        .arg(file.path())
        .env("PYTHONPATH", String::from_utf8(packages.stdout).unwrap().trim())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = reviews.iter().fold(String::new(), |lines, review| lines + &review.to_string() + "\n");
    let mut stdin = child.stdin.take().unwrap();
    // Beside reading, or both would wait for each other; a policy that does not compile is never asked.
    let asking = std::thread::spawn(move || drop(stdin.write_all(lines.as_bytes())));
    let output = child.wait_with_output().unwrap();
    asking.join().unwrap();
    output
}

#[test]
fn googles_cel_takes_the_policy_and_decides_the_same() {
    let mut runner = TestRunner::deterministic();
    let choices = vec(any::<u8>(), 0..96);
    let mut reviews: Vec<_> = recorded().iter().map(crate::recorded::Recorded::json).collect();
    reviews.extend((0..REVIEWS).map(|_| review(&mut Choices(&choices.new_tree(&mut runner).unwrap().current()))));
    for settings in settings() {
        let [policy, _] = objects(&settings);
        let output = google(&policy, &reviews);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().count(), reviews.len());
        let guard = WriteGuard::new(settings);
        for (line, review) in lines.lines().zip(&reviews) {
            let Line { rule, refused_by, annotations } = serde_json::from_str(line).unwrap();
            assert_eq!(Outcome { rule, refused_by, annotations }, guard.decide(review), "{review:#}");
        }
    }
}

/// A check of types that takes anything proves nothing.
#[test]
fn googles_cel_refuses_an_expression_whose_types_do_not_fit() {
    for (variable, expression) in [
        ("user", "has(request.userInfo.name) ? request.userInfo.name : ''"),
        ("guarded", "request.operation + 1 == 2"),
        ("rule", "variables.guarded"),
    ] {
        let [mut policy, _] = objects(&settings()[0]);
        let variables = policy["spec"]["variables"].as_array_mut().unwrap();
        variables.iter_mut().find(|found| found["name"] == variable).unwrap()["expression"] = expression.into();
        let output = google(&policy, &[]);
        assert!(!output.status.success(), "{expression}");
    }
}

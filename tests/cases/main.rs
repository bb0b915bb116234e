//! Inputs that were decided wrongly once, each of which stands for its kind, through `session-webhook review`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

mod a_change;
mod a_dialect;
mod a_session;
mod a_text;
mod a_zone;
mod an_odd_pair;

use std::path::PathBuf;

use assert_cmd::Command;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const HOBBYFARM: &str = "system:serviceaccount:hobbyfarm-system:hobbyfarm-session";
const OWN: &str = "hobbyfarm-session-webhook/session-webhook";
const STRICT: &str = "invariants: deny\n";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases").join(name)
}

fn case(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// The answer to a review: exit code, `response`, and what a person is told.
struct Answer {
    code: i32,
    response: Value,
    told: String,
}

fn review(arguments: &[&str], stdin: impl Into<Vec<u8>>) -> Answer {
    let mut command = Command::cargo_bin("session-webhook").unwrap();
    command.env_clear().args(["review", "--now", "2026-11-24T12:00:00Z"]).args(arguments).write_stdin(stdin.into());
    let output = command.output().unwrap();
    let response =
        serde_json::from_slice::<Value>(&output.stdout).map_or(Value::Null, |review| review["response"].clone());
    Answer { code: output.status.code().unwrap(), response, told: String::from_utf8(output.stderr).unwrap() }
}

impl Answer {
    #[track_caller]
    fn is_allowed_without_a_word(&self) {
        assert_eq!((self.code, &self.response["allowed"]), (0, &json!(true)), "{}", self.told);
        assert_eq!(self.response.get("warnings"), None, "{}", self.told);
    }

    /// The new values by their paths.
    fn patch(&self) -> Vec<(String, Value)> {
        let Some(patch) = self.response["patch"].as_str() else { return Vec::new() };
        let operations: Vec<Value> = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
        operations.iter().map(|op| (op["path"].as_str().unwrap().to_owned(), op["value"].clone())).collect()
    }

    fn patched(&self, path: &str) -> Value {
        self.patch().into_iter().find(|(key, _)| key == path).unwrap_or_else(|| panic!("no {path}: {}", self.told)).1
    }
}

/// A review with these values put in, by their pointers in `request`.
fn with(mut review: Value, values: &[(&str, Value)]) -> Value {
    for (pointer, value) in values {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        review["request"].pointer_mut(parent).unwrap()[key] = value.clone();
    }
    review
}

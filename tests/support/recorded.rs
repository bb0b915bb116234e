//! The recorded requests, and the policy to answer them with.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use session_webhook::core::admission::decision::Decision;
use session_webhook::core::admission::policy::Policy;
use session_webhook::core::admission::review::{Review, Webhook};
use session_webhook::core::settings::Settings;

/// A point in time just after the requests were recorded.
pub fn now() -> Timestamp {
    "2026-11-24T00:30:00.25Z".parse().unwrap()
}

/// The settings of the shipped manifests.
pub fn shipped() -> Settings {
    let account = |name: &str| format!("hobbyfarm-system/{name}").parse().unwrap();
    Settings {
        service_accounts: ["hobbyfarm-session", "hobbyfarm-gargantua", "hobbyfarm-user"].map(account).to_vec(),
        ..Settings::default()
    }
}

/// Decides a review at [`now`].
pub fn decide(settings: &Settings, webhook: Webhook, review: &Value) -> Decision {
    let body = review.to_string();
    let review = Review::parse(body.as_bytes()).unwrap();
    Policy::new(settings.clone()).decide(webhook, &review, now()).unwrap()
}

/// One request as an API server sent it.
pub struct Recorded {
    /// The folder: dialect and whether the CRD has the status subresource.
    pub folder: String,
    /// What was done, for example `02-create-by-alice`.
    pub scenario: String,
    /// The webhook that it was sent to.
    pub webhook: Webhook,
    /// The request body.
    pub body: Vec<u8>,
}

impl Recorded {
    /// The request body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Every recorded request, in order of folder and scenario.
pub fn recorded() -> Vec<Recorded> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/admission");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let requests = entries(&root).into_iter().filter(|path| path.is_dir()).flat_map(|folder| entries(&folder));
    let requests: Vec<_> = requests.map(|path| read(&path)).collect();
    assert!(requests.len() > 300, "only {} recorded requests", requests.len());
    requests
}

fn read(path: &Path) -> Recorded {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap().to_str().unwrap().to_owned();
    let (scenario, webhook) = match text(path.file_name()).strip_suffix(".mutating.json") {
        Some(scenario) => (scenario.to_owned(), Webhook::Mutate),
        None => (text(path.file_name()).strip_suffix(".validating.json").unwrap().to_owned(), Webhook::Validate),
    };
    let folder = text(path.parent().unwrap().file_name());
    Recorded { folder, scenario, webhook, body: std::fs::read(path).unwrap() }
}

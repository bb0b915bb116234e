//! What must hold for any bytes. The fuzz targets call it, and so does `tests/fuzzed.rs`, which includes this file.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a finding"
)]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use session_webhook::core::admission::decision::{Decision, Verdict};
use session_webhook::core::admission::policy::Policy;
use session_webhook::core::admission::response::respond;
use session_webhook::core::admission::review::{Review, Webhook, raw_object};
use session_webhook::core::session::timestamp::{Instant, Layout, read_any};
use session_webhook::core::settings::{Invariants, Settings};

/// What became of the bytes, so that a bounded run can show that it got somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// They are no review.
    Nothing,
    /// They are a review, but its objects cannot be read.
    Review,
    /// Both webhooks answered it.
    Answer,
}

/// Bytes are a review that both webhooks answer well, or an error that can be told to a client.
pub fn review(bytes: &[u8]) -> Reached {
    let review = match Review::parse(bytes) {
        Ok(review) => review,
        Err(error) => {
            tellable(&error.to_string());
            return Reached::Nothing;
        }
    };
    let mut reached = Reached::Review;
    for policy in POLICIES.iter() {
        for webhook in [Webhook::Mutate, Webhook::Validate] {
            match policy.decide(webhook, &review, *NOW) {
                Ok(decision) => {
                    answered(bytes, &review, webhook, &decision);
                    reached = Reached::Answer;
                }
                Err(error) => tellable(&error.to_string()),
            }
        }
        repaired_once(policy, bytes, &review);
    }
    reached
}

/// A text that a layout reads is read again as the same time after it was written.
pub fn time(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (mut certain, mut any) = (None, None);
    for layout in Layout::ALL {
        let Some(reading) = layout.read(&text) else { continue };
        assert_eq!(layout.parse(&text), reading.go);
        assert!(reading.go.is_some() || reading.certain.is_some(), "{text:?} ({layout:?})");
        any = any.or(Some(reading));
        certain = certain.or(reading.certain.map(|_| reading));
        for instant in [reading.go, reading.certain].into_iter().flatten() {
            // Beyond the years 0 to 9999 there is nothing to write; an offset can lead there.
            let Some(written) = layout.format(instant) else { continue };
            let kept = if keeps_fractions(layout) { instant } else { instant.whole_seconds() };
            assert_eq!(layout.parse(&written), Some(kept), "{text:?} was written as {written:?} ({layout:?})");
            assert_eq!(layout.format(kept).as_ref(), Some(&written), "{text:?} ({layout:?})");
            for other in Layout::ALL {
                same_in(other, kept);
            }
        }
    }
    assert_eq!(read_any(&text), certain.or(any));
}

static NOW: LazyLock<Timestamp> = LazyLock::new(|| "2026-11-24T00:30:00.25Z".parse().unwrap());

/// The defaults, and everything that makes more of the code run.
static POLICIES: LazyLock<[Policy; 2]> = LazyLock::new(|| {
    let strict = Settings {
        break_glass_users: vec!["alice".to_owned()],
        break_glass_groups: vec!["system:authenticated".to_owned()],
        invariants: Invariants::Deny,
        ..Settings::default()
    };
    [Policy::new(Settings::default()), Policy::new(strict)]
});

const fn keeps_fractions(layout: Layout) -> bool {
    matches!(layout, Layout::GoString | Layout::GoStringMonotonic)
}

fn same_in(layout: Layout, instant: Instant) {
    let written = layout.format(instant).unwrap();
    let kept = if keeps_fractions(layout) { instant } else { instant.whole_seconds() };
    assert_eq!(layout.parse(&written), Some(kept), "{written:?} ({layout:?})");
}

/// The answer is an `AdmissionReview` as the API server wants it.
fn answered(bytes: &[u8], review: &Review<'_>, webhook: Webhook, decision: &Decision) {
    let answer: Value = serde_json::from_slice(&respond(review, decision)).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    let response = &answer["response"];
    assert_eq!(response["uid"], json!(review.uid));
    assert_eq!(response["allowed"], json!(decision.verdict == Verdict::Allow));
    assert_eq!(response["auditAnnotations"]["rule"], decision.rule.name());
    for warning in &decision.warnings {
        tellable(warning);
    }
    // Above this the API server cuts them all, fact 47.
    assert!(decision.warnings.iter().map(String::len).sum::<usize>() <= 4096, "{:?}", decision.warnings);
    match &decision.verdict {
        Verdict::Allow => assert!(response.get("status").is_none()),
        Verdict::Deny(refusal) => {
            assert_eq!(webhook, Webhook::Validate, "/mutate never refuses");
            let expected = if refusal.causes.is_empty() { (403, "Forbidden") } else { (422, "Invalid") };
            assert_eq!(response["status"]["code"], expected.0);
            assert_eq!(response["status"]["reason"], expected.1);
            assert!(refusal.message.chars().count() < 500, "{}", refusal.message);
            assert!(!refusal.message.contains('%'), "{}", refusal.message);
            tellable(&refusal.message);
            for cause in &refusal.causes {
                tellable(&cause.message);
            }
        }
    }
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some());
    assert_eq!(response.get("patch").is_some(), !decision.edits.is_empty());
    assert!(webhook == Webhook::Mutate || decision.edits.is_empty(), "/validate never patches");
    if let Some(patch) = response.get("patch") {
        let patch = STANDARD.decode(patch.as_str().unwrap()).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        // What serde_json will not read into a tree (numbers out of range) cannot be patched here.
        if let Some(mut object) = object(bytes) {
            json_patch::patch(&mut object, &patch).unwrap();
        }
    }
}

/// The object of the review as a tree; none where it holds what no tree can.
fn object(bytes: &[u8]) -> Option<Value> {
    serde_json::from_str(raw_object(bytes).ok()??.get()).ok()
}

/// What `/mutate` has repaired it finds nothing to repair in.
fn repaired_once(policy: &Policy, bytes: &[u8], review: &Review<'_>) {
    let Ok(decision) = policy.decide(Webhook::Mutate, review, *NOW) else { return };
    let (Some(mut object), false) = (object(bytes), decision.edits.is_empty()) else { return };
    let patch = session_webhook::core::admission::patch::patch(&decision.edits, decision.status_is_missing);
    json_patch::patch(&mut object, &patch).unwrap();
    let Ok(mut again) = serde_json::from_slice::<Value>(bytes) else { return };
    // A request can also be written as a list of its fields, which no API server does.
    if !again["request"].is_object() {
        return;
    }
    again["request"]["object"] = object;
    let body = again.to_string();
    // A value that serde_json writes otherwise than it was sent may be unreadable for us; that is no repair.
    let Ok(review) = Review::parse(body.as_bytes()) else { return };
    if let Ok(second) = policy.decide(Webhook::Mutate, &review, *NOW) {
        assert!(second.edits.is_empty(), "repaired again: {:?}", second.edits);
    }
}

/// One line without anything that plays tricks on a terminal, and of no length that a client decides.
fn tellable(text: &str) {
    let tricky = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.is_empty() && !text.contains(tricky) && text.len() <= 4096, "{text:?}");
}

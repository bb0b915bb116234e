//! [`Decision`] to bytes: the `AdmissionReview` that answers a request.

use base64::encoded_len;
use base64::engine::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::core::response::reason;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::core::admission::decision::{Cause, Decision, Denial, Verdict};
use crate::core::admission::patch;
use crate::core::admission::review::Review;
use crate::core::settings::Mode;

/// What stands before and after each response.
const ENVELOPE: [&str; 2] = [r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":"#, "}"];

/// The wire form, borrowed. kube's own type writes the patch as a list of numbers and annotations in random order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Failure<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    audit_annotations: Annotations,
}

/// `metav1.Status` of a request that is refused.
#[derive(Serialize)]
struct Failure<'a> {
    status: &'static str,
    code: u16,
    message: &'a str,
    reason: &'static str,
    details: Details<'a>,
}

/// `metav1.StatusDetails`.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<FieldError<'a>>,
}

/// `metav1.StatusCause`.
#[derive(Serialize)]
struct FieldError<'a> {
    reason: &'static str,
    message: &'a str,
    field: &'static str,
}

/// What the audit log keeps of the decision.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Annotations {
    #[serde(skip_serializing_if = "Option::is_none")]
    break_glass: Option<&'static str>,
    decision: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    invariants: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    repairs: String,
    rule: &'static str,
}

/// Room that is made for an answer from the start, bytes.
const TYPICAL_RESPONSE_LENGTH: usize = 1 << 10;

/// Room that is made for a list of names, bytes.
const TYPICAL_LIST_LENGTH: usize = 128;

/// The answer to `review` as the API server wants it: an `AdmissionReview` with a `response`, as JSON.
pub fn respond(review: &Review<'_>, decision: &Decision) -> Vec<u8> {
    let status = match &decision.verdict {
        Verdict::Deny(refusal) if !decision.is_allowed() => Some(failure(review, refusal)),
        Verdict::Deny(_) | Verdict::Allow => None,
    };
    let patch = (!decision.edits.is_empty()).then(|| base64(&patch::json(&decision.edits, decision.status_is_missing)));
    in_envelope(&Response {
        uid: &review.uid,
        allowed: decision.is_allowed(),
        status,
        patch_type: patch.is_some().then_some("JSONPatch"),
        patch,
        warnings: &decision.warnings,
        audit_annotations: annotations(decision),
    })
}

#[expect(clippy::expect_used, reason = "strings, lists and maps with string keys always serialize")]
fn in_envelope(response: &Response<'_>) -> Vec<u8> {
    let mut json = Vec::with_capacity(TYPICAL_RESPONSE_LENGTH);
    let [start, end] = ENVELOPE;
    json.extend_from_slice(start.as_bytes());
    serde_json::to_writer(&mut json, response).expect("serializable");
    json.extend_from_slice(end.as_bytes());
    json
}

/// As a JSON string that is not looked through for what to escape when it is written.
#[expect(clippy::expect_used, reason = "letters, digits and signs between quotes are a string")]
fn base64(bytes: &[u8]) -> Box<RawValue> {
    let mut json = String::with_capacity(encoded_len(bytes.len(), true).unwrap_or_default() + 2);
    json.push('"');
    STANDARD.encode_string(bytes, &mut json);
    json.push('"');
    RawValue::from_string(json).expect("a JSON string")
}

/// Code and reason are both set: the API server turns a lone message into a 400.
fn failure<'a>(review: &'a Review<'_>, refusal: &'a Denial) -> Failure<'a> {
    let (code, reason) = if refusal.causes.is_empty() { (403, reason::FORBIDDEN) } else { (422, reason::INVALID) };
    let error =
        |cause: &'a Cause| FieldError { reason: "FieldValueInvalid", message: &cause.message, field: cause.field };
    Failure {
        status: "Failure",
        code,
        message: &refusal.message,
        reason,
        details: Details {
            name: &review.name,
            group: &review.resource.group,
            kind: &review.kind.kind,
            causes: refusal.causes.iter().map(error).collect(),
        },
    }
}

fn annotations(decision: &Decision) -> Annotations {
    Annotations {
        break_glass: decision.break_glass.then_some("true"),
        decision: decision.name(),
        invariants: joined(decision.broken_invariants.iter().map(|rule| rule.name())),
        mode: (decision.mode != Mode::Enforce).then(|| decision.mode.name()),
        repairs: joined(decision.edits.iter().map(|edit| edit.field.path())),
        rule: decision.rule.name(),
    }
}

fn joined(names: impl Iterator<Item = &'static str>) -> String {
    let mut joined = String::new();
    for name in names {
        if joined.is_empty() {
            joined.reserve(TYPICAL_LIST_LENGTH);
        } else {
            joined.push(',');
        }
        joined.push_str(name);
    }
    joined
}

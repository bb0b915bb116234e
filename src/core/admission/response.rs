//! [`Decision`] to bytes: the `AdmissionReview` that answers a request.

use std::borrow::Cow;

use base64::engine::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::core::response::reason;
use serde::Serialize;

use crate::core::admission::decision::{Cause, Decision, Denial, Verdict};
use crate::core::admission::patch;
use crate::core::admission::review::Review;
use crate::core::settings::Mode;
use crate::core::text::{LONGEST_NAME, sanitize_line};

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
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: Cow<'a, str>,
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

/// Room that is made for an answer from the start, bytes.
const TYPICAL_RESPONSE_LENGTH: usize = 1 << 10;

/// The answer to `review` as the API server wants it: an `AdmissionReview` with a `response`, as JSON.
///
/// Keys and names are written as they stand, since none of them has anything to escape (docs/performance.md). kube's own type writes the
/// patch as a list of numbers, and annotations in random order.
pub fn respond(review: &Review<'_>, decision: &Decision) -> Vec<u8> {
    let mut json = String::with_capacity(TYPICAL_RESPONSE_LENGTH);
    json += r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#;
    json += &to_json(&review.uid);
    json += if decision.is_allowed() { r#","allowed":true"# } else { r#","allowed":false"# };
    if let (Verdict::Deny(denial), false) = (&decision.verdict, decision.is_allowed()) {
        json.extend([r#","status":"#, &to_json(&failure(review, denial))]);
    }
    if !decision.edits.is_empty() {
        json += r#","patch":""#;
        STANDARD.encode_string(patch::json(&decision.edits, decision.status_is_missing), &mut json);
        json += r#"","patchType":"JSONPatch""#;
    }
    if !decision.warnings.is_empty() {
        json.extend([r#","warnings":"#, &to_json(&decision.warnings)]);
    }
    json += r#","auditAnnotations":{"#;
    push_annotations(&mut json, decision);
    json += "}}}";
    json.into_bytes()
}

/// What the audit log keeps of the decision.
fn push_annotations(json: &mut String, decision: &Decision) {
    if decision.break_glass {
        *json += r#""break-glass":"true","#;
    }
    json.extend([r#""decision":""#, decision.name()]);
    push_list(json, r#"","invariants":""#, decision.broken_invariants.iter().map(|rule| rule.name()));
    if decision.mode != Mode::Enforce {
        json.extend([r#"","mode":""#, decision.mode.name()]);
    }
    push_list(json, r#"","repairs":""#, decision.edits.iter().map(|edit| edit.field.path()));
    json.extend([r#"","rule":""#, decision.rule.name(), r#"""#]);
}

/// Names behind `start`, with commas between them; nothing where there is none.
fn push_list(json: &mut String, start: &'static str, names: impl Iterator<Item = &'static str>) {
    for (index, name) in names.enumerate() {
        json.extend([if index == 0 { start } else { "," }, name]);
    }
}

#[expect(clippy::expect_used, reason = "strings, lists and maps with string keys always serialize")]
fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("serializable")
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
            name: sanitize_line(&review.name, LONGEST_NAME),
            group: sanitize_line(&review.resource.group, LONGEST_NAME),
            kind: sanitize_line(&review.kind.kind, LONGEST_NAME),
            causes: refusal.causes.iter().map(error).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::to_json;
    use crate::core::admission::rule::Rule;
    use crate::core::session::Field;
    use crate::core::settings::{Dialect, Mode};

    #[test]
    fn no_name_has_anything_to_escape() {
        let rules = Rule::ALL.iter().map(|rule| rule.name());
        let fields = [Dialect::Documented, Dialect::Gargantua].into_iter().flat_map(Field::times);
        let fields = fields.chain(Field::FLAGS).flat_map(|field| [field.path(), field.pointer()]);
        let modes = [Mode::Enforce, Mode::Warn, Mode::Audit].into_iter().map(Mode::name);
        for name in rules.chain(fields).chain(modes).chain(["allow", "deny"]) {
            assert_eq!(to_json(name), format!("\"{name}\""));
        }
    }
}

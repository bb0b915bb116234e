//! The `ValidatingAdmissionPolicy`, where there is one: it has to say what the webhook is told.

use serde_json::Value;

use super::Id;
use super::facts::{Facts, Look};
use super::report::{Finding, Report};
use crate::core::policy_twin::admission_policy::{SINCE, objects};

const PRINT: &str = "session-webhook policy, with the configuration of the Deployment, | kubectl apply -f -";

pub(super) fn examine(facts: &Facts, report: &mut Report) {
    let id = Id::AdmissionPolicy;
    let [policy, binding] = &facts.admission_policy;
    let policy = match policy {
        Look::Found(policy) => policy,
        Look::Absent if facts.version < SINCE => {
            let (major, minor) = facts.version;
            return report.sound(id, format!("Kubernetes {major}.{minor} has no ValidatingAdmissionPolicy"));
        }
        Look::Absent => {
            let text =
                "there is no ValidatingAdmissionPolicy to hold the door without the webhook, and there need not be one";
            return report.sound(id, text);
        }
        Look::Unknown(obstacle) => return report.unknown(id, obstacle),
    };
    let binding = match binding {
        Look::Found(binding) => binding,
        Look::Absent => {
            return report.faulty(id, "without its binding the ValidatingAdmissionPolicy does nothing", PRINT);
        }
        Look::Unknown(obstacle) => return report.unknown(id, obstacle),
    };
    let Ok(installed) = &facts.installed else { return report.skipped(id, Id::Deployment) };
    let [expected, bound] = objects(&installed.settings);
    let mut findings = Vec::new();
    let parts = other_parts(policy, &expected);
    if !parts.is_empty() {
        let text = format!("says something else than the webhook is told, in its {}", parts.join(", "));
        findings.push(Finding::faulty(text, PRINT));
    }
    if !other_parts(binding, &bound).is_empty() || binding.pointer("/spec/matchResources").is_some() {
        findings.push(Finding::questionable("is bound otherwise than the webhook's mode and entries say", PRINT));
    }
    if let Some(warning) = policy.pointer("/status/typeChecking/expressionWarnings/0") {
        findings.push(Finding::questionable(format!("the API server doubts an expression: {warning}"), PRINT));
    }
    report.findings(id, "the ValidatingAdmissionPolicy says what the webhook is told", findings);
}

/// The fields of `spec` that are not as expected. A field more, as a newer API server may fill in, is none of these.
fn other_parts(found: &Value, expected: &Value) -> Vec<String> {
    let parts = expected.get("spec").and_then(Value::as_object).into_iter().flatten();
    let differs = |key: &str, expected: &Value| {
        !found.pointer(&format!("/spec/{key}")).is_some_and(|found| holds(found, expected))
    };
    parts.filter(|(key, expected)| differs(key, expected)).map(|(key, _)| key.clone()).collect()
}

fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, expected)| found.get(key).is_some_and(|found| holds(found, expected)))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| holds(found, expected))
        }
        (found, expected) => found == expected,
    }
}

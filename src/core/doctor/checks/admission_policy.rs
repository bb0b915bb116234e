//! `admission-policy`: the `ValidatingAdmissionPolicy`, where there is one, says what the webhook's settings say.

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::{Finding, Report};
use crate::core::policy_twin::admission_policy::{SINCE, objects};

const PRINT: &str = "session-webhook policy, with the configuration of the Deployment, | kubectl apply -f -";

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let id = CheckId::AdmissionPolicy;
    let [policy, binding] = &facts.admission_policy;
    let policy = match policy {
        Observation::Found(policy) => policy,
        Observation::Absent if facts.version < SINCE => {
            let (major, minor) = facts.version;
            return report.sound(id, format!("Kubernetes {major}.{minor} has no ValidatingAdmissionPolicy"));
        }
        Observation::Absent => {
            let text = "there is no ValidatingAdmissionPolicy that refuses people without the webhook, and there need not be one";
            return report.sound(id, text);
        }
        Observation::Unknown(reason) => return report.unknown(id, reason),
    };
    let binding = match binding {
        Observation::Found(binding) => binding,
        Observation::Absent => {
            return report.faulty(id, "without its binding the ValidatingAdmissionPolicy does nothing", PRINT);
        }
        Observation::Unknown(reason) => return report.unknown(id, reason),
    };
    let Ok(settings) = &facts.serve_settings else { return report.skipped(id, CheckId::Deployment) };
    let [expected, bound] = objects(&settings.policy);
    let mut findings = Vec::new();
    let parts = differing_fields(policy, &expected);
    if !parts.is_empty() {
        let text = format!("says something else than the webhook is told, in its {}", parts.join(", "));
        findings.push(Finding::faulty(text, PRINT));
    }
    if !differing_fields(binding, &bound).is_empty() || binding.pointer("/spec/matchResources").is_some() {
        findings.push(Finding::questionable("is bound otherwise than the webhook's mode and entries say", PRINT));
    }
    if let Some(warning) = policy.pointer("/status/typeChecking/expressionWarnings/0") {
        findings.push(Finding::questionable(format!("the API server doubts an expression: {warning}"), PRINT));
    }
    report.worst_of(id, "the ValidatingAdmissionPolicy says what the webhook is told", findings);
}

/// The fields of `spec` that are not as expected. A field more, as a newer API server may fill in, is none of these.
fn differing_fields(found: &Value, expected: &Value) -> Vec<String> {
    let parts = expected.get("spec").and_then(Value::as_object).into_iter().flatten();
    let differs = |key: &str, expected: &Value| {
        !found.pointer(&format!("/spec/{key}")).is_some_and(|found| contains_value(found, expected))
    };
    parts.filter(|(key, expected)| differs(key, expected)).map(|(key, _)| key.clone()).collect()
}

fn contains_value(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, expected)| found.get(key).is_some_and(|found| contains_value(found, expected)))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| contains_value(found, expected))
        }
        (found, expected) => found == expected,
    }
}

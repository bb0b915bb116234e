//! `selectors`: no namespace of HobbyFarm and no object is exempt. Others may be: AKS exempts its own.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::entry_name;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::{Finding, Report};

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::Selectors, because);
    }
    let findings = findings(facts);
    let selects = facts.entries().any(|(_, entry)| selector(entry, "namespaceSelector").is_some());
    if selects && findings.is_empty() {
        let unknown = |(_, labels): &'_ (String, Observation<_>)| match labels {
            Observation::Unknown(reason) => Some(reason.clone()),
            _ => None,
        };
        if let Some(reason) = facts.namespaces.iter().find_map(unknown) {
            return report.unknown(CheckId::Selectors, &reason);
        }
    }
    let sound = if selects {
        "no namespace of HobbyFarm and no object is exempt"
    } else {
        "no namespace and no object is exempt"
    };
    report.worst_of(CheckId::Selectors, sound, findings);
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        if selector(entry, "objectSelector").is_some() {
            let remedy = facts.edit_command(kind, "objectSelector: {}");
            findings.push(
                Finding::faulty("what the objectSelector leaves out is not guarded", remedy).about(entry_name(entry)),
            );
        }
        let Some(selector) = selector(entry, "namespaceSelector") else { continue };
        let is_exempt = |(_, labels): &&(String, Observation<BTreeMap<String, String>>)| {
            labels.found().is_some_and(|labels| !matches(selector, labels))
        };
        let exempt: Vec<_> = facts.namespaces.iter().filter(is_exempt).map(|(name, _)| name.as_str()).collect();
        let remedy = facts.edit_command(kind, "namespaceSelector");
        if !exempt.is_empty() {
            let text = format!("the namespaceSelector exempts {}: Sessions there are not guarded", exempt.join(", "));
            findings.push(Finding::faulty(text, remedy).about(entry_name(entry)));
        } else if facts.namespaces.is_empty() {
            let text =
                "what the namespaceSelector leaves out is not guarded, and no account names HobbyFarm's namespace";
            findings.push(Finding::questionable(text, remedy).about(entry_name(entry)));
        }
    }
    findings
}

/// One that selects.
fn selector<'a>(entry: &'a Value, key: &str) -> Option<&'a Value> {
    let selector = entry.get(key)?;
    let selects = |part: &str| match selector.get(part) {
        Some(Value::Object(labels)) => !labels.is_empty(),
        Some(Value::Array(expressions)) => !expressions.is_empty(),
        _ => false,
    };
    (selects("matchLabels") || selects("matchExpressions")).then_some(selector)
}

/// Whether a label selector selects what has these labels, as Kubernetes evaluates it.
fn matches(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let all_labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    all_labels.into_iter().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && expressions.into_iter().all(|expression| matches_expression(expression, labels))
}

fn matches_expression(expression: &Value, labels: &BTreeMap<String, String>) -> bool {
    let text = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or_default();
    let found = labels.get(text("key"));
    let is_among = || {
        let values = expression.get("values").and_then(Value::as_array);
        found.is_some_and(|found| values.is_some_and(|values| values.iter().any(|value| value == found)))
    };
    match text("operator") {
        "In" => is_among(),
        "NotIn" => !is_among(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

//! `rules`: which resources, operations and versions the entries are asked about.

use serde_json::{Value, json};

use crate::core::admission::review::GROUP;
use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::{entry_name, string_at, strings};
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation::{ConfigurationKind, OPERATIONS, RESOURCES, SCOPE};

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::Rules, because);
    }
    report.worst_of(CheckId::Rules, "each write of a Session or its status is sent to the webhook", findings(facts));
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let versions = facts.definition.found().map_or_else(Vec::new, |definition| definition.versions.clone());
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        let rules: Vec<_> = entry.get("rules").and_then(Value::as_array).into_iter().flatten().collect();
        let covers = |resource: &str, operation: &str, version: Option<&str>| {
            rules.iter().any(|rule| {
                contains(&strings(rule, "apiGroups"), GROUP)
                    && contains_resource(&strings(rule, "resources"), resource)
                    && contains(&strings(rule, "operations"), operation)
                    && version.is_none_or(|version| contains(&strings(rule, "apiVersions"), version))
                    && string_at(rule, "/scope").is_none_or(|scope| scope == SCOPE)
            })
        };
        let mut missing = Vec::new();
        for resource in RESOURCES {
            for operation in OPERATIONS.into_iter().filter(|operation| *operation == "UPDATE" || resource == "sessions")
            {
                if !covers(resource, operation, None) {
                    missing.push(format!("{operation} of {resource}"));
                }
            }
        }
        if missing.is_empty() {
            let uncovered = versions.iter().filter(|version| !covers("sessions", "UPDATE", Some(version)));
            missing.extend(uncovered.map(|version| format!("version {version}")));
        }
        if !missing.is_empty() {
            let remedy = facts.edit_command(kind, &format!("rules, to be {}", shipped_rule()));
            findings.push(
                Finding::faulty(format!("not asked about {}", missing.join(", ")), remedy).about(entry_name(entry)),
            );
        }
        findings.extend(covers_too_much(facts, kind, entry, &rules));
    }
    findings
}

/// What an entry should not be asked about: an outage would reach further than Sessions.
fn covers_too_much(facts: &Facts, kind: ConfigurationKind, entry: &Value, rules: &[&Value]) -> Option<Finding> {
    let is_foreign = |rule: &&&Value| {
        strings(rule, "apiGroups").iter().any(|group| *group != GROUP)
            || strings(rule, "resources")
                .iter()
                .any(|resource| !RESOURCES.contains(resource) && *resource != "sessions/*")
    };
    let deletes = |rule: &&&Value| !strings(rule, "operations").iter().all(|operation| OPERATIONS.contains(operation));
    let remedy = || facts.edit_command(kind, &format!("rules, to be {}", shipped_rule()));
    if rules.iter().any(|rule| is_foreign(&rule)) {
        return Some(Finding::faulty("asked about more than Sessions", remedy()).about(entry_name(entry)));
    }
    let text = "asked about more than CREATE and UPDATE: an outage could keep namespaces from going away";
    rules.iter().any(|rule| deletes(&rule)).then(|| Finding::faulty(text, remedy()).about(entry_name(entry)))
}

fn shipped_rule() -> Value {
    json!({"apiGroups": [GROUP], "apiVersions": ["*"], "operations": OPERATIONS, "resources": RESOURCES})
}

/// Whether a list has this word, or the one that stands for all.
fn contains(list: &[&str], word: &str) -> bool {
    list.contains(&word) || list.contains(&"*")
}

/// Whether a list of resources has this one.
fn contains_resource(list: &[&str], resource: &str) -> bool {
    let (whole, sub) = resource.split_once('/').map_or((resource, None), |(whole, sub)| (whole, Some(sub)));
    list.iter().any(|pattern| match (pattern.split_once('/'), sub) {
        _ if *pattern == "*/*" => true,
        (None, None) => *pattern == "*" || *pattern == whole,
        (Some((first, second)), sub) => {
            (first == "*" || first == whole) && sub.map_or(second == "*", |sub| second == "*" || second == sub)
        }
        (None, Some(_)) => false,
    })
}

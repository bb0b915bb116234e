//! `matchConditions`: HobbyFarm goes on while nobody answers, and everybody else stays locked out.

use serde_json::Value;

use super::Id;
use super::entries::{field, no_entries};
use super::facts::Facts;
use super::place::{name, text};
use super::report::{Finding, Report};
use crate::core::installation::{
    ConfigurationKind as Kind, ENTRIES, GARBAGE_COLLECTORS, MATCH_CONDITIONS_SINCE, Writers, match_expression, users,
};

pub(super) fn examine(facts: &Facts, report: &mut Report) {
    if let Some(because) = no_entries(facts, report) {
        return report.skipped(Id::Split, because);
    }
    if let Some(because) = report.obstacle(&[Id::ValidatingConfiguration]) {
        return report.skipped(Id::Split, because);
    }
    let entries: Vec<_> =
        facts.entries().filter(|(kind, _)| *kind == Kind::Validating).map(|(_, entry)| entry).collect();
    let closed = |entry: &&Value| text(entry, "/failurePolicy") != Some("Ignore");
    if !entries.iter().any(closed) {
        return report.sound(Id::Split, "all entries are open while nobody answers, so there is nothing to split");
    }
    if entries.iter().all(|entry| conditions(entry).is_empty()) {
        let (major, minor) = facts.version;
        let why = if facts.version < MATCH_CONDITIONS_SINCE {
            format!("Kubernetes {major}.{minor} has no matchConditions")
        } else {
            "the entries have no matchConditions".to_owned()
        };
        let remedy = if facts.version < MATCH_CONDITIONS_SINCE {
            "Kubernetes 1.28 or later, or components/fail-open".to_owned()
        } else {
            field(facts, Kind::Validating, "matchConditions, as in manifests/base/validating-webhook.yaml")
        };
        return report.questionable(
            Id::Split,
            format!("{why}: while nobody answers, HobbyFarm is refused as well"),
            remedy,
        );
    }
    let told = facts.installed.as_ref().ok().and_then(|installed| users(&installed.settings.service_accounts));
    report.findings(Id::Split, SPLIT, unmatched(facts, &entries, told.as_deref()));
}

const SPLIT: &str = "matchConditions tell HobbyFarm's accounts from everybody else";

fn conditions(entry: &Value) -> Vec<&str> {
    let all = entry.get("matchConditions").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|condition| text(condition, "/expression")).collect()
}

/// HobbyFarm's user names in an expression.
fn named(expression: &str) -> Vec<String> {
    let words = expression.split('\'').skip(1).step_by(2);
    words
        .filter(|word| word.starts_with("system:serviceaccount:") && !GARBAGE_COLLECTORS.contains(word))
        .map(str::to_owned)
        .collect()
}

fn sorted(names: &[String]) -> Vec<&String> {
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_unstable();
    sorted
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

/// What leaves a gap between the entries, or lets them disagree with what the webhook is told; `users` are those that it is
/// told, where they are known by name.
fn unmatched(facts: &Facts, entries: &[&Value], users: Option<&[String]>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for shipped in ENTRIES.iter().filter(|shipped| shipped.writers != Writers::All) {
        let Some(entry) = entries.iter().find(|entry| name(entry) == shipped.name) else {
            let text = format!("there is no entry {}: HobbyFarm's writes are not looked at", shipped.name);
            findings.push(Finding::faulty(text, "kubectl apply the manifests again"));
            continue;
        };
        let expressions = conditions(entry);
        let text = expressions.join(" && ");
        let listed = named(&text);
        let differs = users.is_some_and(|users| sorted(users) != sorted(&listed));
        let expected = match_expression(shipped.writers, if differs { users.unwrap_or_default() } else { &listed });
        let expected = expected.unwrap_or_default();
        if without_spaces(&text) == without_spaces(&expected) {
            continue;
        }
        let remedy = field(facts, Kind::Validating, &format!("matchConditions of {}: {expected}", shipped.name));
        findings.push(if differs && !listed.is_empty() {
            let (lists, told) = (listed.join(", "), users.unwrap_or_default().join(", "));
            let text = format!("lists other accounts ({lists}) than the webhook is told ({told})");
            Finding::faulty(text, format!("{remedy}, or service-account in the ConfigMap")).of(shipped.name)
        } else {
            Finding::questionable("not the shipped matchConditions", remedy).of(shipped.name)
        });
    }
    findings
}

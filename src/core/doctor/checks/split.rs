//! `split`: `matchConditions` send HobbyFarm's writes to the entry that ignores failures, and everybody else's to the one
//! that fails closed, so that HobbyFarm goes on while no replica answers.

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::{entry_name, string_at};
use crate::core::doctor::facts::Facts;
use crate::core::doctor::match_conditions::{listed_users, match_conditions, same_expression, same_users};
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation::{ConfigurationKind, ENTRIES, MATCH_CONDITIONS_SINCE, Writers, match_expression, users};
use crate::core::policy_twin::keep_alive::CONDITION;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::Split, because);
    }
    if let Some(because) = report.first_unsound(&[CheckId::ValidatingConfiguration]) {
        return report.skipped(CheckId::Split, because);
    }
    let entries: Vec<_> =
        facts.entries().filter(|(kind, _)| *kind == ConfigurationKind::Validating).map(|(_, entry)| entry).collect();
    let closed = |entry: &&Value| string_at(entry, "/failurePolicy") != Some("Ignore");
    if !entries.iter().any(closed) {
        return report.sound(CheckId::Split, "all entries are open while nobody answers, so there is nothing to split");
    }
    if entries.iter().all(|entry| writer_conditions(entry).is_empty()) {
        let (major, minor) = facts.version;
        let why = if facts.version < MATCH_CONDITIONS_SINCE {
            format!("Kubernetes {major}.{minor} has no matchConditions")
        } else {
            "the entries have no matchConditions".to_owned()
        };
        let remedy = if facts.version < MATCH_CONDITIONS_SINCE {
            "Kubernetes 1.28 or later, or components/fail-open".to_owned()
        } else {
            facts.edit_command(
                ConfigurationKind::Validating,
                "matchConditions, as in manifests/base/validating-webhook.yaml",
            )
        };
        return report.questionable(
            CheckId::Split,
            format!("{why}: while nobody answers, HobbyFarm is refused as well"),
            remedy,
        );
    }
    let configured = facts.serve_settings.as_ref().ok().and_then(|settings| users(&settings.policy.service_accounts));
    report.worst_of(CheckId::Split, SOUND_TEXT, findings(facts, &entries, configured.as_deref()));
}

const SOUND_TEXT: &str = "matchConditions tell HobbyFarm's accounts from everybody else";

/// The expressions that tell writers apart; that about keep-alives is judged by `match-conditions`.
fn writer_conditions(entry: &Value) -> Vec<&str> {
    match_conditions(entry).filter(|(name, _)| *name != CONDITION).map(|(_, expression)| expression).collect()
}

/// Whatever leaves a gap between the entries, or differs from the configured accounts: `users`, where they are known by
/// name.
fn findings(facts: &Facts, entries: &[&Value], users: Option<&[String]>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for shipped in ENTRIES.iter().filter(|shipped| shipped.writers != Writers::All) {
        let Some(entry) = entries.iter().find(|entry| entry_name(entry) == shipped.name) else {
            let text = format!("there is no entry {}: HobbyFarm's writes are not looked at", shipped.name);
            findings.push(Finding::faulty(text, "kubectl apply the manifests again"));
            continue;
        };
        let expressions = writer_conditions(entry);
        let text = expressions.join(" && ");
        let listed = listed_users(&text);
        let differs = users.is_some_and(|users| !same_users(users, &listed));
        let expected = match_expression(shipped.writers, if differs { users.unwrap_or_default() } else { &listed });
        let expected = expected.unwrap_or_default();
        if same_expression(&text, &expected) {
            continue;
        }
        let remedy = facts
            .edit_command(ConfigurationKind::Validating, &format!("matchConditions of {}: {expected}", shipped.name));
        findings.push(if differs && !listed.is_empty() {
            let (lists, configured) = (listed.join(", "), users.unwrap_or_default().join(", "));
            let text = format!("lists other accounts ({lists}) than the webhook is told ({configured})");
            Finding::faulty(text, format!("{remedy}, or service-account in the ConfigMap")).about(shipped.name)
        } else {
            Finding::questionable("not the shipped matchConditions", remedy).about(shipped.name)
        });
    }
    findings
}

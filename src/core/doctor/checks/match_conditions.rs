//! `match-conditions`: what spares HobbyFarm's keep-alives the call of the webhook is the shipped expression, for the configured
//! accounts, on the entries that ignore failures. Without it each keep-alive is a call, which is a choice.

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::entry_name;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::match_conditions::{listed_users, match_conditions, same_expression, same_users};
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation::{self, ConfigurationKind, MATCH_CONDITIONS_SINCE, users};
use crate::core::policy_twin::keep_alive::{CONDITION, expression};
use crate::core::settings::Dialect;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let id = CheckId::MatchConditions;
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(id, because);
    }
    if report.first_unsound(&[CheckId::Split]).is_some() {
        return report.skipped(id, CheckId::Split);
    }
    let mut findings: Vec<_> = facts.entries().filter_map(|(kind, entry)| finding(facts, kind, entry)).collect();
    findings.extend(facts.entries().filter_map(|(kind, entry)| unknown_condition(facts, kind, entry)));
    let (major, minor) = facts.version;
    let spared = facts.entries().filter(|(_, entry)| of_keep_alives(entry).is_some()).count();
    let sound = match spared {
        0 if facts.version < MATCH_CONDITIONS_SINCE => {
            format!("Kubernetes {major}.{minor} has no matchConditions: each keep-alive is a call")
        }
        0 => "each keep-alive is a call, as may be wanted (components/call-for-keep-alives)".to_owned(),
        _ => "HobbyFarm's keep-alives are spared the call".to_owned(),
    };
    report.worst_of(id, sound, findings);
}

/// The expression of the condition about keep-alives.
fn of_keep_alives(entry: &Value) -> Option<&str> {
    match_conditions(entry).find(|(name, _)| *name == CONDITION).map(|(_, expression)| expression)
}

/// What is wrong with the condition of an entry.
fn finding(facts: &Facts, kind: ConfigurationKind, entry: &Value) -> Option<Finding> {
    let name = entry_name(entry);
    let found = of_keep_alives(entry)?;
    let settings = facts.serve_settings.as_ref().ok().map(|settings| &settings.policy);
    let remove = || facts.edit_command(kind, &format!("take {CONDITION} off matchConditions of {name}"));
    if installation::entry(name).is_some_and(|shipped| !shipped.spares_keep_alives) {
        let text = format!("has {CONDITION}: HobbyFarm's writes do not go to this entry");
        return Some(Finding::questionable(text, remove()).about(name));
    }
    if settings.is_some_and(|settings| settings.dialect == Some(Dialect::Documented)) {
        let text = format!("{CONDITION} is about another dialect than the documented one");
        return Some(Finding::questionable(text, remove()).about(name));
    }
    let listed = listed_users(found);
    let configured = settings.and_then(|settings| users(&settings.service_accounts));
    let differing = configured.filter(|configured| !same_users(configured, &listed));
    let expected = expression(differing.as_ref().unwrap_or(&listed));
    if same_expression(found, &expected) {
        return None;
    }
    let remedy = facts
        .edit_command(kind, &format!("matchConditions of {name}: {CONDITION}: {}", without_line_breaks(&expected)));
    Some(if let Some(configured) = differing {
        let (listed, configured) = (listed.join(", "), configured.join(", "));
        let text = format!("{CONDITION} lists other accounts ({listed}) than the webhook is told ({configured})");
        Finding::faulty(text, format!("{remedy}, or service-account in the ConfigMap")).about(name)
    } else {
        let text = format!("{CONDITION} is not the shipped one{}", difference(found, &expected));
        Finding::questionable(text, remedy).about(name)
    })
}

/// A condition that nothing shipped has: writes may be missed. `split` judges those of the validating entries.
fn unknown_condition(facts: &Facts, kind: ConfigurationKind, entry: &Value) -> Option<Finding> {
    let (unknown, _) = match_conditions(entry).find(|(name, _)| *name != CONDITION)?;
    (kind == ConfigurationKind::Mutating).then(|| {
        let text = format!("has a condition that is not shipped ({unknown}): what it leaves out is not repaired");
        let remedy = facts.edit_command(kind, &format!("take {unknown} off matchConditions"));
        Finding::questionable(text, remedy).about(entry_name(entry))
    })
}

/// The first clause that is not as shipped.
fn difference(found: &str, expected: &str) -> String {
    let clauses = |text: &str| text.split("&&").map(without_line_breaks).collect::<Vec<_>>();
    let (found, expected) = (clauses(found), clauses(expected));
    let at = found.iter().zip(&expected).position(|(found, expected)| !same_expression(found, expected));
    match at.and_then(|at| found.get(at).zip(expected.get(at))) {
        Some((found, expected)) => format!(": {found}, instead of {expected}"),
        None if found.len() < expected.len() => ": clauses at its end are missing".to_owned(),
        None => ": clauses are added at its end".to_owned(),
    }
}

fn without_line_breaks(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

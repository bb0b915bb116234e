//! `side-effects`: `sideEffects` allow dry runs.

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::{entry_name, string_at};
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation::ConfigurationKind;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::SideEffects, because);
    }
    report.worst_of(CheckId::SideEffects, "sideEffects is None: dry runs are answered", findings(facts));
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let finding = |(kind, entry): (ConfigurationKind, &Value)| {
        let remedy = facts.edit_command(kind, "sideEffects: None");
        let finding = match string_at(entry, "/sideEffects").unwrap_or("Unknown") {
            "None" => return None,
            "NoneOnDryRun" => Finding::questionable("sideEffects NoneOnDryRun, though there are none", remedy),
            other => Finding::faulty(format!("sideEffects {other}: each dry run fails"), remedy),
        };
        Some(finding.about(entry_name(entry)))
    };
    facts.entries().filter_map(finding).collect()
}

//! `failure-policy`: what becomes of writes while no replica answers.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::{entry_name, string_at};
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::FailurePolicy, because);
    }
    let sound = "while nobody answers, people are locked out, and no missed repair stops anybody";
    report.worst_of(CheckId::FailurePolicy, sound, findings(facts));
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        let Some(shipped) = installation::entry(entry_name(entry)) else { continue };
        let policy = string_at(entry, "/failurePolicy").unwrap_or("Fail");
        let remedy = facts.edit_command(kind, &format!("failurePolicy: {}", shipped.failure_policy));
        let finding = match (policy, shipped.failure_policy) {
            ("Fail", "Ignore") => {
                Finding::faulty("failurePolicy Fail: while nobody answers, HobbyFarm's writes are refused", remedy)
            }
            ("Ignore", "Fail") => Finding::questionable(
                "failurePolicy Ignore: while nobody answers, whoever has the rights writes",
                format!("{remedy}, unless that is wanted (components/fail-open)"),
            ),
            _ => continue,
        };
        findings.push(finding.about(entry_name(entry)));
    }
    findings
}

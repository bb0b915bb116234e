//! `failure-policy`: what becomes of writes while no replica answers.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::{entry_name, string_at};
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation;
use crate::core::settings::Mode;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::FailurePolicy, because);
    }
    let sound = if is_trial(facts) {
        "nobody is refused in this mode, whether or not anybody answers"
    } else if facts.policy_refuses() {
        "while nobody answers, the ValidatingAdmissionPolicy refuses people, and no missed repair stops anybody"
    } else {
        "while nobody answers, people are locked out, and no missed repair stops anybody"
    };
    report.worst_of(CheckId::FailurePolicy, sound, findings(facts));
}

/// Whether the mode refuses nobody.
fn is_trial(facts: &Facts) -> bool {
    facts.serve_settings.as_ref().is_ok_and(|settings| settings.policy.mode != Mode::Enforce)
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let (is_trial, policy_refuses) = (is_trial(facts), facts.policy_refuses());
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        let Some(shipped) = installation::entry(entry_name(entry)) else { continue };
        let policy = string_at(entry, "/failurePolicy").unwrap_or("Fail");
        let remedy = |policy: &str| facts.edit_command(kind, &format!("failurePolicy: {policy}"));
        let finding = match (policy, shipped.failure_policy) {
            ("Fail", "Ignore") => Finding::faulty(
                "failurePolicy Fail: while nobody answers, HobbyFarm's writes are refused",
                remedy("Ignore"),
            ),
            ("Fail", _) if is_trial => Finding::questionable(
                "failurePolicy Fail: while nobody answers, people are refused, though the mode refuses nobody",
                format!("{} (components/mode-warn, components/mode-audit)", remedy("Ignore")),
            ),
            ("Ignore", "Fail") if !is_trial && !policy_refuses => Finding::questionable(
                "failurePolicy Ignore: while nobody answers, whoever has the rights writes",
                format!(
                    "{}, or components/policy-and-webhook, unless that is wanted (components/fail-open)",
                    remedy("Fail")
                ),
            ),
            _ => continue,
        };
        findings.push(finding.about(entry_name(entry)));
    }
    findings
}

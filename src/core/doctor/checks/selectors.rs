//! `selectors`: no namespace and no object is exempt.

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::entry_name;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::Selectors, because);
    }
    report.worst_of(CheckId::Selectors, "no namespace and no object is exempt", findings(facts));
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        for key in ["namespaceSelector", "objectSelector"] {
            let selects = entry.get(key).and_then(Value::as_object).is_some_and(|selector| !selector.is_empty());
            if selects {
                let text = format!("what the {key} leaves out is not guarded");
                let remedy = facts.edit_command(kind, &format!("{key}: {{}}"));
                findings.push(Finding::faulty(text, remedy).about(entry_name(entry)));
            }
        }
    }
    findings
}

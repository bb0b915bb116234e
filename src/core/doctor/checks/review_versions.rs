//! `review-versions`: the API server sends the version of reviews that is answered.

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::{entry_name, strings};
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation::ConfigurationKind;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::ReviewVersions, because);
    }
    report.worst_of(CheckId::ReviewVersions, "reviews are sent as v1", findings(facts));
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let finding = |(kind, entry): (ConfigurationKind, &Value)| {
        // The API server sends the first one that it knows, and it knows v1beta1 as well.
        let first = strings(entry, "admissionReviewVersions").first().copied().unwrap_or_default();
        let remedy = || facts.edit_command(kind, "admissionReviewVersions: [v1]");
        let text = format!("reviews are sent as {first}: each call fails");
        (first != "v1").then(|| Finding::faulty(text, remedy()).about(entry_name(entry)))
    };
    facts.entries().filter_map(finding).collect()
}

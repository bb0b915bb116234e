//! `timeouts`: the API server does not wait for long.

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::entry_name;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation::{self, ConfigurationKind};

/// How long a write may have to wait while no replica answers. The API server's own default.
const LONGEST_TIMEOUT: u64 = 10;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::Timeouts, because);
    }
    report.worst_of(CheckId::Timeouts, "no write waits for long when nobody answers", findings(facts));
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let finding = |(kind, entry): (ConfigurationKind, &Value)| {
        let seconds = entry.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(LONGEST_TIMEOUT);
        let shipped = installation::entry(entry_name(entry)).map_or(3, |entry| entry.timeout_seconds);
        let text = format!("each write waits for {seconds} s when nobody answers");
        let remedy = || facts.edit_command(kind, &format!("timeoutSeconds: {shipped}"));
        (seconds > LONGEST_TIMEOUT).then(|| Finding::faulty(text, remedy()).about(entry_name(entry)))
    };
    facts.entries().filter_map(finding).collect()
}

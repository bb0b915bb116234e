//! `definition`: HobbyFarm's definition of Sessions, and whether the settings suit it.

use crate::core::admission::review::VERSION;
use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::{Facts, SessionDefinition};
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::{Finding, Report};
use crate::core::settings::Dialect;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let id = CheckId::Definition;
    let definition = match &facts.definition {
        Observation::Found(definition) => definition,
        Observation::Absent => {
            let text = "there is no definition of sessions.hobbyfarm.io: HobbyFarm is not installed";
            return report.faulty(id, text, "install HobbyFarm, or its definitions (hf-crd)");
        }
        Observation::Unknown(reason) => return report.unknown(id, reason),
    };
    let dialect = match definition.dialect {
        Some(Dialect::Documented) => "documented dialect",
        Some(Dialect::Gargantua) => "gargantua dialect",
        None => "no dialect of its own",
    };
    let status = if definition.status_subresource { "a status subresource" } else { "no status subresource" };
    let sound = format!("sessions.hobbyfarm.io ({}): {dialect}, {status}", definition.versions.join(", "));
    let others = other_versions(definition);
    let mut findings = Vec::from_iter(nothing_is_written(definition, &others));
    if let Ok(settings) = &facts.serve_settings {
        if let (Some(configured), Some(defined)) = (settings.policy.dialect, definition.dialect)
            && configured != defined
        {
            let text = format!("the webhook is told another dialect than the definition describes ({dialect})");
            findings.push(Finding::faulty(text, "dialect: auto in the ConfigMap"));
        }
        if definition.status_subresource && settings.backfill.is_none() && others.is_empty() {
            findings.push(Finding::questionable(
                "with a status subresource nothing but the backfill helps a Session that HobbyFarm never gave a status",
                "manifests/components/backfill",
            ));
        }
    }
    report.worst_of(id, sound, findings);
}

/// The versions besides the one that this webhook knows.
fn other_versions(definition: &SessionDefinition) -> Vec<&str> {
    definition.versions.iter().map(String::as_str).filter(|version| *version != VERSION).collect()
}

/// What it means that there are other versions: no fault, but what is stored waits for nothing.
fn nothing_is_written(definition: &SessionDefinition, others: &[&str]) -> Option<Finding> {
    if others.is_empty() {
        return None;
    }
    let besides = if others.len() == definition.versions.len() { "and not as" } else { "besides" };
    let others = others.join(", ");
    let text = format!(
        "sessions are served as {others} {besides} {VERSION}: the backfill and audit --fix write nothing, since a write through \
         {VERSION} would prune what an object of another version holds, and of writes in another version the writer alone is checked"
    );
    let remedy = format!("served: false for {others} in the definition, where nobody needs it; otherwise nothing");
    Some(Finding::questionable(text, remedy))
}

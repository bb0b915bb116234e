//! `mutating-configuration` and `validating-configuration`: both exist, with the shipped entries.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::{entries_of, entry_name};
use crate::core::doctor::facts::Facts;
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::Report;
use crate::core::installation::{ConfigurationKind, ENTRIES, Writers};

pub(super) fn check(facts: &Facts, kind: ConfigurationKind, report: &mut Report) {
    let (resource, name) = (kind.resource(), &facts.names.configuration);
    let id = match kind {
        ConfigurationKind::Mutating => CheckId::MutatingConfiguration,
        ConfigurationKind::Validating => CheckId::ValidatingConfiguration,
    };
    let install = format!("kubectl apply the manifests again, or name it: --webhook-configuration (now {name})");
    let configuration = match facts.configuration(kind) {
        Observation::Found(configuration) => configuration,
        Observation::Absent => return report.faulty(id, format!("there is no {resource} {name}"), install),
        Observation::Unknown(reason) => return report.unknown(id, reason),
    };
    let installed: Vec<_> = entries_of(configuration).map(entry_name).collect();
    let shipped = ENTRIES.iter().filter(|entry| entry.kind == kind);
    // HobbyFarm's own entry may be left out: manifests/components/without-match-conditions.
    let needed = shipped.filter(|entry| entry.writers != Writers::HobbyFarmAndGarbageCollectors);
    let missing: Vec<_> = needed.map(|entry| entry.name).filter(|name| !installed.contains(name)).collect();
    if missing.is_empty() {
        return report.sound(id, format!("{resource} {name} has its entries"));
    }
    report.faulty(id, format!("{resource} {name} has no entry {}", missing.join(", ")), install);
}

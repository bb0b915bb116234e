//! What the installation depends on: HobbyFarm's definition, and clocks.

use jiff::SignedDuration;

use super::Id;
use super::facts::{Clock, Facts, Look};
use super::report::{Finding, Report};
use crate::core::settings::Dialect;

/// Dates of HTTP headers are whole seconds, and answers take their time.
const TOLERABLE: SignedDuration = SignedDuration::from_secs(10);
/// A fifth of the time that a new Session lives.
const HARMFUL: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn examine(facts: &Facts, report: &mut Report) {
    let id = Id::Definition;
    let definition = match &facts.definition {
        Look::Found(definition) => definition,
        Look::Absent => {
            let text = "there is no definition of sessions.hobbyfarm.io: HobbyFarm is not installed";
            return report.faulty(id, text, "install HobbyFarm, or its definitions (hf-crd)");
        }
        Look::Unknown(obstacle) => return report.unknown(id, obstacle),
    };
    let dialect = match definition.dialect {
        Some(Dialect::Documented) => "documented dialect",
        Some(Dialect::Gargantua) => "gargantua dialect",
        None => "no dialect of its own",
    };
    let status = if definition.status_subresource { "a status subresource" } else { "no status subresource" };
    let sound = format!("sessions.hobbyfarm.io ({}): {dialect}, {status}", definition.versions.join(", "));
    let mut findings = Vec::new();
    if let Ok(installed) = &facts.installed {
        if let (Some(told), Some(defined)) = (installed.settings.dialect, definition.dialect)
            && told != defined
        {
            let text = format!("the webhook is told another dialect than the definition describes ({dialect})");
            findings.push(Finding::faulty(text, "dialect: auto in the ConfigMap"));
        }
        if definition.status_subresource && installed.backfill.is_none() {
            findings.push(Finding::questionable(
                "with a status subresource nothing but the backfill helps a Session that HobbyFarm never gave a status",
                "manifests/components/backfill",
            ));
        }
    }
    report.findings(id, sound, findings);
}

/// The webhook's clocks, which times of Sessions are read from, against the API server's.
pub(super) fn clock(facts: &Facts, report: &mut Report) {
    let id = Id::Clock;
    let ahead = |clock: Clock| clock.there.duration_since(clock.here);
    let Some(api) = facts.api_clock.map(ahead) else {
        return report.questionable(id, "the API server tells no time", "look at the clocks of its machine");
    };
    let presented = facts.served.iter().filter_map(|served| Some((served, served.presented.as_ref().ok()?.clock?)));
    let replicas: Vec<_> = presented.map(|(served, clock)| (served.from.as_str(), ahead(clock) - api)).collect();
    let of_webhook = !replicas.is_empty();
    // Without an answer of the webhook this machine stands in, about which nothing can be said to be wrong.
    let clocks = if of_webhook { replicas } else { vec![("this machine", -api)] };
    let mut findings = Vec::new();
    for (whose, skew) in &clocks {
        let (seconds, direction) =
            (skew.as_secs().unsigned_abs(), if skew.is_negative() { "behind" } else { "ahead of" });
        let text = format!("the clock is {seconds} s {direction} the API server's");
        let remedy = "time synchronisation (NTP) on its node: Sessions end too early or too late by as much";
        if skew.abs() > HARMFUL && of_webhook {
            findings.push(Finding::faulty(text, remedy).of(whose));
        } else if skew.abs() > TOLERABLE {
            findings.push(Finding::questionable(text, remedy).of(whose));
        }
    }
    let whose = if of_webhook { "the webhook's clock" } else { "this machine's clock" };
    report.findings(id, format!("{whose} agrees with the API server's"), findings);
}

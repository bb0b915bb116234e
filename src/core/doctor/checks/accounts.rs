//! `accounts`: HobbyFarm's service accounts exist and may write.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::{Facts, HobbyFarmAccount};
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::{Finding, Report};

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if facts.serve_settings.is_err() {
        return report.skipped(CheckId::Accounts, CheckId::Deployment);
    }
    let accounts = match &facts.accounts {
        Observation::Found(accounts) => accounts.as_slice(),
        Observation::Absent => &[],
        Observation::Unknown(reason) => return report.unknown(CheckId::Accounts, reason),
    };
    let may_write = |account: &&HobbyFarmAccount| account.rights.is_some_and(|rights| rights.create && rights.update);
    let names = |accounts: Vec<&HobbyFarmAccount>| {
        accounts.into_iter().map(|account| account.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let writers: Vec<_> = accounts.iter().filter(may_write).collect();
    if writers.is_empty() {
        let text =
            format!("none of HobbyFarm's accounts exists and may write Sessions: {}", names(accounts.iter().collect()));
        let remedy = "service-account in the ConfigMap: the accounts of your HobbyFarm (the README lists them by version); its roles";
        return report.faulty(CheckId::Accounts, text, remedy);
    }
    let mut findings = Vec::new();
    let absent: Vec<_> = accounts.iter().filter(|account| account.rights.is_none()).collect();
    if !absent.is_empty() {
        let text = format!("accounts that do not exist may write, as soon as somebody makes them: {}", names(absent));
        findings.push(Finding::questionable(
            text,
            "take them off service-account in the ConfigMap, and off matchConditions",
        ));
    }
    let subresource = facts.definition.found().is_some_and(|definition| definition.status_subresource);
    let half =
        |account: &&&HobbyFarmAccount| account.rights.is_some_and(|rights| rights.update_status != rights.create);
    let halves: Vec<_> = writers.iter().filter(half).copied().collect();
    if subresource && !halves.is_empty() {
        let text = format!("accounts that may create Sessions but not update sessions/status: {}", names(halves));
        findings.push(Finding::faulty(text, "HobbyFarm's roles: update of sessions/status"));
    }
    report.worst_of(CheckId::Accounts, format!("HobbyFarm writes as {}", names(writers)), findings);
}

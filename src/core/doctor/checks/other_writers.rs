//! `other-writers`: who else may write Sessions, as far as RBAC goes.

use crate::core::admission::review::GROUP;
use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::grants::{Subject, grants_to_all};
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::Report;
use crate::core::installation::{RESOURCES, SERVICE};
use crate::core::requester::Requester;
use crate::core::settings::Settings;

/// Verbs that change a Session, as the API server knows them.
const WRITE_VERBS: [&str; 3] = ["create", "update", "patch"];
/// More names than a line should hold.
const MAX_NAMES: usize = 5;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let Ok(settings) = &facts.serve_settings else {
        return report.skipped(CheckId::OtherWriters, CheckId::Deployment);
    };
    let rbac = match &facts.rbac {
        Observation::Found(rbac) => rbac,
        Observation::Absent => return report.sound(CheckId::OtherWriters, "RBAC is not in use"),
        Observation::Unknown(reason) => return report.unknown(CheckId::OtherWriters, reason),
    };
    let mut others: Vec<String> = Vec::new();
    for (subject, grant) in grants_to_all(rbac) {
        let writes =
            WRITE_VERBS.iter().any(|verb| RESOURCES.iter().any(|resource| grant.allows(GROUP, resource, verb)));
        let is_known = is_known(&subject, &settings.policy) || is_doctor(&subject, facts);
        if writes && !is_known && !others.contains(&subject.to_string()) {
            others.push(subject.to_string());
        }
    }
    if others.is_empty() {
        return report.sound(CheckId::OtherWriters, "RBAC lets nobody else write Sessions");
    }
    others.sort_unstable();
    let more = others.len().saturating_sub(MAX_NAMES);
    others.truncate(MAX_NAMES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let who =
        if facts.policy_refuses() { "the ValidatingAdmissionPolicy refuses" } else { "the webhook alone refuses" };
    let text = format!("RBAC lets others write Sessions, and {who} them: {}{more}", others.join(", "));
    let remedy = "take create, update and patch on sessions.hobbyfarm.io from their roles, where they need none";
    report.questionable(CheckId::OtherWriters, text, remedy);
}

/// The account of the shipped manifests that doctor has in a pod: its create is a dry run.
fn is_doctor(subject: &Subject, facts: &Facts) -> bool {
    let deployment = facts.deployment.found().map_or(SERVICE, String::as_str);
    let name = format!("system:serviceaccount:{}:{deployment}-doctor", facts.namespace());
    *subject == Subject::User(name)
}

/// Whether it is no surprise that somebody may write.
fn is_known(subject: &Subject, settings: &Settings) -> bool {
    match subject {
        // The group of cluster administrators is a part of RBAC itself.
        Subject::Group(name) => name == "system:masters" || settings.break_glass_groups.contains(name),
        Subject::User(name) => {
            let requester = Requester::parse(name);
            let accounts = settings.service_accounts.iter().chain(&settings.own_service_account);
            accounts.into_iter().any(|account| account.matches(&requester))
                || settings.housekeepers.iter().any(|housekeeper| housekeeper.matches(&requester))
                || settings.break_glass_users.contains(name)
        }
    }
}

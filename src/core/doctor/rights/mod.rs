//! Who may write Sessions, and what the webhook's own account may do.

mod grants;

use self::grants::{Grant, grants_of, grants_to_all};
use super::Id;
use super::facts::{Account, Facts, Installed, Look, SecretSource, WritingRights};
use super::report::{Finding, Report};
use crate::core::admission::review::GROUP;
use crate::core::installation::{
    AUDIT, BACKFILL, BACKFILL_LEASE, RESOURCES, RbacRule, SELF_MANAGED, SELF_MANAGED_CONFIGURATIONS,
};
use crate::core::requester::Requester;
use crate::core::settings::Settings;

/// Verbs that change a Session, as the API server knows them.
const WRITING: [&str; 3] = ["create", "update", "patch"];
/// More names than a line should hold.
const SHOWN: usize = 5;

pub(super) fn examine(facts: &Facts, report: &mut Report) {
    let Ok(installed) = &facts.installed else {
        for id in [Id::Accounts, Id::OtherWriters, Id::OwnRights] {
            report.skipped(id, Id::Deployment);
        }
        return;
    };
    accounts(facts, report);
    other_writers(facts, &installed.settings, report);
    own_rights(facts, installed, report);
}

fn accounts(facts: &Facts, report: &mut Report) {
    let accounts = match &facts.accounts {
        Look::Found(accounts) => accounts.as_slice(),
        Look::Absent => &[],
        Look::Unknown(obstacle) => return report.unknown(Id::Accounts, obstacle),
    };
    let may_write = |account: &&Account| account.rights.is_some_and(|rights| rights.create && rights.update);
    let names = |accounts: Vec<&Account>| {
        accounts.into_iter().map(|account| account.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let writers: Vec<_> = accounts.iter().filter(may_write).collect();
    if writers.is_empty() {
        let text =
            format!("none of HobbyFarm's accounts exists and may write Sessions: {}", names(accounts.iter().collect()));
        let remedy = "service-account in the ConfigMap: the accounts of your HobbyFarm (the README lists them by version); its roles";
        return report.faulty(Id::Accounts, text, remedy);
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
    let half = |account: &&&Account| account.rights.is_some_and(|rights| rights.update_status != rights.create);
    let halves: Vec<_> = writers.iter().filter(half).copied().collect();
    if subresource && !halves.is_empty() {
        let text = format!("accounts that may create Sessions but not update sessions/status: {}", names(halves));
        findings.push(Finding::faulty(text, "HobbyFarm's roles: update of sessions/status"));
    }
    report.findings(Id::Accounts, format!("HobbyFarm writes as {}", names(writers)), findings);
}

impl WritingRights {
    /// Whether anything is granted.
    pub const fn any(self) -> bool {
        self.create || self.update || self.update_status
    }
}

fn other_writers(facts: &Facts, settings: &Settings, report: &mut Report) {
    let rbac = match &facts.rbac {
        Look::Found(rbac) => rbac,
        Look::Absent => return report.sound(Id::OtherWriters, "RBAC is not in use"),
        Look::Unknown(obstacle) => return report.unknown(Id::OtherWriters, obstacle),
    };
    let mut others: Vec<String> = Vec::new();
    for (subject, grant) in grants_to_all(rbac) {
        let writes = WRITING.iter().any(|verb| RESOURCES.iter().any(|resource| grant.allows(GROUP, resource, verb)));
        if writes && !is_known(&subject, settings) && !others.contains(&subject.to_string()) {
            others.push(subject.to_string());
        }
    }
    if others.is_empty() {
        return report.sound(Id::OtherWriters, "RBAC lets nobody else write Sessions");
    }
    others.sort_unstable();
    let more = others.len().saturating_sub(SHOWN);
    others.truncate(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let text =
        format!("RBAC lets others write Sessions, and the webhook alone refuses them: {}{more}", others.join(", "));
    let remedy = "take create, update and patch on sessions.hobbyfarm.io from their roles, where they need none";
    report.questionable(Id::OtherWriters, text, remedy);
}

/// Whether it is no surprise that somebody may write.
fn is_known(subject: &grants::Subject, settings: &Settings) -> bool {
    match subject {
        // The group of cluster administrators is a part of RBAC itself.
        grants::Subject::Group(name) => name == "system:masters" || settings.break_glass_groups.contains(name),
        grants::Subject::User(name) => {
            let requester = Requester::parse(name);
            let accounts = settings.service_accounts.iter().chain(&settings.own_service_account);
            accounts.into_iter().any(|account| account.matches(&requester))
                || settings.housekeepers.iter().any(|housekeeper| housekeeper.matches(&requester))
                || settings.break_glass_users.contains(name)
        }
    }
}

/// What an option makes necessary: a right, the name that it is limited to, and the namespace (none: everywhere).
type Needed = (RbacRule, Option<String>, Option<String>);

fn needed(facts: &Facts, installed: &Installed) -> Vec<Needed> {
    let own = Some(facts.namespace());
    let mut needed: Vec<Needed> = Vec::new();
    let named = |right: &RbacRule, name: &str| right.named.then(|| name.to_owned());
    let controllers = [(&installed.backfill, BACKFILL.as_slice()), (&installed.audit, AUDIT.as_slice())];
    for (on, rights) in controllers {
        let Some((lease, namespaces)) = on else { continue };
        let places: Vec<_> =
            if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
        for place in places {
            needed.extend(rights.iter().map(|right| (*right, None, place.clone())));
        }
        needed.extend(BACKFILL_LEASE.iter().map(|right| (*right, named(right, lease), own.clone())));
    }
    if let SecretSource::SelfManaged(secret) = &installed.secret {
        needed.extend(SELF_MANAGED.iter().map(|right| (*right, named(right, secret), own.clone())));
        let configuration = &installed.configuration;
        needed.extend(SELF_MANAGED_CONFIGURATIONS.iter().map(|right| (*right, named(right, configuration), None)));
    }
    needed
}

fn own_rights(facts: &Facts, installed: &Installed, report: &mut Report) {
    let rbac = match &facts.rbac {
        Look::Found(rbac) => rbac,
        Look::Absent => return report.sound(Id::OwnRights, "RBAC is not in use"),
        Look::Unknown(_) => return report.skipped(Id::OwnRights, Id::OtherWriters),
    };
    let account = (facts.namespace(), installed.account.clone());
    let grants = grants_of(rbac, &account.0, &account.1);
    let needed = needed(facts, installed);
    let who = format!("{}/{}", account.0, account.1);
    let mut findings = Vec::new();
    let mut missing = Vec::new();
    for (right, name, namespace) in &needed {
        for resource in right.resources {
            for verb in right.verbs {
                let granted = grants.iter().any(|grant| {
                    grant.reaches(namespace.as_deref())
                        && grant.allows(right.group, resource, verb)
                        && grant.allows_name(name.as_deref())
                });
                if !granted {
                    missing.push(format!("{verb} {resource}.{}", right.group).trim_end_matches('.').to_owned());
                }
            }
        }
    }
    if !missing.is_empty() {
        let text = format!("the webhook's account {who} may not {}", missing.join(", "));
        findings.push(Finding::faulty(
            text,
            "kubectl apply the manifests again (components/backfill, components/audit, components/self-managed)",
        ));
    }
    let wide: Vec<_> = grants.iter().filter(|grant| !is_needed(grant, &needed)).map(Grant::describe).collect();
    if !wide.is_empty() {
        let text = format!("the webhook's account {who} has rights that it does not need: {}", wide.join("; "));
        findings.push(Finding::questionable(text, "take the bindings away that the manifests do not have"));
    }
    let sound = if needed.is_empty() {
        format!("the webhook's account {who} needs no rights and has none")
    } else {
        format!("the webhook's account {who} has the rights that it needs, and no others")
    };
    report.findings(Id::OwnRights, sound, findings);
}

/// Whether each part of a grant is among what is needed.
fn is_needed(grant: &Grant, needed: &[Needed]) -> bool {
    grant.parts().all(|(group, resource, verb)| {
        needed.iter().any(|(right, name, namespace)| {
            right.group == group
                && right.resources.contains(&resource)
                && right.verbs.contains(&verb)
                && namespace.as_deref().is_none_or(|namespace| grant.namespace.as_deref() == Some(namespace))
                && name.as_ref().is_none_or(|name| grant.names == [name.clone()])
        })
    })
}

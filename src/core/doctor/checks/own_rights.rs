//! `own-rights`: the webhook's own account has the rights that it needs, and no others.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::{CertificateSource, Facts, ServeSettings};
use crate::core::doctor::grants::{Grant, grants_of};
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::{Finding, Report};
use crate::core::installation::{AUDIT, BACKFILL, BACKFILL_LEASE, RbacRule, SELF_MANAGED, SELF_MANAGED_CONFIGURATIONS};

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let Ok(settings) = &facts.serve_settings else {
        return report.skipped(CheckId::OwnRights, CheckId::Deployment);
    };
    let rbac = match &facts.rbac {
        Observation::Found(rbac) => rbac,
        Observation::Absent => return report.sound(CheckId::OwnRights, "RBAC is not in use"),
        Observation::Unknown(_) => return report.skipped(CheckId::OwnRights, CheckId::OtherWriters),
    };
    let account = (facts.namespace(), settings.account.clone());
    let grants = grants_of(rbac, &account.0, &account.1);
    let needed = needed(facts, settings);
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
    report.worst_of(CheckId::OwnRights, sound, findings);
}

/// What an option makes necessary: a right, the name that it is limited to, and the namespace (none: everywhere).
type Needed = (RbacRule, Option<String>, Option<String>);

fn needed(facts: &Facts, settings: &ServeSettings) -> Vec<Needed> {
    let own = Some(facts.namespace());
    let mut needed: Vec<Needed> = Vec::new();
    let named = |right: &RbacRule, name: &str| right.named.then(|| name.to_owned());
    let controllers = [(&settings.backfill, BACKFILL.as_slice()), (&settings.audit, AUDIT.as_slice())];
    for (on, rights) in controllers {
        let Some((lease, namespaces)) = on else { continue };
        let namespaces: Vec<_> =
            if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
        for namespace in namespaces {
            needed.extend(rights.iter().map(|right| (*right, None, namespace.clone())));
        }
        needed.extend(BACKFILL_LEASE.iter().map(|right| (*right, named(right, lease), own.clone())));
    }
    if let CertificateSource::SelfManaged(secret) = &settings.certificate_source {
        needed.extend(SELF_MANAGED.iter().map(|right| (*right, named(right, secret), own.clone())));
        let configuration = &settings.configuration;
        needed.extend(SELF_MANAGED_CONFIGURATIONS.iter().map(|right| (*right, named(right, configuration), None)));
    }
    needed
}

/// Whether each part of a grant is among what is needed.
fn is_needed(grant: &Grant, needed: &[Needed]) -> bool {
    grant.group_resource_verb_triples().all(|(group, resource, verb)| {
        needed.iter().any(|(right, name, namespace)| {
            right.group == group
                && right.resources.contains(&resource)
                && right.verbs.contains(&verb)
                && namespace.as_deref().is_none_or(|namespace| grant.namespace.as_deref() == Some(namespace))
                && name.as_ref().is_none_or(|name| grant.names == [name.clone()])
        })
    })
}

//! What the API server trusts, what it is shown, and what the Secret holds.

use jiff::{SignedDuration, Timestamp};

use super::facts::{Bundle, BundleState, Facts, Installed, Leaf, Look, Obstacle, Presented, SecretSource, Told};
use super::place::Place;
use super::report::{Finding, Report};
use super::{Id, entries, probe};
use crate::core::installation::ConfigurationKind as Kind;

/// With less time left, whatever renews the certificate has most likely stopped.
const SHORT: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(super) fn examine(facts: &Facts, report: &mut Report) {
    bundles(facts, report);
    served(facts, report);
    secret(facts, report);
}

fn presented(facts: &Facts) -> impl Iterator<Item = (&str, &Presented)> {
    facts.served.iter().filter_map(|served| Some((served.from.as_str(), served.presented.as_ref().ok()?)))
}

fn bundles(facts: &Facts, report: &mut Report) {
    if let Some(because) = entries::no_entries(facts, report) {
        return report.skipped(Id::CaBundle, because);
    }
    let mut findings = Vec::new();
    for (index, bundle) in facts.bundles.iter().enumerate() {
        let text = match &bundle.state {
            // By a url the API server then trusts whom its machine trusts.
            BundleState::Empty if matches!(facts.place(), Place::Url { .. }) => None,
            BundleState::Empty => Some("no caBundle: the API server trusts no certificate".to_owned()),
            BundleState::NoCertificate(reason) => Some(format!("the caBundle is no PEM certificate ({reason})")),
            BundleState::Certificates(authorities) => no_trust(facts, index, authorities),
        };
        findings.extend(text.map(|text| Finding::faulty(text, bundle_remedy(facts)).of(&bundle.entry)));
    }
    let verifies = if presented(facts).next().is_some() { "vouches for what is served" } else { "holds authorities" };
    report.findings(Id::CaBundle, format!("the caBundle of each entry {verifies}{}", life(&facts.bundles)), findings);
}

/// Why the API server does not trust what is served, with these authorities of the bundle at this place.
fn no_trust(facts: &Facts, index: usize, authorities: &[Leaf]) -> Option<String> {
    let alive = |authority: &Leaf| (authority.not_before..=authority.not_after).contains(&facts.now);
    if !authorities.iter().any(alive) {
        let ends = authorities.iter().map(|authority| authority.not_after).max().unwrap_or(facts.now);
        return Some(format!("the caBundle has expired ({ends})"));
    }
    let (from, presented) = presented(facts).find(|(_, presented)| presented.trusted.get(index) == Some(&false))?;
    Some(format!("the caBundle does not vouch for what {from} serves (signed by {})", presented.leaf.issuer))
}

/// Until when the authorities live.
fn life(bundles: &[Bundle]) -> String {
    let ends = bundles.iter().filter_map(|bundle| match &bundle.state {
        BundleState::Certificates(authorities) => authorities.iter().map(|authority| authority.not_after).max(),
        BundleState::Empty | BundleState::NoCertificate(_) => None,
    });
    ends.min().map_or_else(String::new, |end| format!(", until {end}"))
}

/// Whoever writes the `caBundle` has to write it again.
fn bundle_remedy(facts: &Facts) -> String {
    let configuration = facts.configuration(Kind::Validating).found().or(facts.configuration(Kind::Mutating).found());
    let injector = configuration
        .and_then(|object| object.pointer("/metadata/annotations")?.get("cert-manager.io/inject-ca-from")?.as_str());
    match (&facts.installed, injector) {
        (Ok(Installed { secret: SecretSource::SelfManaged(_), .. }), _) => {
            format!("the webhook writes it within ten seconds; if not: {}", facts.log())
        }
        (_, Some(certificate)) => format!(
            "cert-manager's cainjector writes it from the Certificate {certificate}: kubectl -n cert-manager logs deployment/cert-manager-cainjector"
        ),
        _ => "certs/generate && kubectl apply -k certs/out, or clientConfig.caBundle of each entry".to_owned(),
    }
}

fn served(facts: &Facts, report: &mut Report) {
    let id = Id::ServedCertificate;
    if let Some(because) = report.obstacle(&[Id::Service, Id::Endpoints]) {
        return report.skipped(id, because);
    }
    let name = facts.place().tls_name();
    let mut findings = Vec::new();
    for served in &facts.served {
        let from = &served.from;
        match &served.presented {
            Err(obstacle @ Obstacle::Forbidden(_)) => return report.unknown(id, obstacle),
            Err(Obstacle::Failed(reason)) => findings.push(out_of_reach(facts, reason).of(from)),
            Ok(presented) => findings.extend(leaf(facts, presented, &name).map(|finding| finding.of(from))),
        }
    }
    let ends = presented(facts).map(|(_, presented)| presented.leaf.not_after).min();
    let Some(ends) = ends.or_else(|| (!findings.is_empty()).then_some(facts.now)) else {
        return report.unknown(id, &Obstacle::Failed("there was nobody to ask".to_owned()));
    };
    report.findings(id, format!("what is served is for {name}, until {ends}"), findings);
}

/// A server that cannot be asked. Where the API server reaches the webhook and this machine nobody at all, something stands in
/// this machine's way alone.
fn out_of_reach(facts: &Facts, reason: &str) -> Finding {
    let text = format!("no certificate is presented: {reason}");
    if presented(facts).next().is_none() && probe::is_answered(facts) {
        let text = format!("{text}; but the API server is answered");
        return Finding::questionable(text, "a NetworkPolicy or firewall between here and the webhook's port");
    }
    Finding::faulty(text, format!("{}; a NetworkPolicy or firewall in front of its port", facts.log()))
}

fn leaf(facts: &Facts, presented: &Presented, name: &str) -> Option<Finding> {
    let Leaf { not_before, not_after, names, .. } = &presented.leaf;
    let renew = || format!("renew it: {}", renewal(facts));
    if facts.now > *not_after {
        Some(Finding::faulty(format!("the certificate expired at {not_after}"), renew()))
    } else if facts.now < *not_before {
        Some(Finding::faulty(format!("the certificate is not valid before {not_before}"), "the clocks, or wait"))
    } else if !presented.for_name {
        let text = format!("the certificate is for {}, not for {name}", names.join(", "));
        Some(Finding::faulty(text, format!("a certificate with the DNS name {name}: {}", renewal(facts))))
    } else {
        let text = format!("the certificate expires at {not_after}");
        short(facts.now, *not_after).then(|| Finding::questionable(text, renew()))
    }
}

fn short(now: Timestamp, not_after: Timestamp) -> bool {
    not_after.duration_since(now) < SHORT
}

/// Who makes the certificate.
fn renewal(facts: &Facts) -> String {
    let namespace = facts.namespace();
    match &facts.installed {
        Ok(Installed { secret: SecretSource::SelfManaged(_), .. }) => {
            format!("the webhook does; {} says what is in the way", facts.log())
        }
        _ => format!(
            "kubectl -n {namespace} describe certificate session-webhook (cert-manager), or certs/generate and kubectl apply -k certs/out"
        ),
    }
}

fn secret(facts: &Facts, report: &mut Report) {
    let id = Id::Secret;
    let installed = match &facts.installed {
        Ok(installed) => installed,
        Err(Told::Nothing) => return report.skipped(id, Id::Deployment),
        Err(_) => return report.skipped(id, report.obstacle(&[Id::Deployment, Id::Service]).unwrap_or(Id::Deployment)),
    };
    let (name, managed) = match &installed.secret {
        SecretSource::Mounted(name) => (name, false),
        SecretSource::SelfManaged(name) => (name, true),
        SecretSource::None => return report.sound(id, "the certificate comes from no Secret"),
    };
    let namespace = facts.namespace();
    let leaf = match &facts.secret {
        Look::Found(Some(leaf)) => leaf,
        Look::Found(None) => {
            let text = format!("the Secret {namespace}/{name} holds no certificate (tls.crt)");
            return report.faulty(id, text, renewal(facts));
        }
        Look::Absent => return report.faulty(id, format!("there is no Secret {namespace}/{name}"), renewal(facts)),
        Look::Unknown(obstacle) => return report.unknown(id, obstacle),
    };
    if presented(facts).next().is_none() {
        let because = report.obstacle(&[Id::Service, Id::Endpoints, Id::ServedCertificate]);
        return report.skipped(id, because.unwrap_or(Id::ServedCertificate));
    }
    let Some((from, other)) = presented(facts).find(|(_, presented)| presented.leaf != *leaf) else {
        return report.sound(id, format!("what is served is what the Secret {namespace}/{name} holds"));
    };
    let text = format!(
        "{from} serves another certificate (serial {}) than the Secret {namespace}/{name} holds (serial {})",
        other.leaf.serial, leaf.serial
    );
    let log = format!("{} says why the newer one is not served", facts.log());
    let wait =
        if managed { "within ten seconds" } else { "within a minute or two, when the kubelet has updated the files" };
    report.faulty(id, text, format!("it is read {wait}; after that {log}"));
}

//! `ca-bundle`: the API server trusts what the replicas serve.

use crate::core::doctor::certificate_facts::{CaBundle, CaBundleContent, CertificateInfo};
use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::{CertificateSource, Facts, ServeSettings};
use crate::core::doctor::report::{Finding, Report};
use crate::core::doctor::webhook_target::WebhookTarget;
use crate::core::installation::ConfigurationKind;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::CaBundle, because);
    }
    let mut findings = Vec::new();
    for (index, bundle) in facts.ca_bundles.iter().enumerate() {
        let text = match &bundle.content {
            // Calling a URL, the API server then trusts the authorities of its own machine.
            CaBundleContent::Empty if matches!(facts.target(), WebhookTarget::Url { .. }) => None,
            CaBundleContent::Empty => Some("no caBundle: the API server trusts no certificate".to_owned()),
            CaBundleContent::NoCertificate(reason) => Some(format!("the caBundle is no PEM certificate ({reason})")),
            CaBundleContent::Certificates(authorities) => why_untrusted(facts, index, authorities),
        };
        findings.extend(text.map(|text| Finding::faulty(text, remedy(facts)).about(&bundle.entry)));
    }
    let verifies = if facts.presented().next().is_some() { "vouches for what is served" } else { "holds authorities" };
    report.worst_of(
        CheckId::CaBundle,
        format!("the caBundle of each entry {verifies}{}", until(&facts.ca_bundles)),
        findings,
    );
}

/// Why the API server does not trust what is served, with these authorities of the bundle at this index.
fn why_untrusted(facts: &Facts, index: usize, authorities: &[CertificateInfo]) -> Option<String> {
    let is_valid = |authority: &CertificateInfo| (authority.not_before..=authority.not_after).contains(&facts.now);
    if !authorities.iter().any(is_valid) {
        let ends = authorities.iter().map(|authority| authority.not_after).max().unwrap_or(facts.now);
        return Some(format!("the caBundle has expired ({ends})"));
    }
    let (server, presented) =
        facts.presented().find(|(_, presented)| presented.trusted_by_bundle.get(index) == Some(&false))?;
    Some(format!("the caBundle does not vouch for what {server} serves (signed by {})", presented.certificate.issuer))
}

/// Until when the authorities are valid.
fn until(bundles: &[CaBundle]) -> String {
    let ends = bundles.iter().filter_map(|bundle| match &bundle.content {
        CaBundleContent::Certificates(authorities) => authorities.iter().map(|authority| authority.not_after).max(),
        CaBundleContent::Empty | CaBundleContent::NoCertificate(_) => None,
    });
    ends.min().map_or_else(String::new, |end| format!(", until {end}"))
}

/// Whoever writes the `caBundle` has to write it again.
fn remedy(facts: &Facts) -> String {
    let configuration = facts
        .configuration(ConfigurationKind::Validating)
        .found()
        .or(facts.configuration(ConfigurationKind::Mutating).found());
    let injector = configuration
        .and_then(|object| object.pointer("/metadata/annotations")?.get("cert-manager.io/inject-ca-from")?.as_str());
    match (&facts.serve_settings, injector) {
        (Ok(ServeSettings { certificate_source: CertificateSource::SelfManaged(_), .. }), _) => {
            format!("the webhook writes it within ten seconds; if not: {}", facts.log_command())
        }
        (_, Some(certificate)) => format!(
            "cert-manager's cainjector writes it from the Certificate {certificate}: kubectl -n cert-manager logs deployment/cert-manager-cainjector"
        ),
        _ => "certs/generate && kubectl apply -k certs/out, or clientConfig.caBundle of each entry".to_owned(),
    }
}

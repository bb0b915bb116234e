//! `secret`: the served certificate is the one in the Secret.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::{CertificateSource, Facts, SettingsUnknown};
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::Report;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let id = CheckId::Secret;
    let settings = match &facts.serve_settings {
        Ok(settings) => settings,
        Err(SettingsUnknown::NoDeployment) => return report.skipped(id, CheckId::Deployment),
        Err(_) => {
            return report.skipped(
                id,
                report.first_unsound(&[CheckId::Deployment, CheckId::Service]).unwrap_or(CheckId::Deployment),
            );
        }
    };
    let (name, managed) = match &settings.certificate_source {
        CertificateSource::Mounted(name) => (name, false),
        CertificateSource::SelfManaged(name) => (name, true),
        CertificateSource::None => return report.sound(id, "the certificate comes from no Secret"),
    };
    let namespace = facts.namespace();
    let leaf = match &facts.secret {
        Observation::Found(Some(leaf)) => leaf,
        Observation::Found(None) => {
            let text = format!("the Secret {namespace}/{name} holds no certificate (tls.crt)");
            return report.faulty(id, text, facts.renewal_command());
        }
        Observation::Absent => {
            return report.faulty(id, format!("there is no Secret {namespace}/{name}"), facts.renewal_command());
        }
        Observation::Unknown(reason) => return report.unknown(id, reason),
    };
    if facts.presented().next().is_none() {
        let because = report.first_unsound(&[CheckId::Service, CheckId::Endpoints, CheckId::ServedCertificate]);
        return report.skipped(id, because.unwrap_or(CheckId::ServedCertificate));
    }
    let Some((from, other)) = facts.presented().find(|(_, presented)| presented.certificate != *leaf) else {
        return report.sound(id, format!("what is served is what the Secret {namespace}/{name} holds"));
    };
    let text = format!(
        "{from} serves another certificate (serial {}) than the Secret {namespace}/{name} holds (serial {})",
        other.certificate.serial, leaf.serial
    );
    let log = format!("{} says why the newer one is not served", facts.log_command());
    let wait =
        if managed { "within ten seconds" } else { "within a minute or two, when the kubelet has updated the files" };
    report.faulty(id, text, format!("it is read {wait}; after that {log}"));
}

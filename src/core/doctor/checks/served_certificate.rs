//! `served-certificate`: each replica serves a valid certificate for the name that the API server calls.

use jiff::{SignedDuration, Timestamp};

use super::probe;
use crate::core::doctor::certificate_facts::{CertificateInfo, PresentedCertificate};
use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::observation::Unobservable;
use crate::core::doctor::report::{Finding, Report};

/// With less time left, whatever renews the certificate has most likely stopped.
const RENEWAL_OVERDUE: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let id = CheckId::ServedCertificate;
    if let Some(because) = report.first_unsound(&[CheckId::Service, CheckId::Endpoints]) {
        return report.skipped(id, because);
    }
    let name = facts.target().tls_name();
    let mut findings = Vec::new();
    for served in &facts.served {
        let server = &served.server;
        match &served.presented {
            Err(reason @ Unobservable::Forbidden(_)) => return report.unknown(id, reason),
            Err(Unobservable::Failed(reason)) => findings.push(out_of_reach(facts, reason).about(server)),
            Ok(presented) => findings.extend(finding(facts, presented, &name).map(|finding| finding.about(server))),
        }
    }
    let ends = facts.presented().map(|(_, presented)| presented.certificate.not_after).min();
    let Some(ends) = ends.or_else(|| (!findings.is_empty()).then_some(facts.now)) else {
        return report.unknown(id, &Unobservable::Failed("there was nobody to ask".to_owned()));
    };
    report.worst_of(id, format!("what is served is for {name}, until {ends}"), findings);
}

/// A server that does not answer. Where the API server reaches the webhook and this machine reaches no replica at all, only
/// the way from this machine is blocked.
fn out_of_reach(facts: &Facts, reason: &str) -> Finding {
    let text = format!("no certificate is presented: {reason}");
    if facts.presented().next().is_none() && probe::is_answered(facts) {
        let text = format!("{text}; but the API server is answered");
        return Finding::questionable(text, "a NetworkPolicy or firewall between here and the webhook's port");
    }
    Finding::faulty(text, format!("{}; a NetworkPolicy or firewall in front of its port", facts.log_command()))
}

fn finding(facts: &Facts, presented: &PresentedCertificate, name: &str) -> Option<Finding> {
    let CertificateInfo { not_before, not_after, names, .. } = &presented.certificate;
    let renew = || format!("renew it: {}", facts.renewal_command());
    if facts.now > *not_after {
        Some(Finding::faulty(format!("the certificate expired at {not_after}"), renew()))
    } else if facts.now < *not_before {
        Some(Finding::faulty(format!("the certificate is not valid before {not_before}"), "the clocks, or wait"))
    } else if let Some(reason) = &presented.unfit {
        Some(Finding::faulty(reason, format!("a certificate for servers: {}", facts.renewal_command())))
    } else if !presented.matches_name {
        let text = format!("the certificate is for {}, not for {name}", names.join(", "));
        Some(Finding::faulty(text, format!("a certificate with the DNS name {name}: {}", facts.renewal_command())))
    } else {
        let text = format!("the certificate expires at {not_after}");
        expires_soon(facts.now, *not_after).then(|| Finding::questionable(text, renew()))
    }
}

fn expires_soon(now: Timestamp, not_after: Timestamp) -> bool {
    not_after.duration_since(now) < RENEWAL_OVERDUE
}

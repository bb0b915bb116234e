//! `endpoints`: replicas behind the Service are ready.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::string_at;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::{Finding, Report};
use crate::core::doctor::webhook_target::WebhookTarget;
use crate::core::installation::REPLICAS;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let WebhookTarget::Service { namespace, name, .. } = facts.target() else {
        return report.sound(CheckId::Endpoints, "no Service, so nothing to count");
    };
    if let Some(because) = report.first_unsound(&[CheckId::Service]) {
        return report.skipped(CheckId::Endpoints, because);
    }
    if facts.service.found().and_then(|service| string_at(service, "/spec/type")) == Some("ExternalName") {
        return report.sound(CheckId::Endpoints, "the Service stands for another name, so nothing to count");
    }
    let endpoints = match &facts.endpoints {
        Observation::Found(endpoints) => endpoints.as_slice(),
        Observation::Absent => &[],
        Observation::Unknown(reason) => return report.unknown(CheckId::Endpoints, reason),
    };
    let ready = endpoints.iter().filter(|endpoint| endpoint.ready).count();
    let remedy = format!("kubectl -n {namespace} get pods, and the log of one that is not ready");
    let mut findings = Vec::new();
    if ready == 0 {
        let text = format!("no replica behind the Service {namespace}/{name} is ready, of {}", endpoints.len());
        findings.push(Finding::faulty(text, remedy));
    } else if ready < REPLICAS {
        let text = format!("{ready} replica is ready: nobody answers while it is replaced");
        findings.push(Finding::questionable(
            text,
            format!("{remedy}; spec.replicas of the Deployment: {REPLICAS} or more"),
        ));
    }
    report.worst_of(CheckId::Endpoints, format!("{ready} replicas are ready"), findings);
}

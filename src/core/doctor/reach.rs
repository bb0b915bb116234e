//! From the entries to a replica: the Service, the Deployment behind it, the addresses that it leads to.

use serde_json::Value;

use super::Id;
use super::facts::{Facts, Installed, Look, Told};
use super::place::{Place, text};
use super::report::{Finding, Report};
use crate::core::installation::REPLICAS;

pub(super) fn examine(facts: &Facts, report: &mut Report) {
    service(facts, report);
    deployment(facts, report);
    endpoints(facts, report);
}

fn service(facts: &Facts, report: &mut Report) {
    let place = facts.place();
    let Place::Service { namespace, name, port } = &place else {
        return report.sound(Id::Service, format!("the entries call {} without a Service", place.describe()));
    };
    let apply = "kubectl apply the manifests again, or correct clientConfig.service of the webhook configurations";
    let service = match &facts.service {
        Look::Found(service) => service,
        Look::Absent => return report.faulty(Id::Service, format!("there is no Service {namespace}/{name}"), apply),
        Look::Unknown(obstacle) => return report.unknown(Id::Service, obstacle),
    };
    if text(service, "/spec/type") == Some("ExternalName") {
        let host = text(service, "/spec/externalName").unwrap_or_default();
        return report.sound(Id::Service, format!("Service {namespace}/{name} stands for {host}"));
    }
    let ports: Vec<_> = ports(service).collect();
    if !ports.contains(&u64::from(*port)) {
        let text = format!("Service {namespace}/{name} has no port {port}, only {ports:?}");
        return report.faulty(Id::Service, text, format!("kubectl -n {namespace} edit service {name}: spec.ports"));
    }
    report.sound(Id::Service, format!("Service {namespace}/{name} has port {port}"));
}

fn ports(service: &Value) -> impl Iterator<Item = u64> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    ports.filter_map(|port| port.get("port").and_then(Value::as_u64))
}

fn deployment(facts: &Facts, report: &mut Report) {
    if let Place::Service { .. } = facts.place()
        && let Some(because) = report.obstacle(&[Id::Service])
    {
        return report.skipped(Id::Deployment, because);
    }
    let namespace = facts.namespace();
    match (&facts.deployment, &facts.installed) {
        (Look::Unknown(obstacle), _) | (_, Err(Told::Unknown(obstacle))) => report.unknown(Id::Deployment, obstacle),
        (Look::Absent, _) | (_, Err(Told::Nothing)) => report.questionable(
            Id::Deployment,
            format!("no Deployment in the namespace {namespace} runs the webhook: what it is told cannot be looked at"),
            "kubectl apply the manifests again, or --namespace",
        ),
        (Look::Found(name), Err(Told::Malformed(reason))) => report.faulty(
            Id::Deployment,
            format!("the pods of the Deployment {namespace}/{name} cannot start: {reason}"),
            format!("kubectl -n {namespace} edit deployment {name}, or the ConfigMap that it mounts"),
        ),
        (Look::Found(name), Ok(installed)) => {
            let mode = installed.settings.mode.name();
            let sound = format!("the Deployment {namespace}/{name} runs it with --mode {mode}");
            report.findings(Id::Deployment, sound, told(installed, &namespace));
        }
    }
}

/// What is wrong with what the pods are told.
fn told(installed: &Installed, namespace: &str) -> Vec<Finding> {
    let doubt = |doubt: &String| Finding::questionable(doubt.clone(), "the option in the ConfigMap or the Deployment");
    let mut findings: Vec<_> = installed.doubts.iter().map(doubt).collect();
    let own = format!("{namespace}/{}", installed.account);
    let known = installed.settings.own_service_account.as_ref().map(ToString::to_string);
    if installed.backfill.is_some() && known.as_ref() != Some(&own) {
        let known = known.unwrap_or_else(|| "nobody".to_owned());
        let text = format!(
            "the backfill writes as {own}, and the webhook takes {known} for itself: it refuses its own writes"
        );
        findings
            .push(Finding::faulty(text, format!("--own-service-account {own}, as in manifests/base/deployment.yaml")));
    }
    findings
}

fn endpoints(facts: &Facts, report: &mut Report) {
    let Place::Service { namespace, name, .. } = facts.place() else {
        return report.sound(Id::Endpoints, "no Service, so nothing to count");
    };
    if let Some(because) = report.obstacle(&[Id::Service]) {
        return report.skipped(Id::Endpoints, because);
    }
    if facts.service.found().and_then(|service| text(service, "/spec/type")) == Some("ExternalName") {
        return report.sound(Id::Endpoints, "the Service stands for another name, so nothing to count");
    }
    let endpoints = match &facts.endpoints {
        Look::Found(endpoints) => endpoints.as_slice(),
        Look::Absent => &[],
        Look::Unknown(obstacle) => return report.unknown(Id::Endpoints, obstacle),
    };
    let ready = endpoints.iter().filter(|endpoint| endpoint.ready).count();
    let look = format!("kubectl -n {namespace} get pods, and the log of one that is not ready");
    let mut findings = Vec::new();
    if ready == 0 {
        let text = format!("no replica behind the Service {namespace}/{name} is ready, of {}", endpoints.len());
        findings.push(Finding::faulty(text, look));
    } else if ready < REPLICAS {
        let text = format!("{ready} replica is ready: nobody answers while it is replaced");
        findings
            .push(Finding::questionable(text, format!("{look}; spec.replicas of the Deployment: {REPLICAS} or more")));
    }
    report.findings(Id::Endpoints, format!("{ready} replicas are ready"), findings);
}

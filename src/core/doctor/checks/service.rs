//! `service`: the Service that the entries call exists and has that port.

use serde_json::Value;

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::string_at;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::Report;
use crate::core::doctor::webhook_target::WebhookTarget;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let target = facts.target();
    let WebhookTarget::Service { namespace, name, port } = &target else {
        return report.sound(CheckId::Service, format!("the entries call {} without a Service", target.describe()));
    };
    let apply = "kubectl apply the manifests again, or correct clientConfig.service of the webhook configurations";
    let service = match &facts.service {
        Observation::Found(service) => service,
        Observation::Absent => {
            return report.faulty(CheckId::Service, format!("there is no Service {namespace}/{name}"), apply);
        }
        Observation::Unknown(reason) => return report.unknown(CheckId::Service, reason),
    };
    if string_at(service, "/spec/type") == Some("ExternalName") {
        let host = string_at(service, "/spec/externalName").unwrap_or_default();
        return report.sound(CheckId::Service, format!("Service {namespace}/{name} stands for {host}"));
    }
    let ports: Vec<_> = ports(service).collect();
    if !ports.contains(&u64::from(*port)) {
        let text = format!("Service {namespace}/{name} has no port {port}, only {ports:?}");
        return report.faulty(
            CheckId::Service,
            text,
            format!("kubectl -n {namespace} edit service {name}: spec.ports"),
        );
    }
    report.sound(CheckId::Service, format!("Service {namespace}/{name} has port {port}"));
}

fn ports(service: &Value) -> impl Iterator<Item = u64> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    ports.filter_map(|port| port.get("port").and_then(Value::as_u64))
}

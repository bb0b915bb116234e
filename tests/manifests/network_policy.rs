//! The component with the `NetworkPolicy`: it must never keep an API server out.

use std::fs;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::render::{Rendered, copy_of_the_manifests, kustomize_path};

fn rendered() -> Rendered {
    let copy = copy_of_the_manifests();
    let overlay = copy.path().join("manifests/overlays/self-managed");
    let file = overlay.join("kustomization.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("\ncomponents:\n", "\ncomponents:\n  - ../../components/network-policy\n");
    fs::write(file, text.replace("\nnamespace: hobbyfarm-session-webhook\n", "\nnamespace: elsewhere\n")).unwrap();
    kustomize_path(&overlay)
}

fn ports(ports: Option<Vec<NetworkPolicyPort>>) -> Vec<IntOrString> {
    ports.unwrap().into_iter().map(|port| port.port.unwrap()).collect()
}

#[test]
fn api_servers_may_come_from_anywhere_and_only_pods_see_the_metrics() {
    let policy: NetworkPolicy = rendered().the_named("NetworkPolicy", "session-webhook");
    let mut ingress = policy.spec.unwrap().ingress.unwrap().into_iter();
    let (webhook, ops) = (ingress.next().unwrap(), ingress.next().unwrap());
    assert!(ingress.next().is_none());
    assert_eq!(webhook.from, None, "an API server is no pod: no selector can mean it");
    assert_eq!(ports(webhook.ports), [IntOrString::String("webhook".to_owned())]);
    let from = ops.from.unwrap();
    assert_eq!(from.len(), 1);
    assert!(from[0].namespace_selector.is_some() && from[0].ip_block.is_none(), "{from:?}");
    assert_eq!(ports(ops.ports), [IntOrString::String("ops".to_owned())]);
}

#[test]
fn nothing_leaves_the_pods_but_what_goes_to_an_api_server() {
    let policy: NetworkPolicy = rendered().the_named("NetworkPolicy", "session-webhook");
    let spec = policy.spec.unwrap();
    assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"]);
    let egress = spec.egress.unwrap();
    assert_eq!(egress.len(), 1);
    assert_eq!(egress[0].to, None, "an API server is no pod here either");
    assert_eq!(ports(egress[0].ports.clone()), [443, 6443].map(IntOrString::Int));
}

#[test]
fn it_is_about_the_pods_of_the_deployment() {
    let rendered = rendered();
    let policy: NetworkPolicy = rendered.the_named("NetworkPolicy", "session-webhook");
    let deployment: Deployment = rendered.the("Deployment");
    assert_eq!(policy.metadata.namespace, deployment.metadata.namespace);
    let spec = deployment.spec.unwrap();
    assert_eq!(policy.spec.unwrap().pod_selector, Some(spec.selector));
    let container = &spec.template.spec.unwrap().containers[0];
    let names: Vec<_> = container.ports.iter().flatten().filter_map(|port| port.name.as_deref()).collect();
    assert_eq!(names, ["webhook", "ops"], "the policy names the ports");
}

#[test]
fn it_knows_every_pod_that_there_is() {
    let copy = copy_of_the_manifests();
    let overlay = copy.path().join("manifests/overlays/self-managed");
    let file = overlay.join("kustomization.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let components = "\ncomponents:\n  - ../../components/network-policy\n  - ../../components/audit\n";
    fs::write(file, text.replace("\ncomponents:\n", components)).unwrap();
    let rendered = kustomize_path(&overlay);
    let selectors: Vec<_> =
        rendered.of_kind("NetworkPolicy").map(|policy| &policy["spec"]["podSelector"]["matchLabels"]).collect();
    let pods = rendered.of_kind("Deployment").map(|object| &object["spec"]["template"]);
    let jobs = rendered.of_kind("CronJob").map(|object| &object["spec"]["jobTemplate"]["spec"]["template"]);
    let labels: Vec<_> = pods.chain(jobs).map(|pod| pod["metadata"]["labels"].clone()).collect();
    assert_eq!(labels.len(), 3);
    let doctor = serde_json::json!({"app.kubernetes.io/name": "session-webhook-doctor"});
    for labels in labels.iter().chain([&doctor]) {
        let selects = |selector: &&&serde_json::Value| {
            selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value)
        };
        assert_eq!(selectors.iter().filter(selects).count(), 1, "{labels}");
    }
}

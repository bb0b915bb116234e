//! The component for the Prometheus operator and Grafana; `tests/monitoring` holds its queries against the metrics.

use std::fs;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;

use crate::render::{Rendered, copy_of_the_manifests, kustomize_path};

/// `overlays/cert-manager` with the component in its own list, in another namespace.
fn rendered() -> Rendered {
    let copy = copy_of_the_manifests();
    let overlay = copy.path().join("manifests/overlays/cert-manager");
    let file = overlay.join("kustomization.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("\ncomponents:\n", "\ncomponents:\n  - ../../components/monitoring\n");
    fs::write(file, text.replace("\nnamespace: hobbyfarm-session-webhook\n", "\nnamespace: elsewhere\n")).unwrap();
    kustomize_path(&overlay)
}

#[test]
fn the_monitor_finds_the_port_with_the_metrics_on_the_pods() {
    let rendered = rendered();
    let monitor = rendered.named("PodMonitor", "session-webhook");
    let deployment: Deployment = rendered.the("Deployment");
    let template = deployment.spec.unwrap().template;
    let labels = template.metadata.unwrap().labels.unwrap();
    for (label, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(labels.get(label).map(String::as_str), value.as_str());
    }
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let ports = template.spec.unwrap().containers[0].ports.clone().unwrap();
    assert!(ports.iter().any(|port| port.name.as_deref() == endpoint["port"].as_str()), "{ports:?}");
    assert_eq!(endpoint["path"], "/metrics");
}

#[test]
fn all_of_it_stands_in_the_namespace_of_the_overlay() {
    let rendered = rendered();
    for (kind, name) in [
        ("PodMonitor", "session-webhook"),
        ("PrometheusRule", "session-webhook"),
        ("ConfigMap", "session-webhook-dashboard"),
    ] {
        assert_eq!(rendered.named(kind, name)["metadata"]["namespace"], "elsewhere", "{kind}");
    }
}

#[test]
fn grafana_finds_the_dashboard_by_its_label() {
    let rendered = rendered();
    let map = rendered.named("ConfigMap", "session-webhook-dashboard");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let dashboard: Value = serde_json::from_str(map["data"]["dashboard.json"].as_str().unwrap()).unwrap();
    assert_eq!(dashboard["uid"], "hobbyfarm-session-webhook");
}

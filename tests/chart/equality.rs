//! For equal settings the chart makes what kustomize makes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::helm::{NAMESPACE, template};
use crate::render::{Rendered, copy_of_the_manifests, kustomize, kustomize_path};

/// Holds the chart against kustomize, object by object.
///
/// The one difference is the Namespace, which a chart cannot hold: Helm keeps its release in it, so it must be there first. There
/// is no other, not even a label: what Helm knows its objects by it adds itself when it installs them.
fn assert_equal(arguments: &[&str], by_kustomize: Rendered) {
    let mut expected = by_kustomize.objects;
    let all = expected.len();
    expected.retain(|object| object["kind"] != "Namespace");
    assert!(all - expected.len() <= 1);
    let mut found = template(arguments).objects;
    let key = |object: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
    };
    expected.sort_by_key(key);
    found.sort_by_key(key);
    let keys = |objects: &[Value]| objects.iter().map(key).collect::<Vec<_>>();
    assert_eq!(keys(&found), keys(&expected), "{arguments:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{arguments:?}");
    }
}

#[test]
fn the_chart_as_it_is_makes_what_the_overlay_for_cert_manager_makes() {
    assert_equal(&[], kustomize("manifests/overlays/cert-manager"));
}

#[test]
fn self_managed_certificates_make_what_their_overlay_makes() {
    assert_equal(&["--set=certificate.source=self-managed"], kustomize("manifests/overlays/self-managed"));
}

#[test]
fn failing_open_makes_what_its_overlay_makes() {
    assert_equal(&["--set=webhooks.failurePolicy=open"], kustomize("manifests/overlays/fail-open"));
}

#[test]
fn the_guard_that_needs_no_pod_makes_what_its_overlay_makes() {
    assert_equal(&["--set=guard=policy-and-webhook"], kustomize("manifests/overlays/policy-and-webhook"));
}

#[test]
fn another_namespace_makes_what_an_overlay_elsewhere_makes() {
    for (overlay, source) in [("cert-manager", "cert-manager"), ("self-managed", "self-managed")] {
        let copy = copy_of_the_manifests();
        let folder = copy.path().join("manifests/overlays").join(overlay);
        let file = folder.join("kustomization.yaml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("\nnamespace: hobbyfarm-session-webhook\n", "\nnamespace: elsewhere\n")).unwrap();
        let source = format!("--set=certificate.source={source}");
        assert_equal(&["--namespace=elsewhere", &source], kustomize_path(&folder));
    }
}

#[test]
fn what_can_be_added_makes_what_its_component_makes() {
    let folder = copy_of_the_manifests();
    for (value, component) in [
        ("audit.enabled=true", "audit"),
        ("matchConditions.keepAlives=false", "call-for-keep-alives"),
        ("doctor.enabled=true", "doctor"),
        ("hostNetwork=true", "host-network"),
        ("ports.webhook=10250", "port-10250"),
        ("resources.requests.cpu=50m,resources.requests.memory=128Mi", "gke-autopilot"),
        ("networkPolicy.enabled=true", "network-policy"),
        ("metrics.monitor=PodMonitor,alerts.enabled=true,dashboard.enabled=true", "monitoring"),
        ("guard=policy-and-webhook", "policy-and-webhook"),
        ("guard=policy-and-webhook,webhooks.failurePolicy=split", "policy"),
    ] {
        assert_equal(&["--set", value], kustomize_path(&overlay_with(folder.path(), &[component])));
    }
}

#[test]
fn older_servers_get_what_the_components_for_them_make() {
    let old = ["without-match-conditions", "before-1.27", "policy-v1beta1"];
    let folder = copy_of_the_manifests();
    let by_components = |components: &[&str]| kustomize_path(&overlay_with(folder.path(), components));
    assert_equal(&["--kube-version=1.20.2"], by_components(&old));
    assert_equal(&["--kube-version=1.26.15"], by_components(&old[..2]));
    assert_equal(&["--kube-version=v1.27.3-gke.100"], by_components(&old[..1]));
    assert_equal(&["--kube-version=v1.28.0-eks-1234"], by_components(&[]));
    assert_equal(&["--kube-version=1.20.2", "--set=webhooks.matchConditions=always"], by_components(&old[1..]));
    assert_equal(&["--set=webhooks.matchConditions=never"], by_components(&old[..1]));
}

/// The overlay for cert-manager with components on top.
fn overlay_with(copy: &Path, components: &[&str]) -> std::path::PathBuf {
    let folder = copy.join("manifests/overlays/old");
    fs::create_dir_all(&folder).unwrap();
    let components: Vec<_> = components.iter().map(|name| format!("../../components/{name}")).collect();
    // Accounts take their namespace from the overlay on top. This kustomize would give one to a policy as well.
    let has_accounts = |component: &String| component.ends_with("audit") || component.ends_with("doctor");
    let namespace = if components.iter().any(has_accounts) { NAMESPACE } else { "" };
    let components = components.join(", ");
    let text = format!("namespace: '{namespace}'\nresources: [../cert-manager]\ncomponents: [{components}]\n");
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
    folder
}

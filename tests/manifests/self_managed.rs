//! `overlays/self-managed`: the rights are those that the program needs, on the objects that it looks after.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, RoleRef, Subject};
use serde_json::{Value, json};
use session_webhook::cluster::self_managed::service_dns_names;
use session_webhook::core::installation::{NAMESPACE, SELF_MANAGED, SELF_MANAGED_CONFIGURATIONS};

use crate::render::{Rendered, copy_of_the_manifests, default, kustomize, kustomize_path, rules};

const OVERLAY: &str = "manifests/overlays/self-managed";

#[test]
fn the_rights_end_at_the_objects_that_the_program_looks_after() {
    let rendered = kustomize(OVERLAY);
    let role: Role = rendered.the_named("Role", "session-webhook");
    assert_eq!(role.metadata.namespace.as_deref(), Some(NAMESPACE));
    assert_eq!(role.rules.unwrap(), rules(&SELF_MANAGED, &default("tls-secret")));
    let name = default("webhook-configuration");
    let role: ClusterRole = rendered.the_named("ClusterRole", "hobbyfarm-session-webhook");
    assert_eq!(role.rules.unwrap(), rules(&SELF_MANAGED_CONFIGURATIONS, &name));
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        rendered.named(kind, &name);
    }
}

#[test]
fn the_rights_are_the_pods_alone() {
    let rendered = kustomize(OVERLAY);
    let deployment: Deployment = rendered.the("Deployment");
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    let subject = Subject {
        kind: "ServiceAccount".to_owned(),
        name: pod.service_account_name.unwrap(),
        namespace: Some(NAMESPACE.to_owned()),
        api_group: None,
    };
    let to = |kind: &str, name: Option<String>| RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.unwrap(),
    };
    let (binding, role): (RoleBinding, Role) =
        (rendered.the_named("RoleBinding", "session-webhook"), rendered.the_named("Role", "session-webhook"));
    assert_eq!((binding.subjects.unwrap(), binding.role_ref), (vec![subject.clone()], to("Role", role.metadata.name)));
    let (binding, role): (ClusterRoleBinding, ClusterRole) = (
        rendered.the_named("ClusterRoleBinding", "hobbyfarm-session-webhook"),
        rendered.the_named("ClusterRole", "hobbyfarm-session-webhook"),
    );
    assert_eq!((binding.subjects.unwrap(), binding.role_ref), (vec![subject], to("ClusterRole", role.metadata.name)));
}

#[test]
fn the_pod_has_a_token_and_mounts_no_secret() {
    let rendered = kustomize(OVERLAY);
    let deployment: Deployment = rendered.the("Deployment");
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.automount_service_account_token, Some(true));
    let volumes: Vec<_> = pod.volumes.unwrap().into_iter().map(|volume| volume.name).collect();
    let mounts: Vec<_> =
        pod.containers[0].volume_mounts.as_ref().unwrap().iter().map(|mount| mount.name.as_str()).collect();
    assert_eq!((volumes, mounts), (vec!["config".to_owned()], vec!["config"]));
    let args = pod.containers[0].args.as_ref().unwrap();
    assert_eq!(args.last().map(String::as_str), Some("--tls=self-managed"));
    // The name alone, so that it goes with the rest.
    let secret = rendered.named("Secret", &default("tls-secret"));
    assert_eq!((secret.get("data"), secret.get("stringData")), (None, None));
}

#[test]
fn the_certificate_is_for_the_service_that_the_api_server_calls() {
    let rendered = kustomize(OVERLAY);
    for webhook in webhooks(&rendered) {
        let service = &webhook["clientConfig"]["service"];
        let (name, namespace) = (service["name"].as_str().unwrap(), service["namespace"].as_str().unwrap());
        assert_eq!((name, namespace), (default("tls-service").as_str(), NAMESPACE));
        assert_eq!(service_dns_names(name, namespace)[0], format!("{name}.{namespace}.svc"));
        assert_eq!(webhook["clientConfig"].get("caBundle"), None, "a manifest that names it would fight the program");
    }
    rendered.named("Service", &default("tls-service"));
}

fn webhooks(rendered: &Rendered) -> Vec<Value> {
    ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
        .iter()
        .flat_map(|kind| rendered.of_kind(kind))
        .flat_map(|configuration| configuration["webhooks"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn it_can_be_open_while_nobody_answers_and_elsewhere() {
    let copy = copy_of_the_manifests();
    let file = copy.path().join(OVERLAY).join("kustomization.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("\nnamespace: hobbyfarm-session-webhook\n", "\nnamespace: elsewhere\n");
    std::fs::write(&file, text + "  - ../../components/fail-open\n").unwrap();
    let rendered = kustomize_path(&copy.path().join(OVERLAY));
    for webhook in webhooks(&rendered) {
        assert_eq!(webhook["failurePolicy"], "Ignore");
        assert_eq!(webhook["clientConfig"]["service"]["namespace"], "elsewhere");
    }
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        for binding in rendered.of_kind(kind) {
            assert_eq!(binding["subjects"][0]["namespace"], json!("elsewhere"), "{kind}");
        }
    }
    for role in rendered.of_kind("Role") {
        assert_eq!(role["metadata"]["namespace"], "elsewhere");
    }
}

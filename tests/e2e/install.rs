//! What is put into the cluster: HobbyFarm's accounts, and the webhook as it is shipped.

use std::process::Command;

use serde_json::{Value, json};

use crate::kubectl::Outcome;
use crate::verbs::accepts;
use crate::world::World;
use crate::writer::{HOBBYFARM, Request};

/// Where definitions of resources are.
pub(crate) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Where the webhook is installed.
pub(crate) const NAMESPACE: &str = "hobbyfarm-session-webhook";

/// Somewhere else.
pub(crate) const ELSEWHERE: &str = "elsewhere";
/// Velero's namespace, and the name of its account there.
pub(crate) const VELERO: &str = "velero";

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Namespaces, accounts and rights, with the paths to create them at.
pub(crate) fn people_and_rights() -> Vec<(String, Value)> {
    let mut objects = Vec::new();
    for name in [HOBBYFARM, NAMESPACE, ELSEWHERE, VELERO] {
        objects.push(("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": name}})));
    }
    let hobbyfarm = ["hobbyfarm-session", "hobbyfarm-gargantua", "hobbyfarm-user"];
    let strangers =
        [(ELSEWHERE, "intruder"), (ELSEWHERE, "hobbyfarm-session"), (HOBBYFARM, "hobbyfarm-quiz"), (VELERO, VELERO)];
    for (namespace, name) in hobbyfarm.map(|name| (HOBBYFARM, name)).into_iter().chain(strangers) {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        objects.push((path, json!({"metadata": {"name": name}})));
    }
    // What HobbyFarm's chart gives its session service, in all namespaces.
    let role = json!({
        "metadata": {"name": "hobbyfarm"},
        "rules": [{"apiGroups": ["hobbyfarm.io"], "resources": ["sessions", "sessions/status"], "verbs": ["*"]}],
    });
    objects.push((format!("{RBAC}/clusterroles"), role));
    let account = |(namespace, name)| json!({"kind": "ServiceAccount", "namespace": namespace, "name": name});
    let alice = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"});
    let mut almighty: Vec<_> = strangers.map(account).to_vec();
    almighty.push(alice);
    objects.push(binding("hobbyfarm", &hobbyfarm.map(|name| account((HOBBYFARM, name)))));
    objects.push(binding("cluster-admin", &almighty));
    objects
}

fn binding(role: &str, subjects: &[Value]) -> (String, Value) {
    let body = json!({
        "metadata": {"name": format!("e2e-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    });
    (format!("{RBAC}/clusterrolebindings"), body)
}

/// The objects of `manifests/base`.
fn base() -> Vec<Value> {
    rendered("base")
}

/// The objects of a folder of `manifests`.
pub(crate) fn rendered(folder: &str) -> Vec<Value> {
    let folder = format!("{}/manifests/{folder}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("kubectl").args(["kustomize", &folder]).output().expect("kubectl is needed");
    assert!(output.status.success(), "kubectl kustomize: {}", String::from_utf8_lossy(&output.stderr));
    serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

/// The configuration file that the shipped `ConfigMap` holds.
pub(crate) fn shipped_config() -> String {
    let map = base().into_iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    map["data"]["config.yaml"].as_str().unwrap().to_owned()
}

/// The shipped objects, with nothing changed but where the API server finds the webhook.
pub(crate) async fn shipped(world: &World) -> Vec<Value> {
    use base64::Engine;
    let mut objects = base();
    let webhook = world.webhook.lock().await;
    let authority = base64::engine::general_purpose::STANDARD.encode(webhook.authority());
    for entry in objects.iter_mut().filter_map(|object| object.get_mut("webhooks")?.as_array_mut()).flatten() {
        let path = entry["clientConfig"]["service"]["path"].as_str().unwrap().to_owned();
        entry["clientConfig"] = json!({"url": webhook.url(&path), "caBundle": authority});
    }
    drop(webhook);
    // What components/policy-v1beta1 does, on a server that needs it.
    if world.admin.sends(&Request::get("/apis/policy/v1")).await.code == 404 {
        let budget = objects.iter_mut().find(|object| object["kind"] == "PodDisruptionBudget").unwrap();
        budget["apiVersion"] = json!("policy/v1beta1");
    }
    objects
}

/// Applies the shipped objects, without validation: servers before 1.27 do not know `matchConditions`, which they drop
/// where they are not asked to validate.
pub(crate) async fn apply(world: &World) -> Outcome {
    let objects = shipped(world).await;
    world.admin_kubectl.run_on(&["apply", "--validate=false", "-n", NAMESPACE, "-f", "-"], &objects).succeeds()
}

/// Whether the API server kept what splits the validating entries by user.
pub(crate) async fn keeps_match_conditions(world: &World) -> bool {
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hobbyfarm-session-webhook";
    let stored = accepts(&world.admin, Request::get(path)).await.body;
    stored["webhooks"].as_array().unwrap().iter().all(|webhook| webhook.get("matchConditions").is_some())
}

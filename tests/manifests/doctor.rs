//! `components/doctor` in an overlay.

use serde_json::json;
use session_webhook::core::installation::{CONFIGURATION, NAMESPACE, SELF_MANAGED_SECRET};

use crate::render::{copy_of_the_manifests, kustomize_path};

#[test]
fn the_account_of_doctor_may_look_at_the_installation_and_change_nothing() {
    let copy = copy_of_the_manifests();
    let folder = copy.path().join("manifests/overlays/with-doctor");
    std::fs::create_dir(&folder).unwrap();
    let text = std::fs::read_to_string(copy.path().join("manifests/overlays/cert-manager/kustomization.yaml")).unwrap();
    let text = text.replace("components:\n", "components:\n  - ../../components/doctor\n");
    std::fs::write(folder.join("kustomization.yaml"), text).unwrap();
    let rendered = kustomize_path(&folder);

    let account = json!([{"kind": "ServiceAccount", "name": "session-webhook-doctor", "namespace": NAMESPACE}]);
    for (kind, name) in
        [("ClusterRoleBinding", "hobbyfarm-session-webhook-doctor"), ("RoleBinding", "session-webhook-doctor")]
    {
        assert_eq!(rendered.named(kind, name)["subjects"], account);
    }
    let mut created = Vec::new();
    for (kind, name) in [("ClusterRole", "hobbyfarm-session-webhook-doctor"), ("Role", "session-webhook-doctor")] {
        for rule in rendered.named(kind, name)["rules"].as_array().unwrap() {
            for verb in rule["verbs"].as_array().unwrap() {
                match verb.as_str().unwrap() {
                    "get" | "list" => {}
                    "create" => created.push(rule["resources"][0].as_str().unwrap().to_owned()),
                    other => panic!("{other}: {rule}"),
                }
            }
        }
    }
    assert_eq!(created, ["subjectaccessreviews", "sessions"], "a question, and a dry run that is refused");
    let rules = &rendered.named("Role", "session-webhook-doctor")["rules"];
    assert_eq!(rules[3]["resourceNames"], json!(["session-webhook-tls", SELF_MANAGED_SECRET]));
    let rules = &rendered.named("ClusterRole", "hobbyfarm-session-webhook-doctor")["rules"];
    assert_eq!(rules[0]["resourceNames"], json!([CONFIGURATION]));
}

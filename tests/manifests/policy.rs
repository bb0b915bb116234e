//! The component with the `ValidatingAdmissionPolicy`; `tests/oracle` holds what it says against the webhook's policy.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;
use session_webhook::core::installation::CONFIGURATION;
use session_webhook::core::policy_twin::admission_policy::objects;
use session_webhook::core::settings::{Mode, Settings};

use crate::render::{copy_of_the_manifests, kustomize, kustomize_path};

const WITH_POLICY: &str = "
resources: [../overlays/cert-manager]
components: [../components/policy]
";

#[test]
fn the_policy_stands_beside_the_webhook_and_matches_the_same_requests() {
    let copy = copy_of_the_manifests();
    let folder = copy.path().join("manifests/mine");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kustomization.yaml"), WITH_POLICY).unwrap();
    let rendered = kustomize_path(&folder);

    let webhooks: Value = rendered.the("ValidatingWebhookConfiguration");
    let policy: ValidatingAdmissionPolicy = rendered.the("ValidatingAdmissionPolicy");
    assert_eq!(policy.metadata.namespace, None, "it belongs to no namespace");
    let constraints = serde_json::to_value(policy.spec.unwrap().match_constraints.unwrap()).unwrap();
    let webhook = &webhooks["webhooks"][0];
    assert_eq!(constraints["resourceRules"], webhook["rules"]);
    assert_eq!(constraints["matchPolicy"], webhook["matchPolicy"]);
    for field in ["namespaceSelector", "objectSelector"] {
        let selects = webhook.get(field).cloned().unwrap_or_else(|| serde_json::json!({}));
        assert_eq!(constraints[field], selects, "{field}");
    }
    let binding: ValidatingAdmissionPolicyBinding = rendered.the("ValidatingAdmissionPolicyBinding");
    assert_eq!(binding.spec.unwrap().policy_name, policy.metadata.name);
}

#[test]
fn a_trial_run_refuses_nobody_neither_by_the_policy_nor_for_want_of_an_answer() {
    for (name, mode) in [("warn", Mode::Warn), ("audit", Mode::Audit)] {
        let copy = copy_of_the_manifests();
        let folder = copy.path().join("manifests/mine");
        std::fs::create_dir(&folder).unwrap();
        let text = WITH_POLICY.replace("policy]", &format!("policy, ../components/mode-{name}]"));
        std::fs::write(folder.join("kustomization.yaml"), text).unwrap();
        let rendered = kustomize_path(&folder);
        let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
        for entry in
            kinds.iter().flat_map(|kind| rendered.of_kind(kind)).flat_map(|o| o["webhooks"].as_array().unwrap())
        {
            assert_eq!(entry["failurePolicy"], "Ignore", "{name}");
        }
        let deployment: Deployment = rendered.the("Deployment");
        let env = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0).env.unwrap();
        let variable = env.into_iter().find(|variable| variable.name == "SESSION_WEBHOOK_MODE").unwrap();
        assert_eq!(variable.value.as_deref(), Some(name));
        let [policy, binding] = objects(&Settings { mode, ..Settings::default() });
        let found = rendered.named("ValidatingAdmissionPolicy", CONFIGURATION);
        assert_eq!(found["spec"]["auditAnnotations"], policy["spec"]["auditAnnotations"]);
        assert_eq!(rendered.named("ValidatingAdmissionPolicyBinding", CONFIGURATION)["spec"], binding["spec"]);
    }
}

/// Older servers do not know the kinds, and would refuse the whole overlay.
#[test]
fn no_overlay_has_it_unasked() {
    for overlay in ["cert-manager", "fail-open", "self-managed"] {
        let rendered = kustomize(&format!("manifests/overlays/{overlay}"));
        assert_eq!(rendered.of_kind("ValidatingAdmissionPolicy").count(), 0, "{overlay}");
    }
}

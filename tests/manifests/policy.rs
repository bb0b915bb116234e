//! The component with the `ValidatingAdmissionPolicy`; `tests/oracle` holds what it says against the webhook's policy.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use serde_json::Value;

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
    for field in ["matchPolicy", "namespaceSelector", "objectSelector"] {
        assert_eq!(constraints[field], webhook[field], "{field}");
    }
    let binding: ValidatingAdmissionPolicyBinding = rendered.the("ValidatingAdmissionPolicyBinding");
    assert_eq!(binding.spec.unwrap().policy_name, policy.metadata.name);
}

/// Older servers do not know the kinds, and would refuse the whole overlay.
#[test]
fn no_overlay_has_it_unasked() {
    for overlay in ["cert-manager", "fail-open", "self-managed"] {
        let rendered = kustomize(&format!("manifests/overlays/{overlay}"));
        assert_eq!(rendered.of_kind("ValidatingAdmissionPolicy").count(), 0, "{overlay}");
    }
}

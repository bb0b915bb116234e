//! `serve --backfill` in the shipped overlays: the rights are those that the program needs.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use serde_json::json;
use session_webhook::core::installation::{BACKFILL, BACKFILL_LEASE};

use crate::render::{default, kustomize, rules};

const OVERLAYS: [&str; 3] =
    ["manifests/overlays/cert-manager", "manifests/overlays/fail-open", "manifests/overlays/self-managed"];

#[test]
fn it_is_on_wherever_the_webhook_is_installed() {
    for overlay in OVERLAYS {
        let deployment: Deployment = kustomize(overlay).the("Deployment");
        let pod = deployment.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.automount_service_account_token, Some(true), "{overlay}");
        assert!(pod.containers[0].args.as_ref().unwrap().contains(&"--backfill".to_owned()), "{overlay}");
    }
}

#[test]
fn its_rights_end_at_what_it_does() {
    for overlay in OVERLAYS {
        let rendered = kustomize(overlay);
        let role: ClusterRole = rendered.the_named("ClusterRole", "hobbyfarm-session-webhook-backfill");
        assert_eq!(role.rules.unwrap(), rules(&BACKFILL, ""));
        let role: Role = rendered.the_named("Role", "session-webhook-backfill");
        assert_eq!(role.rules.unwrap(), rules(&BACKFILL_LEASE, &default("backfill-lease")));
        let account =
            json!([{"kind": "ServiceAccount", "name": "session-webhook", "namespace": "hobbyfarm-session-webhook"}]);
        for (kind, name) in
            [("ClusterRoleBinding", "hobbyfarm-session-webhook-backfill"), ("RoleBinding", "session-webhook-backfill")]
        {
            assert_eq!(rendered.named(kind, name)["subjects"], account, "{overlay}");
        }
    }
}

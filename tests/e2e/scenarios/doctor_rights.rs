//! `doctor` on rights: HobbyFarm's, the webhook's own, those of others, and those of whoever looks.

use serde_json::{Value, json};

use crate::diagnosis::doctor_for;
use crate::doctoring::{installed, path_of, rbac};
use crate::install;
use crate::kubelet::Kubelet;
use crate::world::World;
use crate::writer::HOBBYFARM;

pub(super) async fn accounts_that_may_not_write_are_named(world: &World) {
    installed(world, async |it| {
        it.delete(&rbac("clusterrolebindings", "e2e-hobbyfarm")).await;
        let diagnosis = it.has("accounts");
        assert!(diagnosis.check("accounts")["text"].to_string().contains("hobbyfarm-session"));
    })
    .await;
}

pub(super) async fn an_account_that_may_write_status_alone_is_named(world: &World) {
    installed(world, async |it| {
        it.change(&rbac("clusterroles", "hobbyfarm"), |role| role["rules"][0]["resources"] = json!(["sessions"])).await;
        // Without the subresource nothing is amiss.
        if world.form.status_subresource {
            it.has("accounts");
        } else {
            it.is_sound();
        }
    })
    .await;
}

pub(super) async fn an_account_that_does_not_exist_is_told_of(world: &World) {
    installed(world, async |it| {
        it.delete(&format!("/api/v1/namespaces/{HOBBYFARM}/serviceaccounts/hobbyfarm-user")).await;
        let diagnosis = it.is_odd_in("accounts");
        assert!(diagnosis.check("accounts")["text"].to_string().contains("hobbyfarm-user"));
    })
    .await;
}

pub(super) async fn others_who_may_write_are_told_of(world: &World) {
    installed(world, async |it| {
        let diagnosis = it.is_odd_in("other-writers");
        let text = diagnosis.check("other-writers")["text"].to_string();
        assert!(text.contains("user alice") && text.contains("service account elsewhere/intruder"), "{text}");
        assert!(!text.contains("hobbyfarm-gargantua") && !text.contains("kube-system"), "{text}");
    })
    .await;
}

pub(super) async fn rights_that_the_webhook_lacks_are_named_and_superfluous_ones_told_of(world: &World) {
    installed(world, async |it| {
        let binding = rbac("clusterrolebindings", "hobbyfarm-session-webhook-backfill");
        let wide = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "e2e-wide"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "hobbyfarm"},
            "subjects": [{"kind": "ServiceAccount", "namespace": install::NAMESPACE, "name": "session-webhook"}],
        });
        it.put(&rbac("clusterrolebindings", "e2e-wide"), wide).await;
        it.is_odd_in("own-rights");
        it.delete(&rbac("clusterrolebindings", "e2e-wide")).await;
        it.delete(&binding).await;
        let diagnosis = it.has("own-rights");
        assert!(diagnosis.check("own-rights")["text"].to_string().contains("patch sessions/status.hobbyfarm.io"));
    })
    .await;
}

pub(super) async fn who_may_not_look_is_told_which_right_is_missing(world: &World) {
    installed(world, async |_| {
        let (_, kubeconfig) = world.cluster.person("nobody-in-particular");
        let diagnosis = doctor_for(&kubeconfig, &["--output", "json"]);
        assert_eq!(diagnosis.code, Some(2), "{diagnosis:?}");
        assert_eq!(diagnosis.with_status("faulty"), Vec::<String>::new(), "{}", diagnosis.stdout);
        let text = diagnosis.check("validating-configuration")["text"].to_string();
        assert!(
            text.contains("get validatingwebhookconfigurations.admissionregistration.k8s.io/hobbyfarm-session-webhook"),
            "{text}"
        );
        let probe = diagnosis.check("definition")["text"].to_string();
        assert!(probe.contains("get customresourcedefinitions"), "{probe}");
    })
    .await;
}

/// The rights of `manifests/components/doctor` are enough in a pod; from outside one is missing, and named.
pub(super) async fn with_the_shipped_rights_a_pod_sees_everything(world: &World) {
    installed(world, async |it| {
        let kubelet = Kubelet::start(it.address).await;
        it.run_in_pods(kubelet.port).await;
        let shipped = include_str!("../../../manifests/components/doctor/rbac.yaml");
        let shipped = shipped.replace("namespace: default", &format!("namespace: {}", install::NAMESPACE));
        let objects: Vec<Value> = serde_saphyr::from_multiple(&shipped).unwrap();
        for mut object in objects {
            // As kustomize does.
            if !object["kind"].as_str().unwrap().starts_with("Cluster") {
                object["metadata"]["namespace"] = json!(install::NAMESPACE);
            }
            it.put(&path_of(&object), object).await;
        }
        let kubeconfig = world.kubeconfig(install::NAMESPACE, "session-webhook-doctor").await;
        let inside = it.doctor_inside_for(&kubeconfig, &["--output", "json"]).finds(&[]);
        assert_eq!(inside.with_status("skipped"), Vec::<String>::new(), "{}", inside.stdout);

        let outside = doctor_for(&kubeconfig, &["--output", "json"]);
        assert_eq!(outside.with_status("unknown"), ["served-certificate"], "{}", outside.stdout);
        assert_eq!(outside.code, Some(2), "{outside:?}");
        let text = outside.check("served-certificate")["text"].to_string();
        assert!(text.contains("get and create pods/portforward in the namespace hobbyfarm-session-webhook"), "{text}");
    })
    .await;
}

//! `components/audit`: pod and `CronJob` run the program as it wants to be run, with rights to look and no others.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role};
use session_webhook::core::installation::{AUDIT, BACKFILL_LEASE};
use session_webhook::{cli, config};

use crate::render::{Rendered, copy_of_the_manifests, kustomize_path, rules};

const KUSTOMIZATION: &str = "
resources: [../overlays/cert-manager]
components: [../components/audit]
namespace: hobbyfarm-session-webhook
";

fn rendered() -> Rendered {
    let copy = copy_of_the_manifests();
    let folder = copy.path().join("manifests/audited");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kustomization.yaml"), KUSTOMIZATION).unwrap();
    kustomize_path(&folder)
}

#[test]
fn its_rights_are_to_look() {
    let rendered = rendered();
    let role: ClusterRole = rendered.the_named("ClusterRole", "hobbyfarm-session-webhook-audit");
    assert_eq!(role.rules.unwrap(), rules(&AUDIT, ""));
    let binding: ClusterRoleBinding = rendered.the_named("ClusterRoleBinding", "hobbyfarm-session-webhook-audit");
    let accounts: Vec<_> =
        binding.subjects.unwrap().into_iter().map(|subject| (subject.namespace, subject.name)).collect();
    assert_eq!(accounts, [(Some("hobbyfarm-session-webhook".to_owned()), "session-webhook-audit".to_owned())]);
    let role: Role = rendered.the_named("Role", "session-webhook-audit");
    assert_eq!(role.rules.unwrap(), rules(&BACKFILL_LEASE, "session-webhook-audit"));
}

#[test]
fn the_program_takes_the_arguments_of_the_job_and_of_the_pod() {
    let rendered = rendered();
    let job: CronJob = rendered.the("CronJob");
    let job = job.spec.unwrap().job_template.spec.unwrap().template.spec.unwrap();
    let pods = ["session-webhook", "session-webhook-audit"].map(|name| {
        let deployment: Deployment = rendered.the_named("Deployment", name);
        deployment.spec.unwrap().template.spec.unwrap()
    });
    let [webhook, auditor] = &pods;
    let maps = |pod: &PodSpec| {
        pod.volumes.iter().flatten().find_map(|volume| volume.config_map.clone()).map(|map| map.name).unwrap()
    };
    for pod in [&job, auditor] {
        assert_eq!(pod.service_account_name.as_deref(), Some("session-webhook-audit"));
        assert_eq!(pod.automount_service_account_token, Some(true));
        assert_eq!(pod.containers[0].image, webhook.containers[0].image);
        assert_eq!(maps(pod), maps(webhook), "the configuration is the webhook's own");
    }
    for (pod, expected, audits) in [(&job, "audit", true), (auditor, "serve", true), (webhook, "serve", false)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        let config = rendered.of_kind("ConfigMap").next().unwrap()["data"]["config.yaml"].as_str().unwrap();
        std::fs::write(&file, config).unwrap();
        let arguments = pod.containers[0].args.as_ref().unwrap().iter().map(|argument| {
            let is_config = argument.starts_with("--config=");
            if is_config { format!("--config={}", file.display()).into() } else { argument.into() }
        });
        let arguments = std::iter::once("session-webhook".into()).chain(arguments).collect();
        let matches = config::matches(&cli::command(), arguments, &|_| None).unwrap();
        let (subcommand, matches) = matches.subcommand().unwrap();
        assert_eq!(subcommand, expected);
        assert_eq!(matches.value_source("audit_interval").is_some(), audits);
    }
}

#[test]
fn no_service_leads_to_the_auditor() {
    let rendered = rendered();
    let labels = &rendered.named("Deployment", "session-webhook-audit")["spec"]["template"]["metadata"]["labels"];
    for service in rendered.of_kind("Service") {
        let selector = service["spec"]["selector"].as_object().unwrap();
        assert!(selector.iter().any(|(key, value)| labels[key] != *value), "{selector:?}");
    }
}

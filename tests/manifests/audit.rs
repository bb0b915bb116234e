//! `components/audit`: the `CronJob` runs the program as it wants to be run, with rights to look and no others.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use session_webhook::core::installation::AUDIT;
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
    let own = |name: &str| (Some("hobbyfarm-session-webhook".to_owned()), name.to_owned());
    assert_eq!(accounts, [own("session-webhook"), own("session-webhook-audit")]);
}

#[test]
fn the_program_takes_the_arguments_of_the_job_and_of_the_deployment() {
    let rendered = rendered();
    let job: CronJob = rendered.the("CronJob");
    let pod = job.spec.unwrap().job_template.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.service_account_name.as_deref(), Some("session-webhook-audit"));
    assert_eq!(pod.automount_service_account_token, Some(true));
    let deployment: Deployment = rendered.the("Deployment");
    let deployed = deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.containers[0].image, deployed.containers[0].image);
    let maps = |volumes: Option<Vec<k8s_openapi::api::core::v1::Volume>>| {
        volumes.unwrap().into_iter().find_map(|volume| volume.config_map).unwrap().name
    };
    assert_eq!(maps(pod.volumes), maps(deployed.volumes), "the configuration is the webhook's own");
    for (arguments, expected) in [(&pod.containers[0].args, "audit"), (&deployed.containers[0].args, "serve")] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        let config = rendered.of_kind("ConfigMap").next().unwrap()["data"]["config.yaml"].as_str().unwrap();
        std::fs::write(&file, config).unwrap();
        let arguments = arguments.as_ref().unwrap().iter().map(|argument| {
            let is_config = argument.starts_with("--config=");
            if is_config { format!("--config={}", file.display()).into() } else { argument.into() }
        });
        let arguments = std::iter::once("session-webhook".into()).chain(arguments).collect();
        let matches = config::matches(&cli::command(), arguments, &|_| None).unwrap();
        let (subcommand, matches) = matches.subcommand().unwrap();
        assert_eq!(subcommand, expected);
        assert!(matches.value_source("audit_interval").is_some());
    }
}

//! The Deployment and what stands around it.

use std::time::Duration;

use clap::FromArgMatches;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use session_webhook::cli;
use session_webhook::config::{self, LogArgs, LogFormat, PolicyArgs, ServeArgs};
use session_webhook::server::{Limits, MAX_BODY};

use crate::render::{Rendered, copy_of_the_manifests, kustomize, kustomize_path};

fn deployment() -> Deployment {
    kustomize("manifests/base").the("Deployment")
}

fn pod() -> PodSpec {
    deployment().spec.unwrap().template.spec.unwrap()
}

fn container() -> Container {
    let mut containers = pod().containers;
    assert_eq!(containers.len(), 1);
    containers.remove(0)
}

fn port(name: &str) -> i32 {
    let ports = container().ports.unwrap();
    ports.iter().find(|port| port.name.as_deref() == Some(name)).unwrap().container_port
}

fn as_the_program_reads_it<T: FromArgMatches>() -> T {
    as_the_program_reads(&kustomize("manifests/base"))
}

/// What the program makes of the pod's arguments, environment and configuration file.
pub(crate) fn as_the_program_reads<T: FromArgMatches>(rendered: &Rendered) -> T {
    let deployment: Deployment = rendered.the("Deployment");
    let namespace = deployment.metadata.namespace.unwrap_or_else(|| "somewhere".to_owned());
    let container = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let map = rendered.of_kind("ConfigMap").next().unwrap();
    std::fs::write(&file, map["data"]["config.yaml"].as_str().unwrap()).unwrap();
    let mut arguments = vec!["session-webhook".into()];
    for argument in container.args.unwrap() {
        let config = argument.starts_with("--config=");
        arguments.push(if config { format!("--config={}", file.display()).into() } else { argument.into() });
    }
    let variables = container.env.unwrap();
    let environment = |name: &str| {
        let value = variables.iter().find(|variable| variable.name == name)?.value.as_ref()?;
        Some(value.replace("$(POD_NAMESPACE)", &namespace).into())
    };
    let matches = config::matches(&cli::command(), arguments, &environment).unwrap();
    T::from_arg_matches(matches.subcommand_matches("serve").unwrap()).unwrap()
}

#[test]
fn the_program_accepts_its_shipped_configuration() {
    let settings = as_the_program_reads_it::<PolicyArgs>().settings();
    assert_eq!(settings.service_accounts.len(), 3);
    assert_eq!(settings.own_service_account.unwrap().to_string(), "somewhere/session-webhook");
    assert_eq!(as_the_program_reads_it::<PolicyArgs>().warnings(), Vec::<String>::new());
    assert_eq!(as_the_program_reads_it::<LogArgs>().log_format, LogFormat::Json);
}

#[test]
fn the_pod_satisfies_the_restricted_pod_security_standard() {
    let pod = pod();
    let context = pod.security_context.unwrap();
    assert_eq!(context.run_as_non_root, Some(true));
    assert!(context.run_as_user.unwrap() > 0);
    assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
    assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (None, None, None));
    assert!(pod.volumes.unwrap().iter().all(|volume| volume.secret.is_some() || volume.config_map.is_some()));

    let context = container().security_context.unwrap();
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.privileged, Some(false));
    assert_eq!(context.read_only_root_filesystem, Some(true));
    let capabilities = context.capabilities.unwrap();
    assert_eq!((capabilities.drop.unwrap(), capabilities.add), (vec!["ALL".to_owned()], None));
}

#[test]
fn the_pod_holds_no_token_and_no_rights() {
    assert_eq!(pod().automount_service_account_token, Some(false));
    let rendered = kustomize("manifests/base");
    let account: ServiceAccount = rendered.the("ServiceAccount");
    assert_eq!(account.automount_service_account_token, Some(false));
    assert_eq!(account.metadata.name, pod().service_account_name);
    for kind in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
        assert_eq!(rendered.of_kind(kind).count(), 0, "{kind}");
    }
}

#[test]
fn a_rollout_or_a_drain_leaves_a_replica_answering() {
    let spec = deployment().spec.unwrap();
    assert!(spec.replicas.unwrap() >= 2);
    let rolling = spec.strategy.unwrap().rolling_update.unwrap();
    assert_eq!(rolling.max_unavailable, Some(IntOrString::Int(0)));
    let budget: PodDisruptionBudget = kustomize("manifests/base").the("PodDisruptionBudget");
    let budget = budget.spec.unwrap();
    assert_eq!(budget.max_unavailable, Some(IntOrString::Int(1)), "one may go, or a node could never be drained");
    assert_eq!(budget.selector, Some(spec.selector));
    assert!(container().lifecycle.is_none(), "the program waits by itself: there is no shell for a preStop hook");
}

#[test]
fn replicas_spread_but_never_stay_unscheduled_for_it() {
    let spread = pod().topology_spread_constraints.unwrap();
    let keys: Vec<_> = spread.iter().map(|constraint| constraint.topology_key.as_str()).collect();
    assert_eq!(keys, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    let selector = deployment().spec.unwrap().selector;
    for constraint in spread {
        assert_eq!(constraint.when_unsatisfiable, "ScheduleAnyway");
        assert_eq!(constraint.label_selector, Some(selector.clone()));
    }
}

#[test]
fn service_and_probes_reach_the_ports_that_the_program_listens_on() {
    let listeners = as_the_program_reads_it::<ServeArgs>().listeners();
    assert!(listeners.webhook.ip().is_unspecified() && listeners.ops.ip().is_unspecified());
    assert_eq!((port("webhook"), port("ops")), (listeners.webhook.port().into(), listeners.ops.port().into()));
    let service: Service = kustomize("manifests/base").the("Service");
    let spec = service.spec.unwrap();
    let ports = spec.ports.unwrap();
    assert_eq!((ports[0].port, ports[0].target_port.clone()), (443, Some(IntOrString::String("webhook".to_owned()))));
    let labels = deployment().spec.unwrap().template.metadata.unwrap().labels.unwrap();
    assert!(spec.selector.unwrap().iter().all(|(key, value)| labels.get(key) == Some(value)));

    let container = container();
    for (probe, path) in [(container.liveness_probe, "/livez"), (container.readiness_probe, "/readyz")] {
        let get = probe.unwrap().http_get.unwrap();
        assert_eq!(get.path.as_deref(), Some(path));
        assert_eq!(get.port, IntOrString::String("ops".to_owned()));
    }
}

#[test]
fn the_pod_lives_long_enough_to_drain() {
    let timeouts = as_the_program_reads_it::<ServeArgs>().timeouts();
    let grace = Duration::from_secs(pod().termination_grace_period_seconds.unwrap().try_into().unwrap());
    assert!(grace > timeouts.drain_delay + timeouts.drain, "{grace:?} {timeouts:?}");
}

#[test]
fn the_certificate_is_mounted_where_the_program_looks_for_it() {
    let (pod, container) = (pod(), container());
    let mounts = container.volume_mounts.unwrap();
    assert!(mounts.iter().all(|mount| mount.read_only == Some(true) && mount.sub_path.is_none()));
    let serve = as_the_program_reads_it::<ServeArgs>();
    let files = ["tls.crt", "tls.key"].map(|name| serve.tls_cert.parent().unwrap().join(name));
    assert_eq!(
        [serve.tls_cert.clone(), serve.tls_key.clone()],
        files,
        "as a Secret of type kubernetes.io/tls names them"
    );
    let tls = mounts.iter().find(|mount| serve.tls_cert.parent() == Some(mount.mount_path.as_ref())).unwrap();
    let volumes = pod.volumes.unwrap();
    let secret = volumes.iter().find(|volume| volume.name == tls.name).unwrap().secret.as_ref().unwrap();
    assert_eq!(secret.secret_name.as_deref(), Some("session-webhook-tls"));
    assert_eq!(secret.default_mode, Some(0o440));
    assert!(pod.security_context.unwrap().fs_group.is_some(), "or a process that is not root cannot read it");
}

#[test]
fn the_configuration_is_read_from_the_config_map_whose_name_changes_with_it() {
    let rendered = kustomize("manifests/base");
    let (pod, container) = (pod(), container());
    let map = rendered.of_kind("ConfigMap").next().unwrap();
    let mount = container.volume_mounts.unwrap().into_iter().find(|mount| mount.name == "config").unwrap();
    let volume = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "config").unwrap();
    assert_eq!(map["metadata"]["name"], volume.config_map.unwrap().name);
    let file = format!("{}/{}", mount.mount_path, map["data"].as_object().unwrap().keys().next().unwrap());
    assert_eq!(container.args.unwrap(), ["serve".to_owned(), format!("--config={file}")]);
}

#[test]
fn the_webhook_knows_its_own_account() {
    let env = container().env.unwrap();
    assert_eq!(env[0].name, "POD_NAMESPACE", "a variable can only use those before it");
    let field = env[0].value_from.as_ref().unwrap().field_ref.as_ref().unwrap();
    assert_eq!(field.field_path, "metadata.namespace");
    assert_eq!(env[1].name, "SESSION_WEBHOOK_OWN_SERVICE_ACCOUNT");
    let account = pod().service_account_name.unwrap();
    assert_eq!(env[1].value.as_deref(), Some(format!("$(POD_NAMESPACE)/{account}").as_str()));
}

#[test]
fn the_image_is_this_version() {
    let image = container().image.unwrap();
    assert_eq!(image, format!("{}:{}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")));
}

#[test]
fn memory_is_bounded_and_processor_time_is_not() {
    let resources = container().resources.unwrap();
    let (limits, requests) = (resources.limits.unwrap(), resources.requests.unwrap());
    assert_eq!(limits.keys().collect::<Vec<_>>(), ["memory"], "throttling would only slow the API server down");
    let mebibytes: usize = limits["memory"].0.strip_suffix("Mi").unwrap().parse().unwrap();
    assert!(
        mebibytes << 20 >= 3 * Limits::default().bytes,
        "bodies in flight, what they are parsed into, and the rest"
    );
    assert_eq!(requests.keys().collect::<Vec<_>>(), ["cpu", "memory"]);
}

/// GKE Autopilot makes limits equal to requests where pods cannot burst.
#[test]
fn what_is_requested_on_gke_autopilot_is_enough_as_a_limit() {
    let copy = copy_of_the_manifests();
    let folder = copy.path().join("manifests/overlays/autopilot");
    std::fs::create_dir(&folder).unwrap();
    let text = "resources: [../cert-manager]\ncomponents: [../../components/gke-autopilot]\n";
    std::fs::write(folder.join("kustomization.yaml"), text).unwrap();
    let deployment: Deployment = kustomize_path(&folder).the("Deployment");
    let container = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
    let requests = container.resources.unwrap().requests.unwrap();
    let mebibytes: usize = requests["memory"].0.strip_suffix("Mi").unwrap().parse().unwrap();
    assert!(mebibytes << 20 >= 4 * MAX_BODY, "the program warns below that");
    let told = format!("`resources.requests: {{cpu: {}, memory: {}}}`", requests["cpu"].0, requests["memory"].0);
    assert!(include_str!("../../docs/managed-clusters.md").contains(&told), "{told}");
}

#[test]
fn the_requests_are_those_that_the_page_about_scaling_explains() {
    let page = include_str!("../../docs/scaling.md");
    for (name, quantity) in container().resources.unwrap().requests.unwrap() {
        let told = format!("`{name}: {}`", quantity.0);
        assert!(page.contains(&told), "docs/scaling.md says nothing of {told}");
    }
}

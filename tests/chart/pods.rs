//! What a value changes of the pods: image, placement, network, account.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rstest::rstest;
use serde_json::json;
use session_webhook::config::ServeArgs;

use crate::helm::{assert_refused, template};
use crate::settings::{as_the_program_reads_it, container, deployment, everything, pod};

#[rstest]
#[case(&[], concat!("hobbyfarm-session-webhook:", env!("CARGO_PKG_VERSION")))]
#[case(&["--set=image.repository=r:5000/i,image.tag=t"], "r:5000/i:t")]
#[case(&["--set=image.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123"],
    "hobbyfarm-session-webhook@sha256:0123456789012345678901234567890123456789012345678901234567890123")]
fn the_image_is_named_by_tag_or_by_digest(#[case] arguments: &[&str], #[case] expected: &str) {
    assert_eq!(container(&template(arguments)).image.as_deref(), Some(expected));
}

#[test]
fn an_autoscaler_decides_how_many_pods_there_are() {
    assert_eq!(deployment(&template(&["--set=replicas=3"])).spec.unwrap().replicas, Some(3));
    let rendered = everything();
    assert_eq!(deployment(&rendered).spec.unwrap().replicas, None, "or each upgrade would reset it");
    let autoscaler = rendered.named("HorizontalPodAutoscaler", "session-webhook");
    rendered.named("Deployment", autoscaler["spec"]["scaleTargetRef"]["name"].as_str().unwrap());
}

#[test]
fn what_is_said_about_pods_reaches_them() {
    let rendered = everything();
    let template = deployment(&rendered).spec.unwrap().template;
    let metadata = template.metadata.unwrap();
    assert_eq!(metadata.annotations.unwrap()["example.org/scrape"], "true");
    let labels = metadata.labels.unwrap();
    assert_eq!((labels["team"].as_str(), labels["sidecar.example.org/inject"].as_str()), ("platform", "false"));
    let pod = pod(&rendered);
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-cluster-critical"));
    let nodes = pod.node_selector.unwrap();
    assert_eq!((nodes["kubernetes.io/os"].as_str(), nodes["example.org/pool"].as_str()), ("linux", "guards"));
    assert_eq!(pod.tolerations.unwrap().len(), 1);
    assert!(pod.affinity.unwrap().pod_anti_affinity.is_some());
    assert_eq!(pod.image_pull_secrets.unwrap()[0].name, "registry");
    let container = container(&rendered);
    assert_eq!(container.args.unwrap().last().unwrap(), "--client-ca=/client-ca/ca.crt");
    let names: Vec<_> = container.env.unwrap().into_iter().map(|variable| variable.name).collect();
    let own = ["POD_NAMESPACE", "SESSION_WEBHOOK_OWN_SERVICE_ACCOUNT", "SESSION_WEBHOOK_TLS_NAME"];
    assert_eq!(names, [&own[..], &["RUST_BACKTRACE", "NODE"]].concat());
    assert!(container.volume_mounts.unwrap().iter().any(|mount| mount.mount_path == "/client-ca"));
    for object in &rendered.objects {
        assert_eq!(object["metadata"]["labels"]["team"], "platform", "{object}");
        let name = object["metadata"]["labels"]["app.kubernetes.io/name"].as_str().unwrap();
        assert!(name.starts_with("session-webhook"), "{object}");
    }
}

#[test]
fn what_newer_servers_know_is_left_out_for_older_ones() {
    for (version, knows) in [("1.26.15", false), ("v1.27.3-gke.100", true), ("v1.30.2-eks-1552ad0", true)] {
        let rendered = template(&[&format!("--kube-version={version}")]);
        let budget = &rendered.of_kind("PodDisruptionBudget").next().unwrap()["spec"];
        assert_eq!(budget.get("unhealthyPodEvictionPolicy"), knows.then(|| json!("AlwaysAllow")).as_ref(), "{version}");
        for constraint in pod(&rendered).topology_spread_constraints.unwrap() {
            assert_eq!(constraint.match_label_keys, knows.then(|| vec!["pod-template-hash".to_owned()]), "{version}");
        }
    }
}

#[test]
fn both_address_families_are_served_where_that_is_wanted() {
    let spec = |arguments: &[&str]| template(arguments).named("Service", "session-webhook")["spec"].clone();
    assert_eq!(
        (spec(&[]).get("ipFamilyPolicy"), spec(&[]).get("ipFamilies")),
        (None, None),
        "the cluster's own choice"
    );
    let dual = spec(&["--set=service.ipFamilyPolicy=PreferDualStack,service.ipFamilies={IPv6,IPv4}"]);
    assert_eq!((&dual["ipFamilyPolicy"], &dual["ipFamilies"]), (&json!("PreferDualStack"), &json!(["IPv6", "IPv4"])));
    assert_refused(&["--set=service.ipFamilyPolicy=Dual"], &["ipFamilyPolicy"]);
    let listeners = as_the_program_reads_it::<ServeArgs>(&template(&[])).listeners();
    for listener in [listeners.webhook, listeners.ops] {
        assert!(listener.is_ipv6() && listener.ip().is_unspecified(), "{listener} is for both families");
    }
}

#[test]
fn a_label_never_takes_the_place_of_one_that_pods_are_selected_by() {
    let rendered =
        template(&["--set=podLabels.app\\.kubernetes\\.io/name=other,labels.app\\.kubernetes\\.io/name=other"]);
    let spec = deployment(&rendered).spec.unwrap();
    let labels = spec.template.metadata.unwrap().labels.unwrap();
    assert!(spec.selector.match_labels.unwrap().iter().all(|(key, value)| labels.get(key) == Some(value)));
}

#[test]
fn a_platform_that_chooses_the_user_can_be_left_to_do_so() {
    let rendered =
        template(&["--set-json=podSecurityContext={\"runAsUser\": null, \"runAsGroup\": null, \"fsGroup\": null}"]);
    let context = pod(&rendered).security_context.unwrap();
    assert_eq!((context.run_as_user, context.run_as_group, context.fs_group), (None, None, None));
    assert_eq!(context.run_as_non_root, Some(true));
}

#[test]
fn without_a_reason_to_speak_to_the_api_server_there_is_no_token_and_no_right() {
    let rendered = template(&["--set=backfill.enabled=false"]);
    assert_eq!(pod(&rendered).automount_service_account_token, Some(false));
    for kind in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
        assert_eq!(rendered.of_kind(kind).count(), 0, "{kind}");
    }
    let arguments = ["serve", "--config=/etc/session-webhook/config.yaml"];
    assert_eq!(container(&rendered).args.unwrap(), arguments);
}

#[test]
fn other_ports_are_those_of_container_program_and_host() {
    for host in [false, true] {
        let ports =
            ["--set=ports.webhook=10250,ports.ops=9090,metrics.monitor=ServiceMonitor,networkPolicy.enabled=true"];
        let host_network = format!("--set=hostNetwork={host}");
        let rendered = template(&[&ports[..], &[&host_network]].concat());
        let listeners = as_the_program_reads_it::<ServeArgs>(&rendered).listeners();
        assert_eq!((listeners.webhook.port(), listeners.ops.port()), (10250, 9090));
        assert!(listeners.webhook.is_ipv6() && listeners.webhook.ip().is_unspecified(), "both families");
        let container = container(&rendered);
        for (port, (name, number)) in container.ports.unwrap().into_iter().zip([("webhook", 10250), ("ops", 9090)]) {
            assert_eq!((port.name.as_deref(), port.container_port), (Some(name), number));
            assert_eq!(port.host_port, host.then_some(number));
        }
        for probe in [container.liveness_probe, container.readiness_probe] {
            assert_eq!(probe.unwrap().http_get.unwrap().port, IntOrString::String("ops".to_owned()));
        }
        // What leads to the pods goes by the names of the ports.
        assert_eq!(rendered.named("Service", "session-webhook")["spec"]["ports"][0]["targetPort"], "webhook");
        assert_eq!(rendered.named("Service", "session-webhook-metrics")["spec"]["ports"][0]["port"], 9090);
        let ingress = &rendered.named("NetworkPolicy", "session-webhook")["spec"]["ingress"];
        assert_eq!(
            (&ingress[0]["ports"][0]["port"], &ingress[1]["ports"][0]["port"]),
            (&json!("webhook"), &json!("ops"))
        );
        let pod = pod(&rendered);
        assert_eq!(pod.host_network, host.then_some(true));
        assert_eq!(pod.dns_policy.as_deref(), host.then_some("ClusterFirstWithHostNet"));
        let rolling = deployment(&rendered).spec.unwrap().strategy.unwrap().rolling_update.unwrap();
        let surge = rolling.max_surge == Some(IntOrString::Int(1));
        assert_eq!(surge, !host, "a second pod finds no port on its node");
    }
    let elsewhere = template(&["--set=hostNetwork=true,dnsPolicy=Default"]);
    assert_eq!(pod(&elsewhere).dns_policy.as_deref(), Some("Default"));
    assert_refused(&["--set=ports.webhook=8080"], &["ports.webhook and ports.ops are the same"]);
    for value in ["ports.webhook=443", "ports.ops=70000", "ports.metrics=1", "dnsPolicy=clusterfirst"] {
        assert_refused(&["--set", value], &["schema"]);
    }
}

#[test]
fn another_account_is_the_same_in_the_pod_and_in_every_binding() {
    let arguments = ["--set=serviceAccount.name=guard,serviceAccount.create=false,certificate.source=self-managed"];
    let rendered = template(&arguments);
    assert_eq!(rendered.of_kind("ServiceAccount").count(), 0);
    assert_eq!(pod(&rendered).service_account_name.as_deref(), Some("guard"));
    assert_eq!(container(&rendered).env.unwrap()[1].value.as_deref(), Some("$(POD_NAMESPACE)/guard"));
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        for binding in rendered.of_kind(kind) {
            assert_eq!(binding["subjects"][0]["name"], "guard");
        }
    }
}

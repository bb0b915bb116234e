//! What a value changes: the file that the program reads, the webhooks, the pods.

use clap::FromArgMatches;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rstest::rstest;
use serde_json::{Value, json};
use session_webhook::config::{self, BackfillArgs, PolicyArgs, ServeArgs};
use session_webhook::core::installation::{Writers, match_expression};
use session_webhook::core::policy_twin::keep_alive::{CONDITION, expression};
use session_webhook::core::requester::Requester;
use session_webhook::core::settings::Mode;
use session_webhook::core::stored::backfill::Unparsable;

use crate::helm::{chart, refusal, template};
use crate::render::{Rendered, default, root};

fn deployment(rendered: &Rendered) -> Deployment {
    let is_the_webhooks = |object: &&Value| !object["metadata"]["name"].as_str().unwrap().ends_with("-audit");
    let found = rendered.of_kind("Deployment").find(is_the_webhooks).unwrap();
    serde_json::from_value(found.clone()).unwrap()
}

fn pod(rendered: &Rendered) -> PodSpec {
    deployment(rendered).spec.unwrap().template.spec.unwrap()
}

pub(crate) fn container(rendered: &Rendered) -> Container {
    pod(rendered).containers.remove(0)
}

/// What the program makes of the rendered file.
pub(crate) fn as_the_program_reads_it<T: FromArgMatches>(rendered: &Rendered) -> T {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let map = rendered.of_kind("ConfigMap").find(|map| map["data"].get("config.yaml").is_some()).unwrap();
    std::fs::write(&file, map["data"]["config.yaml"].as_str().unwrap()).unwrap();
    let mut arguments = vec!["session-webhook".into()];
    for argument in container(rendered).args.unwrap() {
        let config = argument.starts_with("--config=");
        arguments.push(if config { format!("--config={}", file.display()).into() } else { argument.into() });
    }
    let matches = config::matches(&session_webhook::cli::command(), arguments, &|_| None).unwrap();
    T::from_arg_matches(matches.subcommand_matches("serve").unwrap()).unwrap()
}

fn everything() -> Rendered {
    template(&["--values", crate::types::EVERYTHING, "--set=certificate.source=self-managed"])
}

#[test]
fn every_value_for_the_program_reaches_it() {
    let rendered = everything();
    let policy: PolicyArgs = as_the_program_reads_it(&rendered);
    let settings = policy.settings();
    assert_eq!(settings.mode, Mode::Warn);
    let is_break_glass = |user: &str, group: &str| {
        settings.break_glass_users.iter().any(|name| name == user)
            && settings.break_glass_groups.iter().any(|name| name == group)
    };
    assert!(is_break_glass("root@example.org", "oidc:admins"));
    assert_eq!(settings.session_timeout.as_secs(), 600);
    assert_eq!(settings.housekeepers.len(), 2);
    let serve: ServeArgs = as_the_program_reads_it(&rendered);
    assert_eq!(serve.limits().unwrap().connections, 1000);
    let backfill: BackfillArgs = as_the_program_reads_it(&rendered);
    let controllers = backfill.controllers().unwrap();
    assert!(controllers.backfill);
    assert_eq!(controllers.audit_interval, None, "the pods that answer the API server have no rights to audit");
    let options = controllers.options;
    assert_eq!(options.namespaces, ["hobbyfarm-system", "other"]);
    assert_eq!((options.after.as_secs(), options.unparsable), (60, Unparsable::Keep));
}

#[test]
fn defaults_of_the_chart_are_those_of_the_program() {
    let values: Value = serde_saphyr::from_str(&std::fs::read_to_string(chart().join("values.yaml")).unwrap()).unwrap();
    assert_eq!(values["mode"], default("mode"));
    assert_eq!(values["backfill"]["after"], default("backfill-after"));
    assert_eq!(values["backfill"]["unparsable"].to_string(), default("backfill-unparsable"));
    let rendered = template(&[]);
    let lease = &rendered.named("Role", "session-webhook-backfill")["rules"][0]["resourceNames"];
    assert_eq!(lease, &json!([default("backfill-lease")]));
    let rendered = template(&["--set=certificate.source=self-managed"]);
    let secret = rendered.of_kind("Secret").next().unwrap();
    assert_eq!(secret["metadata"]["name"], default("tls-secret"));
    assert_eq!((secret.get("data"), secret.get("stringData")), (None, None), "what it holds is the program's");
}

#[test]
fn the_accounts_of_the_file_and_of_the_webhooks_come_from_one_list() {
    let accounts = r#"--set-json=hobbyfarm={"namespace": "training", "serviceAccounts": ["writer", "legacy/hobbyfarm-gargantua"]}"#;
    let rendered = template(&[accounts]);
    let settings = as_the_program_reads_it::<PolicyArgs>(&rendered).settings();
    let users = ["system:serviceaccount:training:writer", "system:serviceaccount:legacy:hobbyfarm-gargantua"];
    assert_eq!(settings.service_accounts.len(), users.len());
    for (pattern, user) in settings.service_accounts.iter().zip(users) {
        assert!(pattern.matches(&Requester::parse(user)), "{user}");
    }
    let users = users.map(str::to_owned);
    let webhooks = &rendered.named("ValidatingWebhookConfiguration", "hobbyfarm-session-webhook")["webhooks"];
    for (number, writers) in [Writers::Others, Writers::HobbyFarmAndGarbageCollectors].into_iter().enumerate() {
        let expected = match_expression(writers, &users).unwrap().replace(" in [", " in [ ");
        assert_eq!(webhooks[number]["matchConditions"][0]["expression"], expected);
    }
    let mutating = &rendered.named("MutatingWebhookConfiguration", "hobbyfarm-session-webhook")["webhooks"];
    for of_keep_alives in [&mutating[0]["matchConditions"][0], &webhooks[1]["matchConditions"][1]] {
        assert_eq!(*of_keep_alives, json!({"name": CONDITION, "expression": expression(&users)}));
    }
}

#[rstest]
#[case::default("auto", &["Fail", "Ignore"])]
#[case::split("split", &["Fail", "Ignore"])]
#[case::open("open", &["Ignore", "Ignore"])]
#[case::closed("closed", &["Fail", "Fail"])]
fn a_failure_policy_is_a_word_for_both_entries(#[case] policy: &str, #[case] expected: &[&str]) {
    for (version, entries) in [("1.28.0", 2), ("1.27.0", 1)] {
        let rendered =
            template(&[&format!("--set=webhooks.failurePolicy={policy}"), &format!("--kube-version={version}")]);
        let webhooks = &rendered.named("ValidatingWebhookConfiguration", "hobbyfarm-session-webhook")["webhooks"];
        let found: Vec<_> = webhooks.as_array().unwrap().iter().map(|entry| &entry["failurePolicy"]).collect();
        assert_eq!(found, expected[..entries], "{version}");
        let mutate = &rendered.named("MutatingWebhookConfiguration", "hobbyfarm-session-webhook")["webhooks"][0];
        assert_eq!(mutate["failurePolicy"], "Ignore", "a missed repair is no reason to refuse");
    }
}

#[test]
fn one_switch_gives_the_guard_to_the_api_server_and_lets_the_webhook_stop_nobody() {
    let rendered = template(&["--set=guard=policy-and-webhook"]);
    assert_eq!(
        rendered.named("ValidatingAdmissionPolicy", "hobbyfarm-session-webhook")["spec"]["failurePolicy"],
        "Fail"
    );
    let binding = rendered.named("ValidatingAdmissionPolicyBinding", "hobbyfarm-session-webhook");
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
    let entries = &rendered.named("ValidatingWebhookConfiguration", "hobbyfarm-session-webhook")["webhooks"];
    let policies: Vec<_> = entries.as_array().unwrap().iter().map(|entry| &entry["failurePolicy"]).collect();
    assert_eq!(policies, ["Ignore", "Ignore"]);
}

#[test]
fn a_trial_run_refuses_nobody_not_even_for_want_of_an_answer() {
    for mode in ["warn", "audit"] {
        for version in ["1.20.0", "1.27.0", "1.30.0"] {
            let rendered = template(&[&format!("--set=mode={mode}"), &format!("--kube-version={version}")]);
            for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
                for entry in rendered.of_kind(kind).flat_map(|object| object["webhooks"].as_array().unwrap()) {
                    assert_eq!(entry["failurePolicy"], "Ignore", "{mode} {version}");
                }
            }
        }
        for policy in ["split", "closed"] {
            let said = refusal(&[&format!("--set=mode={mode},webhooks.failurePolicy={policy}")]);
            assert!(said.contains(&format!("mode {mode} refuses nobody")), "{said}");
        }
    }
}

#[test]
fn a_changed_configuration_makes_new_pods_and_an_unchanged_one_does_not() {
    let template_of = |arguments: &[&str]| deployment(&template(arguments)).spec.unwrap().template;
    assert_eq!(template_of(&[]), template_of(&["--set=mode=enforce"]));
    assert_ne!(template_of(&[]), template_of(&["--set=mode=warn"]));
    for arguments in [&[][..], &["--set=mode=warn"]] {
        let rendered = template(arguments);
        let volumes = pod(&rendered).volumes.unwrap();
        let volume = volumes.iter().find(|volume| volume.name == "config").unwrap();
        rendered.named("ConfigMap", &volume.config_map.as_ref().unwrap().name);
    }
}

#[test]
fn an_existing_secret_is_mounted_and_its_authority_trusted() {
    use base64::Engine;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    std::fs::write(&file, pem).unwrap();
    let authority = format!("--set-file=certificate.caBundle={}", file.display());
    let rendered = template(&["--set=certificate.source=secret,certificate.secretName=ours", &authority]);
    let expected = base64::engine::general_purpose::STANDARD.encode(pem);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let configuration = rendered.named(kind, "hobbyfarm-session-webhook");
        assert_eq!(configuration["metadata"].get("annotations"), None);
        for entry in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(entry["clientConfig"]["caBundle"], expected);
        }
    }
    let volume = pod(&rendered).volumes.unwrap().remove(0);
    assert_eq!(volume.secret.unwrap().secret_name.as_deref(), Some("ours"));
    assert_eq!(rendered.of_kind("Certificate").count() + rendered.of_kind("Issuer").count(), 0);
    assert!(!container(&rendered).args.unwrap().iter().any(|arg| arg.starts_with("--tls")));
}

#[test]
fn an_issuer_of_the_users_own_takes_the_place_of_the_authority() {
    let rendered = template(&["--set=certificate.issuerRef.kind=ClusterIssuer,certificate.issuerRef.name=company"]);
    let certificates: Vec<_> = rendered.of_kind("Certificate").collect();
    assert_eq!(certificates.len(), 1);
    let issuer = json!({"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "company"});
    assert_eq!(certificates[0]["spec"]["issuerRef"], issuer);
    assert_eq!(rendered.of_kind("Issuer").count(), 0);
}

#[rstest]
#[case(&[], concat!("hobbyfarm-session-webhook:", env!("CARGO_PKG_VERSION")))]
#[case(&["--set=image.repository=r:5000/i,image.tag=t"], "r:5000/i:t")]
#[case(&["--set=image.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123"],
    "hobbyfarm-session-webhook@sha256:0123456789012345678901234567890123456789012345678901234567890123")]
fn the_image_is_named_by_tag_or_by_digest(#[case] arguments: &[&str], #[case] expected: &str) {
    assert_eq!(container(&template(arguments)).image.as_deref(), Some(expected));
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let text = std::fs::read_to_string(root().join("manifests/chart/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(env!("CARGO_PKG_VERSION")))
    );
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
fn a_monitor_asks_as_it_is_told_and_other_objects_come_along() {
    let rendered = everything();
    let endpoint = &rendered.named("ServiceMonitor", "session-webhook")["spec"]["endpoints"][0];
    assert_eq!(
        (&endpoint["scrapeTimeout"], &endpoint["relabelings"][0]["targetLabel"]),
        (&json!("10s"), &json!("node"))
    );
    assert_eq!(endpoint["metricRelabelings"][0]["action"], "drop");
    let auditor = &rendered.named("PodMonitor", "session-webhook-audit")["spec"]["podMetricsEndpoints"][0];
    assert_eq!(auditor["metricRelabelings"].as_array().unwrap().len(), 2, "its own is kept");
    assert_eq!(rendered.named("ConfigMap", "session-webhook-more")["data"]["mode"], "warn");
    rendered.named("ConfigMap", "session-webhook-text");
    assert_eq!(deployment(&rendered).spec.unwrap().revision_history_limit, Some(5));
    let mutate = &rendered.of_kind("MutatingWebhookConfiguration").next().unwrap()["webhooks"][0];
    assert_eq!(mutate["timeoutSeconds"], 1);
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
    assert!(refusal(&["--set=service.ipFamilyPolicy=Dual"]).contains("ipFamilyPolicy"));
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
fn watched_namespaces_bind_the_rights_there_and_nowhere_else() {
    let rendered = everything();
    for role in ["hobbyfarm-session-webhook-backfill", "hobbyfarm-session-webhook-audit"] {
        let of_role = |object: &&Value| object["roleRef"]["name"] == role;
        assert_eq!(rendered.of_kind("ClusterRoleBinding").filter(of_role).count(), 0);
        let namespaces: Vec<_> =
            rendered.of_kind("RoleBinding").filter(of_role).map(|object| &object["metadata"]["namespace"]).collect();
        assert_eq!(namespaces, ["hobbyfarm-system", "other"], "{role}");
    }
    let job = rendered.named("CronJob", "session-webhook-audit");
    let containers = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let looked_at: Vec<_> = containers.iter().map(|container| container["args"][2].as_str().unwrap()).collect();
    assert_eq!(looked_at, ["--namespace=hobbyfarm-system", "--namespace=other"], "its rights end there");
}

#[test]
fn without_roles_of_the_chart_there_is_none_at_all() {
    let everything = ["--values", crate::types::EVERYTHING, "--set=certificate.source=self-managed,rbac.create=false"];
    let rendered = template(&everything);
    for kind in ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"] {
        assert_eq!(rendered.of_kind(kind).count(), 0, "{kind}");
    }
    assert_eq!(rendered.of_kind("ServiceAccount").count(), 3);
}

#[test]
fn another_name_is_the_name_of_every_object_and_the_program_is_told() {
    let everything = ["--values", crate::types::EVERYTHING];
    let more = "--set=certificate.source=self-managed,guard=policy-and-webhook,fullnameOverride=second";
    let rendered = template(&[&everything[..], &[more]].concat());
    for object in &rendered.objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(name == "second" || name.starts_with("second-"), "{}: {name}", object["kind"]);
    }
    let serve: ServeArgs = as_the_program_reads_it(&rendered);
    let options = format!("{serve:?}");
    for told in ["second-self-managed", r#"tls_service: "second""#, r#"webhook_configuration: "second""#] {
        assert!(options.contains(told), "{told}: {options}");
    }
    let backfill: BackfillArgs = as_the_program_reads_it(&rendered);
    assert_eq!(backfill.controllers().unwrap().options.lease, "second-backfill");
    let pods = &rendered.named("Deployment", "second")["spec"]["template"]["metadata"]["labels"];
    let service = rendered.named("Service", "second")["spec"]["selector"].as_object().unwrap();
    assert!(service.iter().all(|(key, value)| pods[key] == *value));
    let binding = rendered.named("ValidatingAdmissionPolicyBinding", "second");
    assert_eq!(binding["spec"]["policyName"], "second");
    let secrets = &rendered.named("Role", "second")["rules"][0]["resourceNames"];
    assert_eq!(secrets, &json!(["second-self-managed"]));
    let asked = [rendered.named("PrometheusRule", "second"), rendered.named("ConfigMap", "second-dashboard")];
    for object in asked.map(Value::to_string) {
        assert!(object.contains("policy=~") && !object.contains("hobbyfarm-session-webhook.*"), "{object}");
    }
}

#[test]
fn the_namespaces_that_are_guarded_are_those_of_webhooks_and_policy() {
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": "hobbyfarm-system"}});
    let value = format!("--set-json=webhooks.namespaceSelector={selector}");
    let rendered = template(&[&value, "--set=guard=policy-and-webhook"]);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        for entry in rendered.of_kind(kind).flat_map(|object| object["webhooks"].as_array().unwrap()) {
            assert_eq!(entry["namespaceSelector"], selector);
        }
    }
    let policy = rendered.named("ValidatingAdmissionPolicy", "hobbyfarm-session-webhook");
    assert_eq!(policy["spec"]["matchConstraints"]["namespaceSelector"], selector);
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
    let said = refusal(&["--set=ports.webhook=8080"]);
    assert!(said.contains("ports.webhook and ports.ops are the same"), "{said}");
    for value in ["ports.webhook=443", "ports.ops=70000", "ports.metrics=1", "dnsPolicy=clusterfirst"] {
        assert!(refusal(&["--set", value]).contains("schema"), "{value}");
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

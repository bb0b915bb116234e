//! What a value changes: the file that the program reads, the webhooks, the rights. What it changes of the pods is in `pods`.

use clap::FromArgMatches;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use rstest::rstest;
use serde_json::{Value, json};
use session_webhook::config::{self, BackfillArgs, PolicyArgs, ServeArgs};
use session_webhook::core::installation::{Writers, match_expression};
use session_webhook::core::policy_twin::keep_alive::{CONDITION, expression};
use session_webhook::core::requester::Requester;
use session_webhook::core::settings::Mode;
use session_webhook::core::stored::backfill::Unparsable;

use crate::helm::{assert_refused, chart, template};
use crate::render::{Rendered, default, root};

pub(crate) fn deployment(rendered: &Rendered) -> Deployment {
    let is_the_webhooks = |object: &&Value| !object["metadata"]["name"].as_str().unwrap().ends_with("-audit");
    let found = rendered.of_kind("Deployment").find(is_the_webhooks).unwrap();
    serde_json::from_value(found.clone()).unwrap()
}

pub(crate) fn pod(rendered: &Rendered) -> PodSpec {
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

pub(crate) fn everything() -> Rendered {
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
            let values = format!("--set=mode={mode},webhooks.failurePolicy={policy}");
            assert_refused(&[&values], &[&format!("mode {mode} refuses nobody")]);
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

#[test]
fn the_chart_has_the_version_of_the_program() {
    let text = std::fs::read_to_string(root().join("manifests/chart/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(env!("CARGO_PKG_VERSION")))
    );
}

/// As those who look for charts are shown it.
#[test]
fn the_chart_says_what_it_is_and_where_it_comes_from() {
    let text = std::fs::read_to_string(root().join("manifests/chart/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    assert!(chart["icon"].as_str().unwrap().starts_with("data:image/svg+xml;base64,"), "nothing is fetched for it");
    for address in [&chart["home"], &chart["sources"][0]] {
        assert!(address.as_str().unwrap().starts_with("https://"), "{address}");
    }
    assert!(chart["keywords"].as_array().unwrap().iter().any(|word| word == "hobbyfarm"));
    let annotations = &chart["annotations"];
    assert_eq!(annotations["artifacthub.io/license"], env!("CARGO_PKG_LICENSE"));
    for name in ["category", "operator", "prerelease", "recommendations"] {
        assert!(annotations[format!("artifacthub.io/{name}")].is_string(), "{name}");
    }
    let images: Value = serde_saphyr::from_str(annotations["artifacthub.io/images"].as_str().unwrap()).unwrap();
    assert_eq!(images[0]["image"].as_str(), container(&template(&[])).image.as_deref(), "what is scanned is what runs");
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

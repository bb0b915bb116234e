//! What stands around the webhook: network, monitoring, other charts.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::helm::{chart, template, template_of};
use crate::render::{Rendered, root};

fn policy(arguments: &[&str]) -> Value {
    let rendered = template(&[&["--set=networkPolicy.enabled=true"], arguments].concat());
    rendered.named("NetworkPolicy", "session-webhook")["spec"].clone()
}

#[test]
fn an_api_server_outside_the_pod_network_may_call_and_metrics_can_be_for_the_node_alone() {
    let policy = policy(&["--set-json=networkPolicy.opsFrom=[]"]);
    let rendered = template(&[]);
    let pods = &rendered.of_kind("Deployment").next().unwrap()["spec"]["selector"];
    assert_eq!(&policy["podSelector"], pods);
    assert_eq!(policy["ingress"], json!([{"ports": [{"port": "webhook", "protocol": "TCP"}]}]), "from anywhere");
}

#[test]
fn only_the_api_server_is_spoken_to_and_only_where_there_is_a_reason() {
    assert_eq!(policy(&["--set=backfill.enabled=false"])["egress"], json!([]));
    let narrow = "--set=networkPolicy.apiServer.cidrs={192.0.2.7/32},networkPolicy.apiServer.ports={6443}";
    for reason in ["certificate.source=cert-manager", "certificate.source=self-managed,backfill.enabled=false"] {
        let policy = policy(&[narrow, "--set", reason]);
        let expected =
            json!([{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"port": 6443, "protocol": "TCP"}]}]);
        assert_eq!(policy["egress"], expected, "{reason}");
    }
}

#[test]
fn prometheus_is_let_in_where_it_is_named() {
    let peer = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    let policy = policy(&[&format!("--set-json=networkPolicy.opsFrom={peer}")]);
    assert_eq!(policy["ingress"][1], json!({"ports": [{"port": "ops", "protocol": "TCP"}], "from": peer}));
}

#[test]
fn a_monitor_finds_the_pods_by_a_port_that_they_have() {
    let ports = |rendered: &Rendered| {
        let pod = &rendered.of_kind("Deployment").next().unwrap()["spec"]["template"];
        let ports = pod["spec"]["containers"][0]["ports"].as_array().unwrap().clone();
        (pod["metadata"]["labels"].clone(), ports.into_iter().map(|port| port["name"].clone()).collect::<Vec<_>>())
    };
    let selects = |selector: &Value, labels: &Value| {
        selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value)
    };
    let rendered = template(&["--set=metrics.monitor=PodMonitor"]);
    let monitor = &rendered.named("PodMonitor", "session-webhook")["spec"];
    let (labels, names) = ports(&rendered);
    assert!(selects(&monitor["selector"]["matchLabels"], &labels));
    assert!(names.contains(&monitor["podMetricsEndpoints"][0]["port"]));

    let rendered = template(&["--set=metrics.monitor=ServiceMonitor,metrics.labels.release=prometheus"]);
    let object = rendered.named("ServiceMonitor", "session-webhook");
    assert_eq!(object["metadata"]["labels"]["release"], "prometheus");
    let monitor = &object["spec"];
    let service = rendered.named("Service", "session-webhook-metrics");
    let (labels, names) = ports(&rendered);
    let selector = &monitor["selector"]["matchLabels"];
    assert!(selects(selector, &service["metadata"]["labels"]));
    assert!(!selects(selector, &rendered.named("Service", "session-webhook")["metadata"]["labels"]));
    assert!(selects(&service["spec"]["selector"], &labels));
    assert_eq!(monitor["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert!(names.contains(&service["spec"]["ports"][0]["targetPort"]));
}

/// A copy of the chart without its files, for tests to lay some of their own.
fn copy_of_the_chart(to: &Path) {
    for folder in ["", "templates"] {
        fs::create_dir_all(to.join(folder)).unwrap();
        for entry in fs::read_dir(chart().join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

#[test]
fn alerts_and_dashboard_are_the_files_that_the_chart_carries() {
    let both = "--set=alerts.enabled=true,alerts.labels.role=rules,dashboard.enabled=true";
    let copy = tempfile::tempdir().unwrap();
    copy_of_the_chart(copy.path());
    let without = template_of(copy.path(), &["--no-hooks", both]);
    assert_eq!(without.of_kind("PrometheusRule").count() + without.of_kind("ConfigMap").count(), 1);

    fs::create_dir(copy.path().join("files")).unwrap();
    let alerts = "spec:\n  groups:\n    - name: g\n      rules:\n        - alert: A\n          expr: up == 0\n          annotations:\n            \
                  summary: '{{ $labels.pod }} is down'\n            runbook_url: docs/runbooks/A.md\n";
    let dashboard = "{\n  \"title\": \"{{ pod }}\"\n}\n";
    fs::write(copy.path().join("files/alerts.yaml"), alerts).unwrap();
    fs::write(copy.path().join("files/dashboard.json"), dashboard).unwrap();
    let rendered = template_of(copy.path(), &["--no-hooks", both]);
    let rule = rendered.named("PrometheusRule", "session-webhook");
    assert_eq!(rule["metadata"]["labels"]["role"], "rules");
    let spec = &serde_saphyr::from_str::<Value>(alerts).unwrap()["spec"];
    assert_eq!(&rule["spec"], spec, "Prometheus' own templates stay");
    let prefix = "--set=alerts.runbookPrefix=https://example.org/";
    let prefixed = template_of(copy.path(), &["--no-hooks", both, prefix]);
    let runbook = &prefixed.named("PrometheusRule", "session-webhook")["spec"]["groups"][0]["rules"][0]["annotations"]
        ["runbook_url"];
    assert_eq!(runbook, "https://example.org/docs/runbooks/A.md");
    let map = rendered.named("ConfigMap", "session-webhook-dashboard");
    assert_eq!(map["data"]["dashboard.json"], dashboard);
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let off = template_of(copy.path(), &["--no-hooks"]);
    assert_eq!(off.of_kind("PrometheusRule").count() + off.of_kind("ConfigMap").count(), 1);
}

/// A chart can only carry what lies in its folder. With `UPDATE_CHART=1` in the environment the copies are made again.
#[test]
fn the_files_of_the_chart_are_copies_of_the_components() {
    for (name, component) in
        [("alerts.yaml", "monitoring"), ("dashboard.json", "monitoring"), ("policy.yaml", "policy")]
    {
        let copy = chart().join("files").join(name);
        let original = root().join("manifests/components").join(component).join(name);
        if std::env::var_os("UPDATE_CHART").is_some() {
            fs::copy(&original, &copy).unwrap();
        }
        let is_equal = fs::read(&copy).unwrap() == fs::read(&original).unwrap();
        assert!(is_equal, "{}: UPDATE_CHART=1 cargo test --test chart copies it", copy.display());
    }
}

#[test]
fn a_test_brings_the_rights_of_doctor_for_as_long_as_it_takes() {
    let hooks = |arguments: &[&str]| {
        let rendered = template_of(&chart(), arguments);
        let hook = |object: &Value| object["metadata"]["annotations"]["helm.sh/hook"].as_str().map(str::to_owned);
        let mut hooks: Vec<_> = rendered
            .objects
            .iter()
            .filter_map(|object| hook(object).map(|hook| format!("{} {hook}", object["kind"].as_str().unwrap())))
            .collect();
        hooks.sort();
        hooks
    };
    let rights = ["ClusterRole", "ClusterRoleBinding"].into_iter().zip(["Role", "RoleBinding"]);
    let rights: Vec<_> = rights.flat_map(|(one, other)| [one, other]).chain(["ServiceAccount"]).collect();
    let passing = |hook: &str, more: &[&str]| {
        let mut all: Vec<_> = rights.iter().map(|kind| format!("{kind} {hook}")).collect();
        all.extend(more.iter().map(ToString::to_string));
        all.sort();
        all
    };
    assert_eq!(hooks(&[]), passing("test", &["Pod test"]));
    assert_eq!(hooks(&["--set=doctor.enabled=true"]), ["Pod test"]);
    let after_install = hooks(&["--set=doctor.afterInstall=true"]);
    assert_eq!(
        after_install,
        passing("test,post-install,post-upgrade", &["Pod test", "Job post-install,post-upgrade"])
    );
}

#[test]
fn the_program_takes_the_arguments_of_doctors_pods() {
    let rendered = template_of(&chart(), &["--set=doctor.afterInstall=true,fullnameOverride=second"]);
    let pod = rendered.named("Pod", "second-doctor-test")["spec"].clone();
    let job = rendered.named("Job", "second-doctor")["spec"]["template"]["spec"].clone();
    assert_eq!(pod, job);
    rendered.named("ServiceAccount", pod["serviceAccountName"].as_str().unwrap());
    let words = pod["containers"][0]["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let command = session_webhook::cli::command();
    let matches = command.try_get_matches_from(std::iter::once("session-webhook").chain(words)).unwrap();
    let doctor = matches.subcommand_matches("doctor").unwrap();
    assert_eq!(doctor.get_one::<String>("webhook_configuration").map(String::as_str), Some("second"));
}

#[test]
fn another_chart_can_depend_on_this_one() {
    let parent = tempfile::tempdir().unwrap();
    copy_of_the_chart(&parent.path().join("charts/guard"));
    let depends = "apiVersion: v2\nname: parent\nversion: 0.1.0\ndependencies:\n  - name: hobbyfarm-session-webhook\n    \
                   version: '*'\n    condition: hobbyfarm-session-webhook.enabled\n";
    fs::write(parent.path().join("Chart.yaml"), depends).unwrap();
    let values = "global: {registry: example.org}\nhobbyfarm-session-webhook: {enabled: true, mode: warn}\n";
    fs::write(parent.path().join("values.yaml"), values).unwrap();
    let rendered = template_of(parent.path(), &["--no-hooks"]);
    assert_eq!(rendered.objects.len(), template(&[]).objects.len());
    assert!(
        rendered.of_kind("ConfigMap").next().unwrap()["data"]["config.yaml"].as_str().unwrap().contains("mode: warn")
    );
}

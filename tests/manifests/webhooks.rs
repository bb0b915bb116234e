//! The webhook configurations.

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use session_webhook::core::admission::review::{GROUP, RESOURCE, STATUS};
use session_webhook::core::installation::{
    CONFIGURATION, ConfigurationKind, ENTRIES, OPERATIONS, RESOURCES, SCOPE, SERVICE, WebhookEntry, Writers, entry,
    match_expression, users,
};
use session_webhook::core::policy_twin::keep_alive;
use session_webhook::core::requester::Requester;
use session_webhook::core::settings::AccountPattern;

use crate::render::{Rendered, copy_of_the_manifests, kustomize, kustomize_path};

const CONFIGURATIONS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

fn webhooks(rendered: &Rendered) -> Vec<Value> {
    CONFIGURATIONS
        .iter()
        .flat_map(|kind| rendered.of_kind(kind))
        .flat_map(|configuration| configuration["webhooks"].as_array().unwrap().clone())
        .collect()
}

fn webhook(name: &str) -> Value {
    let all = webhooks(&kustomize("manifests/base"));
    all.into_iter().find(|webhook| webhook["name"] == name).unwrap_or_else(|| panic!("there is no webhook {name}"))
}

/// The accounts that the shipped configuration takes for HobbyFarm's.
fn accounts() -> Vec<String> {
    let rendered = kustomize("manifests/base");
    let text = rendered.of_kind("ConfigMap").next().unwrap()["data"]["config.yaml"].as_str().unwrap().to_owned();
    let config: Value = serde_saphyr::from_str(&text).unwrap();
    config["service-account"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The entries, each with what the code says of it.
fn entries() -> Vec<(&'static WebhookEntry, Value)> {
    webhooks(&kustomize("manifests/base"))
        .into_iter()
        .map(|webhook| (entry(webhook["name"].as_str().unwrap()).expect("the code knows it"), webhook))
        .collect()
}

#[test]
fn the_configurations_hold_the_entries_that_the_code_knows() {
    let rendered = kustomize("manifests/base");
    for (kind, name) in ConfigurationKind::ALL.into_iter().zip(CONFIGURATIONS) {
        assert_eq!(name.to_lowercase(), kind.resource());
        let configuration = rendered.named(name, CONFIGURATION);
        let names: Vec<_> = configuration["webhooks"].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
        let expected: Vec<_> = ENTRIES.iter().filter(|entry| entry.kind == kind).map(|entry| entry.name).collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn each_entry_calls_the_path_that_the_code_serves() {
    let rendered = kustomize("manifests/base");
    let service: Service = rendered.the("Service");
    assert_eq!(service.metadata.name.as_deref(), Some(SERVICE));
    for (entry, webhook) in entries() {
        let expected = json!({
            "name": SERVICE,
            "namespace": "default",
            "path": entry.kind.webhook().path(),
            "port": service.spec.as_ref().unwrap().ports.as_ref().unwrap()[0].port,
        });
        assert_eq!(webhook["clientConfig"]["service"], expected);
    }
}

#[test]
fn every_entry_is_about_writing_sessions_and_about_nothing_else() {
    assert_eq!(RESOURCES, [RESOURCE, &format!("{RESOURCE}/{STATUS}")]);
    assert_eq!(OPERATIONS, ["CREATE", "UPDATE"], "DELETE would let an outage keep a namespace from going away");
    for (entry, webhook) in entries() {
        let rule = json!({
            "apiGroups": [GROUP],
            "apiVersions": ["*"],
            "operations": OPERATIONS,
            "resources": RESOURCES,
            "scope": SCOPE,
        });
        assert_eq!(webhook["rules"], json!([rule]), "{}: anything beside Sessions could stop a cluster", entry.name);
    }
}

#[test]
fn an_outage_locks_out_everybody_but_hobbyfarm_and_a_missed_repair_refuses_nobody() {
    let policies = ENTRIES.map(|entry| (entry.kind, entry.writers, entry.failure_policy));
    assert_eq!(
        policies,
        [
            (ConfigurationKind::Mutating, Writers::All, "Ignore"),
            (ConfigurationKind::Validating, Writers::Others, "Fail"),
            (ConfigurationKind::Validating, Writers::HobbyFarmAndGarbageCollectors, "Ignore"),
        ]
    );
    for (entry, webhook) in entries() {
        assert_eq!(webhook["failurePolicy"], entry.failure_policy, "{}", entry.name);
        assert_eq!(webhook["timeoutSeconds"], entry.timeout_seconds, "{}", entry.name);
    }
    assert_eq!(webhook(ENTRIES[0].name)["reinvocationPolicy"], "IfNeeded");
}

/// The expressions without white space: YAML folds lines, and a list has an entry a line.
fn words(expression: &str) -> String {
    expression.split_whitespace().collect()
}

#[test]
fn the_entries_split_the_writers_without_a_gap_and_spare_keep_alives_where_failures_are_ignored() {
    let accounts: Vec<AccountPattern> = accounts().iter().map(|account| account.parse().unwrap()).collect();
    let users = users(&accounts).expect("the shipped accounts are exact");
    for (entry, webhook) in entries() {
        let conditions = webhook["matchConditions"].as_array().map_or(&[][..], Vec::as_slice);
        let text = |condition: &Value, key: &str| condition[key].as_str().unwrap().to_owned();
        let (of_keep_alives, of_writers): (Vec<_>, Vec<_>) =
            conditions.iter().partition(|condition| condition["name"] == keep_alive::CONDITION);
        let of_writers: Vec<_> = of_writers.iter().map(|condition| words(&text(condition, "expression"))).collect();
        let expected: Vec<_> = match_expression(entry.writers, &users).iter().map(|text| words(text)).collect();
        assert_eq!(of_writers, expected, "{}: the same accounts as in config.yaml", entry.name);
        let of_keep_alives: Vec<_> = of_keep_alives.iter().map(|condition| text(condition, "expression")).collect();
        let expected: Vec<_> = entry.spares_keep_alives.then(|| keep_alive::expression(&users)).into_iter().collect();
        assert_eq!(of_keep_alives, expected, "{}", entry.name);
        assert!(!entry.spares_keep_alives || entry.failure_policy == "Ignore", "{}", entry.name);
    }
}

#[test]
fn keep_alives_are_called_for_with_the_component_and_nothing_else_changes() {
    let copy = copy_of_the_manifests();
    let folder = copy.path().join("manifests/called");
    std::fs::create_dir(&folder).unwrap();
    let kustomization = "resources: [../base]\ncomponents: [../components/call-for-keep-alives]\n";
    std::fs::write(folder.join("kustomization.yaml"), kustomization).unwrap();
    let mut expected = webhooks(&kustomize("manifests/base"));
    for webhook in &mut expected {
        let Some(conditions) = webhook["matchConditions"].as_array_mut() else { continue };
        conditions.retain(|condition| condition["name"] != keep_alive::CONDITION);
        if conditions.is_empty() {
            webhook.as_object_mut().unwrap().remove("matchConditions");
        }
    }
    assert_eq!(webhooks(&kustomize_path(&folder)), expected);
}

#[test]
fn the_shipped_accounts_are_exact_names_of_hobbyfarms_writers() {
    let writers = ["hobbyfarm-session", "hobbyfarm-gargantua", "hobbyfarm-user"];
    let accounts = accounts();
    assert_eq!(accounts, writers.map(|name| format!("hobbyfarm-system/{name}")));
    for account in accounts {
        let pattern: AccountPattern = account.parse().unwrap();
        assert!(!pattern.is_wildcard() && !pattern.admits_default_account(), "{account}");
        let user = format!("system:serviceaccount:{}", account.replace('/', ":"));
        assert!(pattern.matches(&Requester::parse(&user)), "{user}");
    }
}

#[test]
fn nothing_is_left_for_the_api_server_to_default() {
    for webhook in webhooks(&kustomize("manifests/base")) {
        let name = webhook["name"].as_str().unwrap();
        assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]), "{name}");
        assert_eq!(webhook["matchPolicy"], "Equivalent", "{name}");
        // Nothing is exempt by default; AKS owns the field where it wants to, and a value of ours would fight it.
        assert_eq!((webhook.get("namespaceSelector"), webhook.get("objectSelector")), (None, None), "{name}");
        assert_eq!(webhook["sideEffects"], "None", "{name}: or --dry-run=server would fail");
        for key in ["failurePolicy", "timeoutSeconds", "rules"] {
            assert!(webhook.get(key).is_some(), "{name}: {key}");
        }
    }
}

#[test]
fn the_configurations_have_no_field_that_kubernetes_does_not_know() {
    let rendered = kustomize("manifests/base");
    let mutating: MutatingWebhookConfiguration = rendered.the(CONFIGURATIONS[0]);
    let validating: ValidatingWebhookConfiguration = rendered.the(CONFIGURATIONS[1]);
    let read = [serde_json::to_value(mutating).unwrap(), serde_json::to_value(validating).unwrap()];
    for (kind, read) in CONFIGURATIONS.iter().zip(read) {
        assert_eq!(rendered.of_kind(kind).next().unwrap(), &read);
    }
}

#[test]
fn fail_open_refuses_nobody_for_want_of_an_answer_and_changes_nothing_else() {
    let open = webhooks(&kustomize("manifests/overlays/fail-open"));
    let mut closed = webhooks(&kustomize("manifests/overlays/cert-manager"));
    assert_ne!(open, closed);
    for webhook in &mut closed {
        webhook["failurePolicy"] = json!("Ignore");
    }
    assert_eq!(open, closed);
}

#[test]
fn older_servers_get_the_strict_entry_for_everybody() {
    let copy = copy_of_the_manifests();
    let folder = copy.path().join("manifests/old");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kustomization.yaml"), OLD).unwrap();
    let rendered = kustomize_path(&folder);
    assert_eq!(rendered.of_kind("PodDisruptionBudget").next().unwrap()["apiVersion"], "policy/v1beta1");
    let mut strict = webhook("validate.session-webhook.hobbyfarm.io");
    let mut mutating = webhook("mutate.session-webhook.hobbyfarm.io");
    for entry in [&mut mutating, &mut strict] {
        entry.as_object_mut().unwrap().remove("matchConditions");
    }
    assert_eq!(webhooks(&rendered), [mutating, strict]);
}

const OLD: &str = "
resources: [../base]
components: [../components/without-match-conditions, ../components/policy-v1beta1]
";

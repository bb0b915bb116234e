//! `session-webhook policy`: what it prints is what was held against the policy, and what Kubernetes takes.

use std::path::Path;

use assert_cmd::Command;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use serde_json::{Value, json};
use session_webhook::core::policy_twin::admission_policy::objects;
use session_webhook::core::settings::Settings;

use crate::Pair;
use crate::recorded::{recorded, shipped};
use crate::write_guard::settings;

const COMPONENT: &str = "manifests/components/policy/policy.yaml";

/// The arguments that the component is printed with.
const SHIPPED: [&str; 3] =
    ["--config=manifests/base/config.yaml", "--own-service-account", "hobbyfarm-session-webhook/session-webhook"];

fn print(arguments: &[&str]) -> String {
    let output = Command::cargo_bin("session-webhook")
        .unwrap()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .arg("policy")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn documents(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

/// The settings of the manifests, with the account that the webhook has in the overlays.
fn installed() -> Settings {
    Settings { own_service_account: Some("hobbyfarm-session-webhook/session-webhook".parse().unwrap()), ..shipped() }
}

#[test]
fn the_printed_policy_decides_recorded_requests_as_the_webhook_does() {
    for policy in
        [documents(&print(&SHIPPED)).remove(0), list(&print(&[&SHIPPED[..], &["-o", "json"]].concat())).remove(0)]
    {
        let pair = Pair::of(&policy, installed());
        for request in recorded() {
            if let Err(difference) = pair.agreed(&request.json()) {
                panic!("{}/{}: {difference}", request.folder, request.scenario);
            }
        }
    }
}

fn list(text: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")));
    list["items"].as_array().unwrap().clone()
}

/// Names that are hard to quote, in the two layers of CEL and YAML.
#[test]
fn yaml_and_json_hold_the_same_objects() {
    for settings in settings() {
        let flags = |flag: &'static str, values: Vec<String>| {
            values.into_iter().map(move |value| format!("--{flag}={value}")).collect::<Vec<_>>()
        };
        let texts = |values: &[String]| values.iter().filter(|value| !value.is_empty()).cloned().collect::<Vec<_>>();
        let settings = Settings { break_glass_users: texts(&settings.break_glass_users), ..settings };
        let impersonation = if settings.impersonation == Settings::default().impersonation { "deny" } else { "allow" };
        let arguments = [
            flags("service-account", settings.service_accounts.iter().map(ToString::to_string).collect()),
            flags("housekeeper", settings.housekeepers.iter().map(ToString::to_string).collect()),
            flags("break-glass-user", settings.break_glass_users.clone()),
            flags("break-glass-group", settings.break_glass_groups.clone()),
            flags("impersonation", vec![impersonation.to_owned()]),
        ]
        .concat();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let settings = Settings { own_service_account: None, ..settings };
        let expected = objects(&settings);
        assert_eq!(documents(&print(&arguments)), expected);
        assert_eq!(list(&print(&[&arguments[..], &["--output=json"]].concat())), expected);
    }
}

#[test]
fn it_has_no_field_that_kubernetes_does_not_know() {
    let [policy, binding] = objects(&installed());
    let typed: ValidatingAdmissionPolicy = serde_json::from_value(policy.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), policy);
    let typed: ValidatingAdmissionPolicyBinding = serde_json::from_value(binding.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), binding);
}

#[test]
fn a_policy_in_mode_warn_refuses_nobody() {
    let objects = documents(&print(&[&SHIPPED[..], &["--mode=warn"]].concat()));
    assert_eq!(objects[1]["spec"]["validationActions"], json!(["Warn"]));
}

#[test]
fn the_component_holds_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(COMPONENT);
    let printed = print(&SHIPPED);
    if std::env::var_os("UPDATE_MANIFESTS").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    let component = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(component, printed, "UPDATE_MANIFESTS=1 cargo test --test oracle component renews it");
}

#[test]
fn what_is_questionable_is_told_beside_the_policy() {
    let output = Command::cargo_bin("session-webhook").unwrap().env_clear().arg("policy").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success());
    assert!(told.contains("warning: --service-account hobbyfarm-system/*"), "{told}");
    assert!(told.contains("warning: without --own-service-account"), "{told}");
}

//! The objects that hold expressions, and what their expressions are about.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use session_webhook::core::policy_twin::admission_policy;
use session_webhook::core::policy_twin::keep_alive::CONDITION;
use session_webhook::core::settings::Settings;

use crate::apiserver::ApiServer;
use crate::recorded::shipped;
use crate::reviews::{Choices, review};
use crate::write_guard::settings;

/// The documents of a file of the project.
fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn of_kind(path: &str, kind: &str) -> Value {
    documents(path).into_iter().find(|document| document["kind"] == kind).unwrap()
}

/// The shipped configuration of the validating webhook.
fn shipped_webhooks() -> Value {
    of_kind("manifests/base/validating-webhook.yaml", "ValidatingWebhookConfiguration")
}

/// The shipped entries of both configurations.
pub fn entries() -> Vec<Value> {
    let mutating = of_kind("manifests/base/mutating-webhook.yaml", "MutatingWebhookConfiguration");
    let entries = |configuration: &Value| configuration["webhooks"].as_array().unwrap().clone();
    [entries(&mutating), entries(&shipped_webhooks())].concat()
}

/// The shipped configuration of the validating webhook, by writers alone: keep-alives are not spared the call.
pub fn webhooks() -> Value {
    let mut configuration = shipped_webhooks();
    for entry in configuration["webhooks"].as_array_mut().unwrap() {
        entry["matchConditions"].as_array_mut().unwrap().retain(|condition| condition["name"] != CONDITION);
    }
    configuration
}

/// The shipped policy.
pub fn component() -> Value {
    of_kind("manifests/components/policy/policy.yaml", "ValidatingAdmissionPolicy")
}

/// The settings that the shipped policy is printed with.
pub fn installed() -> Settings {
    Settings { own_service_account: Some("hobbyfarm-session-webhook/session-webhook".parse().unwrap()), ..shipped() }
}

/// The policy of these settings.
pub fn policy(settings: &Settings) -> Value {
    let [policy, _] = admission_policy::objects(settings);
    policy
}

/// The shipped policy and the ones of settings that use every option, each with its settings.
pub fn policies() -> Vec<(Value, Settings)> {
    let others = settings().into_iter().map(|settings| (policy(&settings), settings));
    [(component(), installed())].into_iter().chain(others).collect()
}

/// As many generated reviews, the same ones at each call.
pub fn generated(count: usize) -> Vec<Value> {
    generated_by(count, review)
}

/// The same of another kind.
pub fn generated_by(count: usize, review: fn(&mut Choices<'_>) -> Value) -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    let choices = vec(any::<u8>(), 0..96);
    (0..count).map(|_| review(&mut Choices(&choices.new_tree(&mut runner).unwrap().current()))).collect()
}

/// Both `CustomResourceDefinition`s that HobbyFarm has for Sessions.
fn definitions() -> [Value; 2] {
    ["documented", "gargantua"]
        .map(|dialect| of_kind(&format!("tests/crds/{dialect}.yaml"), "CustomResourceDefinition"))
}

/// What the API server says about a policy: errors refuse it, warnings go to its `status`.
///
/// It checks types only where the rules name versions, which the printed ones do not; so they are made to.
pub fn check(server: &ApiServer, policy: &Value) -> Vec<Value> {
    let mut named = policy.clone();
    named["spec"]["matchConstraints"]["resourceRules"][0]["apiVersions"] = json!(["v1"]);
    let answers = |definition| server.ask([definition, policy, &named]).split_off(1);
    definitions().iter().flat_map(answers).collect()
}

pub fn every_expression_compiles(server: &ApiServer) {
    let sound = json!({"errors": [], "warnings": []});
    assert_eq!(server.ask([&shipped_webhooks()])[0], sound);
    for (policy, settings) in policies() {
        for said in check(server, &policy) {
            assert_eq!(said, sound, "{settings:#?}");
        }
    }
}

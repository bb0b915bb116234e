//! What faults are made of: parts of the facts to change.

use serde_json::{Value, json};
use session_webhook::core::doctor::{Facts, Observation, PresentedCertificate, ServeSettings, WriteRights};

use crate::facts::manifest;

pub(crate) type InjectFault = fn(&mut Facts);

pub(crate) fn configuration(facts: &mut Facts, index: usize) -> &mut Value {
    let Observation::Found(configuration) = &mut facts.configurations[index] else { panic!("it is there") };
    configuration
}

/// The entry at this place of the validating configuration.
pub(crate) fn validating(facts: &mut Facts, at: usize) -> &mut Value {
    &mut configuration(facts, 1)["webhooks"][at]
}

pub(crate) fn mutating(facts: &mut Facts) -> &mut Value {
    &mut configuration(facts, 0)["webhooks"][0]
}

pub(crate) fn change_both_validating_entries(facts: &mut Facts, change: fn(&mut Value)) {
    (0..2).for_each(|at| change(validating(facts, at)));
}

pub(crate) fn serve_settings(facts: &mut Facts) -> &mut ServeSettings {
    facts.serve_settings.as_mut().unwrap()
}

pub(crate) fn presented(facts: &mut Facts) -> &mut PresentedCertificate {
    facts.served[1].presented.as_mut().unwrap()
}

pub(crate) fn role(name: &str, rule: &Value) -> Value {
    json!({"metadata": {"name": name}, "rules": [rule]})
}

pub(crate) fn bind(facts: &mut Facts, role: Value, subject: &Value) {
    let Observation::Found(rbac) = &mut facts.rbac else { panic!("it is there") };
    let role_ref = json!({"kind": "ClusterRole", "name": role["metadata"]["name"]});
    rbac.cluster_roles.push(role);
    rbac.cluster_role_bindings.push(json!({"metadata": {"name": "b"}, "roleRef": role_ref, "subjects": [subject]}));
}

pub(crate) fn own_account() -> Value {
    json!({"kind": "ServiceAccount", "namespace": "hobbyfarm-session-webhook", "name": "session-webhook"})
}

/// The component, as an API server gives it back.
pub(crate) fn with_policy(facts: &mut Facts) {
    let mut objects = manifest("components/policy/policy.yaml").into_iter().map(Observation::Found);
    facts.admission_policy = [objects.next().unwrap(), objects.next().unwrap()];
    policy(facts, 0)["status"] = json!({"observedGeneration": 1, "typeChecking": {}});
    // What a newer server might fill in.
    policy(facts, 0)["spec"]["matchConstraints"]["more"] = json!("x");
}

pub(crate) fn policy(facts: &mut Facts, index: usize) -> &mut Value {
    let Observation::Found(object) = &mut facts.admission_policy[index] else { panic!("it is there") };
    object
}

pub(crate) fn presented_certificate(facts: &Facts) -> session_webhook::core::doctor::CertificateInfo {
    facts.served[0].presented.as_ref().unwrap().certificate.clone()
}

pub(crate) fn no_rights(facts: &mut Facts, rights: Option<WriteRights>) {
    let Observation::Found(accounts) = &mut facts.accounts else { panic!("they are there") };
    for account in accounts {
        account.rights = rights;
    }
}

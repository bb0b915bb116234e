//! The table of who may write as two objects that an API server evaluates by itself: a `ValidatingAdmissionPolicy` and
//! its binding. The expressions are those of [`crate::core::policy_twin::cel`]; the messages here say what [`crate::core::admission::policy`]'s say.
//!
//! What the API server bounds, for one request: 1,000,000 units of cost for an expression and 10,000,000 for the policy,
//! 5 KiB and one line for a message. An expression that fails refuses the request (`failurePolicy: Fail`), so none may.

use serde_json::{Value, json};

use crate::core::admission::message::{DenialReasons, MAX_USER_LENGTH};
use crate::core::admission::review::{GROUP, LONGEST_OBJECT};
use crate::core::admission::rule::Rule;
use crate::core::installation::{CONFIGURATION, OPERATIONS, RESOURCES, SCOPE};
use crate::core::policy_twin::cel::{self, Validation, string_literal};
use crate::core::settings::{Mode, Settings};

/// The name of both objects: that of the webhook configurations that they stand beside.
pub const NAME: &str = CONFIGURATION;
/// The first Kubernetes version that serves them.
pub const SINCE: (u32, u32) = (1, 30);

/// The policy and its binding, `admissionregistration.k8s.io/v1` (Kubernetes 1.30). What the API server would default is
/// spelled out, so that a second apply changes nothing.
pub fn objects(settings: &Settings) -> [Value; 2] {
    [policy(settings), binding(settings.mode)]
}

fn policy(settings: &Settings) -> Value {
    let variables: Vec<_> = cel::variables(settings)
        .into_iter()
        .map(|variable| (variable.name, variable.expression))
        .chain(message_variables())
        .map(|(name, expression)| json!({"name": name, "expression": expression}))
        .collect();
    let validations: Vec<_> = cel::validations().iter().map(|validation| refusing(validation, settings)).collect();
    object(
        "ValidatingAdmissionPolicy",
        &json!({
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [{
                    "apiGroups": [GROUP],
                    "apiVersions": ["*"],
                    "operations": OPERATIONS,
                    "resources": RESOURCES,
                    "scope": SCOPE,
                }],
            },
            "variables": variables,
            "validations": validations,
            "auditAnnotations": annotations(settings.mode),
        }),
    )
}

fn binding(mode: Mode) -> Value {
    let action = match mode {
        Mode::Enforce => "Deny",
        Mode::Warn => "Warn",
        Mode::Audit => "Audit",
    };
    object("ValidatingAdmissionPolicyBinding", &json!({"policyName": NAME, "validationActions": [action]}))
}

fn object(kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {
            "name": NAME,
            "labels": {"app.kubernetes.io/name": "session-webhook", "app.kubernetes.io/part-of": "hobbyfarm"},
        },
        "spec": spec,
    })
}

/// A rule that refuses, with its message twice: the API server shows the shorter one when it cannot make the other.
fn refusing(validation: &Validation, settings: &Settings) -> Value {
    let (rule, reasons) = (validation.rule, DenialReasons::new(settings));
    let reason = reasons.of(rule);
    json!({
        "expression": validation.expression,
        "message": format!("{rule}: {reason}"),
        "messageExpression": format!(
            "{} + variables.writer + ' may not ' + variables.action + ' ' + variables.target + {}",
            string_literal(&format!("{rule}: user ")),
            string_literal(&format!(": {reason}"))
        ),
        "reason": "Forbidden",
    })
}

/// Who does what to which object, for the messages alone.
fn message_variables() -> [(&'static str, String); 4] {
    let name = "(has(request.namespace) && request.namespace != '' ? request.namespace + '/' : '') + \
                (has(request.name) && request.name != '' ? request.name : '(generated name)')";
    let action = "request.operation == 'CREATE' ? 'create Session' : \
                variables.subresource == 'status' ? 'edit the status of Session' : 'edit Session'";
    [
        ("writer", quoted_if_plain("variables.user", MAX_USER_LENGTH)),
        ("action", action.to_owned()),
        ("name", name.to_owned()),
        ("target", quoted_if_plain("variables.name", LONGEST_OBJECT)),
    ]
}

/// A text from the request in quotes. CEL has no function that escapes, so one that would need it, or is too long, is not
/// shown: quotes, backslashes, brackets, `%` (HobbyFarm takes messages for format strings), and all beyond ASCII.
fn quoted_if_plain(text: &str, longest: usize) -> String {
    let plain = string_literal(&format!("^[ !#$&-Z^-~]{{0,{longest}}}$"));
    format!("{text}.matches({plain}) ? '\"' + {text} + '\"' : 'with a name that cannot be shown here'")
}

/// What the webhook's own answers carry, under the name of the policy. An empty value is left out.
fn annotations(mode: Mode) -> Vec<Value> {
    let refusing = cel::validations().map(|validation| string_literal(validation.rule.name())).join(", ");
    let annotation = |key: &str, expression: String| json!({"key": key, "valueExpression": expression});
    let mut annotations = vec![
        annotation("rule", "variables.rule".to_owned()),
        annotation("decision", format!("variables.rule in [{refusing}] ? 'deny' : 'allow'")),
        annotation(
            "break-glass",
            format!("variables.rule == {} ? 'true' : ''", string_literal(Rule::BreakGlass.name())),
        ),
    ];
    if mode != Mode::Enforce {
        annotations.push(annotation("mode", string_literal(mode.name())));
    }
    annotations
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::objects;
    use crate::core::settings::{Mode, Settings};

    #[rstest]
    #[case(Mode::Enforce, "Deny", None)]
    #[case(Mode::Warn, "Warn", Some("'warn'"))]
    #[case(Mode::Audit, "Audit", Some("'audit'"))]
    fn the_mode_is_the_action_of_the_binding(
        #[case] mode: Mode,
        #[case] action: &str,
        #[case] annotation: Option<&str>,
    ) {
        let [policy, binding] = objects(&Settings { mode, ..Settings::default() });
        assert_eq!(binding["spec"]["validationActions"], json!([action]));
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
        let annotations = policy["spec"]["auditAnnotations"].as_array().unwrap();
        let mode = annotations.iter().find(|annotation| annotation["key"] == "mode");
        assert_eq!(mode.and_then(|mode| mode["valueExpression"].as_str()), annotation);
    }

    #[test]
    fn what_the_api_server_bounds_is_within_its_bounds() {
        let accounts = (0..200).map(|n| format!("hobbyfarm-system/account-{n}").parse().unwrap()).collect();
        let [policy, _] = objects(&Settings { service_accounts: accounts, ..Settings::default() });
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for validation in policy["spec"]["validations"].as_array().unwrap() {
            let message = text(&validation["message"]);
            assert!(message.len() < 500 && !message.contains(['\n', '%']), "{message}");
        }
        for annotation in policy["spec"]["auditAnnotations"].as_array().unwrap() {
            assert!(text(&annotation["valueExpression"]).len() < 5 * 1024, "Kubernetes refuses longer ones");
        }
    }
}

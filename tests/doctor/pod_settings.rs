//! What the shipped Deployment tells its pods, as `doctor` reads it.

use serde_json::json;
use session_webhook::core::doctor::pod_settings;

use crate::facts::one;

#[test]
fn the_shipped_deployment_is_read() {
    let mut deployment = one("base/deployment.yaml");
    deployment["metadata"]["namespace"] = json!("webhooks");
    let selector = one("base/service.yaml")["spec"]["selector"].clone();
    let pod = pod_settings(&deployment, &selector).unwrap();
    assert_eq!(pod.arguments, ["serve", "--config=/etc/session-webhook/config.yaml"]);
    let own = ("SESSION_WEBHOOK_OWN_SERVICE_ACCOUNT".to_owned(), "webhooks/session-webhook".to_owned());
    assert!(pod.variables.contains(&own), "{pod:?}");
    assert_eq!(pod.config_maps, [("/etc/session-webhook".to_owned(), "session-webhook".to_owned())]);
    assert_eq!(pod.secrets, [("/tls".to_owned(), "session-webhook-tls".to_owned())]);
    assert_eq!(pod.account, "session-webhook");
}

#[test]
fn a_deployment_of_something_else_is_not() {
    let mut deployment = one("base/deployment.yaml");
    assert_eq!(pod_settings(&deployment, &json!({"app.kubernetes.io/name": "gargantua"})), None);
    assert_eq!(pod_settings(&deployment, &json!({})), None, "a Service without a selector selects nothing");
    deployment["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["review"]);
    let selector = one("base/service.yaml")["spec"]["selector"].clone();
    assert_eq!(pod_settings(&deployment, &selector), None);
}

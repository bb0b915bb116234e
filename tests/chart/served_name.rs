//! What the pods are told that the API server calls them by.

use rstest::rstest;

use crate::helm::template;
use crate::settings::container;

/// The values of the variable, and how often it is there.
fn names(arguments: &[&str]) -> Vec<String> {
    let variables = container(&template(arguments)).env.unwrap();
    let names = variables.into_iter().filter(|variable| variable.name == "SESSION_WEBHOOK_TLS_NAME");
    names.map(|variable| variable.value.unwrap()).collect()
}

#[rstest]
#[case::default(&[], &["session-webhook.$(POD_NAMESPACE).svc"])]
#[case::another_name(&["--set=fullnameOverride=second"], &["second.$(POD_NAMESPACE).svc"])]
#[case::own_secret(&["--set=certificate.source=secret,certificate.caBundle=-----BEGIN CERTIFICATE-----"], &["session-webhook.$(POD_NAMESPACE).svc"])]
#[case::made_by_the_program(&["--set=certificate.source=self-managed"], &["session-webhook.$(POD_NAMESPACE).svc"])]
#[case::in_the_file(&["--set=config.tls-name=webhook.example"], &[])]
#[case::as_an_argument(&["--set=extraArgs={--tls-name=webhook.example}"], &[])]
#[case::another_argument(&["--set=extraArgs={--tls-names-of-another-day}"], &["session-webhook.$(POD_NAMESPACE).svc"])]
#[case::as_a_variable(&["--set=extraEnv[0].name=SESSION_WEBHOOK_TLS_NAME,extraEnv[0].value=webhook.example"], &["webhook.example"])]
fn the_pods_are_told_once_what_the_api_server_calls_them_by(#[case] arguments: &[&str], #[case] expected: &[&str]) {
    assert_eq!(names(arguments), expected);
}

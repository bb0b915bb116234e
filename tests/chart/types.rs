//! No field that the API does not know, and none of a wrong type.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::helm::{chart, template_of};

/// With everything on that there is, by each of the ways to a certificate.
pub(crate) const EVERYTHING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/everything.yaml");

#[test]
fn everything_that_the_chart_makes_is_known_to_the_api() {
    let mut kinds = BTreeSet::new();
    let authority = "--set=certificate.caBundle=-----BEGIN CERTIFICATE-----";
    for source in ["cert-manager", "self-managed", "secret"] {
        for values in [None, Some(EVERYTHING)] {
            let policy = "--set=guard=policy-and-webhook";
            let source = format!("--set=certificate.source={source}");
            let values = values.map(|file| format!("--values={file}"));
            let arguments: Vec<&str> = [authority, policy, &source].into_iter().chain(values.as_deref()).collect();
            for object in template_of(&chart(), &arguments).objects {
                kinds.insert(object["kind"].as_str().unwrap().to_owned());
                assert_known(&object);
            }
        }
    }
    assert!(kinds.len() >= 21, "{kinds:?}");
}

fn assert_known(object: &Value) {
    match object["kind"].as_str().unwrap() {
        "ClusterRole" => assert_is::<ClusterRole>(object),
        "ClusterRoleBinding" => assert_is::<ClusterRoleBinding>(object),
        "ConfigMap" => assert_is::<ConfigMap>(object),
        "CronJob" => assert_is::<CronJob>(object),
        "Deployment" => assert_is::<Deployment>(object),
        "HorizontalPodAutoscaler" => assert_is::<HorizontalPodAutoscaler>(object),
        "Job" => assert_is::<Job>(object),
        "Pod" => assert_is::<Pod>(object),
        "MutatingWebhookConfiguration" => assert_is::<MutatingWebhookConfiguration>(object),
        "NetworkPolicy" => assert_is::<NetworkPolicy>(object),
        "PodDisruptionBudget" => assert_is::<PodDisruptionBudget>(object),
        "Role" => assert_is::<Role>(object),
        "RoleBinding" => assert_is::<RoleBinding>(object),
        "Secret" => assert_is::<Secret>(object),
        "Service" => assert_is::<Service>(object),
        "ServiceAccount" => assert_is::<ServiceAccount>(object),
        "ValidatingAdmissionPolicy" => assert_is::<ValidatingAdmissionPolicy>(object),
        "ValidatingAdmissionPolicyBinding" => assert_is::<ValidatingAdmissionPolicyBinding>(object),
        "ValidatingWebhookConfiguration" => assert_is::<ValidatingWebhookConfiguration>(object),
        // The API server of tests/chart_in_cluster knows these by their definitions.
        "Certificate" | "Issuer" | "PodMonitor" | "PrometheusRule" | "ServiceMonitor" => (),
        kind => panic!("{kind} is not expected"),
    }
}

/// What the type does not know gets lost on the way through it.
fn assert_is<T: Resource + Metadata + Serialize + DeserializeOwned>(object: &Value) {
    assert_eq!(object["apiVersion"], T::API_VERSION, "{object}");
    let typed: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"));
    assert_eq!(&serde_json::to_value(typed).unwrap(), object);
}

//! The Deployment behind the Service, and the files that it mounts.

use kube::api::ListParams;
use serde_json::Value;

use super::reader::{ObjectReader, Resource};
use crate::core::doctor::{Observation, PodSettings, pod_settings};
use crate::core::installation::SERVICE;

const DEPLOYMENTS: Resource = Resource::new("deployments", "apps", "Deployment");
const CONFIG_MAPS: Resource = Resource::new("configmaps", "", "ConfigMap");

impl ObjectReader {
    /// The Deployment whose pods the Service selects, and what it tells them.
    pub(super) async fn deployment(
        &self,
        namespace: &str,
        service: Option<&Value>,
    ) -> (Observation<String>, Option<PodSettings>) {
        let deployments = match self.list(&DEPLOYMENTS, Some(namespace), ListParams::default()).await {
            Observation::Found(deployments) => deployments,
            Observation::Absent => return (Observation::Absent, None),
            Observation::Unknown(reason) => return (Observation::Unknown(reason), None),
        };
        let selector =
            service.and_then(|service| service.pointer("/spec/selector")).cloned().unwrap_or_else(shipped_labels);
        let found = deployments.iter().find_map(|deployment| {
            let name = deployment.pointer("/metadata/name")?.as_str()?;
            Some((name.to_owned(), pod_settings(deployment, &selector)?))
        });
        match found {
            Some((name, pod)) => (Observation::Found(name), Some(pod)),
            None => (Observation::Absent, None),
        }
    }

    /// The text files in a `ConfigMap`, by name.
    pub(super) async fn config_map(&self, namespace: &str, name: &str) -> Observation<Vec<(String, String)>> {
        self.get(&CONFIG_MAPS, Some(namespace), name).await.map(|map| {
            let data = map.get("data").and_then(Value::as_object).into_iter().flatten();
            data.filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned()))).collect()
        })
    }
}

/// What the shipped Service selects.
fn shipped_labels() -> Value {
    serde_json::json!({"app.kubernetes.io/name": SERVICE})
}

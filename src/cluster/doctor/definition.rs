//! HobbyFarm's `CustomResourceDefinition` of Sessions.

use serde_json::Value;

use super::reader::{ObjectReader, Resource};
use crate::core::admission::review::{GROUP, RESOURCE};
use crate::core::doctor::{Observation, SessionDefinition};
use crate::core::session::schema;

const DEFINITIONS: Resource =
    Resource::new("customresourcedefinitions", "apiextensions.k8s.io", "CustomResourceDefinition");

impl ObjectReader {
    /// HobbyFarm's definition of Sessions.
    pub(super) async fn definition(&self) -> Observation<SessionDefinition> {
        let name = format!("{RESOURCE}.{GROUP}");
        self.get(&DEFINITIONS, None, &name).await.map(|definition| read_definition(&definition))
    }
}

fn read_definition(definition: &Value) -> SessionDefinition {
    let versions: Vec<_> =
        definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten().collect();
    let served = versions.into_iter().filter(|version| version.get("served") == Some(&Value::Bool(true)));
    let served: Vec<_> = served.collect();
    let name = |version: &&Value| version.get("name").and_then(Value::as_str).map(str::to_owned);
    SessionDefinition {
        versions: served.iter().filter_map(name).collect(),
        status_subresource: served.iter().any(|version| version.pointer("/subresources/status").is_some()),
        dialect: served
            .iter()
            .find_map(|version| schema::described_dialect(version.pointer("/schema/openAPIV3Schema")?)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read_definition;
    use crate::core::doctor::SessionDefinition;
    use crate::core::settings::Dialect;

    #[test]
    fn a_definition_is_that_of_its_served_versions() {
        let version = |name: &str, served: bool, kind: &str| {
            let status = json!({"properties": {"paused": {"type": kind}}});
            let schema = json!({"openAPIV3Schema": {"properties": {"status": status}}});
            json!({"name": name, "served": served, "schema": schema, "subresources": {"status": {}}})
        };
        let definition =
            json!({"spec": {"versions": [version("v0", false, "string"), version("v1", true, "boolean")]}});
        let expected = SessionDefinition {
            versions: vec!["v1".to_owned()],
            status_subresource: true,
            dialect: Some(Dialect::Gargantua),
        };
        assert_eq!(read_definition(&definition), expected);
        let none = json!({"spec": {"versions": [{"name": "v1", "served": true}]}});
        let expected = SessionDefinition { versions: vec!["v1".to_owned()], status_subresource: false, dialect: None };
        assert_eq!(read_definition(&none), expected);
    }
}

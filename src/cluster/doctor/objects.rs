//! The objects of the installation.

use kube::api::ListParams;
use serde_json::Value;

use super::look::{Looker, Resource};
use super::tls;
use crate::core::admission::review::{GROUP, RESOURCE};
use crate::core::doctor::{Definition, Endpoint, Leaf, Look, Place, PodSays, Rbac, pod_says};
use crate::core::policy_twin::admission_policy::NAME;
use crate::core::settings::Dialect;

const MUTATING: Resource =
    Resource::new("mutatingwebhookconfigurations", "admissionregistration.k8s.io", "MutatingWebhookConfiguration");
const VALIDATING: Resource =
    Resource::new("validatingwebhookconfigurations", "admissionregistration.k8s.io", "ValidatingWebhookConfiguration");
const POLICIES: Resource =
    Resource::new("validatingadmissionpolicies", "admissionregistration.k8s.io", "ValidatingAdmissionPolicy");
const BINDINGS: Resource = Resource::new(
    "validatingadmissionpolicybindings",
    "admissionregistration.k8s.io",
    "ValidatingAdmissionPolicyBinding",
);
const SERVICES: Resource = Resource::new("services", "", "Service");
const ENDPOINTS: Resource = Resource::new("endpoints", "", "Endpoints");
const ENDPOINT_SLICES: Resource = Resource::new("endpointslices", "discovery.k8s.io", "EndpointSlice");
const DEPLOYMENTS: Resource = Resource::new("deployments", "apps", "Deployment");
const SECRETS: Resource = Resource::new("secrets", "", "Secret");
const CONFIG_MAPS: Resource = Resource::new("configmaps", "", "ConfigMap");
const DEFINITIONS: Resource =
    Resource::new("customresourcedefinitions", "apiextensions.k8s.io", "CustomResourceDefinition");
const CLUSTER_ROLES: Resource = Resource::new("clusterroles", RBAC, "ClusterRole");
const ROLES: Resource = Resource::new("roles", RBAC, "Role");
const CLUSTER_ROLE_BINDINGS: Resource = Resource::new("clusterrolebindings", RBAC, "ClusterRoleBinding");
const ROLE_BINDINGS: Resource = Resource::new("rolebindings", RBAC, "RoleBinding");
const RBAC: &str = "rbac.authorization.k8s.io";

impl Looker {
    /// Mutating and validating.
    pub(super) async fn configurations(&self, name: &str) -> [Look<Value>; 2] {
        [self.get(&MUTATING, None, name).await, self.get(&VALIDATING, None, name).await]
    }

    /// The policy of `session-webhook policy` and its binding.
    pub(super) async fn admission_policy(&self) -> [Look<Value>; 2] {
        [self.get(&POLICIES, None, NAME).await, self.get(&BINDINGS, None, NAME).await]
    }

    /// The Service and where it leads.
    pub(super) async fn behind(&self, place: &Place) -> (Look<Value>, Look<Vec<Endpoint>>) {
        let Place::Service { namespace, name, port } = place else { return (Look::Absent, Look::Absent) };
        let service = self.get(&SERVICES, Some(namespace), name).await;
        let Some(port_name) = service.found().map(|service| port_name(service, *port)) else {
            return (service, Look::Absent);
        };
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let slices = self.list(&ENDPOINT_SLICES, Some(namespace), of_service).await;
        let endpoints = match slices {
            Look::Found(slices) => Look::Found(in_slices(&slices, port_name.as_deref())),
            // Kubernetes before 1.21.
            Look::Absent => match self.get(&ENDPOINTS, Some(namespace), name).await {
                Look::Found(endpoints) => Look::Found(in_endpoints(&endpoints, port_name.as_deref())),
                Look::Absent => Look::Absent,
                Look::Unknown(obstacle) => Look::Unknown(obstacle),
            },
            Look::Unknown(obstacle) => Look::Unknown(obstacle),
        };
        (service, endpoints)
    }

    /// The Deployment whose pods the Service selects, and what it tells them.
    pub(super) async fn deployment(&self, namespace: &str, service: Option<&Value>) -> (Look<String>, Option<PodSays>) {
        let deployments = match self.list(&DEPLOYMENTS, Some(namespace), ListParams::default()).await {
            Look::Found(deployments) => deployments,
            Look::Absent => return (Look::Absent, None),
            Look::Unknown(obstacle) => return (Look::Unknown(obstacle), None),
        };
        let selector =
            service.and_then(|service| service.pointer("/spec/selector")).cloned().unwrap_or_else(shipped_labels);
        let found = deployments.iter().find_map(|deployment| {
            let name = deployment.pointer("/metadata/name")?.as_str()?;
            Some((name.to_owned(), pod_says(deployment, &selector)?))
        });
        match found {
            Some((name, pod)) => (Look::Found(name), Some(pod)),
            None => (Look::Absent, None),
        }
    }

    /// The text files in a `ConfigMap`, by name.
    pub(super) async fn config_map(&self, namespace: &str, name: &str) -> Look<Vec<(String, String)>> {
        match self.get(&CONFIG_MAPS, Some(namespace), name).await {
            Look::Found(map) => {
                let data = map.get("data").and_then(Value::as_object).into_iter().flatten();
                let file = |(key, text): (&String, &Value)| Some((key.clone(), text.as_str()?.to_owned()));
                Look::Found(data.filter_map(file).collect())
            }
            Look::Absent => Look::Absent,
            Look::Unknown(obstacle) => Look::Unknown(obstacle),
        }
    }

    /// The certificate in a Secret; its key is not looked at.
    pub(super) async fn secret(&self, namespace: &str, name: &str) -> Look<Option<Leaf>> {
        match self.get(&SECRETS, Some(namespace), name).await {
            Look::Found(secret) => {
                let pem = secret.pointer("/data/tls.crt").and_then(tls::decode).unwrap_or_default();
                Look::Found(tls::certificates(&pem).ok().and_then(|all| all.first().and_then(tls::describe)))
            }
            Look::Absent => Look::Absent,
            Look::Unknown(obstacle) => Look::Unknown(obstacle),
        }
    }

    /// HobbyFarm's definition of Sessions.
    pub(super) async fn definition(&self) -> Look<Definition> {
        let name = format!("{RESOURCE}.{GROUP}");
        match self.get(&DEFINITIONS, None, &name).await {
            Look::Found(definition) => Look::Found(read_definition(&definition)),
            Look::Absent => Look::Absent,
            Look::Unknown(obstacle) => Look::Unknown(obstacle),
        }
    }

    /// All roles and bindings.
    pub(super) async fn rbac(&self) -> Look<Rbac> {
        let mut all = Vec::new();
        for resource in [CLUSTER_ROLES, ROLES, CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS] {
            match self.list(&resource, None, ListParams::default()).await {
                Look::Found(objects) => all.push(objects),
                Look::Absent => return Look::Absent,
                Look::Unknown(obstacle) => return Look::Unknown(obstacle),
            }
        }
        let mut all = all.into_iter();
        let mut next = || all.next().unwrap_or_default();
        Look::Found(Rbac { cluster_roles: next(), roles: next(), cluster_role_bindings: next(), role_bindings: next() })
    }
}

/// What the shipped Service selects.
fn shipped_labels() -> Value {
    serde_json::json!({"app.kubernetes.io/name": crate::core::installation::SERVICE})
}

fn array<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The name of a Service's port, by which its endpoints have theirs.
fn port_name(service: &Value, port: u16) -> Option<String> {
    let ports: Vec<_> = service.pointer("/spec").map(|spec| array(spec, "ports").collect()).unwrap_or_default();
    let is_it = |known: &&&Value| known.get("port").and_then(Value::as_u64) == Some(port.into());
    let known = ports.iter().find(is_it).or(ports.first())?;
    known.get("name").and_then(Value::as_str).map(str::to_owned)
}

/// The number of the port of this name; an only one may have none.
fn port_of(object: &Value, name: Option<&str>) -> Option<u16> {
    let is_it =
        |port: &&Value| port.get("name").and_then(Value::as_str).unwrap_or_default() == name.unwrap_or_default();
    array(object, "ports").find(is_it)?.get("port")?.as_u64()?.try_into().ok()
}

fn pod_of(endpoint: &Value) -> Option<String> {
    let target = endpoint.get("targetRef")?;
    (target.get("kind")?.as_str()? == "Pod").then(|| target.get("name")?.as_str().map(str::to_owned)).flatten()
}

/// A pod with addresses of both families is in two slices.
fn in_slices(slices: &[Value], port: Option<&str>) -> Vec<Endpoint> {
    let mut all: Vec<Endpoint> = Vec::new();
    for endpoint in slices.iter().flat_map(|slice| in_slice(slice, port)) {
        if endpoint.pod.is_none() || all.iter().all(|known| known.pod != endpoint.pod) {
            all.push(endpoint);
        }
    }
    all
}

fn in_slice(slice: &Value, port: Option<&str>) -> Vec<Endpoint> {
    let Some(port) = port_of(slice, port) else { return Vec::new() };
    let endpoint = |endpoint: &Value| {
        let address = array(endpoint, "addresses").next()?.as_str()?.to_owned();
        // Not said counts as ready.
        let ready = endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true);
        Some(Endpoint { address, port, ready, pod: pod_of(endpoint) })
    };
    array(slice, "endpoints").filter_map(endpoint).collect()
}

fn in_endpoints(endpoints: &Value, port: Option<&str>) -> Vec<Endpoint> {
    let mut all = Vec::new();
    for subset in array(endpoints, "subsets") {
        let Some(port) = port_of(subset, port) else { continue };
        for (key, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            let endpoint = |address: &Value| {
                let ip = address.get("ip")?.as_str()?.to_owned();
                Some(Endpoint { address: ip, port, ready, pod: pod_of(address) })
            };
            all.extend(array(subset, key).filter_map(endpoint));
        }
    }
    all
}

fn read_definition(definition: &Value) -> Definition {
    let versions: Vec<_> =
        definition.pointer("/spec").map(|spec| array(spec, "versions").collect()).unwrap_or_default();
    let served = versions.into_iter().filter(|version| version.get("served") == Some(&Value::Bool(true)));
    let served: Vec<_> = served.collect();
    let name = |version: &&Value| version.get("name").and_then(Value::as_str).map(str::to_owned);
    let kind_of_flag = |version: &&Value| {
        let paused = version.pointer("/schema/openAPIV3Schema/properties/status/properties/paused/type")?;
        match paused.as_str()? {
            "boolean" => Some(Dialect::Gargantua),
            "string" => Some(Dialect::Documented),
            _ => None,
        }
    };
    Definition {
        versions: served.iter().filter_map(name).collect(),
        status_subresource: served.iter().any(|version| version.pointer("/subresources/status").is_some()),
        dialect: served.iter().find_map(kind_of_flag),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Endpoint, in_endpoints, in_slices, port_name, read_definition};
    use crate::core::doctor::Definition;
    use crate::core::settings::Dialect;

    fn slice(family: &str, address: &str, ready: &Value) -> Value {
        json!({
            "addressType": family,
            "endpoints": [{
                "addresses": [address],
                "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "name": "a"},
            }],
            "ports": [{"name": "metrics", "port": 8080}, {"name": "https", "port": 8443}],
        })
    }

    fn endpoint(address: &str, ready: bool) -> Endpoint {
        Endpoint { address: address.to_owned(), port: 8443, ready, pod: Some("a".to_owned()) }
    }

    #[test]
    fn a_pod_in_slices_of_both_families_counts_once() {
        let slices = [slice("IPv4", "10.0.0.1", &json!(true)), slice("IPv6", "fd00::1", &json!(true))];
        assert_eq!(in_slices(&slices, Some("https")), [endpoint("10.0.0.1", true)]);
        assert_eq!(in_slices(&slices, Some("other")), []);
    }

    #[test]
    fn what_is_not_said_to_be_unready_is_ready() {
        assert_eq!(in_slices(&[slice("IPv4", "10.0.0.1", &Value::Null)], Some("https")), [endpoint("10.0.0.1", true)]);
        assert_eq!(
            in_slices(&[slice("IPv4", "10.0.0.1", &json!(false))], Some("https")),
            [endpoint("10.0.0.1", false)]
        );
    }

    #[test]
    fn endpoints_of_older_servers_are_read() {
        let target = json!({"kind": "Pod", "name": "a"});
        let endpoints = json!({"subsets": [{
            "addresses": [{"ip": "10.0.0.1", "targetRef": target}],
            "notReadyAddresses": [{"ip": "10.0.0.2", "targetRef": target}],
            "ports": [{"name": "https", "port": 8443}],
        }]});
        let expected = [endpoint("10.0.0.1", true), endpoint("10.0.0.2", false)];
        assert_eq!(in_endpoints(&endpoints, Some("https")), expected);
    }

    #[test]
    fn the_name_of_a_port_is_that_of_its_number() {
        let service = json!({"spec": {"ports": [{"name": "metrics", "port": 80}, {"name": "https", "port": 443}]}});
        assert_eq!(port_name(&service, 443).as_deref(), Some("https"));
        assert_eq!(port_name(&json!({"spec": {"ports": [{"port": 443}]}}), 443), None);
    }

    #[test]
    fn a_definition_is_that_of_its_served_versions() {
        let version = |name: &str, served: bool, kind: &str| {
            let status = json!({"properties": {"paused": {"type": kind}}});
            let schema = json!({"openAPIV3Schema": {"properties": {"status": status}}});
            json!({"name": name, "served": served, "schema": schema, "subresources": {"status": {}}})
        };
        let definition =
            json!({"spec": {"versions": [version("v0", false, "string"), version("v1", true, "boolean")]}});
        let expected =
            Definition { versions: vec!["v1".to_owned()], status_subresource: true, dialect: Some(Dialect::Gargantua) };
        assert_eq!(read_definition(&definition), expected);
        let none = json!({"spec": {"versions": [{"name": "v1", "served": true}]}});
        let expected = Definition { versions: vec!["v1".to_owned()], status_subresource: false, dialect: None };
        assert_eq!(read_definition(&none), expected);
    }
}

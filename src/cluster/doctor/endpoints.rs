//! The Service and the addresses behind it.

use kube::api::ListParams;
use serde_json::Value;

use super::reader::{ObjectReader, Resource};
use crate::core::doctor::{Endpoint, Observation, WebhookTarget};

const SERVICES: Resource = Resource::new("services", "", "Service");
const ENDPOINTS: Resource = Resource::new("endpoints", "", "Endpoints");
const ENDPOINT_SLICES: Resource = Resource::new("endpointslices", "discovery.k8s.io", "EndpointSlice");

impl ObjectReader {
    /// The Service and the addresses behind it.
    pub(super) async fn service_and_endpoints(
        &self,
        target: &WebhookTarget,
    ) -> (Observation<Value>, Observation<Vec<Endpoint>>) {
        let WebhookTarget::Service { namespace, name, port } = target else {
            return (Observation::Absent, Observation::Absent);
        };
        let service = self.get(&SERVICES, Some(namespace), name).await;
        let Some(port_name) = service.found().map(|service| port_name(service, *port)) else {
            return (service, Observation::Absent);
        };
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let slices = self.list(&ENDPOINT_SLICES, Some(namespace), of_service).await;
        let endpoints = match slices {
            // Kubernetes before 1.21.
            Observation::Absent => {
                let endpoints = self.get(&ENDPOINTS, Some(namespace), name).await;
                endpoints.map(|endpoints| in_endpoints(&endpoints, port_name.as_deref()))
            }
            slices => slices.map(|slices| in_slices(&slices, port_name.as_deref())),
        };
        (service, endpoints)
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Endpoint, in_endpoints, in_slices, port_name};

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
}

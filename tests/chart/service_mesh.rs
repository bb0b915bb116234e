//! docs/service-mesh.md: its snippets are values of the chart, and its ports are the chart's.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::helm::{chart, helm, helm4, template_by};
use crate::render::{Rendered, root};

fn page() -> String {
    fs::read_to_string(root().join("docs/service-mesh.md")).unwrap()
}

/// Each snippet of the page in code that begins so, as YAML.
fn snippets(page: &str, beginning: &str) -> Vec<Value> {
    let code = Regex::new(&format!("`({beginning}: ?\\{{[^`]+\\}})`")).unwrap();
    code.captures_iter(page).map(|found| serde_saphyr::from_str(&found[1]).unwrap()).collect()
}

/// Where labels or annotations of a value are found: at each pod template with a container that has the webhooks' port.
fn of_serving_pods<'a>(rendered: &'a mut Rendered, kind: &str) -> Vec<&'a mut Map<String, Value>> {
    let serves = |object: &Value| {
        let containers = object["spec"]["template"]["spec"]["containers"].as_array();
        let ports = containers.into_iter().flatten().filter_map(|container| container["ports"].as_array());
        ports.flatten().any(|port| port["name"] == "webhook")
    };
    let metadata = rendered.objects.iter_mut().filter(|object| serves(object)).map(|object| {
        let metadata = object["spec"]["template"]["metadata"].as_object_mut().unwrap();
        metadata.entry(kind).or_insert_with(|| json!({})).as_object_mut().unwrap()
    });
    metadata.collect()
}

#[test]
fn each_snippet_is_on_every_pod_that_serves_the_webhooks_and_changes_nothing_else() {
    let page = page();
    let mut found = 0;
    for (value, kind) in [("podAnnotations", "annotations"), ("podLabels", "labels")] {
        for snippet in snippets(&page, value) {
            found += 1;
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("values.yaml");
            fs::write(&file, snippet.to_string()).unwrap();
            for (helm, version) in [(helm as fn(&[&str]) -> _, 3), (helm4, 4)] {
                let more = ["--no-hooks", "--values", crate::types::EVERYTHING];
                let mut without = template_by(helm, &chart(), &more);
                let mut with =
                    template_by(helm, &chart(), &[&more[..], &["--values", file.to_str().unwrap()]].concat());
                let mut serving = of_serving_pods(&mut without, kind);
                assert!(!serving.is_empty());
                for metadata in &mut serving {
                    metadata.extend(snippet[value].as_object().unwrap().clone());
                }
                of_serving_pods(&mut with, kind);
                assert_eq!(with.objects, without.objects, "Helm {version}: {snippet}");
            }
        }
    }
    assert_eq!(found, 7, "a row of the page is not read");
}

#[test]
fn the_ports_are_the_charts() {
    let values: Value = serde_saphyr::from_str(&fs::read_to_string(chart().join("values.yaml")).unwrap()).unwrap();
    let webhook = &values["ports"]["webhook"];
    let page = page();
    let mut inbound = BTreeSet::new();
    for snippet in snippets(&page, "podAnnotations") {
        for (key, ports) in snippet["podAnnotations"].as_object().unwrap() {
            if key.to_lowercase().contains("inbound") {
                assert_eq!(*ports, webhook.to_string(), "{key}");
                inbound.insert(key.clone());
            }
        }
    }
    assert_eq!(inbound.len(), 3, "{inbound:?}");
    let modes = snippets(&page, "portLevelMtls");
    assert_eq!(modes, [json!({"portLevelMtls": {webhook.to_string(): {"mode": "PERMISSIVE"}}})]);
    assert!(page.contains(&format!("`/metrics` ({})", values["ports"]["ops"])));
}

//! docs/gitops.md and docs/install.md: what the objects for Argo CD and Flux name is there and renders, and no way in is longer
//! than it promises.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::helm::template_of;
use crate::render::{Rendered, kustomize, root};

/// The objects on the page, by their kind.
fn objects() -> BTreeMap<String, Value> {
    let page = fs::read_to_string(root().join("docs/gitops.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let objects = blocks.map(|block| serde_saphyr::from_str::<Value>(block).unwrap());
    objects.map(|object| (object["kind"].as_str().unwrap().to_owned(), object)).collect()
}

/// The chart in this folder of the repository, with these values.
fn rendered(folder: &Value, release: &Value, values: &Value) -> Rendered {
    assert_eq!(release, "session-webhook", "what docs/install.md waits for");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), values.to_string()).unwrap();
    let arguments = ["--include-crds", "--values", file.path().to_str().unwrap()];
    template_of(&root().join(folder.as_str().unwrap()), &arguments)
}

/// The webhook runs from the image that the page names, and needs no cert-manager.
fn is_an_installation(rendered: &Rendered) {
    let pod = &rendered.named("Deployment", "session-webhook")["spec"]["template"]["spec"];
    let image = pod["containers"][0]["image"].as_str().unwrap();
    assert!(image.starts_with("registry.example.org/hobbyfarm-session-webhook:"), "{image}");
    rendered.named("Secret", "session-webhook-self-managed");
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        rendered.named(kind, "hobbyfarm-session-webhook");
    }
    assert_eq!(rendered.of_kind("Certificate").count(), 0);
}

#[test]
fn argo_cd_finds_the_chart_and_what_it_is_to_ignore() {
    let application = &objects()["Application"];
    assert_eq!(application["metadata"]["name"], "session-webhook");
    let source = &application["spec"]["source"];
    let rendered = rendered(&source["path"], &source["helm"]["releaseName"], &source["helm"]["valuesObject"]);
    is_an_installation(&rendered);
    for option in ["CreateNamespace", "ServerSideApply", "RespectIgnoreDifferences"] {
        let options = application["spec"]["syncPolicy"]["syncOptions"].as_array().unwrap();
        assert!(options.contains(&Value::from(format!("{option}=true"))), "{option}");
    }
    for ignored in application["spec"]["ignoreDifferences"].as_array().unwrap() {
        assert_ne!(ignored["kind"], "Secret", "a sync would write back what it saw before a renewal");
        let is_it = |object: &&Value| {
            let group = object["apiVersion"].as_str().unwrap().rsplit_once('/').map_or("", |(group, _)| group);
            let name = ignored.get("name").is_none_or(|name| *name == object["metadata"]["name"]);
            group == ignored["group"].as_str().unwrap_or_default() && object["kind"] == ignored["kind"] && name
        };
        assert_eq!(rendered.objects.iter().filter(is_it).count(), 1, "{ignored}");
    }
}

#[test]
fn flux_finds_the_chart_and_the_overlay_in_its_source() {
    let objects = objects();
    let source = &objects["GitRepository"]["metadata"];
    let release = &objects["HelmRelease"];
    assert_eq!(release["metadata"]["name"], "session-webhook");
    let chart = &release["spec"]["chart"]["spec"];
    is_an_installation(&rendered(&chart["chart"], &release["spec"]["releaseName"], &release["spec"]["values"]));
    let kustomization = &objects["Kustomization"];
    for (object, source_of) in [(release, &chart["sourceRef"]), (kustomization, &kustomization["spec"]["sourceRef"])] {
        assert_eq!((&source_of["kind"], &source_of["name"]), (&Value::from("GitRepository"), &source["name"]));
        assert_eq!(object["metadata"]["namespace"], source["namespace"]);
    }
    let folder = kustomization["spec"]["path"].as_str().unwrap().trim_start_matches("./");
    let mut overlay = kustomize(folder);
    let image = &kustomization["spec"]["images"][0];
    let pod = overlay.objects.iter_mut().find(|object| object["kind"] == "Deployment").unwrap();
    let found = &mut pod["spec"]["template"]["spec"]["containers"][0]["image"];
    let (name, tag) = found.as_str().unwrap().split_once(':').unwrap();
    assert_eq!(image["name"], name, "or Flux replaces nothing");
    *found = Value::from(format!("{}:{tag}", image["newName"].as_str().unwrap()));
    is_an_installation(&overlay);
}

/// Four of the six are walked in `tests/chart_in_cluster/first_hour.rs`.
#[test]
fn each_way_from_nothing_to_a_guard_has_at_most_five_commands() {
    let page = fs::read_to_string(root().join("docs/install.md")).unwrap();
    let (_, section) = page.split_once("\n## From nothing to a proven guard\n").unwrap();
    let ways: Vec<_> = section.split("\n## ").next().unwrap().split("\n### ").skip(1).collect();
    assert_eq!(ways.len(), 6);
    for way in ways {
        let commands: Vec<_> = way.lines().filter(|line| line.starts_with("$ ")).collect();
        assert!((1..=5).contains(&commands.len()), "{way}");
        let proof = commands.last().unwrap();
        assert!(proof.starts_with("$ helm test ") || proof.starts_with("$ session-webhook doctor "), "{way}");
    }
}

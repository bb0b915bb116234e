//! `kubectl kustomize`, as objects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::de::DeserializeOwned;
use serde_json::Value;
use session_webhook::core::installation::RbacRule;

/// One rendered kustomization.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    pub(crate) objects: Vec<Value>,
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Renders a folder of this repository.
pub(crate) fn kustomize(folder: &str) -> Rendered {
    kustomize_path(&root().join(folder))
}

/// Renders any folder.
pub(crate) fn kustomize_path(folder: &Path) -> Rendered {
    let output = Command::new("kubectl").arg("kustomize").arg(folder).output().unwrap_or_else(|error| {
        panic!("kubectl is needed to render the manifests (kustomize 5, so kubectl 1.27 or later): {error}")
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "kubectl kustomize {}: {stderr}\n(kubectl 1.27 or later is needed)",
        folder.display()
    );
    assert!(stderr.is_empty(), "kubectl kustomize {} warns: {stderr}", folder.display());
    let text = String::from_utf8(output.stdout).expect("kustomize writes UTF-8");
    let objects = serde_saphyr::from_multiple(&text).expect("kustomize writes YAML");
    Rendered { text, objects }
}

/// A copy of `manifests/` and `certs/` that a test may change.
pub(crate) fn copy_of_the_manifests() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["manifests", "certs"] {
        copy(&root().join(part), &folder.path().join(part));
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if !entry.file_type().unwrap().is_dir() {
            fs::copy(entry.path(), target).unwrap();
        } else if entry.file_name() != "out" {
            copy(&entry.path(), &target);
        }
    }
}

impl Rendered {
    /// All objects of a kind.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The only object of a kind, as its type.
    pub(crate) fn the<T: DeserializeOwned>(&self, kind: &str) -> T {
        let all: Vec<_> = self.of_kind(kind).collect();
        assert_eq!(all.len(), 1, "one {kind} is expected");
        serde_json::from_value(all[0].clone()).unwrap_or_else(|error| panic!("{kind}: {error}"))
    }

    /// The object of a kind with this name, as its type.
    pub(crate) fn the_named<T: DeserializeOwned>(&self, kind: &str, name: &str) -> T {
        serde_json::from_value(self.named(kind, name).clone()).unwrap_or_else(|error| panic!("{kind} {name}: {error}"))
    }

    /// The object of a kind with this name, untyped.
    pub(crate) fn named(&self, kind: &str, name: &str) -> &Value {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        self.objects.iter().find(is_it).unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }
}

/// What the program takes an option for when it is not told otherwise.
pub(crate) fn default(option: &str) -> String {
    let command = session_webhook::cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let arg = serve.get_arguments().find(|arg| arg.get_long() == Some(option)).unwrap();
    arg.get_default_values()[0].to_str().unwrap().to_owned()
}

/// The rules of a role, from the rights that the code knows; a right for one object is for this one.
pub(crate) fn rules(rights: &[RbacRule], name: &str) -> Vec<PolicyRule> {
    let named = |right: &RbacRule| right.named.then_some(name);
    rights.iter().map(|right| rule(right.group, right.resources, named(right), right.verbs)).collect()
}

fn rule(group: &str, resources: &[&str], names: Option<&str>, verbs: &[&str]) -> PolicyRule {
    let own = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(own(&[group])),
        resources: Some(own(resources)),
        resource_names: names.map(|name| vec![name.to_owned()]),
        verbs: own(verbs),
        non_resource_urls: None,
    }
}

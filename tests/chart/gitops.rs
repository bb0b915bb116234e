//! The chart as GitOps tools render it: every object once, none of them a hook, nothing that a tool ignores or that a controller writes.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::helm::{chart, template_of};
use crate::render::Rendered;

/// With each way to a certificate, and with everything on.
const VALUES: [&[&str]; 3] = [
    &[],
    &["--set=certificate.source=self-managed"],
    &["--values", crate::types::EVERYTHING, "--set=certificate.source=self-managed"],
];

/// How Argo CD tells objects apart.
fn key(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let metadata = &object["metadata"];
    format!("{group}/{}/{}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

/// Whether a hook runs with an install, an upgrade or an uninstall. Tests run when somebody asks for them.
fn is_lifecycle_hook(object: &Value) -> bool {
    let hook = &object["metadata"]["annotations"]["helm.sh/hook"];
    hook.as_str().is_some_and(|events| events.split(',').any(|event| event != "test"))
}

#[test]
fn argo_cd_finds_every_object_once_and_no_guard_among_the_hooks() {
    for values in VALUES {
        // Argo CD renders so, hooks and all, and then sorts out by the annotation what it takes for a hook.
        let rendered = template_of(&chart(), &[&["--include-crds"], values].concat());
        let mut found = BTreeMap::<String, usize>::new();
        for object in &rendered.objects {
            *found.entry(key(object)).or_default() += 1;
            assert!(!is_lifecycle_hook(object), "{}", key(object));
        }
        assert!(found.values().all(|count| *count == 1), "{found:#?}");
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            assert_eq!(rendered.of_kind(kind).count(), 1, "{kind}");
        }
    }
}

/// helm-controller 1.6 ends in a panic, and with it every release, when a hook with this annotation ends
/// (<https://github.com/fluxcd/helm-controller/issues/1562>).
#[test]
fn no_hook_asks_for_its_log() {
    let rendered = template_of(&chart(), &["--values", crate::types::EVERYTHING, "--set=doctor.afterInstall=true"]);
    let annotations = |object: &Value| object["metadata"]["annotations"].clone();
    let hooks: Vec<_> =
        rendered.objects.iter().map(annotations).filter(|found| found["helm.sh/hook"].is_string()).collect();
    assert!(hooks.iter().any(|hook| hook["helm.sh/hook"] == "post-install,post-upgrade"), "{hooks:?}");
    assert!(hooks.iter().all(|hook| hook.get("helm.sh/hook-output-log-policy").is_none()), "{hooks:?}");
}

#[test]
fn kustomize_inflates_the_chart() {
    let helm = Command::new("sh").args(["-c", "command -v helm"]).output().unwrap();
    let helm = String::from_utf8(helm.stdout).unwrap();
    for values in [None, Some("certificate: {source: self-managed}")] {
        let folder = tempfile::tempdir().unwrap();
        let home = chart().parent().unwrap().display().to_string();
        let text = format!(
            "helmGlobals: {{chartHome: {home}}}\nhelmCharts:\n  - name: chart\n    releaseName: guard\n    \
             namespace: hobbyfarm-session-webhook\n    skipTests: true\n    valuesInline: {{{}}}\n",
            values.unwrap_or_default()
        );
        fs::write(folder.path().join("kustomization.yaml"), text).unwrap();
        let output = Command::new("kubectl")
            .args(["kustomize", "--enable-helm", "--load-restrictor=LoadRestrictionsNone", "--helm-command"])
            .args([helm.trim()])
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let objects = serde_saphyr::from_multiple(&text).unwrap();
        let by_kustomize = Rendered { text, objects };
        let source = values.map_or("cert-manager", |_| "self-managed");
        let by_helm = template_of(&chart(), &["--no-hooks", &format!("--set=certificate.source={source}")]);
        let keys = |rendered: &Rendered| {
            let mut keys: Vec<_> = rendered.objects.iter().map(key).collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&by_kustomize), keys(&by_helm));
    }
}

#[test]
fn what_others_write_or_ignore_is_in_no_manifest() {
    for values in VALUES {
        let rendered = template_of(&chart(), values);
        // Argo CD excludes Leases unless told otherwise, and warns of one; the program makes it.
        assert_eq!(rendered.of_kind("Lease").count(), 0);
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            for entry in rendered.of_kind(kind).flat_map(|object| object["webhooks"].as_array().unwrap()) {
                assert_eq!(entry["clientConfig"].get("caBundle"), None, "cert-manager or the program writes it");
            }
        }
    }
}

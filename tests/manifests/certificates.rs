//! The serving certificate, by cert-manager and by `certs/generate`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::render::{Rendered, copy_of_the_manifests, kustomize, kustomize_path, root};

const CERT_MANAGER: &str = "manifests/overlays/cert-manager";

fn namespace(rendered: &Rendered) -> &str {
    rendered.named("Service", "session-webhook")["metadata"]["namespace"].as_str().unwrap()
}

fn ca_bundles(rendered: &Rendered) -> Vec<Value> {
    ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
        .iter()
        .flat_map(|kind| rendered.of_kind(kind))
        .flat_map(|configuration| configuration["webhooks"].as_array().unwrap())
        .map(|webhook| webhook["clientConfig"]["caBundle"].clone())
        .collect()
}

/// By its interpreter: a copy that was written a moment ago may be "busy" for want of the last close, in a process that
/// another test has just forked.
pub(crate) fn generate(in_folder: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new("bash").arg(in_folder.join("certs/generate")).args(arguments).output().unwrap()
}

#[test]
fn no_key_and_no_authority_is_in_version_control() {
    let tracked = Command::new("git").args(["ls-files", "-z", "manifests", "certs"]).current_dir(root()).output();
    let tracked = tracked.expect("git is needed to list what it tracks");
    for file in String::from_utf8(tracked.stdout).unwrap().split_terminator('\0') {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(!(text.contains("-----BEGIN ") && text.contains("-----END ")), "{file}");
        // The chart has a value of this name, and a place for it.
        let values = text.lines().filter_map(|line| line.split_once("caBundle: ")).map(|(_, value)| value);
        assert!(values.into_iter().all(|value| value.starts_with("{{") || value == "\"\""), "{file}");
    }
    for folder in ["manifests/base", CERT_MANAGER, "manifests/overlays/fail-open", "manifests/overlays/self-managed"] {
        let rendered = kustomize(folder);
        assert_eq!(ca_bundles(&rendered), [Value::Null, Value::Null, Value::Null], "{folder}");
        for secret in rendered.of_kind("Secret") {
            assert_eq!((secret.get("data"), secret.get("stringData")), (None, None), "{folder}");
        }
    }
}

#[test]
fn cert_manager_signs_for_the_service_that_the_api_server_calls() {
    let rendered = kustomize(CERT_MANAGER);
    let certificate = rendered.named("Certificate", "session-webhook");
    let host = format!("session-webhook.{}.svc", namespace(&rendered));
    assert_eq!(certificate["spec"]["dnsNames"], json!([host, format!("{host}.cluster.local")]));
    assert_eq!(certificate["spec"]["secretName"], "session-webhook-tls");
    assert_eq!(
        certificate["spec"]["privateKey"],
        json!({"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"})
    );
    assert_eq!(certificate["spec"]["issuerRef"]["name"], "session-webhook-ca");
    assert_eq!(rendered.named("Issuer", "session-webhook-ca")["spec"]["ca"]["secretName"], "session-webhook-ca");
}

#[test]
fn the_authority_outlives_many_serving_certificates_and_keeps_its_key() {
    // As cert-manager itself writes it, so that no GitOps tool sees a difference.
    let hours = |value: &Value| value.as_str().unwrap().strip_suffix("h0m0s").unwrap().parse::<u32>().unwrap();
    let rendered = kustomize(CERT_MANAGER);
    let authority = &rendered.named("Certificate", "session-webhook-ca")["spec"];
    let serving = &rendered.named("Certificate", "session-webhook")["spec"];
    assert_eq!(authority["isCA"], true);
    assert_eq!(authority["privateKey"]["rotationPolicy"], "Never");
    assert_eq!(authority["issuerRef"]["name"], "session-webhook-self-signed");
    assert!(hours(&authority["renewBefore"]) > hours(&serving["duration"]), "never sign for longer than the CA lives");
    assert!(hours(&serving["renewBefore"]) < hours(&serving["duration"]) / 2);
}

#[test]
fn a_change_of_namespace_carries_through() {
    let copy = copy_of_the_manifests();
    let file = copy.path().join(CERT_MANAGER).join("kustomization.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\nnamespace: hobbyfarm-session-webhook\n", "\nnamespace: elsewhere\n")).unwrap();
    let rendered = kustomize_path(&copy.path().join(CERT_MANAGER));
    assert_eq!(namespace(&rendered), "elsewhere");
    rendered.named("Namespace", "elsewhere");
    for line in rendered.text.lines().filter(|line| line.contains("hobbyfarm-session-webhook")) {
        let is_a_name = ["name: hobbyfarm-session-webhook", "image: hobbyfarm-session-webhook:"];
        assert!(is_a_name.iter().any(|name| line.trim_start_matches([' ', '-']).starts_with(name)), "{line}");
    }
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let configuration = rendered.named(kind, "hobbyfarm-session-webhook");
        let annotation = &configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(annotation, "elsewhere/session-webhook");
        for webhook in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(webhook["clientConfig"]["service"]["namespace"], "elsewhere");
        }
    }
    let dns = &rendered.named("Certificate", "session-webhook")["spec"]["dnsNames"];
    assert_eq!(dns, &json!(["session-webhook.elsewhere.svc", "session-webhook.elsewhere.svc.cluster.local"]));
}

#[test]
fn the_namespace_enforces_the_restricted_standard() {
    let rendered = kustomize(CERT_MANAGER);
    let labels = &rendered.named("Namespace", namespace(&rendered))["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
}

#[test]
fn a_generated_certificate_is_installed_by_the_generated_kustomization() {
    let copy = copy_of_the_manifests();
    let output = generate(copy.path(), &["--namespace", "trial", "--service", "guard", "--days", "7"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = copy.path().join("certs/out");
    let rendered = kustomize_path(&out);

    let authority = rendered_base64(&fs::read(out.join("ca.crt")).unwrap());
    assert_eq!(ca_bundles(&rendered), [authority.as_str(), &authority, &authority].map(Value::from));
    assert_eq!(rendered.named("Service", "guard")["metadata"]["namespace"], "trial");
    let secret = rendered.named("Secret", "session-webhook-tls");
    assert_eq!(secret["type"], "kubernetes.io/tls");

    let files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name == "ca.key"), "the authority's key is thrown away");
    assert_eq!(fs::read_to_string(out.join(".gitignore")).unwrap(), "*\n");
    let verified = Command::new("openssl")
        .args(["verify", "-purpose", "sslserver", "-verify_hostname", "guard.trial.svc", "-CAfile"])
        .args([out.join("ca.crt"), out.join("tls.crt")])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn generate_refuses_what_makes_no_sense() {
    for arguments in [&["--namespace", "No_Namespace"][..], &["--days", "soon"], &["--days"], &["--verbose"]] {
        let output = generate(&root(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("certs/generate: ") && said.contains(arguments[0]), "{said}");
    }
    assert!(generate(&root(), &["--help"]).status.success());
}

fn rendered_base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

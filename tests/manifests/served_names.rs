//! The installed pods know what the API server calls them by, and serve no certificate for anything else.

use std::fs;

use rcgen::KeyPair;
use session_webhook::config::TlsArgs;
use session_webhook::server::tls::CertificateError;
use session_webhook::server::{Config, Server, ServerError, TlsSource};

use crate::certificates::generate;
use crate::render::{Rendered, copy_of_the_manifests, kustomize, kustomize_path};
use crate::support::certificates::{ALIVE, Authority, Secret};
use crate::support::client::Client;
use crate::support::config;
use crate::support::test_server::{POLL, TestServer};
use crate::workload::as_the_program_reads;

const CERT_MANAGER: &str = "manifests/overlays/cert-manager";

fn names(rendered: &Rendered) -> Vec<String> {
    as_the_program_reads::<TlsArgs>(rendered).tls_name
}

/// The one name that all entries of the webhook configurations come down to.
fn called(rendered: &Rendered) -> String {
    let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
    let configurations = kinds.iter().flat_map(|kind| rendered.of_kind(kind));
    let entries = configurations.flat_map(|configuration| configuration["webhooks"].as_array().unwrap());
    let mut names: Vec<_> = entries
        .map(|entry| {
            let service = &entry["clientConfig"]["service"];
            format!("{}.{}.svc", service["name"].as_str().unwrap(), service["namespace"].as_str().unwrap())
        })
        .collect();
    names.dedup();
    assert_eq!(names.len(), 1, "{names:?}");
    names.remove(0)
}

#[test]
fn the_pods_are_told_what_the_api_server_calls_them_by() {
    for overlay in [CERT_MANAGER, "manifests/overlays/fail-open", "manifests/overlays/policy-and-webhook"] {
        let rendered = kustomize(overlay);
        assert_eq!(names(&rendered), [called(&rendered)], "{overlay}");
        let certificate = rendered.named("Certificate", "session-webhook");
        assert_eq!(certificate["spec"]["dnsNames"][0], called(&rendered), "{overlay}");
    }
}

#[test]
fn another_namespace_is_part_of_the_name() {
    let copy = copy_of_the_manifests();
    for transformers in ["", "transformers: [../../transformers/namespace]\n"] {
        let folder = copy.path().join("manifests/overlays/elsewhere");
        fs::create_dir_all(&folder).unwrap();
        let text = format!("namespace: elsewhere\nresources: [../cert-manager]\n{transformers}");
        fs::write(folder.join("kustomization.yaml"), text).unwrap();
        let rendered = kustomize_path(&folder);
        assert_eq!(names(&rendered), ["session-webhook.elsewhere.svc"]);
        assert_eq!(called(&rendered), "session-webhook.elsewhere.svc");
    }
}

#[test]
fn another_service_is_part_of_the_name() {
    let copy = copy_of_the_manifests();
    for service in ["session-webhook", "guard"] {
        assert!(generate(copy.path(), &["--namespace", "trial", "--service", service]).status.success());
        let rendered = kustomize_path(&copy.path().join("certs/out"));
        assert_eq!(called(&rendered), format!("{service}.trial.svc"));
        assert_eq!(names(&rendered), [called(&rendered)]);
    }
}

#[test]
fn so_are_those_that_make_their_certificate() {
    let copy = copy_of_the_manifests();
    let folder = copy.path().join("manifests/overlays/trial");
    fs::create_dir_all(&folder).unwrap();
    // Whatever else is added to the variables, before or after.
    for components in
        ["self-managed", "mode-warn, ../../components/self-managed", "self-managed, ../../components/mode-warn"]
    {
        let text = format!("namespace: trial\nresources: [../../base]\ncomponents: [../../components/{components}]\n");
        fs::write(folder.join("kustomization.yaml"), text).unwrap();
        let rendered = kustomize_path(&folder);
        assert_eq!(names(&rendered), [called(&rendered)], "{components}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_certificate_for_another_name_is_never_served() {
    let rendered = kustomize(CERT_MANAGER);
    let handshake = as_the_program_reads::<TlsArgs>(&rendered).handshake().unwrap();
    let (authority, called) = (Authority::new(), called(&rendered));
    let issue = |name: &str| authority.issue_for(&[name], ALIVE, &KeyPair::generate().unwrap());
    let other = issue("session-webhook.elsewhere.svc");

    let secret = Secret::new(&other);
    let config = Config { handshake: handshake.clone(), ..config(TlsSource::Files(secret.files(), POLL)) };
    let Err(ServerError::Certificate(error)) = Server::bind(config) else { panic!("it started") };
    assert!(matches!(error, CertificateError::WrongName { .. }) && error.to_string().contains(&called), "{error}");

    let secret = Secret::new(&issue(&called));
    let mut server = TestServer::following(&authority, &secret, |config| config.handshake = handshake);
    secret.swap(&other);
    server.wait_for(|status| status.error.is_some()).await;
    let ready = Client::plain(server.listeners.ops).unwrap().get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("new files not served"), "{ready}");
    assert!(ready.contains(&format!("certificate names: {called}\n")), "{ready}");
    assert_eq!((server.loads("loaded"), server.loads("wrong-name")), (1, 1));
}

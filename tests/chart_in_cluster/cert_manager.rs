//! A stand-in for cert-manager: it makes the Secret that a Certificate asks for, and its injector writes the authority where an
//! annotation asks for that.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::objects::{ADMISSION, WEBHOOKS, collection};
use crate::pki::Authority;
use crate::verbs::accepts;
use crate::world::{NAMESPACE, World};
use crate::writer::Request;

/// Does what there is to do until it is dropped.
pub(crate) async fn issue_certificates(world: &World) {
    let authority = Authority::new("session-webhook-ca");
    let bundle = STANDARD.encode(authority.pem());
    loop {
        let path = collection("cert-manager.io/v1", "certificates") + "/session-webhook";
        let certificate = world.admin.sends(&Request::get(path)).await;
        if certificate.code == 200 {
            makes_the_secret(world, &authority, &certificate.body["spec"]).await;
            for kind in WEBHOOKS {
                injects(world, &format!("{ADMISSION}/{kind}/hobbyfarm-session-webhook"), &bundle).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn makes_the_secret(world: &World, authority: &Authority, certificate: &Value) {
    let name = certificate["secretName"].as_str().unwrap();
    let path = collection("v1", "secrets");
    if world.admin.sends(&Request::get(format!("{path}/{name}"))).await.code == 200 {
        return;
    }
    let identity = authority.server_for(certificate["dnsNames"][0].as_str().unwrap(), 90);
    let secret = json!({
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": STANDARD.encode(&identity.certificate), "tls.key": STANDARD.encode(&identity.key)},
    });
    accepts(&world.admin, Request::post(path, secret)).await;
}

async fn injects(world: &World, path: &str, bundle: &str) {
    let found = world.admin.sends(&Request::get(path)).await.body;
    if found["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] != format!("{NAMESPACE}/session-webhook") {
        return;
    }
    let entries = found["webhooks"].as_array().unwrap();
    let missing = entries.iter().enumerate().filter(|(_, entry)| entry["clientConfig"]["caBundle"] != bundle);
    let patch: Vec<_> = missing
        .map(|(number, _)| json!({"op": "add", "path": format!("/webhooks/{number}/clientConfig/caBundle"), "value": bundle}))
        .collect();
    if !patch.is_empty() {
        accepts(&world.admin, Request::patch(path.to_owned(), "application/json-patch+json", json!(patch))).await;
    }
}

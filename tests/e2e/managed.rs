//! Webhook configurations of their own for the scenarios of `--tls self-managed`, one entry for each replica, so that a
//! write succeeds only when every replica is trusted and answers. They stand beside the installed ones.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use axum::http::Method;
use base64::Engine;
use serde_json::{Value, json};
use session_webhook::cluster::self_managed::secret_contents::{Data, SecretContents};

use crate::install::{self, NAMESPACE};
use crate::process::{Process, eventually, free_port};
use crate::verbs::accepts;
use crate::world::World;
use crate::writer::{Request, Writer};

/// Of both webhook configurations, and the Secret.
pub(crate) const NAME: &str = "e2e-self-managed";
pub(crate) const KINDS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn configuration_path(kind: &str) -> String {
    format!("{ADMISSION}/{kind}/{NAME}")
}

pub(crate) fn secret_path() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}")
}

/// The addresses of the replicas.
pub(crate) fn addresses(replicas: usize) -> Vec<SocketAddr> {
    (0..replicas).map(|_| SocketAddr::from(([127, 0, 0, 1], free_port()))).collect()
}

/// Gives the pods' account the shipped rights, on these objects; at most so many of the two configurations may be changed.
pub(crate) async fn grant(world: &World, secrets: bool, configurations: usize) {
    let mut objects = install::rendered("overlays/self-managed");
    let is_of_backfill = |object: &Value| object["metadata"]["name"].as_str().unwrap().ends_with("backfill");
    objects.retain(|object| object["apiVersion"] == "rbac.authorization.k8s.io/v1" && !is_of_backfill(object));
    for role in objects.iter_mut().filter(|object| object.get("rules").is_some()) {
        for rule in role["rules"].as_array_mut().unwrap() {
            if rule.get("resourceNames").is_some() {
                rule["resourceNames"] = json!([NAME]);
            }
        }
        let of_cluster = role["kind"] == "ClusterRole";
        let rules = role["rules"].as_array_mut().unwrap();
        if of_cluster {
            let get = json!({"verbs": ["get"], "resources": KINDS, "apiGroups": rules[0]["apiGroups"], "resourceNames": [NAME]});
            rules[0]["resources"] = json!(KINDS[..configurations]);
            rules.push(get);
            rules.retain(|rule| !rule["resources"].as_array().unwrap().is_empty());
        } else if !secrets {
            rules.retain(|rule| rule.get("resourceNames").is_some());
        }
    }
    world.admin_kubectl.run_on(&["apply", "-f", "-"], &objects).succeeds();
}

/// Makes the configurations anew, without a `caBundle`; no Secret is left.
pub(crate) async fn reset(world: &World, replicas: &[SocketAddr]) {
    remove(world).await;
    for (kind, object_kind) in KINDS.into_iter().zip(["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"])
    {
        let base = install::rendered("base");
        let template = &base.iter().find(|object| object["kind"] == object_kind).unwrap()["webhooks"][0];
        let path = template["clientConfig"]["service"]["path"].as_str().unwrap();
        let entries = replicas.iter().enumerate().map(|(number, address)| {
            let mut entry = template.clone();
            entry["name"] = json!(format!("replica-{number}.{}", template["name"].as_str().unwrap()));
            entry["clientConfig"] = json!({"url": format!("https://{address}{path}")});
            entry["failurePolicy"] = json!("Fail");
            entry["timeoutSeconds"] = json!(10);
            entry.as_object_mut().unwrap().remove("matchConditions");
            entry
        });
        let entries: Vec<Value> = entries.collect();
        let object = json!({"metadata": {"name": NAME}, "webhooks": entries});
        accepts(&world.admin, Request::post(format!("{ADMISSION}/{kind}"), object)).await;
    }
}

/// Leaves nothing behind: other scenarios write Sessions, too.
pub(crate) async fn remove(world: &World) {
    for path in KINDS.map(configuration_path).into_iter().chain([secret_path()]) {
        let reply = world.admin.sends(&Request::delete_path(path, "Background")).await;
        assert!(matches!(reply.code, 200 | 202 | 404), "{reply:?}");
    }
}

/// What the Secret holds.
pub(crate) async fn material(world: &World) -> Option<SecretContents> {
    let reply = world.admin.sends(&Request::get(secret_path())).await;
    let data = reply.body.get("data")?.as_object()?;
    let decode = |value: &Value| base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
    let data: Data = data.iter().map(|(key, value)| (key.clone(), decode(value))).collect();
    Some(SecretContents::read(&data).unwrap())
}

/// Takes the `caBundle` out of all entries.
pub(crate) async fn empty(admin: &Writer, kind: &str) {
    let path = configuration_path(kind);
    eventually("the caBundle is emptied", PATIENCE, async || {
        let mut object = accepts(admin, Request::get(&path)).await.body;
        for entry in object["webhooks"].as_array_mut().unwrap() {
            entry["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        }
        (admin.sends(&Request::new(Method::PUT, &path, Some(object))).await.code == 200).then_some(())
    })
    .await;
}

/// One replica: the real program, with the account's token.
pub(crate) struct Replica {
    process: Process,
    ops: SocketAddr,
}

impl Replica {
    pub(crate) async fn start(world: &World, name: &str, address: SocketAddr) -> Self {
        let ops = addresses(1)[0];
        let folder = world.folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
        command
            .env_clear()
            .env("KUBECONFIG", kubeconfig(world).await)
            .args(["serve", "--tls", "self-managed", "--tls-name", "127.0.0.1", "--log-format", "json"])
            .args(["--tls-secret", NAME, "--webhook-configuration", NAME])
            .args(["--listen", &address.to_string(), "--ops-listen", &ops.to_string()]);
        let _ = fs::remove_file(folder.join(format!("{name}.log")));
        Self { process: Process::start(name, &folder, &mut command), ops }
    }

    pub(crate) fn log(&self) -> String {
        self.process.output()
    }

    pub(crate) async fn logs(&mut self, text: &str) {
        eventually(&format!("{text:?} is logged"), PATIENCE, async || {
            self.process.assert_running();
            self.log().contains(text).then_some(())
        })
        .await;
    }

    pub(crate) async fn is_ready(&mut self) {
        let url = format!("http://{}/readyz", self.ops);
        eventually("the replica is ready", PATIENCE, async || {
            self.process.assert_running();
            reqwest::get(&url).await.ok().filter(|response| response.status().is_success()).map(drop)
        })
        .await;
    }

    pub(crate) async fn readiness(&self) -> (u16, String) {
        let response = reqwest::get(format!("http://{}/readyz", self.ops)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

/// A kubeconfig with the token of the pods' account, and the namespace that a pod finds beside its token.
pub(crate) async fn kubeconfig(world: &World) -> PathBuf {
    world.kubeconfig(NAMESPACE, "session-webhook").await
}

//! Replicas of `serve --backfill` with the rights that are shipped for it, and Sessions for them to find.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::install::{self, NAMESPACE};
use crate::managed::addresses;
use crate::process::{Process, eventually};
use crate::verbs::accepts;
use crate::world::World;
use crate::writer::{HOBBYFARM, Request};

const PATIENCE: Duration = Duration::from_mins(1);

/// One replica: the real program, with the account's token.
pub(crate) struct Replica {
    pub(crate) process: Process,
    ops: SocketAddr,
}

impl Replica {
    /// Starts it with these options.
    pub(crate) async fn start(world: &World, name: &str, options: &[&str]) -> Self {
        Self::start_as(world, "session-webhook", name, options).await
    }

    /// The same with the token of another account of the webhook's namespace.
    pub(crate) async fn start_as(world: &World, account: &str, name: &str, options: &[&str]) -> Self {
        let ops = addresses(1)[0];
        let folder = world.folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
        command
            .env_clear()
            .env("KUBECONFIG", world.kubeconfig(NAMESPACE, account).await)
            .args(["serve", "--tls", "self-signed", "--log-format", "json", "--drain-delay", "0s"])
            .args(["--listen", "127.0.0.1:0", "--ops-listen", &ops.to_string()])
            .args(["--backfill-after", "1s"])
            .args(options);
        if !options.contains(&"--backfill=false") {
            command.arg("--backfill");
        }
        let _ = std::fs::remove_file(folder.join(format!("{name}.log")));
        Self { process: Process::start(name, &folder, &mut command), ops }
    }

    /// Waits until it is the one that writes.
    pub(crate) async fn leads(&mut self) {
        eventually("a replica leads", PATIENCE, async || {
            self.process.assert_running();
            self.process.output().contains("\"leading\"").then_some(())
        })
        .await;
    }

    /// How many Sessions it says to have repaired.
    pub(crate) fn repaired(&self) -> usize {
        self.process.output().matches("\"session repaired\"").count()
    }

    /// Waits until it has repaired so many, and no more than that.
    pub(crate) async fn has_repaired(&self, sessions: usize) {
        // The log line comes after the write.
        eventually("all are repaired", PATIENCE, async || (self.repaired() >= sessions).then_some(())).await;
        assert_eq!(self.repaired(), sessions, "no session is written twice");
    }

    /// The value of a metric with these labels.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = reqwest::get(format!("http://{}/metrics", self.ops)).await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("session_webhook_{name} ")));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

/// Gives the pods' account the shipped rights; nobody leads. A Lease that is there is given back and not deleted: without one a
/// replica waits for as long as another may still be leading by the one that is gone, as the first replica of all does.
pub(crate) async fn prepare(world: &World) {
    let mut objects = install::rendered("overlays/cert-manager");
    objects.retain(|object| object["apiVersion"] == "rbac.authorization.k8s.io/v1");
    world.admin_kubectl.run_on(&["apply", "-f", "-"], &objects).succeeds();
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/session-webhook-backfill");
    let given_back = json!({"spec": {"holderIdentity": ""}});
    let reply = world.admin.sends(&Request::patch(path, "application/merge-patch+json", given_back)).await;
    assert!(matches!(reply.code, 200 | 404), "{reply:?}");
}

/// Stores Sessions as they are, past the webhook's repairs: as somebody whom it only watches.
pub(crate) async fn plant(world: &World, sessions: &[Value]) {
    let mut webhook = world.webhook.lock().await;
    webhook.restart(&["--mode", "audit"]).await;
    for session in sessions {
        let created = accepts(&world.alice, Request::create(session)).await.body;
        let Some(status) = session.get("status").filter(|_| world.form.status_subresource) else { continue };
        let whole = json!({"metadata": created["metadata"], "status": status});
        accepts(&world.alice, Request::merge_status(&whole, json!({"status": status}))).await;
    }
    webhook.restart(&[]).await;
}

/// The Events about a Session, each as its reason and its text.
pub(crate) async fn events(world: &World, session: &Value) -> Vec<(String, String)> {
    let name = session["metadata"]["name"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/{HOBBYFARM}/events?fieldSelector=involvedObject.name%3D{name}");
    let list = accepts(&world.admin, Request::get(path)).await.body;
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    list["items"].as_array().unwrap().iter().map(|event| (text(event, "reason"), text(event, "message"))).collect()
}

/// Waits for an Event with this reason; its text.
pub(crate) async fn event(world: &World, session: &Value, reason: &str) -> String {
    eventually(&format!("an event {reason}"), PATIENCE, async || {
        events(world, session).await.into_iter().find(|(found, _)| found == reason).map(|(_, text)| text)
    })
    .await
}

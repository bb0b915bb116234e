//! What the installation touches, and what it leaves alone.

use std::time::Duration;

use serde_json::{Value, json};

use super::flows::starts;
use crate::install;
use crate::process::eventually;
use crate::verbs::{accepts, rejects};
use crate::world::World;
use crate::writer::{HOBBYFARM, Request};

pub(super) async fn applying_the_manifests_again_changes_nothing(world: &World) {
    let objects = install::shipped(world).await;
    let arguments = ["diff", "-n", install::NAMESPACE, "-f", "-"];
    let outcome = world.admin_kubectl.run_on(&arguments, &objects);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "kubectl diff: {}", outcome.stderr);
    let before = versions(world).await;
    install::apply(world).await;
    assert_eq!(versions(world).await, before);
}

/// What is stored of the installation, each change of which would show.
async fn versions(world: &World) -> Vec<Value> {
    let webhooks = "/apis/admissionregistration.k8s.io/v1";
    let namespace = install::NAMESPACE;
    let mut versions = Vec::new();
    for path in [
        format!("{webhooks}/mutatingwebhookconfigurations/hobbyfarm-session-webhook"),
        format!("{webhooks}/validatingwebhookconfigurations/hobbyfarm-session-webhook"),
        format!("/apis/apps/v1/namespaces/{namespace}/deployments/session-webhook"),
        format!("/api/v1/namespaces/{namespace}/services/session-webhook"),
    ] {
        versions.push(accepts(&world.admin, Request::get(path)).await.body["metadata"]["resourceVersion"].clone());
    }
    versions
}

async fn reviews(world: &World) -> u64 {
    let webhook = world.webhook.lock().await;
    webhook.reviews("mutate").await + webhook.reviews("validate").await
}

pub(super) async fn pods_nodes_and_leases_never_reach_the_webhook(world: &World) {
    let before = reviews(world).await;
    let name = world.fresh_name();
    let metadata = json!({"name": name});
    let container = json!({"name": "c", "image": "none"});
    let objects = [
        (
            format!("/api/v1/namespaces/{HOBBYFARM}/pods"),
            json!({"metadata": metadata, "spec": {"containers": [container]}}),
        ),
        ("/api/v1/nodes".to_owned(), json!({"metadata": metadata})),
        (format!("/apis/coordination.k8s.io/v1/namespaces/{HOBBYFARM}/leases"), json!({"metadata": metadata})),
        (format!("/api/v1/namespaces/{HOBBYFARM}/configmaps"), json!({"metadata": metadata})),
        ("/api/v1/namespaces".to_owned(), json!({"metadata": metadata})),
    ];
    for (path, object) in objects {
        // A pod needs its namespace's `default` account, which a controller makes.
        let request = Request::post(&path, object);
        let created = eventually("the object is accepted", Duration::from_secs(30), async || {
            let reply = world.alice.sends(&request).await;
            (reply.code == 201).then_some(reply.body)
        })
        .await;
        let one = format!("{path}/{name}");
        let labelled =
            json!({"metadata": {"labels": {"a": "b"}, "resourceVersion": created["metadata"]["resourceVersion"]}});
        let patch = Request::new(axum::http::Method::PUT, &one, Some(merged(&created, &labelled)));
        accepts(&world.alice, patch).await;
        accepts(&world.alice, Request::delete_path(&one, "Background")).await;
    }
    assert_eq!(reviews(world).await, before, "something but a Session was sent to the webhook");

    rejects(&world.alice, Request::create(&world.new_session())).await;
    assert!(reviews(world).await > before, "or the comparison would prove nothing");
}

/// In one command, while HobbyFarm goes on: nothing waits for a webhook that is no longer there.
pub(super) async fn uninstalling_lets_everybody_write_and_leaves_nothing_behind(world: &World) {
    let session = starts(world).await;
    world.webhook.lock().await.stop();
    let objects = install::shipped(world).await;
    let delete = ["delete", "-n", install::NAMESPACE, "-f", "-"];
    world.admin_kubectl.run_on(&delete, &objects).succeeds();
    let label = Request::merge(&session, json!({"metadata": {"labels": {"uninstalled": "yes"}}}));
    eventually("people write", Duration::from_secs(30), async || {
        (world.alice.sends(&label).await.code == 200).then_some(())
    })
    .await;
    accepts(&world.hobbyfarm, Request::create(&world.new_session())).await;
    for kind in ["all", "configmaps", "poddisruptionbudgets"] {
        let ours =
            ["get", kind, "-n", install::NAMESPACE, "-l", "app.kubernetes.io/name=session-webhook", "-o", "name"];
        assert_eq!(world.admin_kubectl.run(&ours).succeeds().stdout, "");
    }
}

fn merged(object: &Value, change: &Value) -> Value {
    let mut merged = object.clone();
    json_patch::merge(&mut merged, change);
    merged
}

/// Who wrote, as admission sees it.
fn user_of(event: &Value) -> &Value {
    event.get("impersonatedUser").map_or(&event["user"]["username"], |user| &user["username"])
}

/// The last words about a Session in the audit log, by this user.
pub(crate) async fn annotations(world: &World, session: &Value, user: &str) -> Value {
    let name = &session["metadata"]["name"];
    eventually("the write is in the audit log", Duration::from_secs(10), async || {
        let events = world.cluster.audit_log();
        let mut events = events.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events
            .find(|event| event["objectRef"]["name"] == *name && user_of(event) == user)
            .map(|event| event["annotations"].clone())
    })
    .await
}

/// Which of the two validating entries was asked is up to the server, so the annotation of either counts.
pub(super) fn assert_decided(annotations: &Value, rule: &str, decision: &str) {
    let says = |key: &str, value: &str| {
        let mut all = annotations.as_object().unwrap().iter();
        all.any(|(name, text)| {
            name.starts_with("validate")
                && name.ends_with(&format!(".session-webhook.hobbyfarm.io/{key}"))
                && text == value
        })
    };
    assert!(says("rule", rule) && says("decision", decision), "{rule}, {decision}: {annotations}");
}

pub(super) async fn decisions_are_in_the_audit_log(world: &World) {
    let session = starts(world).await;
    assert_decided(&annotations(world, &session, &world.hobbyfarm.user).await, "HobbyFarm", "allow");
    rejects(&world.alice, Request::merge(&session, json!({"spec": {"course": "c-9"}}))).await;
    assert_decided(&annotations(world, &session, "alice").await, "ManualEdit", "deny");
    if world.form.status_subresource {
        rejects(&world.alice, Request::merge_status(&session, json!({"status": {"end_time": ""}}))).await;
        assert_decided(&annotations(world, &session, "alice").await, "ManualStatusEdit", "deny");
    }
}

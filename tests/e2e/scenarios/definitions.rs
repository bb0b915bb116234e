//! Definitions of Sessions other than HobbyFarm 3's: further versions, and Sessions that belong to no namespace.

use std::process::Command;
use std::time::Duration;

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::backfilling::{Replica, plant, prepare};
use crate::install::{CRDS, NAMESPACE};
use crate::process::eventually;
use crate::session::Form;
use crate::verbs::{accepts, goes, rejects};
use crate::world::World;
use crate::writer::{Reply, Request, Writer};

const PATIENCE: Duration = Duration::from_mins(1);
/// Sessions of HobbyFarm 4, of which v1 knows no field but two.
const V4: &str = "/apis/hobbyfarm.io/v4alpha1/namespaces/hobbyfarm-system/sessions";
/// Sessions that belong to no namespace.
const CLUSTER: &str = "/apis/hobbyfarm.io/v1/sessions";

pub(super) fn version_4() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "name": "v4alpha1", "served": true, "storage": false, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": open}}},
    })
}

/// Changes the definition; a change of its status by the API server may come between reading and writing.
async fn redefine(world: &World, change: impl Fn(&mut Value)) {
    let path = format!("{CRDS}/sessions.hobbyfarm.io");
    eventually("the definition is changed", PATIENCE, async || {
        let mut definition = accepts(&world.admin, Request::get(&path)).await.body;
        change(&mut definition);
        (world.admin.sends(&Request::new(Method::PUT, &path, Some(definition))).await.code == 200).then_some(())
    })
    .await;
}

/// Takes the definition away, with all Sessions, and creates another.
async fn replace_definition(world: &World, definition: Value) {
    let path = format!("{CRDS}/sessions.hobbyfarm.io");
    accepts(&world.admin, Request::delete_path(&path, "Background")).await;
    eventually("the definition is gone", PATIENCE, async || {
        (world.admin.sends(&Request::get(&path)).await.code == 404).then_some(())
    })
    .await;
    accepts(&world.admin, Request::post(CRDS, definition)).await;
}

/// Waits until there is an answer with this code.
async fn answers(writer: &Writer, request: &Request, code: u16) -> Reply {
    eventually(&format!("{} answers {code}", request.path()), PATIENCE, async || {
        let reply = writer.sends(request).await;
        (reply.code == code).then_some(reply)
    })
    .await
}

/// `audit`, as the admin: exit code, standard output, standard error.
async fn audit(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
    command.env_clear().env("KUBECONFIG", world.cluster.admin_kubeconfig()).args(["audit", "--backfill-after", "0s"]);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), stdout, stderr)
}

pub(super) async fn where_another_version_is_served_nothing_stored_is_touched(world: &World) {
    prepare(world).await;
    let session = world.new_session();
    plant(world, std::slice::from_ref(&session)).await;
    redefine(world, |definition| {
        let versions = definition["spec"]["versions"].as_array_mut().unwrap();
        versions.push(version_4());
        // What is stored as v1 has lost already what v1 lacks.
        versions[0]["storage"] = json!(false);
        versions[1]["storage"] = json!(true);
    })
    .await;
    let name = world.fresh_name();
    let spec = json!({"user": "u-1", "accessCode": "ac-secret", "persistenceStrategy": "default"});
    let object = json!({
        "apiVersion": "hobbyfarm.io/v4alpha1", "kind": "Session", "metadata": {"name": name}, "spec": spec,
    });
    answers(&world.hobbyfarm, &Request::post(V4, object.clone()), 201).await;
    let path = format!("{V4}/{name}");
    let mut written = accepts(&world.hobbyfarm, Request::get(&path)).await.body;
    assert_eq!(written["spec"], spec, "nothing is repaired");
    written["status"] = json!({"machineClaim": "m-1", "conditions": []});
    let status = Request::new(Method::PUT, format!("{path}/status"), Some(written));
    let written = accepts(&world.hobbyfarm, status).await;
    assert_eq!(written.warnings, Vec::<String>::new());
    let mut changed = written.body.clone();
    changed["spec"]["user"] = json!("u-2");
    let refused = world.alice.sends(&Request::new(Method::PUT, &path, Some(changed))).await;
    assert_eq!(refused.code, 403, "the writer is checked");

    let mut replica = Replica::start(world, "other-versions", &[]).await;
    replica.leads().await;
    eventually("the backfill has stopped writing", PATIENCE, async || {
        (replica.metric("backfill_suspended").await == 1).then_some(())
    })
    .await;
    let (code, _, stderr) = audit(world, &["--fix", "--yes"]).await;
    assert_eq!(stderr.matches("nothing is written").count(), 1, "{stderr}");
    assert!(code == 1 && stderr.contains("v4alpha1"), "{code}: {stderr}");
    assert_eq!(accepts(&world.admin, Request::get(&path)).await.body, written.body, "nothing is lost");
    let told = replica.process.output();
    assert_eq!(told.matches("none is written to").count(), 1, "{told}");
    assert!(!told.contains("\"ERROR\"") && !told.contains("session repaired"), "{told}");

    // Once the version is gone the work goes on.
    accepts(&world.hobbyfarm, Request::delete_path(&path, "Background")).await;
    redefine(world, |definition| definition["spec"]["versions"][1]["served"] = json!(false)).await;
    replica.has_repaired(1).await;
    assert_eq!(replica.metric("backfill_suspended").await, 0);
    drop(replica);
    replace_definition(world, world.form.crd()).await;
    world.await_definition().await;
}

pub(super) async fn a_definition_without_v1_is_no_error(world: &World) {
    prepare(world).await;
    let mut definition = world.form.crd();
    definition["spec"]["versions"] = json!([version_4()]);
    definition["spec"]["versions"][0]["storage"] = json!(true);
    replace_definition(world, definition).await;
    let name = world.fresh_name();
    let object = json!({"apiVersion": "hobbyfarm.io/v4alpha1", "kind": "Session", "metadata": {"name": name}, "spec": {"user": "u"}});
    answers(&world.hobbyfarm, &Request::post(V4, object.clone()), 201).await;
    assert_eq!(world.alice.sends(&Request::post(V4, object)).await.code, 403);
    let mut replica = Replica::start(world, "without-v1", &[]).await;
    replica.leads().await;
    eventually("the backfill has stopped writing", PATIENCE, async || {
        (replica.metric("backfill_suspended").await == 1).then_some(())
    })
    .await;
    let (code, _, stderr) = audit(world, &[]).await;
    assert!(code == 0 && stderr.contains("v4alpha1 alone"), "{code}: {stderr}");
    assert!(!replica.process.output().contains("\"ERROR\""), "{}", replica.process.output());
    // One that no longer leads leaves it to the next one to tell.
    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/session-webhook-backfill");
    let taken = json!({"spec": {"holderIdentity": "another"}});
    accepts(&world.admin, Request::patch(lease, "application/merge-patch+json", taken)).await;
    eventually("it tells so no more", PATIENCE, async || {
        (replica.metric("backfill_suspended").await == 0).then_some(())
    })
    .await;
    assert_eq!(replica.metric("backfill_leading").await, 0);
    replace_definition(world, world.form.crd()).await;
    world.await_definition().await;
}

pub(super) async fn sessions_that_belong_to_no_namespace_are_guarded_and_repaired(world: &World) {
    prepare(world).await;
    let form = Form { status_subresource: false, ..Form::ALL[1] };
    let mut definition = form.crd();
    definition["spec"]["scope"] = json!("Cluster");
    replace_definition(world, definition).await;
    let named = |status: Value| {
        let mut session = form.session(&world.fresh_name());
        session["metadata"].as_object_mut().unwrap().remove("namespace");
        session["status"] = status;
        session
    };
    let path = |session: &Value| format!("{CLUSTER}/{}", session["metadata"]["name"].as_str().unwrap());

    let session = named(form.zero_status());
    let created = answers(&world.hobbyfarm, &Request::post(CLUSTER, session.clone()), 201).await.body;
    assert!(created["status"]["end_time"].as_str().unwrap().contains("UTC"), "{created}");
    let mut kept_alive = created.clone();
    kept_alive["status"]["end_time"] = json!(form.time(Timestamp::now() + SignedDuration::from_mins(6)));
    let mut kept_alive =
        accepts(&world.hobbyfarm, Request::new(Method::PUT, path(&session), Some(kept_alive))).await.body;
    kept_alive["spec"]["user"] = json!("u-2");
    let refused = world.alice.sends(&Request::new(Method::PUT, path(&session), Some(kept_alive))).await;
    let name = session["metadata"]["name"].as_str().unwrap();
    assert!(refused.code == 403 && refused.message().contains(&format!("Session \"{name}\"")), "{refused:?}");

    let stranded = named(Value::Null);
    {
        let mut webhook = world.webhook.lock().await;
        webhook.restart(&["--mode", "audit"]).await;
        accepts(&world.alice, Request::post(CLUSTER, stranded.clone())).await;
        webhook.restart(&[]).await;
    }
    world.await_published_definition().await;
    let (code, stdout, stderr) = audit(world, &[]).await;
    let line = format!("error     {}", stranded["metadata"]["name"].as_str().unwrap());
    assert!(code == 1 && stdout.contains(&line) && stdout.contains("MissingTime"), "{stdout}{stderr}");
    let mut replica = Replica::start(world, "cluster-scoped", &[]).await;
    replica.leads().await;
    replica.has_repaired(1).await;
    let repaired = accepts(&world.admin, Request::get(path(&stranded))).await.body;
    assert_eq!(repaired["status"]["active"], json!(true), "{repaired}");
    // Kubernetes 1.20 takes no event about an object of a definition that belongs to no namespace: "does not match event.namespace".
    if world.version.is_at_least("1.21") {
        is_told_of(world, &stranded).await;
    }
    drop(replica);
    replace_definition(world, world.form.crd()).await;
    world.await_definition().await;
}

/// As HobbyFarm v1 defines them: whatever is sent is stored.
pub(super) async fn sessions_without_a_schema_are_guarded(world: &World) {
    let mut definition = world.form.crd();
    for version in definition["spec"]["versions"].as_array_mut().unwrap() {
        version["schema"]["openAPIV3Schema"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    replace_definition(world, definition).await;
    let mut session = world.new_session();
    session["spec"]["of_another_time"] = json!({"kept": true});
    let stored = answers(&world.hobbyfarm, &Request::create(&session), 201).await.body;
    assert_eq!(stored["spec"]["of_another_time"], json!({"kept": true}), "{stored}");
    rejects(&world.alice, Request::create(&world.new_session())).await;
    let change = json!({"spec": {"of_another_time": {"kept": false}}});
    rejects(&world.alice, Request::merge(&session, change.clone())).await;
    accepts(&world.hobbyfarm, Request::merge(&session, change)).await;
    accepts(&world.alice, Request::delete(&session, "Foreground")).await;
    goes(&world.admin, "the Session", Request::read(&session)).await;
    replace_definition(world, world.form.crd()).await;
    world.await_definition().await;
}

async fn is_told_of(world: &World, session: &Value) {
    let events = "/api/v1/namespaces/default/events?fieldSelector=reason%3DTimesSet";
    eventually("it is told in an event", PATIENCE, async || {
        let events = accepts(&world.admin, Request::get(events)).await.body;
        let is_about = |event: &Value| event["involvedObject"]["name"] == session["metadata"]["name"];
        events["items"].as_array().unwrap().iter().any(is_about).then_some(())
    })
    .await;
}

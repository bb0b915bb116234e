//! Definitions of HobbyFarm's resource other than those of `tests/crds`: cluster-scoped ones, and ones without a schema.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};

use crate::install::CRDS;
use crate::process::eventually;
use crate::verbs::{accepts, goes, rejects};
use crate::world::World;
use crate::writer::{Request, sessions_path};

const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a scenario with another definition, and puts the present one back; all Sessions go.
async fn defined(world: &World, change: impl Fn(&mut Value), scenario: impl Future<Output = ()>) {
    let mut other = world.form.crd();
    change(&mut other);
    define(world, other).await;
    let outcome = AssertUnwindSafe(scenario).catch_unwind().await;
    define(world, world.form.crd()).await;
    world.await_definition().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// In place of whatever is there: a scope cannot be changed.
async fn define(world: &World, definition: Value) {
    let path = format!("{CRDS}/sessions.hobbyfarm.io");
    accepts(&world.admin, Request::delete_path(&path, "Background")).await;
    goes(&world.admin, "the definition", Request::get(&path)).await;
    accepts(&world.admin, Request::post(CRDS, definition)).await;
}

/// HobbyFarm writes there, and nobody else; anybody with the right deletes.
async fn is_guarded(world: &World, collection: &str, session: &Value) {
    let create = Request::post(collection, session.clone());
    eventually("the definition is served", PATIENCE, async || {
        (world.hobbyfarm.sends(&create.clone().dry_run()).await.code == 201).then_some(())
    })
    .await;
    let one = format!("{collection}/{}", session["metadata"]["name"].as_str().unwrap());
    let patch = |change: Value| Request::patch(one.clone(), "application/merge-patch+json", change);
    rejects(&world.alice, create.clone()).await;
    accepts(&world.hobbyfarm, create).await;
    rejects(&world.alice, patch(json!({"metadata": {"labels": {"a": "b"}}}))).await;
    accepts(&world.hobbyfarm, patch(json!({"metadata": {"labels": {"a": "b"}}}))).await;
    let stored = accepts(&world.admin, Request::get(&one)).await.body;
    assert_eq!(stored["metadata"]["labels"]["a"], "b", "{stored}");
    accepts(&world.alice, Request::delete_path(&one, "Foreground")).await;
    goes(&world.admin, "the Session", Request::get(one)).await;
}

/// As HobbyFarm's charts 0.1.0 and 0.3.2 and its v4 define it.
pub(super) async fn a_cluster_scoped_session_is_guarded_as_well(world: &World) {
    let mut session = world.new_session();
    session["metadata"].as_object_mut().unwrap().remove("namespace");
    let scope = |definition: &mut Value| definition["spec"]["scope"] = json!("Cluster");
    defined(world, scope, is_guarded(world, "/apis/hobbyfarm.io/v1/sessions", &session)).await;
}

/// As HobbyFarm v1 defines it: whatever is sent is stored.
pub(super) async fn a_session_without_a_schema_is_guarded_as_well(world: &World) {
    let mut session = world.new_session();
    session["spec"]["of_another_time"] = json!({"kept": true});
    let collection = sessions_path(session["metadata"]["namespace"].as_str().unwrap());
    let anything = |definition: &mut Value| {
        for version in definition["spec"]["versions"].as_array_mut().unwrap() {
            version["schema"]["openAPIV3Schema"] =
                json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        }
    };
    defined(world, anything, is_guarded(world, &collection, &session)).await;
}

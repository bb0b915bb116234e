//! Deleting is the documented way to end a session; nothing that it sets off may get stuck.

use serde_json::{Value, json};

use super::flows::starts;
use crate::verbs::{accepts, becomes, goes, rejects, stored};
use crate::world::World;
use crate::writer::{HOBBYFARM, Request, sessions_path};

pub(super) const FINALIZER: &str = "e2e.hobbyfarm.io/hold";

/// A reference to an owner, without which the owned object goes.
pub(super) fn reference(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": true,
    }])
}

pub(super) fn config_maps(name: Option<&Value>) -> String {
    let name = name.map_or_else(String::new, |name| format!("/{}", name.as_str().unwrap()));
    format!("/api/v1/namespaces/{HOBBYFARM}/configmaps{name}")
}

pub(super) async fn config_map(world: &World, metadata: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    object["metadata"]["name"] = json!(world.fresh_name());
    let mut created = accepts(&world.alice, Request::post(config_maps(None), object)).await.body;
    // the API server answers without them
    created["apiVersion"] = json!("v1");
    created["kind"] = json!("ConfigMap");
    created
}

/// HobbyFarm makes a Session that something else owns, or that something else must let go.
pub(super) async fn session_with(world: &World, metadata: &Value) -> Value {
    let session = starts(world).await;
    accepts(&world.hobbyfarm, Request::merge(&session, json!({"metadata": metadata}))).await.body
}

pub(super) fn is_dying(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

pub(super) async fn anybody_with_the_right_deletes(world: &World) {
    for (who, stranger) in &world.strangers {
        if *who == "a person in disguise" {
            continue; // has only HobbyFarm's rights, which the first flow covers
        }
        let session = starts(world).await;
        accepts(stranger, Request::delete(&session, "Background").dry_run()).await;
        stored(&world.admin, &session).await;
        accepts(stranger, Request::delete(&session, "Background")).await;
        goes(&world.admin, who, Request::read(&session)).await;
    }
}

pub(super) async fn a_collection_is_deleted(world: &World) {
    let label = json!({"labels": {"collection": "yes"}});
    let sessions = [session_with(world, &label).await, session_with(world, &label).await];
    let kept = starts(world).await;
    let all = Request::delete_path(sessions_path(HOBBYFARM), "Background").with("labelSelector=collection%3Dyes");
    accepts(&world.alice, all).await;
    for session in &sessions {
        goes(&world.admin, "a Session of the collection", Request::read(session)).await;
    }
    stored(&world.admin, &kept).await;
}

pub(super) async fn a_finalizer_may_be_taken_off_a_dying_session_and_nothing_else_changed(world: &World) {
    let session = session_with(world, &json!({"finalizers": [FINALIZER]})).await;
    let release = json!({"metadata": {"finalizers": null}});
    rejects(&world.alice, Request::merge(&session, release.clone())).await;

    accepts(&world.alice, Request::delete(&session, "Background")).await;
    let dying = stored(&world.admin, &session).await;
    assert!(is_dying(&dying), "{dying}");
    let more = json!({"metadata": {"finalizers": null}, "spec": {"course": "c-9"}});
    rejects(&world.alice, Request::merge(&session, more)).await;
    rejects(&world.alice, Request::merge(&session, json!({"metadata": {"labels": {"a": "b"}}}))).await;

    accepts(&world.alice, Request::delete(&session, "Background")).await;
    accepts(&world.alice, Request::merge(&session, release)).await;
    goes(&world.admin, "the released Session", Request::read(&session)).await;
}

/// The garbage collector takes its finalizer off the Session by an update, once what the Session owns is gone.
pub(super) async fn a_foreground_deletion_comes_to_its_end(world: &World) {
    let session = starts(world).await;
    let owned = config_map(world, json!({"ownerReferences": reference(&session)})).await;
    accepts(&world.alice, Request::delete(&session, "Foreground")).await;
    goes(&world.admin, "the Session", Request::read(&session)).await;
    goes(&world.admin, "what it owned", Request::get(config_maps(Some(&owned["metadata"]["name"])))).await;
}

/// The garbage collector takes the owner off the Session by an update, before it lets the owner go.
/// Waits until the garbage collector knows all Sessions that there are. One that it does not know yet when its owner is orphaned is
/// collected afterwards. It learns of Sessions in the order of their creation, so it knows all others when the last one goes.
async fn garbage_collector_catches_up(world: &World) {
    let metadata = json!({"name": world.fresh_name(), "uid": world.fresh_name()});
    let absent = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    let last = session_with(world, &json!({"ownerReferences": reference(&absent)})).await;
    goes(&world.admin, "a Session without an owner", Request::read(&last)).await;
}

pub(super) async fn an_orphaned_session_stays_without_its_owner(world: &World) {
    let owner = config_map(world, json!({})).await;
    let session = session_with(world, &json!({"ownerReferences": reference(&owner)})).await;
    garbage_collector_catches_up(world).await;
    let path = config_maps(Some(&owner["metadata"]["name"]));
    accepts(&world.alice, Request::delete_path(&path, "Orphan")).await;
    goes(&world.admin, "the owner", Request::get(path)).await;
    let orphan = becomes(&world.admin, "the Session has no owner", Request::read(&session), |object| {
        object["metadata"].get("ownerReferences").is_none()
    })
    .await;
    assert!(!is_dying(&orphan), "{orphan}");
    assert_eq!((&orphan["spec"], &orphan["status"]), (&session["spec"], &session["status"]));
}

pub(super) async fn a_session_goes_with_its_owner(world: &World) {
    let owner = config_map(world, json!({})).await;
    let session = session_with(world, &json!({"ownerReferences": reference(&owner)})).await;
    accepts(&world.alice, Request::delete_path(config_maps(Some(&owner["metadata"]["name"])), "Background")).await;
    goes(&world.admin, "the Session", Request::read(&session)).await;
}

pub(super) async fn a_namespace_goes_with_its_sessions(world: &World) {
    let namespace = world.fresh_name();
    let path = format!("/api/v1/namespaces/{namespace}");
    let object = json!({"metadata": {"name": namespace}});
    accepts(&world.alice, Request::post("/api/v1/namespaces", object)).await;
    let mut session = world.new_session();
    session["metadata"]["namespace"] = json!(namespace);
    accepts(&world.hobbyfarm, Request::create(&session)).await;
    rejects(&world.alice, Request::merge(&session, json!({"spec": {"course": "c-9"}}))).await;
    accepts(&world.alice, Request::delete_path(&path, "Background")).await;
    goes(&world.admin, "the namespace", Request::get(path)).await;
}

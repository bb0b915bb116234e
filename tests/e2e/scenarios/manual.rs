//! Writes by anybody but HobbyFarm, by each way that the API server offers.

use serde_json::{Value, json};

use super::flows::starts;
use crate::verbs::{accepts, rejects, stored};
use crate::world::World;
use crate::writer::Request;

/// Sends each request really and as a dry run; each must be refused, and nothing be stored.
async fn refuses_everybody(world: &World, session: &Value, requests: &[(&str, Request)]) {
    let before = stored(&world.admin, session).await;
    for (who, stranger) in &world.strangers {
        for (how, request) in requests {
            for request in [request.clone(), request.clone().dry_run()] {
                rejects(stranger, request).await;
            }
            assert_eq!(stored(&world.admin, session).await, before, "{who}: {how}");
        }
    }
}

pub(super) async fn nobody_else_creates(world: &World) {
    let session = world.new_session();
    let mut with_status = session.clone();
    with_status["status"] = world.form.zero_status();
    let mut generated = session.clone();
    generated["metadata"] = json!({"namespace": session["metadata"]["namespace"], "generateName": "e2e-generated-"});
    for (who, stranger) in &world.strangers {
        for object in [&session, &with_status, &generated] {
            rejects(stranger, Request::create(object)).await;
            rejects(stranger, Request::create(object).dry_run()).await;
        }
        rejects(stranger, Request::apply(&session)).await;
        rejects(stranger, Request::apply(&session).dry_run()).await;
        let reply = world.admin.sends(&Request::read(&session)).await;
        assert_eq!(reply.code, 404, "{who} has created one");
    }
}

pub(super) async fn nobody_else_edits(world: &World) {
    let session = starts(world).await;
    let edited = |path: &str, value: Value| {
        let mut object = session.clone();
        *object.pointer_mut(path).unwrap() = value;
        object
    };
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "1"});
    let applied = {
        let mut object = world.form.session(session["metadata"]["name"].as_str().unwrap());
        object["spec"]["course"] = json!("c-9");
        object
    };
    let requests = [
        ("PUT", Request::replace(&edited("/spec/course", json!("c-9")))),
        ("merge patch", Request::merge(&session, json!({"spec": {"course": "c-9"}}))),
        (
            "JSON patch",
            Request::json_patch(&session, json!([{"op": "replace", "path": "/spec/course", "value": "c-9"}])),
        ),
        ("server-side apply", Request::apply(&applied)),
        ("label", Request::merge(&session, json!({"metadata": {"labels": {"a": "b"}}}))),
        ("annotation", Request::merge(&session, json!({"metadata": {"annotations": {"a": "b"}}}))),
        ("finalizer", Request::merge(&session, json!({"metadata": {"finalizers": ["e2e.hobbyfarm.io/hold"]}}))),
        ("owner", Request::merge(&session, json!({"metadata": {"ownerReferences": [owner]}}))),
    ];
    refuses_everybody(world, &session, &requests).await;
}

pub(super) async fn nobody_else_edits_status(world: &World) {
    let form = world.form;
    let session = starts(world).await;
    let end = form.time("2030-01-01T00:00:00Z".parse().unwrap());
    let mut put = session.clone();
    put["status"]["end_time"] = json!(end);
    let merge = json!({"status": {"end_time": end}});
    let patch = json!([{"op": "replace", "path": "/status/end_time", "value": end}]);
    let mut applied = form.session(session["metadata"]["name"].as_str().unwrap());
    applied["status"] = json!({"end_time": end});

    let on_the_session = [
        ("PUT", Request::replace(&put)),
        ("merge patch", Request::merge(&session, merge.clone())),
        ("JSON patch", Request::json_patch(&session, patch.clone())),
        ("server-side apply", Request::apply(&applied)),
    ];
    if !form.status_subresource {
        refuses_everybody(world, &session, &on_the_session).await;
        return;
    }
    let on_the_subresource = [
        ("PUT", Request::replace_status(&put)),
        ("merge patch", Request::merge_status(&session, merge)),
        ("JSON patch", Request::json_patch_status(&session, patch)),
        ("server-side apply", Request::apply_status(&applied)),
    ];
    refuses_everybody(world, &session, &on_the_subresource).await;

    // The API server itself drops status from a write to the Session, so there may be nothing left to refuse.
    let before = stored(&world.admin, &session).await;
    for (how, request) in on_the_session {
        world.alice.sends(&request).await;
        let after = stored(&world.admin, &session).await;
        assert_eq!((&after["spec"], &after["status"]), (&before["spec"], &before["status"]), "{how}");
    }
}

pub(super) async fn a_write_that_changes_nothing_is_let_pass(world: &World) {
    let session = starts(world).await;
    accepts(&world.alice, Request::replace(&session)).await;
    accepts(&world.alice, Request::merge(&session, json!({"spec": {"course": session["spec"]["course"]}}))).await;
    if world.form.status_subresource {
        accepts(&world.alice, Request::replace_status(&session)).await;
    }
    let after = stored(&world.admin, &session).await;
    assert_eq!((&after["spec"], &after["status"]), (&session["spec"], &session["status"]));
}

//! What an API server that works answers, and what it stores.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::api_server::{GROUP, Kind, MARKER, NAMESPACE};
use crate::faults::Fault;

pub(crate) struct State {
    pub(crate) objects: HashMap<String, Value>,
    pub(crate) version: u64,
    pub(crate) fault: Option<(Kind, Fault)>,
    /// The last `Authorization` header.
    pub(crate) authorization: String,
    /// Any other is refused with 401.
    pub(crate) accepted: Option<String>,
    /// Whether the definition of Sessions has one; it gets or loses it with the next write where `definition_changes`.
    pub(crate) status_subresource: bool,
    pub(crate) definition_changes: bool,
    /// What is published of the types, and what becomes of a write that goes by other types than HobbyFarm's own.
    pub(crate) published: Option<(&'static str, WrongTypes)>,
}

/// What an API server does with a write of values of other types; the types that it has are published from then on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WrongTypes {
    Refused,
    /// As where a webhook puts them right again.
    Dropped,
}

/// A Session without times.
pub(crate) fn session() -> Value {
    json!({
        "apiVersion": "hobbyfarm.io/v1", "kind": "Session",
        "metadata": {
            "name": "s1", "namespace": NAMESPACE, "resourceVersion": "1", "uid": "u1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"user": "u-alice", "vm_claim": [], "keep_course_vm": false, "access_code": MARKER},
        "status": {
            "paused": false, "active": true, "finished": false, "start_time": "", "end_time": "", "paused_time": "",
        },
    })
}

/// Code and body.
pub(crate) fn answer(state: &mut State, method: &str, path: &str, query: &str, body: &[u8]) -> (u16, Value) {
    let resources = ["sessions", "sessions/status", "users", "courses", "scenarios", "virtualmachineclaims"];
    match (method, path) {
        ("GET", "/version") => {
            let none = "";
            return (
                200,
                json!({
                    "major": "1", "minor": "37", "gitVersion": "v1.37.0", "gitCommit": none, "gitTreeState": none,
                    "buildDate": none, "goVersion": none, "compiler": none, "platform": none,
                }),
            );
        }
        ("GET", "/apis") => {
            let version = json!({"groupVersion": "hobbyfarm.io/v1", "version": "v1"});
            let group = json!({"name": "hobbyfarm.io", "versions": [version], "preferredVersion": version});
            return (200, json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}));
        }
        ("GET", GROUP) => {
            let resource = |name: &&str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "X", "verbs": ["get", "list", "patch"]});
            let is_served = |name: &&&str| state.status_subresource || !name.ends_with("/status");
            let resources: Vec<_> = resources.iter().filter(is_served).map(resource).collect();
            return (
                200,
                json!({
                    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "hobbyfarm.io/v1", "resources": resources,
                }),
            );
        }
        ("GET", "/openapi/v3/apis/hobbyfarm.io/v1") if let Some((flag, _)) = state.published => {
            let status = json!({"properties": {"active": {"type": flag}}});
            let schema = json!({"properties": {"status": status}});
            return (200, json!({"components": {"schemas": {"io.hobbyfarm.v1.Session": schema}}}));
        }
        _ => {}
    }
    let collection = path.rsplit('/').next().unwrap_or_default();
    if method == "GET" && path.starts_with(GROUP) && resources.contains(&collection) {
        let items: Vec<_> = state
            .objects
            .iter()
            .filter(|(_, object)| collection == "sessions" && object["kind"] == "Session")
            .map(|(_, object)| object.clone())
            .collect();
        return (
            200,
            json!({
                "kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": items,
            }),
        );
    }
    // What a Session names and no list has, is there by now.
    if method == "GET" && Kind::of(method, path, query) == Kind::Confirm {
        return (404, status(404, "not found"));
    }
    let key = path.trim_end_matches("/status").to_owned();
    let stored = state.objects.get(&key).cloned();
    match (method, stored) {
        ("GET", Some(object)) => (200, object),
        ("POST", _) => {
            let object: Value = serde_json::from_slice(body).unwrap();
            let key = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap_or("generated"));
            store(state, key, object)
        }
        ("PUT", Some(stored)) => {
            let object: Value = serde_json::from_slice(body).unwrap();
            if object["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"] {
                store(state, key, object)
            } else {
                (409, status(409, "the object has been modified"))
            }
        }
        ("PATCH", Some(stored)) => patch(state, key, &stored, path, query, body),
        _ => (404, status(404, "not found")),
    }
}

fn patch(state: &mut State, key: String, stored: &Value, path: &str, query: &str, body: &[u8]) -> (u16, Value) {
    let (is_session, to_status) = (stored["kind"] == "Session", path.ends_with("/status"));
    if is_session && std::mem::take(&mut state.definition_changes) {
        state.status_subresource = !state.status_subresource;
    }
    if to_status && !state.status_subresource {
        return (404, status(404, "the server could not find the requested resource"));
    }
    let patch: json_patch::Patch = serde_json::from_slice(body).unwrap();
    let mut object = stored.clone();
    if json_patch::patch(&mut object, &patch).is_err() {
        return (422, status(422, "the patch does not apply"));
    }
    if object["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"] {
        return (409, status(409, "the object has been modified"));
    }
    if let Some(("string", wrong_types)) = state.published
        && object["status"]["active"].is_string()
    {
        state.published = Some(("boolean", wrong_types));
        return match wrong_types {
            WrongTypes::Refused => (422, status(422, "active: must be of type boolean")),
            WrongTypes::Dropped => (200, stored.clone()),
        };
    }
    if is_session && !to_status && state.status_subresource {
        object["status"] = stored["status"].clone();
    }
    if query.contains("dryRun=All") { (200, object) } else { store(state, key, object) }
}

fn store(state: &mut State, key: String, mut object: Value) -> (u16, Value) {
    state.version += 1;
    object["metadata"]["resourceVersion"] = json!(state.version.to_string());
    state.objects.insert(key, object.clone());
    (200, object)
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "Invalid",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code,
    })
}

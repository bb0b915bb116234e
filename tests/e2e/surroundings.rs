//! What Sessions name: Users, Courses, Scenarios and claims of virtual machines.

use std::time::Duration;

use serde_json::{Value, json};

use crate::process::eventually;
use crate::world::World;
use crate::writer::{HOBBYFARM, Request};

const PATIENCE: Duration = Duration::from_mins(1);
/// The resources, each with its kind.
pub(crate) const KINDS: [(&str, &str); 4] = [
    ("users", "User"),
    ("courses", "Course"),
    ("scenarios", "Scenario"),
    ("virtualmachineclaims", "VirtualMachineClaim"),
];

/// Defines them all. Done again it changes nothing.
pub(crate) fn define(world: &World) {
    let file = format!("{}/tests/crds/surroundings.yaml", env!("CARGO_MANIFEST_DIR"));
    world.admin_kubectl.run(&["apply", "-f", &file]).succeeds();
}

/// Adds an object in HobbyFarm's namespace, once its definition is served.
pub(crate) async fn add(world: &World, resource: &str, name: &str, spec: Value) {
    let kind = KINDS.iter().find(|(known, _)| *known == resource).unwrap().1;
    let path = format!("/apis/hobbyfarm.io/v1/namespaces/{HOBBYFARM}/{resource}");
    let object = json!({"apiVersion": "hobbyfarm.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    eventually("the definition is served", PATIENCE, async || {
        let reply = world.admin.sends(&Request::post(&path, object.clone())).await;
        assert!(matches!(reply.code, 201 | 404 | 409), "{reply:?}");
        (reply.code != 404).then_some(())
    })
    .await;
}

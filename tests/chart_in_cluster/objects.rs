//! What is stored, and in which order it goes.

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::WatchEvent;
use serde_json::Value;

use crate::process::eventually;
use crate::verbs::accepts;
use crate::world::{NAMESPACE, PATIENCE, World};
use crate::writer::Request;

pub(crate) const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
pub(crate) const WEBHOOKS: [&str; 2] = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];

/// Where objects of this group and resource are in the webhook's namespace.
pub(crate) fn collection(group: &str, resource: &str) -> String {
    collection_in(NAMESPACE, group, resource)
}

/// The same in another namespace.
pub(crate) fn collection_in(namespace: &str, group: &str, resource: &str) -> String {
    let api = if group == "v1" { "/api" } else { "/apis" };
    format!("{api}/{group}/namespaces/{namespace}/{resource}")
}

pub(crate) async fn read(world: &World, path: &str) -> Value {
    accepts(&world.admin, Request::get(path)).await.body
}

pub(crate) async fn deployment(world: &World) -> Value {
    read(world, &(collection("apps/v1", "deployments") + "/session-webhook")).await
}

/// The webhook configuration of one kind.
pub(crate) async fn configuration(world: &World, kind: &str) -> Value {
    read(world, &format!("{ADMISSION}/{kind}/hobbyfarm-session-webhook")).await
}

/// The templates of the `ReplicaSets`, the newest last, once there are so many.
pub(crate) async fn replica_sets(world: &World, count: usize) -> Vec<Value> {
    eventually("the Deployment has its ReplicaSets", PATIENCE, async || {
        let list = read(world, &collection("apps/v1", "replicasets")).await;
        let mut sets = list["items"].as_array().unwrap().clone();
        sets.sort_by_key(|set| {
            let revision = &set["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
            revision.as_str().map_or(0, |revision| revision.parse::<u32>().unwrap())
        });
        (sets.len() == count).then_some(sets)
    })
    .await
}

/// The names in a collection.
pub(crate) async fn names(world: &World, path: &str) -> Vec<String> {
    let list = read(world, path).await;
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(name).collect()
}

/// Notes what is deleted from a collection, from now on.
pub(crate) struct Deletions(BoxStream<'static, kube::Result<WatchEvent<Value>>>);

impl Deletions {
    pub(crate) async fn of(world: &World, path: &str) -> Self {
        let list = read(world, path).await;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap();
        let uri = format!("{path}?watch=true&timeoutSeconds=120&resourceVersion={version}");
        let request = axum::http::Request::get(uri).body(Vec::new()).unwrap();
        Self(world.admin.client.request_events(request).await.unwrap().boxed())
    }

    /// The version of the whole store at which this object was deleted first.
    pub(crate) async fn first_of(&mut self, name: &str) -> u64 {
        let first = async {
            loop {
                match self.0.next().await.expect("the watch goes on").unwrap() {
                    WatchEvent::Deleted(object) if object["metadata"]["name"] == name => {
                        return object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                    }
                    WatchEvent::Error(error) => panic!("{error:?}"),
                    _ => (),
                }
            }
        };
        tokio::time::timeout(PATIENCE, first).await.unwrap_or_else(|_| panic!("{name} is not deleted"))
    }
}

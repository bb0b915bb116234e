//! How long HobbyFarm keeps a Session alive: what its Course or its Scenario says.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};

use super::client::describe;
use crate::core::admission::review::{GROUP, VERSION};
use crate::core::session::Session;
use crate::core::session::raw_object::Scalar;
use crate::core::stored::backfill::{KeepAlive, keep_alive};

/// Reads the Course and the Scenario that a Session names, in its namespace. One that is not there, or may not be read,
/// says nothing.
pub(super) async fn read(client: &Client, namespace: &str, session: &Session<'_>) -> KeepAlive {
    let course = duration(client, namespace, "Course", "courses", &session.spec("course")).await;
    let scenario = match course {
        Some(_) => None,
        None => duration(client, namespace, "Scenario", "scenarios", &session.spec("scenario")).await,
    };
    keep_alive(course.as_deref(), scenario.as_deref())
}

async fn duration(client: &Client, namespace: &str, kind: &str, plural: &str, name: &Scalar<'_>) -> Option<String> {
    let Scalar::Text(name) = name else { return None };
    if name.is_empty() {
        return None;
    }
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural);
    // Where Sessions belong to no namespace, neither do Courses and Scenarios.
    let api: Api<DynamicObject> = match namespace {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    match api.get_opt(name).await {
        Ok(object) => {
            let text = object?.data.pointer("/spec/keepalive_duration")?.as_str()?.to_owned();
            (!text.is_empty()).then_some(text)
        }
        Err(error) => {
            tracing::debug!(kind, error = describe(&error), "no keep-alive duration to be read");
            None
        }
    }
}

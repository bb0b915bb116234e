//! How long HobbyFarm keeps a Session alive: what its Course or its Scenario says.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};

use crate::core::admission::review::{GROUP, VERSION};
use crate::core::session::Session;
use crate::core::session::raw_object::Scalar;
use crate::core::stored::backfill::{KeepAlive, keep_alive};

/// Reads the Course and the Scenario that a Session names, in its namespace. One that is not there, or may not be read,
/// says nothing.
///
/// # Errors
///
/// When the API server does not say whether it is there, or whether it may be read: the next attempt may learn it.
pub(super) async fn read(client: &Client, namespace: &str, session: &Session<'_>) -> kube::Result<KeepAlive> {
    let course = duration(client, namespace, "Course", "courses", &session.spec("course")).await?;
    let scenario = match course {
        Some(_) => None,
        None => duration(client, namespace, "Scenario", "scenarios", &session.spec("scenario")).await?,
    };
    Ok(keep_alive(course.as_deref(), scenario.as_deref()))
}

async fn duration(
    client: &Client,
    namespace: &str,
    kind: &str,
    plural: &str,
    name: &Scalar<'_>,
) -> kube::Result<Option<String>> {
    let Scalar::Text(name) = name else { return Ok(None) };
    if name.is_empty() {
        return Ok(None);
    }
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural);
    // Where Sessions belong to no namespace, neither do Courses and Scenarios.
    let api: Api<DynamicObject> = match namespace {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    match api.get_opt(name).await {
        Ok(object) => {
            let text =
                |object: &DynamicObject| Some(object.data.pointer("/spec/keepalive_duration")?.as_str()?.to_owned());
            Ok(object.as_ref().and_then(text).filter(|text| !text.is_empty()))
        }
        // Where Courses are not served at all, the 404 is no answer of `get_opt`.
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
            tracing::debug!(kind, error = status.message, "no keep-alive duration may be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

//! What Sessions name: read once for an audit, by name only, and the keep-alive durations of Courses and Scenarios.

use std::borrow::Cow;
use std::collections::HashMap;

use kube::Client;
use kube::api::Request;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{AuditError, SkippedResource};
use crate::cluster::client::describe;
use crate::cluster::pages::Listing;
use crate::core::admission::review::GROUP;
use crate::core::stored::audit::{Reference, ReferencedObjects};
use crate::core::stored::finding::SessionFinding;

/// Scenarios carry the text of their steps: fewer of them are asked for at once.
const LARGE_PAGE: u32 = 50;
const SMALL_PAGE: u32 = 500;

/// What an object is looked at for.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Option<Spec<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    keepalive_duration: Option<&'a RawValue>,
}

/// Where the resources of HobbyFarm's group are served: the version of each.
pub(super) async fn versions(client: &Client) -> kube::Result<HashMap<String, String>> {
    let groups = client.list_api_groups().await?;
    let Some(group) = groups.groups.into_iter().find(|group| group.name == GROUP) else {
        return Ok(HashMap::new());
    };
    let mut versions = HashMap::new();
    for version in group.versions {
        let resources = client.list_api_group_resources(&version.group_version).await?.resources;
        for resource in resources {
            versions.entry(resource.name).or_insert_with(|| version.group_version.clone());
        }
    }
    Ok(versions)
}

/// Where a resource is listed.
pub(super) fn path(group_version: &str, namespace: Option<&str>, resource: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("/apis/{group_version}/namespaces/{namespace}/{resource}"),
        None => format!("/apis/{group_version}/{resource}"),
    }
}

/// Reads all that Sessions may name; what is not served, or may not be read, is noted.
pub(super) async fn read(
    client: &Client,
    versions: &HashMap<String, String>,
    namespace: Option<&str>,
) -> Result<(ReferencedObjects, Vec<SkippedResource>), AuditError> {
    let (mut referenced, mut skipped) = (ReferencedObjects::default(), Vec::new());
    for reference in Reference::ALL {
        let resource = reference.resource();
        let Some(version) = versions.get(resource) else {
            skipped.push(SkippedResource {
                what: resource,
                reason: "not served by this cluster".to_owned(),
                may_hide_findings: false,
            });
            continue;
        };
        let has_durations = matches!(reference, Reference::Course | Reference::Scenario);
        let listing = Listing {
            path: path(version, namespace, resource),
            page: if has_durations { LARGE_PAGE } else { SMALL_PAGE },
            metadata_only: !has_durations,
        };
        let mut objects = Vec::new();
        let result = listing
            .read(client, |page| {
                for item in &page.items {
                    let Ok(object) = serde_json::from_str::<Object<'_>>(item.get()) else { continue };
                    let duration = object.spec.and_then(|spec| spec.keepalive_duration);
                    let duration = duration.and_then(|raw| serde_json::from_str(raw.get()).ok());
                    let namespace = object.metadata.namespace.unwrap_or_default().into_owned();
                    objects.push((namespace, object.metadata.name.into_owned(), duration));
                }
            })
            .await;
        match result {
            Ok(()) => {
                referenced.mark_listed(reference);
                for (namespace, name, duration) in objects {
                    referenced.add(reference, &namespace, name, duration);
                }
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                skipped.push(SkippedResource {
                    what: resource,
                    reason: describe(&kube::Error::Api(status)),
                    may_hide_findings: true,
                });
            }
            Err(source) => return Err(AuditError::list(resource, source)),
        }
    }
    Ok((referenced, skipped))
}

/// Whether what a Session names is really not there: it may have come into being after [`read`].
pub(super) async fn is_dangling(client: &Client, versions: &HashMap<String, String>, found: &SessionFinding) -> bool {
    let reference = Reference::ALL.into_iter().find(|reference| reference.path() == found.finding.field);
    // What a quote escapes is in no name that could exist.
    let name: Option<String> = serde_json::from_str(&found.finding.value).ok();
    let (Some(reference), Some(name)) = (reference, name) else { return true };
    let Some(version) = versions.get(reference.resource()) else { return true };
    let request = Request::new(path(version, Some(&found.namespace), reference.resource()));
    // Whatever else is answered, or nothing, says neither.
    match request.get_metadata(&name, &kube::api::GetParams::default()) {
        Ok(request) => {
            matches!(client.request_text(request).await, Err(kube::Error::Api(status)) if status.code == 404)
        }
        Err(_) => true,
    }
}

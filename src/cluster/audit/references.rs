//! What Sessions name: listed once for an audit, metadata only. Of Courses and Scenarios the keep-alive duration counts: those that a Session names which has not
//! finished are read whole, once each.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use futures::stream::{self, StreamExt};
use kube::Client;
use kube::api::{GetParams, Request};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{AuditError, SkippedResource};
use crate::cluster::client::describe;
use crate::cluster::pages::Listing;
use crate::core::admission::review::GROUP;
use crate::core::session::Session;
use crate::core::stored::audit::{Reference, ReferencedObjects, namespace_of};
use crate::core::stored::finding::SessionFinding;

/// So many names are asked for at once, and so many whole objects.
const PAGE: u32 = 500;
const CONCURRENT_READS: usize = 8;

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
        let listing = Listing { path: path(version, namespace, resource), page: PAGE, metadata_only: true };
        let mut objects = Vec::new();
        let result = listing
            .read(client, |page| {
                for item in &page.items {
                    let Ok(object) = serde_json::from_str::<Object<'_>>(item.get()) else { continue };
                    let namespace = object.metadata.namespace.unwrap_or_default().into_owned();
                    objects.push((namespace, object.metadata.name.into_owned()));
                }
            })
            .await;
        match result {
            Ok(()) => {
                referenced.mark_listed(reference);
                for (namespace, name) in objects {
                    referenced.add(reference, &namespace, name, None);
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

/// A kind, a namespace and a name.
type Key = (Reference, String, String);

/// Reads keep-alive durations, each once.
pub(super) struct Durations<'a> {
    client: &'a Client,
    versions: &'a HashMap<String, String>,
    asked: HashSet<Key>,
}

impl<'a> Durations<'a> {
    /// None is read yet.
    pub(super) fn new(client: &'a Client, versions: &'a HashMap<String, String>) -> Self {
        Self { client, versions, asked: HashSet::new() }
    }

    /// Reads those that count for these Sessions; what may not be read is noted, once.
    pub(super) async fn read(
        &mut self,
        sessions: &[Session<'_>],
        referenced: &mut ReferencedObjects,
        skipped: &mut Vec<SkippedResource>,
    ) -> Result<(), AuditError> {
        let mut reads = Vec::new();
        for session in sessions {
            for (reference, name) in referenced.with_duration(session) {
                let key = (reference, namespace_of(session), name);
                if let Some(version) = self.versions.get(reference.resource())
                    && !self.asked.contains(&key)
                {
                    self.asked.insert(key.clone());
                    reads.push(read_duration(
                        self.client.clone(),
                        path(version, Some(&key.1), reference.resource()),
                        key,
                    ));
                }
            }
        }
        let mut reads = stream::iter(reads).buffer_unordered(CONCURRENT_READS);
        while let Some(((reference, namespace, name), result)) = reads.next().await {
            match result {
                Ok(duration) => referenced.add(reference, &namespace, name, duration),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    if !skipped.iter().any(|skipped| skipped.what == reference.resource()) {
                        skipped.push(SkippedResource {
                            what: reference.resource(),
                            reason: describe(&kube::Error::Api(status)),
                            may_hide_findings: true,
                        });
                    }
                }
                Err(source) => return Err(AuditError::list(reference.resource(), source)),
            }
        }
        Ok(())
    }
}

async fn read_duration(client: Client, path: String, key: Key) -> (Key, kube::Result<Option<String>>) {
    let request = Request::new(path).get(&key.2, &GetParams::default()).map_err(kube::Error::BuildRequest);
    let text = match request {
        Ok(request) => client.request_text(request).await,
        Err(error) => Err(error),
    };
    let duration = |text: String| {
        let object: Object<'_> = serde_json::from_str(&text).ok()?;
        serde_json::from_str(object.spec?.keepalive_duration?.get()).ok()
    };
    (key, text.map(duration))
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
    match request.get_metadata(&name, &GetParams::default()) {
        Ok(request) => {
            matches!(client.request_text(request).await, Err(kube::Error::Api(status)) if status.code == 404)
        }
        Err(_) => true,
    }
}

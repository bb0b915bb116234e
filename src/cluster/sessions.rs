//! Sessions as they are stored: found, and written so that a concurrent write wins.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{ApiResource, GroupVersionKind, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::FIELD_MANAGER;
use super::patch::{at_version, json_patch};
use super::served_versions::{other_versions, schema_dialect};
use crate::core::admission::normalize::Edit;
use crate::core::admission::patch::patch;
use crate::core::admission::review::{GROUP, RESOURCE, STATUS, VERSION};
use crate::core::settings::Dialect;

/// How many Sessions are asked for at once.
pub const PAGE: u32 = 500;

/// One Session, as the API server wrote it. Whatever it holds and however deep, it is read: one odd object keeps no list and
/// no watch from going on.
#[derive(Clone)]
pub struct StoredSession {
    metadata: ObjectMeta,
    raw: Box<RawValue>,
}

impl StoredSession {
    /// For [`crate::core::session::Session::read`].
    pub fn raw(&self) -> &RawValue {
        &self.raw
    }
}

impl fmt::Debug for StoredSession {
    /// Never shows the object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSession").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for StoredSession {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize, Default)]
        struct Object {
            #[serde(default)]
            metadata: Metadata,
        }
        /// What is looked at; `managedFields` are as deep as the object.
        #[derive(serde::Deserialize, Default)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            name: Option<String>,
            namespace: Option<String>,
            uid: Option<String>,
            resource_version: Option<String>,
            creation_timestamp: Option<String>,
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let Metadata { name, namespace, uid, resource_version, creation_timestamp } =
            serde_json::from_str::<Object>(raw.get()).unwrap_or_default().metadata;
        let creation_timestamp = creation_timestamp.and_then(|time| time.parse().ok()).map(Time);
        let metadata =
            ObjectMeta { name, namespace, uid, resource_version, creation_timestamp, ..ObjectMeta::default() };
        Ok(Self { metadata, raw })
    }
}

impl Resource for StoredSession {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What came of a write.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and nearly always the large one")]
pub enum WriteOutcome {
    /// The API server has taken the write; what it stores now, or would in a dry run, is here.
    Stored(StoredSession),
    /// Somebody else was faster: the object has another version by now.
    Conflict,
    /// The object is gone, or the definition has no longer the status subresource that it had: see
    /// [`Sessions::discover`].
    Gone,
    /// Sessions are served in these versions besides: nothing was written, since that would prune what their objects hold.
    OtherVersions(Vec<String>),
}

/// The Sessions of a cluster.
#[derive(Clone)]
pub struct Sessions {
    client: Client,
    resource: ApiResource,
    /// Whether the definition has a status subresource, without which status is written with the rest.
    pub status_subresource: bool,
    /// Whether they belong to namespaces; those of HobbyFarm's first charts do not.
    pub namespaced: bool,
    /// The dialect that the definition's types allow, where it has types.
    pub dialect: Option<Dialect>,
}

impl Sessions {
    /// Asks the API server for the definition; `None` where it has none.
    ///
    /// # Errors
    ///
    /// What the API server says, or that it does not answer.
    pub async fn discover(client: &Client) -> kube::Result<Option<Self>> {
        let kind = GroupVersionKind::gvk(GROUP, VERSION, "Session");
        let resources = match client.list_api_group_resources(&kind.api_version()).await {
            Ok(list) => list.resources,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(error) => return Err(error),
        };
        let served = |name: &str| resources.iter().find(|resource| resource.name == name);
        let Some(sessions) = served(RESOURCE) else { return Ok(None) };
        Ok(Some(Self {
            client: client.clone(),
            resource: ApiResource::from_gvk_with_plural(&kind, RESOURCE),
            status_subresource: served(&format!("{RESOURCE}/{STATUS}")).is_some(),
            namespaced: sessions.namespaced,
            dialect: schema_dialect(client).await,
        }))
    }

    /// The same, asked for by another client.
    #[must_use]
    pub fn with_client(&self, client: Client) -> Self {
        Self { client, ..self.clone() }
    }

    /// What they are to the API server.
    pub const fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// The Sessions of a namespace, or of all; all of them where they belong to none.
    pub fn api(&self, namespace: Option<&str>) -> Api<StoredSession> {
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
            None => Api::all_with(self.client.clone(), &self.resource),
        }
    }

    /// Makes these edits to exactly this version of `session`. In a dry run nothing is stored, but everything is asked.
    ///
    /// # Errors
    ///
    /// What the API server says, a refusal by an admission webhook included.
    pub async fn write(
        &self,
        session: &StoredSession,
        edits: &[Edit],
        status_is_missing: bool,
        dry_run: bool,
    ) -> kube::Result<WriteOutcome> {
        let others = other_versions(&self.client).await?;
        if !others.is_empty() {
            return Ok(WriteOutcome::OtherVersions(others));
        }
        let version = at_version(&session.resource_version().unwrap_or_default());
        let edits = serde_json::to_value(patch(edits, status_is_missing)).map_err(kube::Error::SerdeError)?;
        let Value::Array(edits) = edits else { return Ok(WriteOutcome::Stored(session.clone())) };
        let patch = json_patch(std::iter::once(version).chain(edits).collect())?;
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run, ..PatchParams::default() };
        let api = self.api(session.namespace().as_deref());
        let name = session.name_any();
        let result = if self.status_subresource {
            api.patch_status(&name, &params, &patch).await
        } else {
            api.patch(&name, &params, &patch).await
        };
        match result {
            Ok(stored) => Ok(WriteOutcome::Stored(stored)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(WriteOutcome::Conflict),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(WriteOutcome::Gone),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use kube::api::WatchEvent;
    use kube::core::ObjectList;

    use super::StoredSession;
    use crate::core::session::Session;

    /// What `serde_json` reads of its own nests 128 deep; an API server stores what is deeper.
    fn deep() -> String {
        let (open, close) = ("[".repeat(400), "]".repeat(400));
        let fields = r#"{"f:x":"#.repeat(300) + "{}" + &"}".repeat(300);
        format!(
            r#"{{"apiVersion":"hobbyfarm.io/v1","kind":"Session","metadata":{{"name":"deep","namespace":"ns","resourceVersion":"7",
            "managedFields":[{{"fieldsV1":{fields}}}]}},"spec":{{"x":{open}{close}}},"status":{{}}}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn a_session_that_nests_deep_is_one_item_of_a_list_and_of_a_watch() {
        let list =
            format!(r#"{{"kind":"SessionList","apiVersion":"hobbyfarm.io/v1","metadata":{{}},"items":[{}]}}"#, deep());
        let list: ObjectList<StoredSession> = serde_json::from_str(&list).unwrap();
        assert_eq!(list.items[0].name_any(), "deep");
        let event = format!(r#"{{"type":"ADDED","object":{}}}"#, deep());
        let WatchEvent::Added(session) = serde_json::from_str::<WatchEvent<StoredSession>>(&event).unwrap() else {
            panic!("not added");
        };
        assert_eq!(session.resource_version().as_deref(), Some("7"));
        Session::read(session.raw()).unwrap();
    }
}

//! Sessions as they are stored: found, and written so that a concurrent write wins.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::FIELD_MANAGER;
use super::patch::{at_version, json_patch};
use crate::core::admission::normalize::Edit;
use crate::core::admission::patch::patch;
use crate::core::admission::review::{GROUP, RESOURCE, STATUS};

/// How many Sessions are asked for at once.
pub const PAGE: u32 = 500;

/// The version that HobbyFarm v1 to v3 serves.
const VERSION: &str = "v1";

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is stored, or would be in a dry run.
    Stored,
    /// Somebody else was faster: the object has another version by now.
    Conflict,
    /// The object is gone, or the definition has no longer the status subresource that it had: see
    /// [`Sessions::discover`].
    Gone,
}

/// The Sessions of a cluster.
#[derive(Clone)]
pub struct Sessions {
    client: Client,
    resource: ApiResource,
    /// Whether the definition has a status subresource, without which status is written with the rest.
    pub status_subresource: bool,
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
        let serves = |name: &str| resources.iter().any(|resource| resource.name == name);
        Ok(serves(RESOURCE).then(|| Self {
            client: client.clone(),
            resource: ApiResource::from_gvk_with_plural(&kind, RESOURCE),
            status_subresource: serves(&format!("{RESOURCE}/{STATUS}")),
        }))
    }

    /// What they are to the API server.
    pub const fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// The Sessions of a namespace, or of all.
    pub fn api(&self, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
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
        session: &DynamicObject,
        edits: &[Edit],
        status_is_missing: bool,
        dry_run: bool,
    ) -> kube::Result<WriteOutcome> {
        let version = at_version(&session.resource_version().unwrap_or_default());
        let edits = serde_json::to_value(patch(edits, status_is_missing)).map_err(kube::Error::SerdeError)?;
        let Value::Array(edits) = edits else { return Ok(WriteOutcome::Stored) };
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
            Ok(_) => Ok(WriteOutcome::Stored),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(WriteOutcome::Conflict),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(WriteOutcome::Gone),
            Err(error) => Err(error),
        }
    }
}

/// The object as JSON, for [`crate::core::session::Session::read`].
pub(super) fn raw(session: &DynamicObject) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(session).ok()
}

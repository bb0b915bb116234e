//! The Secret and the webhook configurations, read and written through the API server.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::{ApiResource, DynamicObject, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::secret_contents::{Data, SecretContents};
use super::state::{Bundle, ObservedState, Secret, Write};
use crate::cluster::client::FIELD_MANAGER;
use crate::cluster::patch::{at_version, json_patch};

/// What is looked after, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectNames {
    /// Of the Secret and the Service.
    pub namespace: String,
    /// `--tls-secret`.
    pub secret: String,
    /// `--webhook-configuration`, of both kinds.
    pub configuration: String,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    Written,
    /// The object is another by now: somebody else was faster.
    Conflict,
}

#[derive(Clone)]
pub(super) struct Objects {
    secrets: Api<SecretObject>,
    configurations: [Api<DynamicObject>; 2],
    names: ObjectNames,
}

impl Objects {
    pub(super) fn new(client: &Client, names: ObjectNames) -> Self {
        let mutating = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        let validating = ApiResource::erase::<ValidatingWebhookConfiguration>(&());
        // Untyped: a patch must fit to what is stored, fields that this build does not know included.
        let configurations = [mutating, validating].map(|kind| Api::all_with(client.clone(), &kind));
        Self { secrets: Api::namespaced(client.clone(), &names.namespace), configurations, names }
    }

    /// The bundles first, then the Secret: see [`super::state`].
    pub(super) async fn observe(&self) -> kube::Result<ObservedState> {
        let mut bundles = Vec::new();
        for (index, api) in self.configurations.iter().enumerate() {
            if let Some(object) = api.get_opt(&self.names.configuration).await? {
                bundles.push(Bundle { index, version: version(&object), entries: entries(&object.data) });
            }
        }
        let secret = match self.secrets.get_opt(&self.names.secret).await? {
            None => Secret::Absent(None),
            Some(object) => secret(version(&object), object.data.unwrap_or_default()),
        };
        Ok(ObservedState { bundles, secret })
    }

    pub(super) async fn write(&self, observed: &ObservedState, write: Write) -> kube::Result<WriteOutcome> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let name = &self.names.configuration;
        let result = match write {
            Write::Secret(None, contents) => self.create(&contents).await,
            Write::Secret(Some(version), contents) => {
                let patch = json!([at_version(&version), {"op": "add", "path": "/data", "value": data(&contents)}]);
                self.secrets.patch(&self.names.secret, &params, &json_patch(patch)?).await.map(drop)
            }
            Write::Bundle(index, version, pem) => {
                let Some((api, bundle)) =
                    self.configurations.get(index).zip(observed.bundles.iter().find(|b| b.index == index))
                else {
                    return Ok(WriteOutcome::Conflict);
                };
                let patch = bundle_patch(&version, bundle.entries.len(), &pem);
                api.patch(name, &params, &json_patch(patch)?).await.map(drop)
            }
        };
        match result {
            Ok(()) => Ok(WriteOutcome::Written),
            // Another version, created by somebody else, or deleted.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(WriteOutcome::Conflict),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, contents: &SecretContents) -> kube::Result<()> {
        let mut object = SecretObject { data: Some(data(contents)), ..SecretObject::default() };
        object.metadata.name = Some(self.names.secret.clone());
        let labels = [("app.kubernetes.io/name", "session-webhook"), ("app.kubernetes.io/part-of", "hobbyfarm")];
        object.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        object.type_ = Some("Opaque".to_owned());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.secrets.create(&params, &object).await.map(drop)
    }
}

fn version(object: &impl ResourceExt) -> String {
    object.resource_version().unwrap_or_default()
}

fn secret(version: String, data: std::collections::BTreeMap<String, ByteString>) -> Secret {
    if data.is_empty() {
        return Secret::Absent(Some(version));
    }
    let data: Data = data.into_iter().map(|(key, ByteString(value))| (key, value)).collect();
    match SecretContents::read(&data) {
        Ok(contents) => Secret::Present { version, contents },
        Err(key) => Secret::Unreadable { version, key },
    }
}

fn data(contents: &SecretContents) -> std::collections::BTreeMap<String, ByteString> {
    contents.data().into_iter().map(|(key, value)| (key, ByteString(value))).collect()
}

/// The `caBundle` of each entry; empty where there is none.
fn entries(configuration: &Value) -> Vec<Vec<u8>> {
    let bundle = |entry: &Value| {
        let bundle = entry.pointer("/clientConfig/caBundle").cloned().unwrap_or_default();
        serde_json::from_value::<ByteString>(bundle).map(|ByteString(bytes)| bytes).unwrap_or_default()
    };
    let webhooks = configuration.get("webhooks").and_then(Value::as_array);
    webhooks.into_iter().flatten().map(bundle).collect()
}

fn bundle_patch(version: &str, entries: usize, pem: &str) -> Value {
    let bundle = ByteString(pem.as_bytes().to_vec());
    let set = |entry: usize| {
        // `add` replaces what is there.
        json!({"op": "add", "path": format!("/webhooks/{entry}/clientConfig/caBundle"), "value": bundle})
    };
    std::iter::once(at_version(version)).chain((0..entries).map(set)).collect()
}

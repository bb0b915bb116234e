//! How the API server serves Sessions: in which versions, and with which types.

use std::collections::HashMap;

use axum::http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::describe;
use crate::core::admission::review::{GROUP, RESOURCE, VERSION};
use crate::core::session::schema;
use crate::core::settings::Dialect;

/// The versions besides v1 in which Sessions are served. Where there is one, a write through v1 would prune what an object of
/// that version holds beyond it.
///
/// # Errors
///
/// What the API server says, or that it does not answer.
pub async fn other_versions(client: &Client) -> kube::Result<Vec<String>> {
    let group: APIGroup = match client.request(get_request(&format!("/apis/{GROUP}"))?).await {
        Ok(group) => group,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut others = Vec::new();
    for version in group.versions.into_iter().filter(|version| version.version != VERSION) {
        let resources = client.list_api_group_resources(&version.group_version).await?.resources;
        if resources.iter().any(|resource| resource.name == RESOURCE) {
            others.push(version.version);
        }
    }
    Ok(others)
}

/// The dialect that the published schema describes; nothing where it has no types, or is not to be had. Everybody who is
/// authenticated may read it, other than the definition itself.
pub(super) async fn schema_dialect(client: &Client) -> Option<Dialect> {
    #[derive(Deserialize)]
    struct OpenApiDocument {
        components: Option<OpenApiComponents>,
        /// Before Kubernetes 1.24, with all other resources.
        definitions: Option<HashMap<String, Box<RawValue>>>,
    }
    #[derive(Deserialize)]
    struct OpenApiComponents {
        schemas: HashMap<String, Box<RawValue>>,
    }
    for path in [format!("/openapi/v3/apis/{GROUP}/{VERSION}"), "/openapi/v2".to_owned()] {
        let text = match client.request_text(get_request(&path).ok()?).await {
            Ok(text) => text,
            Err(error) => {
                tracing::debug!(path, error = describe(&error), "no schema to be read");
                continue;
            }
        };
        let Ok(document) = serde_json::from_str::<OpenApiDocument>(&text) else { continue };
        let schemas = document.components.map(|components| components.schemas).or(document.definitions)?;
        let session = schemas.into_iter().find(|(name, _)| name == "io.hobbyfarm.v1.Session")?.1;
        return schema::described_dialect(&serde_json::from_str::<Value>(session.get()).ok()?);
    }
    None
}

fn get_request(path: &str) -> kube::Result<Request<Vec<u8>>> {
    Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)
}

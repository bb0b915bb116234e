//! The dry run of a create, as the calling user.

use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::look::{Looker, plain};
use crate::core::admission::review::{GROUP, RESOURCE};
use crate::core::doctor::{Definition, Probe, probe_object};
use crate::core::settings::{AccountPattern, Settings};

impl Looker {
    /// Asks for a Session in HobbyFarm's namespace, or else the webhook's.
    pub(super) async fn probe(&self, settings: &Settings, own: &str, definition: Option<&Definition>) -> Probe {
        let Some(version) = definition.and_then(|definition| definition.versions.first()) else {
            return Probe::NotSent;
        };
        let hobbyfarm = settings.service_accounts.iter().map(AccountPattern::namespace).find(|name| *name != "*");
        let namespace = hobbyfarm.unwrap_or(own).to_owned();
        let path = format!("/apis/{GROUP}/{version}/namespaces/{namespace}/{RESOURCE}?dryRun=All");
        match self.post(&path, &probe_object(version)).await {
            Ok((code, headers, body)) => {
                let message = body.pointer("/message").and_then(Value::as_str).unwrap_or_default().to_owned();
                let warnings = headers.get_all("warning").iter().filter_map(|header| warning(header.to_str().ok()?));
                let warnings = warnings.collect();
                Probe::Answer { code, message, warnings, user: self.user().await, namespace }
            }
            Err(error) => Probe::Failed(plain(&error)),
        }
    }

    /// Who this is; servers before 1.28 do not tell.
    async fn user(&self) -> Option<String> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let (_, _, body) = self.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await.ok()?;
        body.pointer("/status/userInfo/username").and_then(Value::as_str).map(str::to_owned)
    }

    /// With the headers, which hold the warnings.
    async fn post(&self, path: &str, object: &Value) -> kube::Result<(u16, HeaderMap, Value)> {
        let request = Request::post(path).header("content-type", "application/json");
        let request = request.body(Body::from(object.to_string().into_bytes())).map_err(kube::Error::HttpError)?;
        let response = self.client.send(request).await?;
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((code, headers, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}

/// The text of a header such as `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let (_, rest) = header.split_once('"')?;
    let (text, _) = rest.rsplit_once('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

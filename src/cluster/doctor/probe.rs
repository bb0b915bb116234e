//! The dry run of a create, as the calling user.

use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::reader::ObjectReader;
use crate::cluster::client::describe;
use crate::core::admission::review::{GROUP, RESOURCE};
use crate::core::doctor::{ProbeResult, SessionDefinition, probe_object};
use crate::core::settings::{AccountPattern, Settings};

impl ObjectReader {
    /// Creates a Session in HobbyFarm's namespace, or else the webhook's.
    pub(super) async fn probe(
        &self,
        settings: &Settings,
        own_namespace: &str,
        definition: Option<&SessionDefinition>,
    ) -> ProbeResult {
        let Some(version) = definition.and_then(|definition| definition.versions.first()) else {
            return ProbeResult::NotSent;
        };
        let hobbyfarm = settings.service_accounts.iter().map(AccountPattern::namespace).find(|name| *name != "*");
        let namespace = hobbyfarm.unwrap_or(own_namespace).to_owned();
        let path = format!("/apis/{GROUP}/{version}/namespaces/{namespace}/{RESOURCE}?dryRun=All");
        match self.post(&path, &probe_object(version)).await {
            Ok((code, headers, body)) => {
                let message = body.pointer("/message").and_then(Value::as_str).unwrap_or_default().to_owned();
                let warnings =
                    headers.get_all("warning").iter().filter_map(|header| warning_text(header.to_str().ok()?));
                let warnings = warnings.collect();
                ProbeResult::Answer { code, message, warnings, user: self.user_name().await, namespace }
            }
            Err(error) => ProbeResult::Failed(describe(&error)),
        }
    }

    /// Who this is; servers before 1.28 do not tell.
    async fn user_name(&self) -> Option<String> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let (_, _, body) = self.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await.ok()?;
        body.pointer("/status/userInfo/username").and_then(Value::as_str).map(str::to_owned)
    }

    /// Status, headers (which hold the warnings), and body.
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
fn warning_text(header: &str) -> Option<String> {
    let (_, rest) = header.split_once('"')?;
    let (text, _) = rest.rsplit_once('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

//! Somebody who sends requests, the requests, and what comes back.

use axum::http;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// Where HobbyFarm lives.
pub(crate) const HOBBYFARM: &str = "hobbyfarm-system";

/// Somebody with credentials.
#[derive(Clone)]
pub(crate) struct Writer {
    /// The user name that the API server knows.
    pub(crate) user: String,
    /// Speaks to the API server as this user.
    pub(crate) client: Client,
}

/// One request about a Session, or about anything else.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: http::Method,
    path: String,
    query: Vec<String>,
    content_type: &'static str,
    body: Option<Value>,
}

/// What the API server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Writer {
    /// Sends a request. Refusals are replies as well; only a broken connection panics.
    pub(crate) async fn sends(&self, request: &Request) -> Reply {
        self.try_sends(request).await.unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// Sends a request to an API server that may not be there.
    pub(crate) async fn try_sends(&self, request: &Request) -> kube::Result<Reply> {
        let separator = if request.query.is_empty() { "" } else { "?" };
        let uri = format!("{}{separator}{}", request.path, request.query.join("&"));
        let mut builder = http::Request::builder().method(request.method.clone()).uri(uri);
        let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
        if request.body.is_some() {
            builder = builder.header(http::header::CONTENT_TYPE, request.content_type);
        }
        let http = builder.body(Body::from(body.into_bytes())).unwrap();
        let response = self.client.send(http).await?;
        let code = response.status().as_u16();
        let warnings = response.headers().get_all("warning").iter().map(warning).collect();
        let bytes = response.into_body().collect().await?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Reply { code, body, warnings })
    }
}

/// The text of a header such as `299 - "text"`.
fn warning(header: &http::HeaderValue) -> String {
    let text = String::from_utf8_lossy(header.as_bytes()).into_owned();
    let quoted = text.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map(|(quoted, _)| quoted);
    quoted.unwrap_or(&text).replace("\\\"", "\"").replace("\\\\", "\\")
}

/// Where Sessions of a namespace are.
pub(crate) fn sessions_path(namespace: &str) -> String {
    format!("/apis/hobbyfarm.io/v1/namespaces/{namespace}/sessions")
}

fn path_of(session: &Value) -> String {
    let metadata = &session["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or(HOBBYFARM);
    format!("{}/{}", sessions_path(namespace), metadata["name"].as_str().unwrap())
}

fn status_path_of(session: &Value) -> String {
    format!("{}/status", path_of(session))
}

impl Request {
    /// The path, without parameters.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Any request.
    pub(crate) fn new(method: http::Method, path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), content_type: "application/json", body }
    }

    /// Reads anything.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(http::Method::GET, path, None)
    }

    /// Creates anything.
    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new(http::Method::POST, path, Some(body))
    }

    /// Creates a Session.
    pub(crate) fn create(session: &Value) -> Self {
        let namespace = session["metadata"]["namespace"].as_str().unwrap_or(HOBBYFARM);
        Self::post(sessions_path(namespace), session.clone())
    }

    /// Reads a Session as it is stored now.
    pub(crate) fn read(session: &Value) -> Self {
        Self::get(path_of(session))
    }

    /// PUT of a whole Session.
    pub(crate) fn replace(session: &Value) -> Self {
        Self::new(http::Method::PUT, path_of(session), Some(session.clone()))
    }

    /// PUT of a whole Session on its status subresource.
    pub(crate) fn replace_status(session: &Value) -> Self {
        Self::new(http::Method::PUT, status_path_of(session), Some(session.clone()))
    }

    /// Merge patch.
    pub(crate) fn merge(session: &Value, patch: Value) -> Self {
        Self::patch(path_of(session), "application/merge-patch+json", patch)
    }

    /// Merge patch on the status subresource.
    pub(crate) fn merge_status(session: &Value, patch: Value) -> Self {
        Self::patch(status_path_of(session), "application/merge-patch+json", patch)
    }

    /// JSON patch.
    pub(crate) fn json_patch(session: &Value, patch: Value) -> Self {
        Self::patch(path_of(session), "application/json-patch+json", patch)
    }

    /// JSON patch on the status subresource.
    pub(crate) fn json_patch_status(session: &Value, patch: Value) -> Self {
        Self::patch(status_path_of(session), "application/json-patch+json", patch)
    }

    /// Server-side apply.
    pub(crate) fn apply(session: &Value) -> Self {
        Self::server_side_apply(path_of(session), session)
    }

    /// Server-side apply on the status subresource.
    pub(crate) fn apply_status(session: &Value) -> Self {
        Self::server_side_apply(status_path_of(session), session)
    }

    /// Deletes a Session; `propagation` is `Background`, `Foreground` or `Orphan`.
    pub(crate) fn delete(session: &Value, propagation: &str) -> Self {
        Self::delete_path(path_of(session), propagation)
    }

    /// Deletes anything.
    pub(crate) fn delete_path(path: impl Into<String>, propagation: &str) -> Self {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation});
        Self::new(http::Method::DELETE, path, Some(options))
    }

    /// The same request, of which nothing is stored. A deletion that has a body is not asked for parameters.
    pub(crate) fn dry_run(mut self) -> Self {
        match &mut self.body {
            Some(options) if self.method == http::Method::DELETE => options["dryRun"] = json!(["All"]),
            _ => self.query.push("dryRun=All".to_owned()),
        }
        self
    }

    /// The same request with one more parameter.
    pub(crate) fn with(mut self, parameter: &str) -> Self {
        self.query.push(parameter.to_owned());
        self
    }

    /// Patches anything.
    pub(crate) fn patch(path: String, content_type: &'static str, body: Value) -> Self {
        Self { content_type, ..Self::new(http::Method::PATCH, path, Some(body)) }
    }

    fn server_side_apply(path: String, session: &Value) -> Self {
        Self::patch(path, "application/apply-patch+yaml", session.clone()).with("fieldManager=e2e").with("force=true")
    }
}

impl Reply {
    /// The message of a refusal.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

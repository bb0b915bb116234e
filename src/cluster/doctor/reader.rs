//! Reads one object, or all of a kind, with the rights of the calling user.

use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::client::Body;
use kube::{Api, Client};
use serde_json::Value;

use crate::cluster::client::describe;
use crate::core::doctor::{ClockReading, Observation, Unobservable};

/// How many objects are requested at once.
const PAGE: u32 = 500;

/// Reads objects with the rights of the calling user.
pub(super) struct ObjectReader {
    pub(super) client: Client,
}

impl ObjectReader {
    pub(super) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// The API server's version and clock. Without an answer here nothing else can be read.
    pub(super) async fn version(&self, now: fn() -> Timestamp) -> kube::Result<((u32, u32), Option<ClockReading>)> {
        let request = axum::http::Request::get("/version").body(Body::empty()).map_err(kube::Error::HttpError)?;
        let response = self.client.send(request).await?;
        let local = now();
        let date = response.headers().get("date").and_then(|date| date.to_str().ok()).and_then(http_date);
        let version = self.client.apiserver_version().await?;
        let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
        Ok(((number(&version.major), number(&version.minor)), date.map(|remote| ClockReading { remote, local })))
    }

    fn api(&self, resource: &Resource, namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(resource.group, "v1", resource.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, resource.plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// One object.
    pub(super) async fn get(&self, resource: &Resource, namespace: Option<&str>, name: &str) -> Observation<Value> {
        match self.api(resource, namespace).get(name).await {
            Ok(object) => observed(&object),
            Err(error) => {
                unobserved(&error, || describe_right("get", &format!("{}/{name}", resource.qualified()), namespace))
            }
        }
    }

    /// All objects of a kind, in a namespace or everywhere.
    pub(super) async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: ListParams,
    ) -> Observation<Vec<Value>> {
        let api = self.api(resource, namespace);
        let mut params = params.limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = match api.list(&params).await {
                Ok(page) => page,
                Err(error) => return unobserved(&error, || describe_right("list", &resource.qualified(), namespace)),
            };
            for object in &page.items {
                match serde_json::to_value(object) {
                    Ok(object) => all.push(object),
                    Err(error) => return Observation::Unknown(Unobservable::Failed(error.to_string())),
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Observation::Found(all),
            }
        }
    }
}

/// A kind of object; always in version v1.
pub(super) struct Resource {
    plural: &'static str,
    group: &'static str,
    kind: &'static str,
}

impl Resource {
    pub(super) const fn new(plural: &'static str, group: &'static str, kind: &'static str) -> Self {
        Self { plural, group, kind }
    }

    fn qualified(&self) -> String {
        let Self { plural, group, kind: _ } = self;
        if group.is_empty() { (*plural).to_owned() } else { format!("{plural}.{group}") }
    }
}

fn observed(object: &DynamicObject) -> Observation<Value> {
    match serde_json::to_value(object) {
        Ok(object) => Observation::Found(object),
        Err(error) => Observation::Unknown(Unobservable::Failed(error.to_string())),
    }
}

/// What an error of the API server says about the object: absent, or why it could not be read.
pub(super) fn unobserved<T>(error: &kube::Error, right: impl FnOnce() -> String) -> Observation<T> {
    match error {
        kube::Error::Api(status) if status.code == 404 => Observation::Absent,
        kube::Error::Api(status) if status.code == 403 => Observation::Unknown(Unobservable::Forbidden(right())),
        error => Observation::Unknown(Unobservable::Failed(describe(error))),
    }
}

/// A right, as the report names it.
pub(super) fn describe_right(verb: &str, what: &str, namespace: Option<&str>) -> String {
    let scope = namespace.map_or_else(String::new, |namespace| format!(" in the namespace {namespace}"));
    format!("{verb} {what}{scope}")
}

/// The value of a `Date` header.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", text).ok()?.to_datetime().ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let expected = "2026-11-05T08:49:37Z".parse().ok();
        assert_eq!(http_date("Thu, 05 Nov 2026 08:49:37 GMT"), expected);
        assert_eq!(http_date("yesterday"), None);
    }
}

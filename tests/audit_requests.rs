//! What an audit reads of other people's objects: their names, and of Courses and Scenarios no more than it needs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "this is test code"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::{Request, Response, header};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use session_webhook::cluster::audit::{Report, Scope, audit_sessions};
use session_webhook::core::settings::Settings;

const GROUP: &str = "/apis/hobbyfarm.io/v1";
const METADATA: &str = "as=PartialObjectMetadata";

/// An API server that holds objects by their paths, and notes how each is asked for.
#[derive(Default)]
struct ApiServer {
    objects: BTreeMap<String, Value>,
    /// Nobody may get an object of this resource; lists may be read.
    forbidden: Option<&'static str>,
    asked: Mutex<Vec<(String, bool)>>,
}

impl ApiServer {
    fn add(&mut self, resource: &str, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.objects.insert(format!("{GROUP}/namespaces/ns/{resource}/{name}"), object.clone());
    }

    fn answer(&self, request: &Request<Body>) -> (u16, Value) {
        let path = request.uri().path();
        let accept = request.headers().get(header::ACCEPT).map_or("", |accept| accept.to_str().unwrap());
        let metadata_only = accept.contains(METADATA);
        self.asked.lock().unwrap().push((path.to_owned(), metadata_only));
        let shown = |object: &Value| {
            if metadata_only { json!({"metadata": object["metadata"]}) } else { object.clone() }
        };
        if path == "/apis" {
            return (200, json!({"kind": "APIGroupList", "groups": [group()]}));
        }
        if path == "/apis/hobbyfarm.io" {
            return (200, group());
        }
        if path == GROUP {
            return (200, resources());
        }
        if let Some(resource) = path.strip_prefix(&format!("{GROUP}/"))
            && !resource.contains('/')
        {
            let of = format!("{GROUP}/namespaces/ns/{resource}/");
            let items: Vec<_> = self.objects.iter().filter(|(path, _)| path.starts_with(&of)).collect();
            let items: Vec<_> = items.into_iter().map(|(_, object)| shown(object)).collect();
            return (200, json!({"metadata": {"resourceVersion": "7"}, "items": items}));
        }
        if self.forbidden.is_some_and(|resource| path.contains(&format!("/{resource}/"))) {
            return (403, status(403, "Forbidden"));
        }
        self.objects.get(path).map_or_else(|| (404, status(404, "NotFound")), |object| (200, shown(object)))
    }

    /// The paths that were read whole, of this group, but for Sessions.
    fn read_whole(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let whole =
            asked.iter().filter(|(path, metadata_only)| !metadata_only && path.starts_with(&format!("{GROUP}/")));
        let mut whole: Vec<_> = whole.map(|(path, _)| path.trim_start_matches(GROUP).to_owned()).collect();
        whole.retain(|path| path != "/sessions");
        whole.sort();
        whole
    }
}

fn group() -> Value {
    let version = json!({"groupVersion": "hobbyfarm.io/v1", "version": "v1"});
    json!({"kind": "APIGroup", "name": "hobbyfarm.io", "versions": [version], "preferredVersion": version})
}

fn resources() -> Value {
    let kinds = [
        ("sessions", "Session"),
        ("users", "User"),
        ("courses", "Course"),
        ("scenarios", "Scenario"),
        ("virtualmachineclaims", "VirtualMachineClaim"),
    ];
    let resource = |(name, kind): (&str, &str)| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list"]});
    json!({"kind": "APIResourceList", "groupVersion": "hobbyfarm.io/v1", "resources": kinds.map(resource)})
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code})
}

fn session(name: &str, course: &str, scenario: &str, finished: bool) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns", "creationTimestamp": "2026-11-24T00:00:00Z"},
        "spec": {"user": format!("u-{name}"), "course": course, "scenario": scenario, "vm_claim": [], "keep_course_vm": false},
        "status": {
            "paused": false, "paused_time": "", "active": !finished, "finished": finished,
            "start_time": "Tue Nov 24 00:00:00 UTC 2026", "end_time": "Tue Nov 24 00:19:00 UTC 2026",
        },
    })
}

/// Three Sessions that go on, of which two are of one course, and one that has finished.
fn cluster() -> ApiServer {
    let mut server = ApiServer::default();
    for session in [
        session("one", "c-bad", "s-1", false),
        session("two", "c-bad", "", false),
        session("three", "", "s-gone", false),
        session("finished", "c-2", "s-2", true),
    ] {
        server.add("users", &json!({"metadata": {"name": session["spec"]["user"], "namespace": "ns"}, "spec": {}}));
        server.add("sessions", &session);
    }
    for (resource, name, duration) in
        [("courses", "c-bad", "5x"), ("courses", "c-2", "1h"), ("scenarios", "s-1", ""), ("scenarios", "s-2", "")]
    {
        let spec = json!({"keepalive_duration": duration, "steps": "the whole text"});
        server.add(resource, &json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec}));
    }
    server
}

async fn audit(server: &Arc<ApiServer>) -> Report {
    let server = Arc::clone(server);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (code, body) = server.answer(&request);
        let response = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
        async move { response }
    });
    let scope = Scope { namespace: None, settings: Settings::default(), after: SignedDuration::from_secs(30) };
    let now: Timestamp = "2026-11-24T00:15:00Z".parse().unwrap();
    audit_sessions(&Client::new(service, "ns"), &scope, now, |_, _| {}).await.unwrap()
}

fn found(report: &Report) -> Vec<String> {
    let line = |found: &session_webhook::core::stored::finding::SessionFinding| {
        format!("{} {} {}", found.name, found.finding.kind, found.finding.field)
    };
    report.found.iter().map(line).collect()
}

#[tokio::test]
async fn whole_are_read_the_courses_and_scenarios_of_sessions_that_go_on_once_each() {
    let server = Arc::new(cluster());
    let report = audit(&server).await;
    assert_eq!(server.read_whole(), ["/namespaces/ns/courses/c-bad", "/namespaces/ns/scenarios/s-1"]);
    let expected = [
        "one MalformedKeepAlive spec.course",
        "two MalformedKeepAlive spec.course",
        "three DanglingReference spec.scenario",
    ];
    assert_eq!(found(&report), expected);
    assert_eq!(report.skipped, []);
}

#[tokio::test]
async fn without_the_right_to_read_them_the_rest_is_judged_and_it_is_told_once() {
    let server = Arc::new(ApiServer { forbidden: Some("courses"), ..cluster() });
    let report = audit(&server).await;
    assert_eq!(found(&report), ["three DanglingReference spec.scenario"]);
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| (skipped.what, skipped.may_hide_findings)).collect();
    assert_eq!(skipped, [("courses", true)]);
}

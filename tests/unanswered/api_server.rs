//! An API server that holds some objects, and does to one kind of request what a test says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use session_webhook::core::installation::{CONFIGURATION, LEASE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::faults::Fault;
use crate::stored::{State, WrongTypes, answer, session};

/// Longer than anything takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_mins(1);
/// What nobody may ever repeat.
pub(crate) const MARKER: &str = "m4rk3r";
pub(crate) const NAMESPACE: &str = "hobbyfarm-system";
pub(crate) const GROUP: &str = "/apis/hobbyfarm.io/v1";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// Which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Version,
    Groups,
    Resources,
    References,
    Confirm,
    List,
    Watch,
    Get,
    Patch,
    LeaseGet,
    LeaseWrite,
    Event,
    Configuration,
    Secret,
    Other,
}

impl Kind {
    pub(crate) fn of(method: &str, path: &str, query: &str) -> Self {
        let collection = path.rsplit('/').next().unwrap_or_default();
        let references = ["users", "courses", "scenarios", "virtualmachineclaims"];
        match path {
            "/version" => Self::Version,
            "/apis" => Self::Groups,
            GROUP => Self::Resources,
            _ if path.contains("/leases") && method == "GET" => Self::LeaseGet,
            _ if path.contains("/leases") => Self::LeaseWrite,
            _ if path.contains("/events") => Self::Event,
            _ if path.contains("/secrets") => Self::Secret,
            _ if path.starts_with(ADMISSION) => Self::Configuration,
            _ if !path.starts_with(GROUP) => Self::Other,
            _ if query.contains("watch=") => Self::Watch,
            _ if collection == "sessions" => Self::List,
            _ if references.contains(&collection) => Self::References,
            _ if method == "PATCH" => Self::Patch,
            _ if path.contains("/sessions/") => Self::Get,
            _ => Self::Confirm,
        }
    }
}

/// Goes on until the test ends.
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    asked: watch::Receiver<HashMap<Kind, u32>>,
    watches: watch::Sender<()>,
}

fn session_path() -> String {
    format!("{GROUP}/namespaces/{NAMESPACE}/sessions/s1")
}

fn configuration_path(kind: &str) -> String {
    format!("{ADMISSION}/{kind}webhookconfigurations/{CONFIGURATION}")
}

impl ApiServer {
    /// Listens; `fault` is what happens to which requests.
    pub(crate) async fn start(fault: Option<(Kind, Fault)>) -> Self {
        let mut objects = HashMap::from([(session_path(), session())]);
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}");
        objects.insert(
            lease,
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "session-webhook", "namespace": NAMESPACE, "resourceVersion": "1"},
                "spec": {"holderIdentity": "", "leaseDurationSeconds": 15},
            }),
        );
        for kind in ["mutating", "validating"] {
            objects.insert(configuration_path(kind), json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "WebhookConfiguration",
                "metadata": {"name": CONFIGURATION, "resourceVersion": "1"},
                "webhooks": [{"name": "a.b.c", "clientConfig": {"service": {"name": "session-webhook", "namespace": NAMESPACE}}}],
            }));
        }
        let state = Arc::new(Mutex::new(State {
            objects,
            version: 1,
            fault,
            authorization: String::new(),
            accepted: None,
            status_subresource: true,
            definition_changes: false,
            published: None,
        }));
        let (tell, asked) = watch::channel(HashMap::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, watches) = (Arc::clone(&state), watch::Sender::new(()));
        let broken = watches.subscribe();
        tokio::spawn(async move {
            let tell = Arc::new(tell);
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&shared), Arc::clone(&tell), broken.clone()));
            }
        });
        Self { address, state, asked, watches }
    }

    /// From now on only who shows this token is answered.
    pub(crate) fn accept(&self, token: &str) {
        self.state.lock().unwrap().accepted = Some(format!("Bearer {token}"));
    }

    /// What was shown last.
    pub(crate) fn authorization(&self) -> String {
        self.state.lock().unwrap().authorization.clone()
    }

    /// From now on this is what happens to these requests.
    pub(crate) fn fail(&self, kind: Kind, fault: Fault) {
        self.state.lock().unwrap().fault = Some((kind, fault));
    }

    /// All watches end, as they do with a connection that breaks.
    pub(crate) fn break_watches(&self) {
        self.watches.send_replace(());
    }

    /// The definition of Sessions has a status subresource, or none.
    pub(crate) fn define_status_subresource(&self, exists: bool) {
        self.state.lock().unwrap().status_subresource = exists;
    }

    /// What is published are the documentation's types, until a write goes by them.
    pub(crate) fn publish_outdated_types(&self, wrong_types: WrongTypes) {
        self.state.lock().unwrap().published = Some(("string", wrong_types));
    }

    /// The definition gets its status subresource, or loses it, right before the next write to a Session.
    pub(crate) fn change_definition_at_next_write(&self) {
        self.state.lock().unwrap().definition_changes = true;
    }

    /// From now on everything is answered.
    pub(crate) fn heal(&self) {
        self.state.lock().unwrap().fault = None;
    }

    /// Waits until a kind of request has come so often.
    pub(crate) async fn is_asked(&self, kind: Kind, times: u32) -> Result<(), ()> {
        let mut asked = self.asked.clone();
        let often = asked.wait_for(|asked| asked.get(&kind).is_some_and(|count| *count >= times));
        tokio::time::timeout(PATIENCE, often).await.map(drop).map_err(drop)
    }

    /// Waits until a kind of request comes once more.
    pub(crate) async fn is_asked_again(&self, kind: Kind) -> Result<(), ()> {
        self.is_asked(kind, self.times_asked(kind) + 1).await
    }

    pub(crate) fn times_asked(&self, kind: Kind) -> u32 {
        self.asked.borrow().get(&kind).copied().unwrap_or_default()
    }

    pub(crate) fn is_never_asked(&self) -> bool {
        self.asked.borrow().is_empty()
    }

    /// Stores so many more Sessions without times.
    pub(crate) fn store_sessions(&self, count: usize) {
        for number in 0..count {
            self.store_session(&format!("more-{number}"), |_| ());
        }
    }

    /// Stores another Session without times, and with something special about it.
    pub(crate) fn store_session(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = session();
        (object["metadata"]["name"], object["metadata"]["uid"]) = (json!(name), json!(name));
        change(&mut object);
        let path = format!("{GROUP}/namespaces/{NAMESPACE}/sessions/{name}");
        self.state.lock().unwrap().objects.insert(path, object);
    }

    /// Whether the Sessions have their times.
    pub(crate) fn is_repaired(&self) -> bool {
        let state = self.state.lock().unwrap();
        let mut sessions = state.objects.values().filter(|object| object["kind"] == "Session");
        sessions.all(|session| session["status"]["end_time"].as_str().is_some_and(|time| !time.is_empty()))
    }

    /// Whether the Sessions' flags are booleans, as HobbyFarm's code has them.
    pub(crate) fn has_flags_of_hobbyfarm(&self) -> bool {
        let state = self.state.lock().unwrap();
        let mut sessions = state.objects.values().filter(|object| object["kind"] == "Session");
        sessions.all(|session| session["status"]["active"].is_boolean())
    }

    /// All Events that were written, as text.
    pub(crate) fn events(&self) -> String {
        let state = self.state.lock().unwrap();
        let events = state.objects.iter().filter(|(path, _)| path.contains("/events/"));
        events.map(|(_, event)| event.to_string()).collect::<Vec<_>>().join("\n")
    }

    /// Whether both webhook configurations hold an authority.
    pub(crate) fn has_bundles(&self) -> bool {
        let state = self.state.lock().unwrap();
        let bundle =
            |kind| state.objects[&configuration_path(kind)].pointer("/webhooks/0/clientConfig/caBundle").is_some();
        bundle("mutating") && bundle("validating")
    }
}

async fn connection(
    mut stream: TcpStream,
    state: Arc<Mutex<State>>,
    tell: Arc<watch::Sender<HashMap<Kind, u32>>>,
    mut broken: watch::Receiver<()>,
) {
    let mut input = Vec::new();
    loop {
        let Some((method, target, authorization, body)) = request(&mut stream, &mut input).await else { return };
        let is_refused = {
            let mut state = state.lock().unwrap();
            state.authorization.clone_from(&authorization);
            state.accepted.as_ref().is_some_and(|accepted| *accepted != authorization)
        };
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let kind = Kind::of(&method, path, query);
        if is_refused {
            return Fault::Unauthorized.happen(stream).await;
        }
        let fault = state.lock().unwrap().fault.filter(|(faulty, _)| *faulty == kind).map(|(_, fault)| fault);
        // Later: a test that knows of the request may change what happens to the next.
        let is_write = method != "GET";
        broken.mark_unchanged();
        tell.send_modify(|asked| *asked.entry(kind).or_default() += 1);
        if let Some(fault) = fault
            && fault != Fault::OldObject
        {
            return fault.happen(stream).await;
        }
        if kind == Kind::Watch {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let mut rest = [0; 64];
            tokio::select! {
                _ = stream.read(&mut rest) => {}
                _ = broken.changed() => {}
            }
            return;
        }
        let (code, answer) = if fault.is_some() && is_write {
            (200, state.lock().unwrap().objects.get(path.trim_end_matches("/status")).cloned().unwrap_or_default())
        } else {
            answer(&mut state.lock().unwrap(), &method, path, query, &body)
        };
        let body = answer.to_string();
        let head =
            format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Method, target, `Authorization` and body of the next request.
async fn request(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<(String, String, String, Vec<u8>)> {
    loop {
        if let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8(input[..end].to_vec()).ok()?;
            let header = |wanted: &str| {
                head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
                })
            };
            let authorization = header("authorization").unwrap_or_default();
            let all = end + 4 + header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if input.len() >= all {
                let body = input[end + 4..all].to_vec();
                input.drain(..all);
                let mut words = head.split(' ').map(str::to_owned);
                return Some((words.next()?, words.next()?, authorization, body));
            }
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => input.extend_from_slice(&bytes[..count]),
        }
    }
}

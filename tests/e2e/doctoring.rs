//! The webhook behind its Service, as an overlay installs it, for `doctor` to look at; and whatever was changed for it put back.
//!
//! There are no nodes, so the replicas run here and their addresses are put into the Service's endpoints by hand.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use serde_json::{Value, json};

use crate::diagnosis::{Diagnosis, diagnosis, doctor_command, doctor_for};
use crate::install::{self, NAMESPACE};
use crate::pki::{Authority, Identity};
use crate::process::{Process, eventually, free_port};
use crate::verbs::accepts;
use crate::world::World;
use crate::writer::Request;

/// What the API server calls.
pub(crate) const HOST: &str = "session-webhook.hobbyfarm-session-webhook.svc";
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const MUTATING: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hobbyfarm-session-webhook";
pub(crate) const VALIDATING: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hobbyfarm-session-webhook";

/// An object of the webhook's namespace.
pub(crate) fn own(plural: &str, name: &str) -> String {
    let group = if plural == "deployments" { "apis/apps/v1" } else { "api/v1" };
    format!("/{group}/namespaces/{NAMESPACE}/{plural}/{name}")
}

/// An object of RBAC that belongs to no namespace.
pub(crate) fn rbac(plural: &str, name: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/{plural}/{name}")
}

/// An installation that is sound until somebody breaks it.
pub(crate) struct Installation<'w> {
    pub(crate) world: &'w World,
    pub(crate) authority: Authority,
    /// The address of this machine that is no loopback one, which endpoints must not have.
    pub(crate) address: IpAddr,
    replicas: tokio::sync::Mutex<Vec<Replica>>,
    /// What was there before, to be put back; the newest last.
    before: Mutex<Vec<(String, Option<Value>)>>,
}

/// One replica: the real program.
struct Replica {
    _process: Process,
    port: u16,
}

/// Where the Service leads.
struct Target {
    port: u16,
    ready: bool,
    pod: Option<String>,
}

/// Runs a scenario on a sound installation, and puts everything back however it ends.
pub(crate) async fn installed(world: &World, scenario: impl AsyncFnOnce(&Installation<'_>)) {
    let installation = Installation {
        world,
        authority: Authority::new("session-webhook-ca"),
        address: own_address(),
        replicas: tokio::sync::Mutex::default(),
        before: Mutex::default(),
    };
    let run = async {
        installation.set_up().await;
        scenario(&installation).await;
    };
    let outcome = AssertUnwindSafe(run).catch_unwind().await;
    installation.put_back().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// The address by which this machine would reach others; nothing is sent.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket.connect(("192.0.2.1", 9)).expect("endpoints need an address that is no loopback one");
    socket.local_addr().unwrap().ip()
}

impl Installation<'_> {
    async fn set_up(&self) {
        let mut objects = install::rendered("overlays/cert-manager");
        let ours = ["v1", "apps/v1", "rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io/v1"];
        objects
            .retain(|object| ours.contains(&object["apiVersion"].as_str().unwrap()) && object["kind"] != "Namespace");
        let authority = json!(STANDARD.encode(self.authority.pem()));
        for entry in objects.iter_mut().filter_map(|object| object.get_mut("webhooks")?.as_array_mut()).flatten() {
            entry["clientConfig"]["caBundle"] = authority.clone();
        }
        let identity = self.authority.server_for(HOST, 90);
        objects.push(secret(&identity));
        for object in objects {
            self.put(&path_of(&object), object).await;
        }
        // What scenarios of `--tls self-managed` leave behind.
        let own = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings/session-webhook");
        for binding in [rbac("clusterrolebindings", "hobbyfarm-session-webhook"), own] {
            self.delete(&binding).await;
        }
        self.serve(&identity, &[]).await;
        self.is_sound();
    }

    /// Two replicas that serve with this certificate and these flags take the places of all others.
    pub(crate) async fn serve(&self, identity: &Identity, flags: &[&str]) {
        let folder = self.world.folder();
        let (certificate, key) = identity.write(&folder, "doctor");
        let mut replicas = self.replicas.lock().await;
        replicas.clear();
        for number in 0..2 {
            let name = format!("doctor-{number}");
            let _ = std::fs::remove_file(folder.join(format!("{name}.log")));
            let listen = SocketAddr::from((self.address, free_port()));
            let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
            command
                .env_clear()
                .arg("serve")
                .arg("--config")
                .arg(folder.join("config.yaml"))
                .args(["--listen", &listen.to_string(), "--ops-listen", "127.0.0.1:0"])
                .arg("--tls-cert")
                .arg(&certificate)
                .arg("--tls-key")
                .arg(&key)
                .args(flags);
            let mut process = Process::start(&name, &folder, &mut command);
            eventually("a replica listens", PATIENCE, async || {
                process.assert_running();
                process.output().contains("\"listening\"").then_some(())
            })
            .await;
            replicas.push(Replica { _process: process, port: listen.port() });
        }
        let ports: Vec<_> = replicas.iter().map(|replica| replica.port).collect();
        drop(replicas);
        self.lead_to(&ports, &[]).await;
    }

    /// All replicas end; the endpoints stay.
    pub(crate) async fn kill_all(&self) {
        self.replicas.lock().await.clear();
    }

    /// The ports of the replicas.
    pub(crate) async fn ports(&self) -> Vec<u16> {
        self.replicas.lock().await.iter().map(|replica| replica.port).collect()
    }

    /// Lets the Service lead to these ports of this machine.
    pub(crate) async fn lead_to(&self, ready: &[u16], unready: &[u16]) {
        let ports = ready.iter().map(|port| (*port, true)).chain(unready.iter().map(|port| (*port, false)));
        self.lead_to_all(ports.map(|(port, ready)| Target { port, ready, pod: None }).collect()).await;
    }

    /// Makes a pod of each replica, on a node whose kubelet listens at this port; the Service leads to them.
    pub(crate) async fn run_in_pods(&self, kubelet: u16) {
        let status = json!({
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet}},
        });
        self.put("/api/v1/nodes/e2e", json!({"metadata": {"name": "e2e"}, "status": status})).await;
        let mut targets = Vec::new();
        for (number, port) in self.ports().await.into_iter().enumerate() {
            let name = format!("session-webhook-{number}");
            let pod = json!({
                "metadata": {"name": name},
                "spec": {
                    "nodeName": "e2e",
                    "serviceAccountName": "session-webhook",
                    "automountServiceAccountToken": false,
                    // Nobody is there to end it.
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "session-webhook", "image": "none"}],
                },
            });
            self.put(&own("pods", &name), pod).await;
            targets.push(Target { port, ready: true, pod: Some(name) });
        }
        self.lead_to_all(targets).await;
    }

    async fn lead_to_all(&self, targets: Vec<Target>) {
        let (address, mut subsets, mut slices) = (self.address.to_string(), Vec::new(), Vec::new());
        for (number, Target { port, ready, pod }) in targets.into_iter().enumerate() {
            let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
            let pod = pod.map(|name| json!({"kind": "Pod", "namespace": NAMESPACE, "name": name}));
            let key = if ready { "addresses" } else { "notReadyAddresses" };
            subsets.push(json!({key: [{"ip": address, "targetRef": pod}], "ports": ports}));
            slices.push(json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("session-webhook-{number}"),
                    "namespace": NAMESPACE,
                    "labels": {"kubernetes.io/service-name": "session-webhook"},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address], "conditions": {"ready": ready}, "targetRef": pod}],
                "ports": ports,
            }));
        }
        let endpoints = json!({
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "session-webhook", "namespace": NAMESPACE},
            "subsets": subsets,
        });
        self.put(&own("endpoints", "session-webhook"), endpoints).await;
        if self.world.admin.sends(&Request::get("/apis/discovery.k8s.io/v1")).await.code == 200 {
            for number in 0..2 {
                let path = slice_path(number);
                match slices.get(number) {
                    Some(slice) => self.put(&path, slice.clone()).await,
                    None => self.delete(&path).await,
                }
            }
        }
    }

    /// Stores an object, whether or not there was one.
    pub(crate) async fn put(&self, path: &str, object: Value) {
        let current = self.remember(path).await;
        let request = if current.is_some() {
            Request::patch(path.to_owned(), "application/merge-patch+json", object)
        } else {
            Request::post(path.rsplit_once('/').unwrap().0, object)
        };
        accepts(&self.world.admin, request).await;
    }

    /// Changes an object.
    pub(crate) async fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.remember(path).await.unwrap_or_else(|| panic!("there is no {path}"));
        change(&mut object);
        accepts(&self.world.admin, Request::new(Method::PUT, path, Some(object))).await;
    }

    /// Takes an object away.
    pub(crate) async fn delete(&self, path: &str) {
        if self.remember(path).await.is_some() {
            accepts(&self.world.admin, Request::delete_path(path, "Background")).await;
            self.is_gone(path).await;
        }
    }

    async fn is_gone(&self, path: &str) {
        eventually(&format!("{path} goes"), PATIENCE, async || {
            (self.world.admin.sends(&Request::get(path)).await.code == 404).then_some(())
        })
        .await;
    }

    /// How an object is now; the first time, that is kept.
    async fn remember(&self, path: &str) -> Option<Value> {
        let reply = self.world.admin.sends(&Request::get(path)).await;
        let current = (reply.code == 200).then_some(reply.body);
        let mut before = self.before.lock().unwrap();
        if !before.iter().any(|(known, _)| known == path) {
            before.push((path.to_owned(), current.clone()));
        }
        current
    }

    async fn put_back(&self) {
        let before = std::mem::take(&mut *self.before.lock().unwrap());
        for (path, object) in before.into_iter().rev() {
            let admin = &self.world.admin;
            let Some(mut object) = object else {
                let reply = admin.sends(&Request::delete_path(&path, "Background")).await;
                assert!(matches!(reply.code, 200 | 202 | 404), "{reply:?}");
                continue;
            };
            eventually(&format!("{path} is put back"), PATIENCE, async || {
                let current = admin.sends(&Request::get(&path)).await;
                let metadata = object["metadata"].as_object_mut().unwrap();
                let request = if current.code == 404 {
                    metadata.retain(|key, _| !["resourceVersion", "uid"].contains(&key.as_str()));
                    Request::post(path.rsplit_once('/').unwrap().0, object.clone())
                } else {
                    metadata.insert("resourceVersion".to_owned(), current.body["metadata"]["resourceVersion"].clone());
                    metadata.insert("uid".to_owned(), current.body["metadata"]["uid"].clone());
                    Request::new(Method::PUT, &path, Some(object.clone()))
                };
                (200..300).contains(&admin.sends(&request).await.code).then_some(())
            })
            .await;
        }
        self.world.await_in_force().await;
    }

    /// What `doctor` says to an administrator.
    pub(crate) fn doctor(&self, arguments: &[&str]) -> Diagnosis {
        doctor_for(&self.world.cluster.admin_kubeconfig(), arguments)
    }

    /// What it says to an administrator in a pod.
    pub(crate) fn doctor_inside(&self, arguments: &[&str]) -> Diagnosis {
        self.doctor_inside_for(&self.world.cluster.admin_kubeconfig(), arguments)
    }

    /// What it says to somebody in a pod.
    pub(crate) fn doctor_inside_for(&self, kubeconfig: &Path, arguments: &[&str]) -> Diagnosis {
        let server = self.world.cluster.address();
        let mut command = doctor_command(kubeconfig, arguments);
        command.env("KUBERNETES_SERVICE_HOST", server.ip().to_string());
        diagnosis(command.env("KUBERNETES_SERVICE_PORT", server.port().to_string()))
    }

    /// Nothing is broken, within a time in which the API server notices what was changed.
    pub(crate) fn is_sound(&self) {
        self.doctor(&["--output", "json", "--wait", "30s"]).finds(&[]);
    }

    /// Exactly this check finds something broken.
    pub(crate) fn has(&self, fault: &str) -> Diagnosis {
        self.doctor(&["--output", "json"]).finds(&[fault])
    }

    /// Nothing is broken, and this check has a word to say.
    pub(crate) fn is_odd_in(&self, check: &str) -> Diagnosis {
        let diagnosis = self.doctor(&["--output", "json"]).finds(&[]);
        assert_eq!(diagnosis.check(check)["status"], "questionable", "{diagnosis:?}");
        diagnosis
    }
}

/// The Secret that cert-manager would make, and the pods mount.
pub(crate) fn secret(identity: &Identity) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "session-webhook-tls", "namespace": NAMESPACE},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": STANDARD.encode(&identity.certificate), "tls.key": STANDARD.encode(&identity.key)},
    })
}

fn slice_path(number: usize) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices/session-webhook-{number}")
}

/// Where an object is.
pub(crate) fn path_of(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    let prefix = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let namespace = object["metadata"].get("namespace").and_then(Value::as_str);
    let namespace = namespace.map_or_else(String::new, |namespace| format!("/namespaces/{namespace}"));
    format!("{prefix}{namespace}/{kind}s/{}", object["metadata"]["name"].as_str().unwrap())
}

//! A stand-in for a node, its kubelet and what leads a Service to pods: each pod of the webhook's namespace is a process of this
//! machine, and the API server is told what comes of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::objects::{collection, collection_in};
use crate::process::free_port;
use crate::replica::{Replica, runs_as, serving_secret};
use crate::verbs::accepts;
use crate::world::{NAMESPACE, World};
use crate::writer::Request;

/// One pod that goes on running.
struct Running {
    replica: Replica,
    address: SocketAddr,
    is_ready: bool,
}

/// Runs what is to be run until it is dropped.
pub(crate) async fn run_pods(world: &World) {
    let mut running = BTreeMap::<String, Running>::new();
    loop {
        let list = world.admin.sends(&Request::get(collection("v1", "pods"))).await.body;
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let is_there = |name: &String| pods.iter().any(|pod| pod["metadata"]["name"] == **name);
        running.retain(|name, _| is_there(name));
        for pod in pods.iter().filter(|pod| pod["status"]["phase"] == "Pending") {
            let name = pod["metadata"]["name"].as_str().unwrap();
            if pod["spec"]["containers"][0]["args"][0] != "serve" {
                let (code, said) = runs_as(world, pod).await;
                if code != Some(0) {
                    println!("{said}");
                }
                tells(world, pod, json!({"phase": if code == Some(0) { "Succeeded" } else { "Failed" }})).await;
            } else if !running.contains_key(name)
                && let Some(new) = start(world, pod).await
            {
                running.insert(name.to_owned(), new);
            }
        }
        for (name, pod) in running.iter_mut().filter(|(_, pod)| !pod.is_ready) {
            if pod.replica.is_ready_now().await {
                let path = format!("{}/{name}", collection("v1", "pods"));
                let object = world.admin.sends(&Request::get(path)).await.body;
                let status = json!({
                    "phase": "Running",
                    "podIP": pod.address.ip(),
                    "conditions": [{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "True"}],
                });
                pod.is_ready = tells(world, &object, status).await;
                leads(world, name, pod.address).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts a pod, once there is what it mounts.
async fn start(world: &World, pod: &Value) -> Option<Running> {
    if let Some(secret) = serving_secret(&pod["spec"]) {
        let secret = world.admin.sends(&Request::get(format!("{}/{secret}", collection("v1", "secrets")))).await;
        if secret.code == 404 {
            return None;
        }
    }
    let address = SocketAddr::from((own_address(), free_port()));
    let replica = Replica::start_pod(world, NAMESPACE, &pod["spec"], address, &[]).await;
    Some(Running { replica, address, is_ready: false })
}

/// Tells what became of a pod, if it is still there.
async fn tells(world: &World, pod: &Value, status: Value) -> bool {
    let Some(name) = pod["metadata"]["name"].as_str() else { return false };
    let mut object = pod.clone();
    object["status"] = status;
    let path = format!("{}/{name}/status", collection("v1", "pods"));
    world.admin.sends(&Request::new(Method::PUT, path, Some(object))).await.code == 200
}

/// The address of this machine that is no loopback one, which endpoints must not have; nothing is sent.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket.connect(("192.0.2.1", 9)).expect("endpoints need an address that is no loopback one");
    socket.local_addr().unwrap().ip()
}

/// Lets the Service lead to a pod as well.
async fn leads(world: &World, pod: &str, address: SocketAddr) {
    let ports = json!([{"name": "https", "port": address.port(), "protocol": "TCP"}]);
    let subset = json!({"addresses": [{"ip": address.ip()}], "ports": ports});
    let path = collection("v1", "endpoints");
    let one = format!("{path}/session-webhook");
    let mut endpoints = world.admin.sends(&Request::get(&one)).await;
    if endpoints.code == 404 {
        let new = json!({"metadata": {"name": "session-webhook"}, "subsets": [subset]});
        accepts(&world.admin, Request::post(path, new)).await;
    } else {
        endpoints.body["subsets"].as_array_mut().unwrap().push(subset);
        accepts(&world.admin, Request::new(Method::PUT, one, Some(endpoints.body))).await;
    }
    // Servers before 1.21 go by the Endpoints alone.
    if world.is_before(21) {
        return;
    }
    let slice = json!({
        "metadata": {"name": pod, "labels": {"kubernetes.io/service-name": "session-webhook"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": true}}],
        "ports": ports,
    });
    accepts(&world.admin, Request::post(collection_in(NAMESPACE, "discovery.k8s.io/v1", "endpointslices"), slice))
        .await;
}

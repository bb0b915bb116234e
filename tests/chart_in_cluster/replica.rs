//! One pod's program, as the installed Deployment would run it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::objects::{collection_in, read};
use crate::process::{Process, eventually, free_port};
use crate::verbs::accepts;
use crate::world::{NAMESPACE, PATIENCE, World};
use crate::writer::Request;

pub(crate) struct Replica {
    process: Process,
    /// Where it answers the API server.
    pub(crate) address: String,
    ops: String,
}

impl Replica {
    /// Starts the program as the installed Deployment's pods would run it.
    pub(crate) async fn start(world: &World) -> Self {
        Self::start_of(world, NAMESPACE, "session-webhook").await
    }

    /// Starts the program as the pods of a Deployment would run it, with the certificate for the address that it listens at.
    pub(crate) async fn start_of(world: &World, namespace: &str, deployment: &str) -> Self {
        let deployment = collection_in(namespace, "apps/v1", "deployments") + "/" + deployment;
        let pod = read(world, &deployment).await["spec"]["template"]["spec"].clone();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self::start_pod(world, namespace, &pod, address, &["--tls-name=127.0.0.1"]).await
    }

    /// Starts the program with the arguments, the variables, the files and the account of a pod, and these options as well.
    /// The files are its own, as a kubelet mounts them: another pod's start changes none that this one is yet to read.
    pub(crate) async fn start_pod(
        world: &World,
        namespace: &str,
        pod: &Value,
        address: SocketAddr,
        options: &[&str],
    ) -> Self {
        let folder = world.folder.join(format!("pod-{}", address.port()));
        fs::create_dir_all(&folder).unwrap();
        let file = configuration(world, &folder, namespace, pod).await;
        let container = &pod["containers"][0];
        let arguments = container["args"].as_array().unwrap().iter().map(|argument| {
            let argument = argument.as_str().unwrap();
            if argument.starts_with("--config=") { format!("--config={}", file.display()) } else { argument.to_owned() }
        });
        let variables = container["env"].as_array().unwrap().iter().filter_map(|variable| {
            let value = variable["value"].as_str()?.replace("$(POD_NAMESPACE)", namespace);
            Some((variable["name"].as_str().unwrap(), value))
        });
        let ops = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
        let account = pod["serviceAccountName"].as_str().unwrap();
        command
            .env_clear()
            .envs(variables)
            .env("KUBECONFIG", kubeconfig(world, &folder, namespace, account).await)
            .args(arguments)
            .args(["--listen", &address.to_string(), "--ops-listen", &ops, "--drain-delay=0s"])
            .args(serving_pair(world, &folder, namespace, pod).await)
            .args(options);
        let process = Process::start("session-webhook", &world.folder, &mut command);
        Self { process, address: address.to_string(), ops }
    }

    /// What it tells Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        reqwest::get(format!("http://{}/metrics", self.ops)).await.unwrap().text().await.unwrap()
    }

    /// Whether it serves, with each `caBundle` in place.
    pub(crate) async fn is_ready_now(&mut self) -> bool {
        self.process.assert_running();
        let reply = reqwest::get(format!("http://{}/readyz", self.ops)).await;
        reply.is_ok_and(|response| response.status().is_success())
    }

    /// Waits until it serves, with each `caBundle` in place.
    pub(crate) async fn is_ready(&mut self) {
        eventually("the replica is ready", PATIENCE, async || self.is_ready_now().await.then_some(())).await;
    }

    /// Ends it as a kubelet does.
    pub(crate) async fn end(mut self) {
        self.process.terminate();
        eventually("the replica ends", PATIENCE, async || self.process.has_ended()).await;
    }
}

/// The configuration file that a pod mounts.
async fn configuration(world: &World, folder: &Path, namespace: &str, pod: &Value) -> PathBuf {
    let map = pod["volumes"].as_array().unwrap().iter().find_map(|volume| volume["configMap"]["name"].as_str());
    let map = read(world, &format!("{}/{}", collection_in(namespace, "v1", "configmaps"), map.unwrap())).await;
    let file = folder.join("config.yaml");
    fs::write(&file, map["data"]["config.yaml"].as_str().unwrap()).unwrap();
    file
}

/// The options for the certificate that a pod mounts, where it mounts one.
async fn serving_pair(world: &World, folder: &Path, namespace: &str, pod: &Value) -> Vec<String> {
    let Some(name) = serving_secret(pod) else { return Vec::new() };
    let secret = read(world, &format!("{}/{name}", collection_in(namespace, "v1", "secrets"))).await;
    let options = [("tls.crt", "--tls-cert"), ("tls.key", "--tls-key")].map(|(key, option)| {
        let file = folder.join(key);
        fs::write(&file, STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()).unwrap();
        format!("{option}={}", file.display())
    });
    options.to_vec()
}

/// The Secret with the certificate that a pod mounts.
pub(crate) fn serving_secret(pod: &Value) -> Option<&str> {
    let is_it = |volume: &&Value| volume["name"] == "tls";
    pod["volumes"].as_array().unwrap().iter().find(is_it)?["secret"]["secretName"].as_str()
}

/// Runs the program once, as this pod would: its exit code and what it says on standard output.
pub(crate) async fn runs_as(world: &World, pod: &Value) -> (Option<i32>, String) {
    let server = world.cluster.address();
    let account = pod["spec"]["serviceAccountName"].as_str().unwrap();
    let arguments = pod["spec"]["containers"][0]["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_session-webhook"))
        .env_clear()
        .env("KUBECONFIG", kubeconfig(world, &world.folder, NAMESPACE, account).await)
        .env("KUBERNETES_SERVICE_HOST", server.ip().to_string())
        .env("KUBERNETES_SERVICE_PORT", server.port().to_string())
        .args(arguments)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// With the token of the pods' account, and the namespace that a pod finds beside it.
async fn kubeconfig(world: &World, folder: &Path, namespace: &str, account: &str) -> PathBuf {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = format!("{}/{account}/token", collection_in(namespace, "v1", "serviceaccounts"));
    let token = accepts(&world.admin, Request::post(path, request)).await.body["status"]["token"].clone();
    let admin = fs::read_to_string(world.cluster.admin_kubeconfig()).unwrap();
    let mut config: Value = serde_json::from_str(&admin).unwrap();
    config["users"][0]["user"] = json!({"token": token});
    config["contexts"][0]["context"]["namespace"] = json!(namespace);
    let file = folder.join(format!("{account}.kubeconfig"));
    fs::write(&file, config.to_string()).unwrap();
    file
}

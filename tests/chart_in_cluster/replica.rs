//! One pod's program, as the installed Deployment would run it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

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

    /// Starts the program with the arguments, the variables, the configuration and the account of a Deployment.
    pub(crate) async fn start_of(world: &World, namespace: &str, deployment: &str) -> Self {
        let deployment = collection_in(namespace, "apps/v1", "deployments") + "/" + deployment;
        let pod = read(world, &deployment).await["spec"]["template"]["spec"].clone();
        let map = pod["volumes"].as_array().unwrap().iter().find_map(|volume| volume["configMap"]["name"].as_str());
        let map = read(world, &format!("{}/{}", collection_in(namespace, "v1", "configmaps"), map.unwrap())).await;
        let file = world.folder.join("config.yaml");
        fs::write(&file, map["data"]["config.yaml"].as_str().unwrap()).unwrap();
        let container = &pod["containers"][0];
        let arguments = container["args"].as_array().unwrap().iter().map(|argument| {
            let argument = argument.as_str().unwrap();
            if argument.starts_with("--config=") { format!("--config={}", file.display()) } else { argument.to_owned() }
        });
        let variables = container["env"].as_array().unwrap().iter().filter_map(|variable| {
            let value = variable["value"].as_str()?.replace("$(POD_NAMESPACE)", namespace);
            Some((variable["name"].as_str().unwrap(), value))
        });
        let address = format!("127.0.0.1:{}", free_port());
        let ops = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
        command
            .env_clear()
            .envs(variables)
            .env("KUBECONFIG", kubeconfig(world, namespace, pod["serviceAccountName"].as_str().unwrap()).await)
            .args(arguments)
            .args(["--listen", &address, "--tls-name=127.0.0.1", "--ops-listen", &ops, "--drain-delay=0s"]);
        Self { process: Process::start("session-webhook", &world.folder, &mut command), address, ops }
    }

    /// What it tells Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        reqwest::get(format!("http://{}/metrics", self.ops)).await.unwrap().text().await.unwrap()
    }

    /// Waits until it serves, with each `caBundle` in place.
    pub(crate) async fn is_ready(&mut self) {
        let url = format!("http://{}/readyz", self.ops);
        eventually("the replica is ready", PATIENCE, async || {
            self.process.assert_running();
            reqwest::get(&url).await.ok().filter(|response| response.status().is_success()).map(drop)
        })
        .await;
    }

    /// Ends it as a kubelet does.
    pub(crate) async fn end(mut self) {
        self.process.terminate();
        eventually("the replica ends", PATIENCE, async || self.process.has_ended()).await;
    }
}

/// Runs the program once, as this pod would: its exit code and what it says on standard output.
pub(crate) async fn runs_as(world: &World, pod: &Value) -> (Option<i32>, String) {
    let account = pod["spec"]["serviceAccountName"].as_str().unwrap();
    let arguments = pod["spec"]["containers"][0]["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_session-webhook"))
        .env_clear()
        .env("KUBECONFIG", kubeconfig(world, NAMESPACE, account).await)
        .args(arguments)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// With the token of the pods' account, and the namespace that a pod finds beside it.
async fn kubeconfig(world: &World, namespace: &str, account: &str) -> PathBuf {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = format!("{}/{account}/token", collection_in(namespace, "v1", "serviceaccounts"));
    let token = accepts(&world.admin, Request::post(path, request)).await.body["status"]["token"].clone();
    let admin = fs::read_to_string(world.cluster.admin_kubeconfig()).unwrap();
    let mut config: Value = serde_json::from_str(&admin).unwrap();
    config["users"][0]["user"] = json!({"token": token});
    config["contexts"][0]["context"]["namespace"] = json!(namespace);
    let file = world.folder.join("session-webhook.kubeconfig");
    fs::write(&file, config.to_string()).unwrap();
    file
}

//! What a scenario finds: a control plane with the resources of HobbyFarm, cert-manager and the Prometheus operator, Helm and
//! kubectl.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::kubectl::{Kubectl, Outcome};
use crate::objects::names;
use crate::process::eventually;
use crate::session::Form;
use crate::verbs::accepts;
use crate::writer::{HOBBYFARM, Request, Writer};

/// Where the webhook is installed.
pub(crate) const NAMESPACE: &str = "hobbyfarm-session-webhook";
/// The name of the release.
pub(crate) const RELEASE: &str = "guard";
/// Longer than the garbage collector ever takes to notice a resource that was added after its start.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Which Helm: the `helm` on PATH, or the program in `HELM4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Helm3,
    Helm4,
}

pub(crate) struct World {
    pub(crate) admin: Writer,
    pub(crate) kubectl: Kubectl,
    /// The version of the server, such as `1.20.2`.
    pub(crate) server: String,
    pub(crate) folder: PathBuf,
    pub(crate) cluster: ControlPlane,
}

/// Whether this API server gives Services addresses of both families without being asked for the feature: from 1.23 on.
fn has_both_address_families(assets: &Path) -> bool {
    let output = Command::new(assets.join("kube-apiserver")).arg("--version").output().unwrap();
    minor_of(&String::from_utf8(output.stdout).unwrap()) >= 23
}

fn minor_of(version: &str) -> u32 {
    version.split('.').nth(1).unwrap().parse().unwrap()
}

impl World {
    /// Starts everything; nothing is installed.
    pub(crate) async fn new(assets: PathBuf, folder: PathBuf) -> Self {
        // Webhooks behind a Service are called at its endpoints: nothing here routes the addresses of Services.
        let mut flags = vec!["--enable-aggregator-routing=true"];
        if has_both_address_families(&assets) {
            flags.push("--service-cluster-ip-range=10.0.0.0/24,fd00:10::/112");
        }
        let mut cluster = ControlPlane::start(assets, folder.clone(), &flags).await;
        let admin = Writer { user: "kubernetes-admin".to_owned(), client: cluster.admin() };
        for name in [HOBBYFARM, "other"] {
            accepts(&admin, Request::post("/api/v1/namespaces", json!({"metadata": {"name": name}}))).await;
        }
        let mut definitions = vec![Form::ALL[0].crd()];
        for text in [
            include_str!("../crds/cert-manager.yaml"),
            include_str!("../crds/monitoring.yaml"),
            include_str!("../crds/gitops.yaml"),
        ] {
            definitions.extend(serde_saphyr::from_multiple::<Value>(text).unwrap());
        }
        for definition in definitions {
            let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
            accepts(&admin, Request::post(CRDS, definition)).await;
            eventually("the resource is served", PATIENCE, async || {
                let crd = accepts(&admin, Request::get(format!("{CRDS}/{name}"))).await.body;
                let conditions = crd["status"]["conditions"].as_array()?.clone();
                let established = json!({"type": "Established", "status": "True"});
                let is_it = |condition: &Value| {
                    condition["type"] == established["type"] && condition["status"] == established["status"]
                };
                conditions.iter().any(is_it).then_some(())
            })
            .await;
        }
        cluster.start_controllers_and(&["deployment", "replicaset"]);
        let version = accepts(&admin, Request::get("/version")).await.body;
        let server = version["gitVersion"].as_str().unwrap().trim_start_matches('v').to_owned();
        let kubectl = Kubectl::new(cluster.admin_kubeconfig(), folder.clone());
        Self { admin, kubectl, server, folder, cluster }
    }

    /// Whether the server is older than this.
    pub(crate) fn is_before(&self, minor: u32) -> bool {
        minor_of(&self.server) < minor
    }

    /// Helm on this cluster, in the webhook's namespace.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Outcome {
        self.run(&mut Command::new("helm"), arguments, "PATH=$(tests/tools/build helm3):$PATH")
    }

    /// One of the two Helms that people use. The fourth applies on the server's side.
    pub(crate) fn helm_of(&self, engine: Engine, arguments: &[&str]) -> Outcome {
        let provider = "HELM4=$(tests/tools/build helm4)/helm";
        match engine {
            Engine::Helm3 => self.helm(arguments),
            Engine::Helm4 => {
                let program = std::env::var_os("HELM4").unwrap_or_else(|| panic!("Helm 4 is needed: {provider}"));
                self.run(&mut Command::new(program), arguments, provider)
            }
        }
    }

    /// Helm 3 on this cluster, not started yet.
    pub(crate) fn helm_command(&self, arguments: &[&str]) -> Command {
        let mut helm = Command::new("helm");
        self.equip(&mut helm).args(arguments);
        helm
    }

    /// Gives Helm the cluster and a home.
    pub(crate) fn equip<'a>(&self, helm: &'a mut Command) -> &'a mut Command {
        let home = |name: &str| self.folder.join("helm").join(name);
        helm.env("KUBECONFIG", self.cluster.admin_kubeconfig())
            .env("HELM_CACHE_HOME", home("cache"))
            .env("HELM_CONFIG_HOME", home("config"))
            .env("HELM_DATA_HOME", home("data"))
            .env("HELM_NAMESPACE", NAMESPACE)
    }

    fn run(&self, helm: &mut Command, arguments: &[&str], provider: &str) -> Outcome {
        let output = self
            .equip(helm)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("helm is needed, {provider} provides it: {error}"));
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn helm_versions(&self) -> [String; 2] {
        [Engine::Helm3, Engine::Helm4]
            .map(|engine| self.helm_of(engine, &["version", "--template", "{{.Version}}"]).succeeds().stdout)
    }

    /// What the chart makes for this server, as `kubectl apply` would ask for it.
    pub(crate) fn rendered(&self, values: &[&str]) -> String {
        self.rendered_with_hooks(&[&["--no-hooks"], values].concat())
    }

    /// The same, with what Helm makes for a test or after an install.
    pub(crate) fn rendered_with_hooks(&self, values: &[&str]) -> String {
        let server = format!("--kube-version={}", self.server);
        let arguments = ["template", RELEASE, &chart(), &server];
        self.helm(&[&arguments, values].concat()).succeeds().stdout
    }

    /// Makes the webhook's namespace, and waits for what the controllers put into it.
    pub(crate) async fn make_namespace(&self) {
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        accepts(&self.admin, Request::post("/api/v1/namespaces", namespace)).await;
        self.has_its_account(NAMESPACE).await;
    }

    async fn has_its_account(&self, namespace: &str) {
        eventually("the namespace has its account", PATIENCE, async || {
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
            let account = self.admin.sends(&Request::get(path)).await;
            // Servers before 1.24 give it a Secret as well.
            let settled = !self.is_before(24) || account.body.get("secrets").is_some();
            (account.code == 200 && settled).then_some(())
        })
        .await;
    }

    /// Waits until the controllers have given every namespace what is theirs to give.
    pub(crate) async fn settles(&self) {
        for namespace in names(self, "/api/v1/namespaces").await {
            self.has_its_account(&namespace).await;
        }
    }

    /// Takes the namespace away, with what is in it.
    pub(crate) fn remove_namespace(&self) {
        self.kubectl.run(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).succeeds();
    }

    /// After a failure: what can be taken away is taken away, or the next scenario would fail for it.
    pub(crate) fn clean_up(&self) {
        self.helm(&["uninstall", RELEASE]);
        self.kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s"]);
        self.kubectl.run(&[
            "delete",
            "all,clusterroles,clusterrolebindings",
            "-A",
            "-l",
            "app.kubernetes.io/part-of=hobbyfarm",
        ]);
    }

    /// Every object of every resource, but for Events, which time takes away.
    pub(crate) fn inventory(&self) -> BTreeSet<String> {
        let resources = self.kubectl.run(&["api-resources", "--verbs=list,delete", "--output=name"]).succeeds().stdout;
        let resources: Vec<_> = resources.lines().filter(|name| !name.starts_with("events")).collect();
        let format = r#"jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}"#;
        let all = self.kubectl.run(&["get", &resources.join(","), "--all-namespaces", "--output", format]).succeeds();
        all.stdout.lines().map(str::to_owned).collect()
    }

    /// Nothing is there that was not there before, and nothing is gone. What is deleted in the background has some time.
    pub(crate) async fn is_as_it_was(&self, before: &BTreeSet<String>) {
        let mut last = BTreeSet::new();
        let patience = tokio::time::timeout(PATIENCE, async {
            loop {
                last = self.inventory();
                if last == *before {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        if patience.await.is_err() {
            let left: Vec<_> = last.difference(before).collect();
            let gone: Vec<_> = before.difference(&last).collect();
            panic!("left behind: {left:#?}\ngone: {gone:#?}");
        }
    }
}

/// The chart.
pub(crate) fn chart() -> String {
    repository().join("manifests/chart").display().to_string()
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

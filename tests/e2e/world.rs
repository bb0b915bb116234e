//! What a scenario finds: a control plane with the webhook installed, and the people and programs that write.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kube::config::AuthInfo;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::control_plane::ControlPlane;
use crate::install;
use crate::kubectl::Kubectl;
use crate::process::eventually;
use crate::session::Form;
use crate::verbs::accepts;
use crate::version::Version;
use crate::webhook::Webhook;
use crate::writer::{HOBBYFARM, Request, Writer, sessions_path};

const IN_FORCE: Duration = Duration::from_mins(1);

/// Everything that a scenario needs. Fields are dropped in order: the webhook ends before the control plane.
pub(crate) struct World {
    pub(crate) form: Form,
    /// Of the API server.
    pub(crate) version: Version,
    pub(crate) webhook: Mutex<Webhook>,
    /// Cluster setup, and reading what is stored.
    pub(crate) admin: Writer,
    /// HobbyFarm's session service.
    pub(crate) hobbyfarm: Writer,
    /// A person who may do everything that RBAC can allow.
    pub(crate) alice: Writer,
    /// Who else may do everything that RBAC can allow, each with the reason why it is not HobbyFarm.
    pub(crate) strangers: Vec<(&'static str, Writer)>,
    pub(crate) kubectl: Kubectl,
    pub(crate) admin_kubectl: Kubectl,
    pub(crate) cluster: ControlPlane,
    names: AtomicU32,
}

impl World {
    /// Starts everything and installs the shipped manifests.
    pub(crate) async fn new(assets: PathBuf, folder: PathBuf) -> Self {
        // Webhooks behind a Service are called at its endpoints: nothing here routes the addresses of Services.
        let flags = ["--enable-aggregator-routing=true"];
        let mut cluster = ControlPlane::start(assets, folder.clone(), &flags).await;
        let admin = Writer { user: "kubernetes-admin".to_owned(), client: cluster.admin() };
        for (path, object) in install::people_and_rights() {
            accepts(&admin, Request::post(path, object)).await;
        }
        let form = Form::ALL[0];
        accepts(&admin, Request::post(install::CRDS, form.crd())).await;
        let hobbyfarm = account(&cluster, &admin, HOBBYFARM, "hobbyfarm-session").await;
        await_form(&hobbyfarm, form).await;
        cluster.start_controllers();

        let (credentials, kubeconfig) = cluster.person("alice");
        let alice = Writer { user: "alice".to_owned(), client: cluster.client(credentials.clone()) };
        let user = format!("system:serviceaccount:{HOBBYFARM}:hobbyfarm-session");
        let disguised = AuthInfo { impersonate: Some(user.clone()), ..credentials };
        let strangers = vec![
            ("a person", alice.clone()),
            ("another service account", account(&cluster, &admin, install::ELSEWHERE, "intruder").await),
            (
                "an account of the same name elsewhere",
                account(&cluster, &admin, install::ELSEWHERE, "hobbyfarm-session").await,
            ),
            ("another account of HobbyFarm", account(&cluster, &admin, HOBBYFARM, "hobbyfarm-quiz").await),
            ("a person in disguise", Writer { user, client: cluster.client(disguised) }),
        ];
        let webhook = Webhook::start(folder.clone(), &install::shipped_config()).await;
        let version = Version::of(&admin).await;
        let world = Self {
            form,
            version,
            webhook: Mutex::new(webhook),
            hobbyfarm,
            admin,
            alice,
            strangers,
            kubectl: Kubectl::new(kubeconfig, folder.clone()),
            admin_kubectl: Kubectl::new(cluster.admin_kubeconfig(), folder),
            cluster,
            names: AtomicU32::new(0),
        };
        install::apply(&world).await;
        world.await_in_force().await;
        world
    }

    /// A name that no other scenario uses.
    pub(crate) fn fresh_name(&self) -> String {
        format!("e2e-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A Session without status, of a name of its own.
    pub(crate) fn new_session(&self) -> Value {
        self.form.session(&self.fresh_name())
    }

    /// A service account of HobbyFarm's namespace, or of another.
    pub(crate) async fn account(&self, namespace: &str, name: &str) -> Writer {
        account(&self.cluster, &self.admin, namespace, name).await
    }

    /// A token of a service account.
    pub(crate) async fn token(&self, namespace: &str, name: &str) -> String {
        token(&self.admin, namespace, name).await
    }

    /// A kubeconfig with the token of a service account, and the namespace that a pod finds beside its token.
    pub(crate) async fn kubeconfig(&self, namespace: &str, name: &str) -> PathBuf {
        let text = std::fs::read_to_string(self.cluster.admin_kubeconfig()).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["users"][0]["user"] = json!({"token": self.token(namespace, name).await});
        config["contexts"][0]["context"]["namespace"] = json!(namespace);
        let file = self.folder().join(format!("{name}.kubeconfig"));
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }

    /// Where logs and credentials of this run are.
    pub(crate) fn folder(&self) -> PathBuf {
        self.cluster.admin_kubeconfig().parent().unwrap().to_owned()
    }

    /// Deletes what other scenarios have left behind in HobbyFarm's namespace.
    pub(crate) async fn delete_all_sessions(&self) {
        let all = Request::delete_path(sessions_path(HOBBYFARM), "Background");
        accepts(&self.admin, all).await;
        eventually("all Sessions go", IN_FORCE, async || {
            let list = accepts(&self.admin, Request::get("/apis/hobbyfarm.io/v1/sessions")).await.body;
            list["items"].as_array().unwrap().is_empty().then_some(())
        })
        .await;
    }

    /// Goes on with another form of HobbyFarm's resource. All Sessions go; the webhook stays installed.
    pub(crate) async fn change_form(&mut self, form: Form) {
        self.delete_all_sessions().await;
        let path = format!("{}/sessions.hobbyfarm.io", install::CRDS);
        // A change of its status by the API server may come between the two.
        eventually("the definition is replaced", IN_FORCE, async || {
            let mut crd = accepts(&self.admin, Request::get(&path)).await.body;
            crd["spec"]["versions"] = form.crd()["spec"]["versions"].clone();
            let put = Request::new(axum::http::Method::PUT, &path, Some(crd));
            (self.admin.sends(&put).await.code == 200).then_some(())
        })
        .await;
        self.form = form;
        self.await_definition().await;
    }

    /// Waits until the API server serves and publishes HobbyFarm's definition.
    pub(crate) async fn await_definition(&self) {
        self.await_published_definition().await;
        await_form(&self.hobbyfarm, self.form).await;
    }

    /// Waits until the API server publishes the definition of Sessions as it is stored now. Kubernetes 1.20 does so some seconds after
    /// it goes by it, and may publish older ones on the way: until then `audit` and the backfill would take the dialect for that of
    /// one of those.
    pub(crate) async fn await_published_definition(&self) {
        let path = format!("{}/sessions.hobbyfarm.io", install::CRDS);
        let marker = format!("definition {}", self.names.fetch_add(1, Ordering::Relaxed));
        let field = "/spec/versions/0/schema/openAPIV3Schema/description";
        let patch = json!([{"op": "add", "path": field, "value": marker}]);
        eventually("the definition is marked", IN_FORCE, async || {
            let mark = Request::patch(path.clone(), "application/json-patch+json", patch.clone());
            (self.admin.sends(&mark).await.code == 200).then_some(())
        })
        .await;
        eventually("the API server publishes the definition", IN_FORCE, async || {
            let mut published = self.admin.sends(&Request::get("/openapi/v3/apis/hobbyfarm.io/v1")).await;
            if published.code == 404 {
                published = self.admin.sends(&Request::get("/openapi/v2")).await;
            }
            published.body.to_string().contains(&format!("\"{marker}\"")).then_some(())
        })
        .await;
    }

    /// Waits until both webhook configurations have reached the API server's admission.
    pub(crate) async fn await_in_force(&self) {
        let probe = Request::create(&self.form.session("in-force")).dry_run();
        eventually("the webhooks are in force", IN_FORCE, async || {
            let refused = self.alice.sends(&probe).await.code == 403;
            let repaired = self.webhook.lock().await.reviews("mutate").await > 0;
            (refused && repaired).then_some(())
        })
        .await;
    }
}

/// A client with a token of this service account, as its pods have one.
async fn account(cluster: &ControlPlane, admin: &Writer, namespace: &str, name: &str) -> Writer {
    let token = token(admin, namespace, name).await;
    let credentials = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    Writer { user: format!("system:serviceaccount:{namespace}:{name}"), client: cluster.client(credentials) }
}

async fn token(admin: &Writer, namespace: &str, name: &str) -> String {
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    });
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let reply = accepts(admin, Request::post(path, request)).await;
    reply.body["status"]["token"].as_str().unwrap().to_owned()
}

/// Waits until the API server serves this form: its schema takes the dialect's Session, and a new one keeps its status
/// where there is no subresource for it.
async fn await_form(hobbyfarm: &Writer, form: Form) {
    let mut session = form.session("no-such-session");
    session["status"] = form.zero_status();
    let probe = Request::create(&session).dry_run();
    eventually(&format!("the API server serves: {form}"), IN_FORCE, async || {
        let reply = hobbyfarm.sends(&probe).await;
        let keeps_status = reply.body.get("status").is_some();
        (reply.code == 201 && keeps_status != form.status_subresource).then_some(())
    })
    .await;
}

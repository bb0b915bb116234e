//! The cluster under load: HobbyFarm's resource and account, and webhook configurations under which no call may fail.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::AuthInfo;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::process::eventually;
use crate::session::Form;
use crate::verbs::accepts;
use crate::writer::{HOBBYFARM, Request, Writer};

const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1";
const SOON: Duration = Duration::from_mins(1);

/// HobbyFarm v3's own: the gargantua dialect with a status subresource.
pub(crate) fn form() -> Form {
    Form::ALL.into_iter().find(|form| form.status_subresource && form.flag(true).is_boolean()).unwrap()
}

pub(crate) struct Cluster {
    control_plane: ControlPlane,
    pub(crate) admin: Writer,
    pub(crate) hobbyfarm: Writer,
    port: u16,
    generation: u32,
    /// Match conditions of both entries.
    pub(crate) conditions: Value,
}

impl Cluster {
    /// Installs all but the webhook configurations; the webhooks are behind `port` of this machine.
    pub(crate) async fn new(control_plane: ControlPlane, port: u16) -> Self {
        let admin = Writer { user: "kubernetes-admin".to_owned(), client: control_plane.admin() };
        let namespaces = "/api/v1/namespaces";
        accepts(&admin, Request::post(namespaces, json!({"metadata": {"name": HOBBYFARM}}))).await;
        let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        accepts(&admin, Request::post(crds, form().crd())).await;
        let account = json!({"metadata": {"name": "hobbyfarm-session"}});
        accepts(&admin, Request::post(format!("{namespaces}/{HOBBYFARM}/serviceaccounts"), account)).await;
        let binding = json!({
            "metadata": {"name": "hobbyfarm"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": HOBBYFARM, "name": "hobbyfarm-session"}],
        });
        accepts(&admin, Request::post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)).await;
        // An API server calls a Service of this type by its external name, in the way that it calls any Service: by
        // HTTP/1.1, and with the Service's name in the handshake.
        let service = json!({
            "metadata": {"name": "session-webhook"},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        });
        accepts(&admin, Request::post(format!("{namespaces}/{HOBBYFARM}/services"), service)).await;

        let token = format!("{namespaces}/{HOBBYFARM}/serviceaccounts/hobbyfarm-session/token");
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let token = accepts(&admin, Request::post(token, body)).await.body;
        let token = token["status"]["token"].as_str().unwrap().to_owned();
        let credentials = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
        let client = control_plane.client(credentials);
        let hobbyfarm = Writer { user: format!("system:serviceaccount:{HOBBYFARM}:hobbyfarm-session"), client };
        let this = Self { control_plane, admin, hobbyfarm, port, generation: 0, conditions: json!([]) };
        eventually("the resource is served", SOON, async || {
            let reply = this.hobbyfarm.sends(&Request::create(&form().session("served")).dry_run()).await;
            (reply.code == 201).then_some(())
        })
        .await;
        this
    }

    /// Writes both webhook configurations with this `caBundle`, and waits until the API server goes by them.
    pub(crate) async fn trust(&mut self, bundle: &str) {
        self.generation += 1;
        for (kind, path) in
            [("MutatingWebhookConfiguration", "/mutate"), ("ValidatingWebhookConfiguration", "/validate")]
        {
            let configuration = self.configuration(kind, path, bundle);
            let patch = Request::patch(
                format!("{REGISTRATION}/{}s/load?fieldManager=load&force=true", kind.to_lowercase()),
                "application/apply-patch+yaml",
                configuration,
            );
            accepts(&self.admin, patch).await;
            // The marker of this generation answers nothing, so the probe is refused as soon as it is in force.
            let probe = json!({"metadata": {"name": "probe", "labels": {kind: format!("g{}", self.generation)}}});
            let probe = Request::post(format!("/api/v1/namespaces/{HOBBYFARM}/configmaps"), probe).dry_run();
            eventually("the webhook configuration is in force", SOON, async || {
                (self.admin.sends(&probe).await.code == 500).then_some(())
            })
            .await;
        }
    }

    fn configuration(&self, kind: &str, path: &str, bundle: &str) -> Value {
        let rule = |group: &str, version: &str, resources: &[&str]| json!([{"apiGroups": [group], "apiVersions": [version], "operations": ["CREATE", "UPDATE"], "resources": resources}]);
        let service = json!({"name": "session-webhook", "namespace": HOBBYFARM, "path": path, "port": self.port});
        let mut configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": "load"},
            "webhooks": [
                {
                    "name": "guard.session-webhook.hobbyfarm.io",
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {"service": service, "caBundle": STANDARD.encode(bundle)},
                    "rules": rule("hobbyfarm.io", "*", &["sessions", "sessions/status"]),
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "timeoutSeconds": 5,
                },
                {
                    "name": "marker.session-webhook.hobbyfarm.io",
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {"url": "https://127.0.0.1:1/"},
                    "rules": rule("", "v1", &["configmaps"]),
                    "objectSelector": {"matchLabels": {kind: format!("g{}", self.generation)}},
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "timeoutSeconds": 1,
                },
            ],
        });
        // Older servers do not know the field.
        if self.conditions != json!([]) {
            configuration["webhooks"][0]["matchConditions"] = self.conditions.clone();
        }
        configuration
    }

    /// The version that the API server says it has.
    pub(crate) async fn version(&self) -> String {
        let version = accepts(&self.admin, Request::get("/version")).await.body;
        version["gitVersion"].as_str().unwrap().to_owned()
    }
}

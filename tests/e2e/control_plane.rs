//! etcd, kube-apiserver and kube-controller-manager of `KUBEBUILDER_ASSETS`, on free ports of the loopback interface.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use kube::config::AuthInfo;
use kube::{Client, Config};
use serde_json::json;

use crate::pki::{Authority, Identity};
use crate::process::{Process, eventually, free_port};

#[path = "../support/kubernetes_versions.rs"]
pub(crate) mod kubernetes_versions;

/// The variable that names a folder with the programs of one server.
pub(crate) const KUBEBUILDER_ASSETS: &str = "KUBEBUILDER_ASSETS";
const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];
/// The controller that checks the types of a `ValidatingAdmissionPolicy`.
const POLICY_STATUS: &str = "validatingadmissionpolicy-status-controller";
const START: Duration = Duration::from_mins(1);

/// A Kubernetes control plane without nodes. Its parts stop when it is dropped, the last started first.
pub(crate) struct ControlPlane {
    controllers: Option<Process>,
    api_server: Mutex<Option<Process>>,
    etcd_url: String,
    flags: Vec<String>,
    _etcd: Process,
    assets: PathBuf,
    folder: PathBuf,
    url: String,
    authority: Authority,
    admin: Identity,
}

/// Where the programs of one server are: in `KUBEBUILDER_ASSETS`, or those of the newest tested version. Or why there are none, in words
/// for the person who ran `cargo test`.
pub(crate) fn assets() -> Result<PathBuf, String> {
    let Some(folder) = env::var_os(KUBEBUILDER_ASSETS).map(PathBuf::from) else {
        let [.., newest] = kubernetes_versions::TESTED;
        return assets_of(newest);
    };
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|program| !folder.join(program).is_file()).collect();
    if missing.is_empty() {
        return Ok(folder);
    }
    Err(format!("KUBEBUILDER_ASSETS is {}, which lacks {}; unset it", folder.display(), missing.join(", ")))
}

/// Where the programs of this version are; they are built where they are not there yet, which is told on standard error.
pub(crate) fn assets_of(version: &str) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/control-plane");
    let output = Command::new(&script).arg(version).env_remove(KUBEBUILDER_ASSETS).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{}: {error}", script.display()))?;
    if !output.status.success() {
        return Err(format!("{} provides no Kubernetes {version}, see above why", script.display()));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

impl ControlPlane {
    /// Starts etcd and the API server, with these flags as well. Controllers come later: see
    /// [`ControlPlane::start_controllers`].
    pub(crate) async fn start(assets: PathBuf, folder: PathBuf, flags: &[&str]) -> Self {
        let etcd_url = format!("http://127.0.0.1:{}", free_port());
        let etcd = start_etcd(&assets, &folder, &etcd_url);
        let authority = Authority::new("kubernetes");
        let admin = authority.client("kubernetes-admin", Some("system:masters"));
        let port = free_port();
        write_api_server_files(&folder, &authority);
        let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let api_server = Mutex::new(Some(start_api_server(&assets, &folder, &etcd_url, port, &flags)));
        let url = format!("https://127.0.0.1:{port}");
        let this =
            Self { controllers: None, api_server, etcd_url, flags, _etcd: etcd, assets, folder, url, authority, admin };
        this.write_kubeconfig("admin", &this.admin);
        this.await_ready().await;
        this
    }

    /// Starts the controllers that clean up (garbage collector, namespaces) and those that provide service accounts. They
    /// look at the served resources at start and then twice a minute only, so what they must know should be there already.
    pub(crate) fn start_controllers(&mut self) {
        self.start_controllers_and(&[]);
    }

    /// The same, and more of them, by the names that they had before 1.28.
    pub(crate) fn start_controllers_and(&mut self, more: &[&str]) {
        let program = self.assets.join("kube-controller-manager");
        let kubeconfig = self.write_kubeconfig(
            "kube-controller-manager",
            &self.authority.client("system:kube-controller-manager", None),
        );
        let mut command = Command::new(&program);
        command
            .arg(flag("kubeconfig", &kubeconfig))
            .arg(flag("service-account-private-key-file", &self.folder.join("service-accounts.key")))
            .arg(flag("root-ca-file", &self.folder.join("authority.crt")))
            .args(["--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1"])
            .arg(format!("--secure-port={}", free_port()))
            .arg(flag("cert-dir", &self.folder));
        let help = Command::new(&program).arg("--help").output().unwrap().stdout;
        let help = String::from_utf8_lossy(&help);
        let controllers = ["garbagecollector", "namespace", "serviceaccount", "serviceaccount-token"];
        let mut controllers = [&controllers[..], more].concat().join(",");
        if help.contains("garbage-collector-controller") {
            let today = |name: &str| format!("{}-controller", name.replace("garbagec", "garbage-c"));
            controllers = controllers.split(',').map(today).collect::<Vec<_>>().join(",");
            if help.contains(POLICY_STATUS) {
                controllers = format!("{controllers},{POLICY_STATUS}");
            }
        }
        command.arg(format!("--controllers={controllers}"));
        // Old ones also listen without TLS, on all interfaces, unless told not to; new ones do not know the flag.
        if help.contains("\n      --port int ") {
            command.arg("--port=0");
        }
        self.controllers = Some(Process::start("kube-controller-manager", &self.folder, &mut command));
    }

    /// Kills the API server and starts it again, with the same data, keys and address. Asked to end, it would wait a minute for those
    /// who watch.
    pub(crate) async fn restart_api_server(&self) {
        self.kill_api_server();
        let port = self.address().port();
        let again = start_api_server(&self.assets, &self.folder, &self.etcd_url, port, &self.flags);
        *self.api_server.lock().unwrap() = Some(again);
        self.await_ready().await;
    }

    /// Kills the API server.
    pub(crate) fn kill_api_server(&self) {
        self.api_server.lock().unwrap().take();
    }

    /// A client for a member of `system:masters`.
    pub(crate) fn admin(&self) -> Client {
        self.client(certificate(&self.admin))
    }

    /// A person with a client certificate, and the kubeconfig that kubectl needs to be that person.
    pub(crate) fn person(&self, name: &str) -> (AuthInfo, PathBuf) {
        let identity = self.authority.client(name, None);
        (certificate(&identity), self.write_kubeconfig(name, &identity))
    }

    /// Where the API server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("https://").parse().unwrap()
    }

    /// The kubeconfig of [`ControlPlane::admin`].
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// A client with these credentials.
    pub(crate) fn client(&self, credentials: AuthInfo) -> Client {
        let mut config = Config::new(self.url.parse().unwrap());
        config.root_cert = Some(vec![self.authority.der()]);
        config.auth_info = credentials;
        Client::try_from(config).unwrap()
    }

    /// The lines of the audit log, whole ones only.
    pub(crate) fn audit_log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("audit.log")).unwrap_or_default();
        log[..log.rfind('\n').map_or(0, |end| end + 1)].to_owned()
    }

    async fn await_ready(&self) {
        let admin = self.admin();
        eventually("the API server is ready", START, async || {
            self.api_server.lock().unwrap().as_mut().unwrap().assert_running();
            let request = axum::http::Request::get("/readyz").body(Vec::new()).unwrap();
            admin.request_text(request).await.ok().filter(|text| text == "ok")
        })
        .await;
    }

    fn write_kubeconfig(&self, name: &str, identity: &Identity) -> PathBuf {
        let (certificate, key) = identity.write(&self.folder, name);
        let file = self.folder.join(format!("{name}.kubeconfig"));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": self.url, "certificate-authority": self.folder.join("authority.crt"),
            }}],
            "users": [{"name": name, "user": {"client-certificate": certificate, "client-key": key}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        });
        fs::write(&file, config.to_string()).unwrap();
        file
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Before the API server, or the log fills with complaints about its absence.
        self.controllers.take();
    }
}

fn start_etcd(assets: &Path, folder: &Path, url: &str) -> Process {
    let peer = format!("http://127.0.0.1:{}", free_port());
    let mut command = Command::new(assets.join("etcd"));
    command
        .arg(flag("data-dir", &folder.join("etcd")))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"));
    Process::start("etcd", folder, &mut command)
}

/// Certificates, keys and the audit policy, which outlive a restart.
fn write_api_server_files(folder: &Path, authority: &Authority) {
    fs::write(folder.join("authority.crt"), authority.pem()).unwrap();
    authority.server("kube-apiserver").write(folder, "kube-apiserver");
    let signer = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.join("service-accounts.key"), signer.serialize_pem()).unwrap();
    fs::write(folder.join("service-accounts.pub"), signer.public_key_pem()).unwrap();
    fs::write(folder.join("audit-policy.yaml"), AUDIT_POLICY).unwrap();
}

fn start_api_server(assets: &Path, folder: &Path, etcd: &str, port: u16, flags: &[String]) -> Process {
    let file = |name: &str, file: &str| flag(name, &folder.join(file));
    let mut command = Command::new(assets.join("kube-apiserver"));
    command
        .arg(format!("--etcd-servers={etcd}"))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"])
        .arg(format!("--secure-port={port}"))
        .arg(file("tls-cert-file", "kube-apiserver.crt"))
        .arg(file("tls-private-key-file", "kube-apiserver.key"))
        .arg(file("client-ca-file", "authority.crt"))
        .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"])
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(file("service-account-signing-key-file", "service-accounts.key"))
        .arg(file("service-account-key-file", "service-accounts.pub"))
        .arg(file("audit-policy-file", "audit-policy.yaml"))
        .arg(file("audit-log-path", "audit.log"))
        .args(flags);
    Process::start("kube-apiserver", folder, &mut command)
}

/// What was decided about Sessions, and by whom they were written.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "Metadata", "verbs": ["create", "update", "patch"], "resources": [{"group": "hobbyfarm.io"}]},
    {"level": "None"}
  ]
}"#;

fn certificate(identity: &Identity) -> AuthInfo {
    use base64::Engine;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    AuthInfo {
        client_certificate_data: Some(base64(&identity.certificate)),
        client_key_data: Some(base64(&identity.key).into()),
        ..AuthInfo::default()
    }
}

fn flag(name: &str, file: &Path) -> String {
    format!("--{name}={}", file.display())
}

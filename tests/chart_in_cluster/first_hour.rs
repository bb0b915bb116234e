//! docs/install.md, "From nothing to a proven guard": the commands of the page, as they stand there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use axum::http::Method;
use serde_json::json;

use crate::cert_manager::issue_certificates;
use crate::node::run_pods;
use crate::objects::deployment;
use crate::scenarios::{components_for_this_server, dry_run_of_a_session};
use crate::verbs::accepts;
use crate::world::{World, repository};
use crate::writer::{HOBBYFARM, Request};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
/// What a reader puts in the place of `REGISTRY`.
const REGISTRY: &str = "registry.example.org";

/// The commands below a heading of the page.
fn commands(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/install.md")).unwrap();
    let (_, below) = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading} is not there"));
    let section = below.split("\n#").next().unwrap();
    section.split("```console\n").skip(1).flat_map(|rest| commands_of(rest.split("```").next().unwrap())).collect()
}

/// The commands of a block, each with the lines that belong to it.
fn commands_of(block: &str) -> Vec<String> {
    block.split("$ ").skip(1).map(|command| command.trim_end().to_owned()).collect()
}

/// A shell in a copy of the checkout, with the programs that the page names.
struct Shell {
    checkout: PathBuf,
    path: String,
}

impl Shell {
    fn new(world: &World) -> Self {
        let checkout = world.folder.join("checkout");
        let _ = fs::remove_dir_all(&checkout);
        fs::create_dir_all(&checkout).unwrap();
        for folder in ["manifests", "certs"] {
            let copied = Command::new("cp").arg("-r").arg(repository().join(folder)).arg(&checkout).status().unwrap();
            assert!(copied.success());
        }
        let kustomize = Command::new(repository().join("tests/tools/build")).arg("kustomize").output().unwrap();
        assert!(kustomize.status.success(), "{kustomize:?}");
        let kustomize = String::from_utf8(kustomize.stdout).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_session-webhook")).parent().unwrap();
        let path = format!("{}:{}:{}", program.display(), kustomize.trim(), std::env::var("PATH").unwrap());
        Self { checkout, path }
    }

    /// Runs commands one after the other; what they wrote.
    async fn runs(&self, world: &World, commands: &[String]) -> String {
        let mut bash = Command::new("bash");
        world.equip(&mut bash).env_remove("HELM_NAMESPACE").env("PATH", &self.path).env("HOME", &world.folder);
        bash.args(["-euxc", &commands.join("\n")]).current_dir(&self.checkout);
        let Output { status, stdout, stderr } =
            tokio::task::spawn_blocking(move || bash.output()).await.unwrap().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{status}: {said}");
        said
    }
}

/// HobbyFarm's accounts, and what its chart lets them do.
async fn hobbyfarm_is_there(world: &World) {
    let accounts = ["hobbyfarm-session", "hobbyfarm-gargantua", "hobbyfarm-user"];
    for name in accounts {
        let path = format!("/api/v1/namespaces/{HOBBYFARM}/serviceaccounts");
        accepts(&world.admin, Request::post(path, json!({"metadata": {"name": name}}))).await;
    }
    let rules = json!([{"apiGroups": ["hobbyfarm.io"], "resources": ["sessions", "sessions/status"], "verbs": ["*"]}]);
    let role = json!({"metadata": {"name": "hobbyfarm"}, "rules": rules});
    accepts(&world.admin, Request::post(format!("{RBAC}/clusterroles"), role)).await;
    let subjects = accounts.map(|name| json!({"kind": "ServiceAccount", "namespace": HOBBYFARM, "name": name}));
    let binding = json!({
        "metadata": {"name": "hobbyfarm"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "hobbyfarm"},
        "subjects": subjects,
    });
    accepts(&world.admin, Request::post(format!("{RBAC}/clusterrolebindings"), binding)).await;
}

async fn hobbyfarm_goes(world: &World) {
    for kind in ["clusterrolebindings", "clusterroles"] {
        accepts(&world.admin, Request::delete_path(format!("{RBAC}/{kind}/hobbyfarm"), "Background")).await;
    }
    for name in ["hobbyfarm-session", "hobbyfarm-gargantua", "hobbyfarm-user"] {
        let path = format!("/api/v1/namespaces/{HOBBYFARM}/serviceaccounts/{name}");
        accepts(&world.admin, Request::new(Method::DELETE, path, None)).await;
    }
}

/// The commands of one way, then those that take all of it away again.
async fn leads_to_a_guard(world: &World, heading: &str, uninstall: &[String]) {
    world.settles().await;
    let before = world.inventory();
    hobbyfarm_is_there(world).await;
    let shell = Shell::new(world);
    let mut commands: Vec<_> = commands(heading);
    assert!((2..=5).contains(&commands.len()), "{heading}: {commands:#?}");
    for command in &mut commands {
        *command = command.replace("REGISTRY", REGISTRY);
    }
    if let Some(folder) = commands[0].strip_prefix("cd ") {
        // As the page says of servers before 1.28.
        for component in components_for_this_server(world) {
            let add = format!("kustomize edit add component ../../components/{component}");
            shell.runs(world, &[format!("cd {folder}"), add]).await;
        }
    }
    let walk = async {
        let said = shell.runs(world, &commands).await;
        let image = &deployment(world).await["spec"]["template"]["spec"]["containers"][0]["image"];
        let expected = format!("{REGISTRY}/hobbyfarm-session-webhook:");
        assert!(image.as_str().unwrap().starts_with(&expected), "{image}");
        let outcome = dry_run_of_a_session(world, HOBBYFARM, &["--as=alice"]);
        assert!(outcome.stderr.contains("denied the request: ManualCreate"), "{outcome:?}\n{said}");
        shell.runs(world, uninstall).await;
    };
    tokio::select! {
        () = walk => (),
        () = run_pods(world) => unreachable!(),
        () = issue_certificates(world) => unreachable!(),
    }
    hobbyfarm_goes(world).await;
    world.is_as_it_was(&before).await;
}

pub(crate) async fn the_page_leads_from_nothing_to_a_guard_with_helm(world: &World) {
    let uninstall = &commands("## Uninstall")[..2];
    assert!(uninstall[0].starts_with("helm uninstall"), "{uninstall:?}");
    for heading in ["### Helm and cert-manager", "### Helm alone"] {
        leads_to_a_guard(world, heading, uninstall).await;
    }
}

pub(crate) async fn the_page_leads_from_nothing_to_a_guard_with_kustomize(world: &World) {
    let uninstall = &commands("## Uninstall")[2..4];
    assert!(uninstall[1].starts_with("kubectl delete -k manifests/overlays/cert-manager"), "{uninstall:?}");
    for (heading, overlay) in
        [("### kustomize and cert-manager", "cert-manager"), ("### kustomize alone", "self-managed")]
    {
        let uninstall: Vec<_> = uninstall.iter().map(|command| command.replace("cert-manager", overlay)).collect();
        leads_to_a_guard(world, heading, &uninstall).await;
    }
}

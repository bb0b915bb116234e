//! `scripts/playground`: the world of the scenarios, left alone for a person with kubectl.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::control_plane::{assets_of, kubernetes_versions::TESTED};
use crate::servers::told_to_stop;
use crate::session::Form;
use crate::world::World;
use crate::writer::HOBBYFARM;

/// Asks for the playground instead of the scenarios.
pub(crate) const FLAG: &str = "--playground";

/// Starts everything on the newest tested version, says what to type, and takes all of it away when told to stop.
pub(crate) async fn run() -> ExitCode {
    let newest = TESTED[TESTED.len() - 1];
    let assets = match assets_of(newest) {
        Ok(assets) => assets,
        Err(reason) => {
            eprintln!("\nplayground: {reason}\n");
            return ExitCode::FAILURE;
        }
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("playground-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    eprintln!("playground: starting Kubernetes {newest} with HobbyFarm's CRD, its accounts and the webhook …");
    tokio::select! {
        () = offer(assets, folder.clone()) => (),
        () = told_to_stop() => eprintln!("\nplayground: stopping"),
    }
    fs::remove_dir_all(&folder).unwrap();
    ExitCode::SUCCESS
}

/// Runs until it is dropped.
async fn offer(assets: PathBuf, folder: PathBuf) {
    let world = World::new(assets, folder.clone()).await;
    let form = Form::ALL[0];
    let session = form.session("my-session");
    fs::write(folder.join("session.json"), session.to_string()).unwrap();
    let first_status = json!({"status": {"active": true, "finished": false, "paused": false, "end_time": ""}});
    let hobbyfarm = world.kubeconfig(HOBBYFARM, "hobbyfarm-session").await;
    print(&folder, &hobbyfarm, &first_status.to_string());
    std::future::pending::<()>().await;
}

fn print(folder: &std::path::Path, hobbyfarm: &std::path::Path, first_status: &str) {
    let program = env!("CARGO_BIN_EXE_session-webhook");
    let (folder, hobbyfarm) = (folder.display(), hobbyfarm.display());
    println!(
        "
Kubernetes runs, and the webhook is installed from manifests/base. In another terminal:

  export KUBECONFIG={folder}/admin.kubeconfig     # an administrator
  ALICE=\"kubectl --kubeconfig {folder}/alice.kubeconfig -n {HOBBYFARM}\"     # a person with all rights that RBAC knows
  HOBBYFARM=\"kubectl --kubeconfig {hobbyfarm}\"     # HobbyFarm's session service, for an hour

Worth typing:

  $ALICE create -f {folder}/session.json
      # refused: only HobbyFarm writes Sessions
  $HOBBYFARM create -f {folder}/session.json
  $HOBBYFARM patch session my-session --subresource status --type merge -p '{first_status}'
  $HOBBYFARM get session my-session -o jsonpath='{{.status}}'
      # the webhook filled in both times
  $ALICE delete session my-session
      # passes: deleting is how a session is ended by hand
  {program} audit
      # what is wrong with the Sessions that are stored

Logs, the configuration and the requests that the API server audits are in {folder}.
Ctrl-C takes all of it away."
    );
}

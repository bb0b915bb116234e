//! What somebody else writes into our objects stays, and nobody's next apply fails for it.

use serde_json::{Value, json};

use crate::objects::{ADMISSION, WEBHOOKS, configuration};
use crate::scenarios::{SOURCES, for_this_server};
use crate::verbs::accepts;
use crate::world::{Engine, RELEASE, World, chart};
use crate::writer::Request;

/// AKS's admissions enforcer writes a selector of its own into every webhook configuration. Helm 4, Flux and Argo CD apply on the server's side, where a
/// value of ours for the same field would be a conflict.
pub(crate) async fn a_selector_that_aks_writes_stays_and_no_apply_on_the_servers_side_fails_for_it(world: &World) {
    world.settles().await;
    let before = world.inventory();
    world.make_namespace().await;
    let helm = |command: &[&str]| world.helm_of(Engine::Helm4, command).succeeds();
    helm(&["install", RELEASE, &chart(), SOURCES[1]]);
    aks_writes_its_selector(world).await;
    helm(&["upgrade", RELEASE, &chart(), SOURCES[1], "--set=mode=warn"]);
    has_its_selector(world).await;
    helm(&["uninstall", RELEASE]);
    world.remove_namespace();

    let folder = for_this_server(world, "cert-manager");
    let apply = ["apply", "--server-side", "-k", &folder];
    world.kubectl.run(&apply).succeeds();
    aks_writes_its_selector(world).await;
    world.kubectl.run(&apply).succeeds();
    has_its_selector(world).await;
    world.kubectl.run(&["delete", "-k", &folder, "--timeout=60s"]).succeeds();
    world.is_as_it_was(&before).await;
}

fn selector() -> Value {
    json!({"matchExpressions": [
        {"key": "control-plane", "operator": "NotIn", "values": ["true"]},
        {"key": "kubernetes.azure.com/managedby", "operator": "NotIn", "values": ["aks"]},
    ]})
}

async fn aks_writes_its_selector(world: &World) {
    for kind in WEBHOOKS {
        let entries = configuration(world, kind).await["webhooks"].as_array().unwrap().len();
        let write =
            |entry| json!({"op": "add", "path": format!("/webhooks/{entry}/namespaceSelector"), "value": selector()});
        let patch = (0..entries).map(write).collect::<Vec<_>>();
        let path = format!("{ADMISSION}/{kind}/hobbyfarm-session-webhook");
        let request = Request::patch(path, "application/json-patch+json", json!(patch));
        accepts(&world.admin, request.with("fieldManager=admissionsenforcer")).await;
    }
}

async fn has_its_selector(world: &World) {
    for kind in WEBHOOKS {
        for entry in configuration(world, kind).await["webhooks"].as_array().unwrap() {
            assert_eq!(entry["namespaceSelector"], selector(), "{kind}");
        }
    }
}

//! An overlay of one's own, with a namespace and names of its own.

use std::fs;

use serde_json::json;

use crate::objects::{ADMISSION, WEBHOOKS, collection_in, names, read};
use crate::process::eventually;
use crate::replica::Replica;
use crate::scenarios::{components_for_this_server, dry_run_of_a_session, manifests_from};
use crate::world::{PATIENCE, World};
use crate::writer::HOBBYFARM;

const NAMESPACE: &str = "elsewhere";

/// An overlay with every component that this server can have, and with more lines.
fn overlay(world: &World, more: &str) -> String {
    let folder = world.folder.join("overlay-of-ones-own");
    fs::create_dir_all(&folder).unwrap();
    let manifests = manifests_from(&folder);
    let mut components =
        vec!["namespace", "self-managed", "backfill", "audit", "doctor", "monitoring", "network-policy"];
    let policies = if world.is_before(30) { &["fail-open"] } else { &["policy-and-webhook"] };
    components.extend(policies);
    components.extend(components_for_this_server(world));
    // 1.20 serves no CronJob of today's version.
    components.retain(|component| *component != "audit" || !world.is_before(21));
    let components: Vec<_> = components.iter().map(|name| format!("{manifests}/components/{name}")).collect();
    let text = format!(
        "namespace: {NAMESPACE}\nresources: [{manifests}/base]\ncomponents: [{}]\ntransformers: [{manifests}/transformers/namespace]\n{more}",
        components.join(", ")
    );
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
    folder.display().to_string()
}

/// Applies it; nothing is left to apply afterwards.
fn apply(world: &World, overlay: &str) {
    world.kubectl.run(&["apply", "-k", overlay]).succeeds();
    let diff = world.kubectl.run(&["diff", "-k", overlay]);
    assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{diff:?}");
}

fn delete(world: &World, overlay: &str) {
    world.kubectl.run(&["delete", "-k", overlay, "--ignore-not-found", "--timeout=60s"]).succeeds();
}

pub(crate) async fn an_overlay_of_ones_own_with_every_component_differs_in_nothing_once_applied(world: &World) {
    let before = world.inventory();
    let overlay = overlay(world, "");
    apply(world, &overlay);
    delete(world, &overlay);
    world.is_as_it_was(&before).await;
}

/// The program has the rights that it needs under these names, is called, and its own account may write.
pub(crate) async fn an_overlay_with_a_name_prefix_serves_under_its_names(world: &World) {
    let before = world.inventory();
    let overlay = overlay(world, "namePrefix: acme-\nnameSuffix: -blue\n");
    apply(world, &overlay);
    let mut replica = Replica::start_of(world, NAMESPACE, "acme-session-webhook-blue").await;
    replica.is_ready().await;
    let secret = collection_in(NAMESPACE, "v1", "secrets") + "/acme-session-webhook-self-managed-blue";
    assert!(read(world, &secret).await["data"].is_object(), "the certificate is in the Secret of the overlay");
    let leases = collection_in(NAMESPACE, "coordination.k8s.io/v1", "leases");
    eventually("a replica leads", PATIENCE, async || {
        names(world, &leases).await.contains(&"session-webhook-backfill".to_owned()).then_some(())
    })
    .await;

    is_called_at(world, &replica.address).await;
    let refuser =
        if world.is_before(30) { "validate.session-webhook" } else { "'acme-hobbyfarm-session-webhook-blue'" };
    eventually("a person is refused", PATIENCE, async || {
        let outcome = dry_run_of_a_session(world, HOBBYFARM, &["--as=alice"]);
        (outcome.stderr.contains("ManualCreate") && outcome.stderr.contains(refuser)).then_some(())
    })
    .await;
    // Older servers impersonate nobody's uid.
    if !world.is_before(22) {
        passes_as_hobbyfarm(world, &replica).await;
    }
    replica.end().await;
    delete(world, &overlay);
    world.is_as_it_was(&before).await;
}

/// What the pods' account writes, policy and both webhooks let pass.
async fn passes_as_hobbyfarm(world: &World, replica: &Replica) {
    let own = format!("--as=system:serviceaccount:{NAMESPACE}:acme-session-webhook-blue");
    eventually("both webhooks are asked", PATIENCE, async || {
        let outcome = dry_run_of_a_session(world, HOBBYFARM, &[&own, "--as-uid=1"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let metrics = replica.metrics().await;
        let is_counted = |webhook: &str| {
            let label = format!("webhook=\"{webhook}\"");
            metrics.lines().any(|line| line.contains(&label) && line.contains("rule=\"HobbyFarm\""))
        };
        (is_counted("mutate") && is_counted("validate")).then_some(())
    })
    .await;
}

/// There is no network of pods here: the API server is led to where the replica listens.
async fn is_called_at(world: &World, address: &str) {
    for kind in WEBHOOKS {
        let configuration = read(world, &format!("{ADMISSION}/{kind}/acme-hobbyfarm-session-webhook-blue")).await;
        let entries = configuration["webhooks"].as_array().unwrap();
        let patch = entries.iter().enumerate().flat_map(|(number, entry)| {
            let client = format!("/webhooks/{number}/clientConfig");
            let url = format!("https://{address}{}", entry["clientConfig"]["service"]["path"].as_str().unwrap());
            [
                json!({"op": "remove", "path": format!("{client}/service")}),
                json!({"op": "add", "path": format!("{client}/url"), "value": url}),
            ]
        });
        let patch = json!(patch.collect::<Vec<_>>()).to_string();
        let arguments = ["patch", kind, "acme-hobbyfarm-session-webhook-blue", "--type=json", "--patch", &patch];
        world.kubectl.run(&arguments).succeeds();
    }
}

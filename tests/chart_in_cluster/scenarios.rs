//! What installing is like.

use std::fs;
use std::path::Path;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::json;

use crate::after_install::{
    an_api_server_tells_what_the_alerts_on_it_ask_for,
    each_account_may_do_what_the_page_about_rights_says_and_nothing_else,
    helm_test_asks_doctor_in_the_cluster_and_leaves_no_rights_behind,
    the_objects_on_the_page_about_gitops_are_accepted, the_service_has_addresses_of_both_families_where_that_is_wanted,
};
use crate::first_hour::{
    the_page_leads_from_nothing_to_a_guard_with_helm, the_page_leads_from_nothing_to_a_guard_with_kustomize,
};
use crate::kubectl::Outcome;
use crate::lifecycle::{
    a_changed_setting_rolls_the_pods_and_a_rollback_rolls_them_back, a_second_release_of_the_same_names_is_refused,
    an_autoscaler_takes_over_from_as_many_replicas_as_there_are,
    an_uninstall_leaves_nothing_and_helm_4_begins_with_the_webhooks,
    an_upgrade_from_the_chart_before_leaves_no_moment_without_guard, two_releases_guard_the_sessions_of_two_hobbyfarms,
    what_the_program_keeps_outlives_an_upgrade_and_goes_with_the_release,
};
use crate::objects::{collection, names, read};
use crate::other_managers::a_selector_that_aks_writes_stays_and_no_apply_on_the_servers_side_fails_for_it;
use crate::own_overlay::{
    an_overlay_of_ones_own_with_every_component_differs_in_nothing_once_applied,
    an_overlay_with_a_name_prefix_serves_under_its_names,
};
use crate::replica::Replica;
use crate::world::{Engine, NAMESPACE, RELEASE, World, chart, repository};

/// One thing that holds in a cluster.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a World) -> LocalBoxFuture<'a, ()>,
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[Scenario] =
            &[$(Scenario { name: stringify!($name), run: |world| $name(world).boxed_local() }),*];
    };
}

scenarios![
    the_server_accepts_every_object_of_the_chart,
    the_server_accepts_every_component,
    an_install_differs_in_nothing_from_what_was_rendered,
    a_changed_setting_rolls_the_pods_and_a_rollback_rolls_them_back,
    an_uninstall_leaves_nothing_and_helm_4_begins_with_the_webhooks,
    what_the_program_keeps_outlives_an_upgrade_and_goes_with_the_release,
    an_upgrade_from_the_chart_before_leaves_no_moment_without_guard,
    an_autoscaler_takes_over_from_as_many_replicas_as_there_are,
    a_second_release_of_the_same_names_is_refused,
    two_releases_guard_the_sessions_of_two_hobbyfarms,
    a_selector_that_aks_writes_stays_and_no_apply_on_the_servers_side_fails_for_it,
    an_overlay_differs_in_nothing_once_applied_and_leaves_nothing,
    an_overlay_of_ones_own_with_every_component_differs_in_nothing_once_applied,
    an_overlay_with_a_name_prefix_serves_under_its_names,
    helm_test_asks_doctor_in_the_cluster_and_leaves_no_rights_behind,
    the_page_leads_from_nothing_to_a_guard_with_helm,
    the_page_leads_from_nothing_to_a_guard_with_kustomize,
    an_api_server_tells_what_the_alerts_on_it_ask_for,
    the_service_has_addresses_of_both_families_where_that_is_wanted,
    the_objects_on_the_page_about_gitops_are_accepted,
    each_account_may_do_what_the_page_about_rights_says_and_nothing_else,
];

pub(crate) const SOURCES: [&str; 2] =
    ["--set=certificate.source=cert-manager", "--set=certificate.source=self-managed"];

pub(crate) fn install(world: &World, values: &[&str]) -> String {
    world.helm(&[&["install", RELEASE, &chart()], values].concat()).succeeds().stdout
}

pub(crate) fn upgrade(world: &World, values: &[&str]) {
    world.helm(&[&["upgrade", RELEASE, &chart()], values].concat()).succeeds();
}

pub(crate) fn uninstall(world: &World) {
    world.helm(&["uninstall", RELEASE]).succeeds();
}

pub(crate) const ENGINES: [Engine; 2] = [Engine::Helm3, Engine::Helm4];

async fn the_server_accepts_every_object_of_the_chart(world: &World) {
    world.make_namespace().await;
    let everything = format!("--values={}", repository().join("tests/chart/everything.yaml").display());
    let given = ["--set=certificate.source=secret", "--set=certificate.caBundle=-----BEGIN CERTIFICATE-----"];
    let mut all = vec![
        &[][..],
        &SOURCES[1..],
        &given,
        &["--set=metrics.monitor=PodMonitor"],
        &["--set=hostNetwork=true,ports.webhook=9443,ports.ops=9090"],
        &["--set=mode=audit"],
    ];
    let with_everything = [&everything, SOURCES[1]];
    all.extend([&with_everything[..1], &with_everything]);
    // Older servers have no policies.
    if !world.is_before(30) {
        all.push(&["--set=guard=policy-and-webhook"]);
    }
    for values in all {
        is_accepted(world, &world.rendered(values));
    }
    // A pod is refused until its account is there; `helm test` makes it after that.
    let with_hooks = world.rendered_with_hooks(&["--set=doctor.afterInstall=true"]);
    let but_the_pod: Vec<_> = with_hooks.split("\n---\n").filter(|object| !object.contains("\nkind: Pod\n")).collect();
    is_accepted(world, &but_the_pod.join("\n---\n"));
    world.remove_namespace();
}

/// Every object is new to the server, which knows each of its fields.
fn is_accepted(world: &World, rendered: &str) {
    let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
    let outcome = world.kubectl.run_with(&apply, rendered, "false").succeeds();
    let objects = rendered.lines().filter(|line| line.starts_with("kind: ")).count();
    assert_eq!(outcome.stdout.lines().count(), objects, "{outcome:?}");
    assert!(outcome.stdout.lines().all(|line| line.ends_with("created (server dry run)")), "{outcome:?}");
}

/// What other scenarios apply: of it overlays are made, the servers before 1.28 are given it, or `own_overlay` has it.
const APPLIED_ELSEWHERE: [&str; 12] = [
    "audit",
    "backfill",
    "before-1.27",
    "doctor",
    "fail-open",
    "monitoring",
    "namespace",
    "network-policy",
    "policy-and-webhook",
    "policy-v1beta1",
    "self-managed",
    "without-match-conditions",
];

/// The other components, each in an overlay of its own.
async fn the_server_accepts_every_component(world: &World) {
    world.make_namespace().await;
    let folder = world.folder.join("overlay-of-a-component");
    fs::create_dir_all(&folder).unwrap();
    let manifests = manifests_from(&folder);
    let there = fs::read_dir(repository().join("manifests/components")).unwrap();
    let mut there: Vec<_> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.retain(|component| !APPLIED_ELSEWHERE.contains(&component.as_str()));
    assert!(there.len() >= 7, "{there:?}");
    for component in there {
        let since = match component.as_str() {
            "call-for-keep-alives" => 28,
            "policy" => 30,
            _ => 20,
        };
        if world.is_before(since) {
            continue;
        }
        let mut components = vec![component.as_str()];
        // A mode changes the policy as well, where there is one.
        if component.starts_with("mode-") && !world.is_before(30) {
            components.insert(0, "policy");
        }
        components.extend(components_for_this_server(world));
        let components: Vec<_> = components.iter().map(|name| format!("{manifests}/components/{name}")).collect();
        let text = format!("resources: [{manifests}/overlays/cert-manager]\ncomponents: [{}]\n", components.join(", "));
        fs::write(folder.join("kustomization.yaml"), text).unwrap();
        let apply = ["apply", "--dry-run=server", "--validate=strict", "-k", &folder.display().to_string()];
        let outcome = world.kubectl.run(&apply).succeeds();
        assert!(outcome.stdout.lines().count() > 10, "{component}: {outcome:?}");
        assert!(outcome.stdout.lines().all(|line| line.ends_with("(server dry run)")), "{component}: {outcome:?}");
    }
    world.remove_namespace();
}

async fn an_install_differs_in_nothing_from_what_was_rendered(world: &World) {
    let before = world.inventory();
    for source in SOURCES {
        world.make_namespace().await;
        let notes = install(world, &[source]);
        for hint in ["session-webhook doctor", "kubectl create --dry-run=server -f -"] {
            assert!(notes.contains(hint), "{notes}");
        }
        let diff = world.kubectl.run_with(&["diff", "-f", "-"], &world.rendered(&[source]), "false");
        assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{diff:?}");
        uninstall(world);
        world.remove_namespace();
        world.is_as_it_was(&before).await;
    }
}

async fn an_overlay_differs_in_nothing_once_applied_and_leaves_nothing(world: &World) {
    let before = world.inventory();
    let mut overlays = vec!["cert-manager", "self-managed", "fail-open"];
    if !world.is_before(30) {
        overlays.push("policy-and-webhook");
    }
    for overlay in overlays {
        let folder = for_this_server(world, overlay);
        world.kubectl.run(&["apply", "-k", &folder]).succeeds();
        let diff = world.kubectl.run(&["diff", "-k", &folder]);
        assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{overlay}: {diff:?}");

        if overlay == "self-managed" {
            let mut replica = Replica::start(world).await;
            replica.is_ready().await;
            replica.end().await;
            let secret = collection("v1", "secrets") + "/session-webhook-self-managed";
            let kept = read(world, &secret).await["data"].clone();
            world.kubectl.run(&["apply", "-k", &folder]).succeeds();
            assert_eq!(read(world, &secret).await["data"], kept);
            let diff = world.kubectl.run(&["diff", "-k", &folder]);
            assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{overlay}: {diff:?}");
        }
        world.kubectl.run(&["delete", "-k", &folder, "--timeout=60s"]).succeeds();
        world.is_as_it_was(&before).await;
    }
    assert!(!names(world, "/api/v1/namespaces").await.contains(&NAMESPACE.to_owned()));
}

/// The components that `manifests/README.md` names for servers like this one.
pub(crate) fn components_for_this_server(world: &World) -> Vec<&'static str> {
    let all = [("without-match-conditions", 28), ("before-1.27", 27), ("policy-v1beta1", 21)];
    all.into_iter().filter(|(_, since)| world.is_before(*since)).map(|(component, _)| component).collect()
}

/// The manifests as seen from a folder: kustomize takes relative paths alone.
pub(crate) fn manifests_from(folder: &Path) -> String {
    let ups = "../".repeat(folder.components().count() - 1);
    let manifests = repository().join("manifests");
    format!("{ups}{}", manifests.strip_prefix("/").unwrap().display())
}

/// The overlay, with the components for this server.
pub(crate) fn for_this_server(world: &World, overlay: &str) -> String {
    let folder = world.folder.join(format!("overlay-{overlay}"));
    fs::create_dir_all(&folder).unwrap();
    let manifests = manifests_from(&folder);
    let components: Vec<_> =
        components_for_this_server(world).iter().map(|name| format!("{manifests}/components/{name}")).collect();
    let text = format!("resources: [{manifests}/overlays/{overlay}]\ncomponents: [{}]\n", components.join(", "));
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
    folder.display().to_string()
}

/// What becomes of a create of a Session by somebody who has all rights.
pub(crate) fn dry_run_of_a_session(world: &World, namespace: &str, user: &[&str]) -> Outcome {
    let session = json!({
        "apiVersion": "hobbyfarm.io/v1",
        "kind": "Session",
        "metadata": {"name": "probe", "namespace": namespace},
        "spec": {},
    });
    let create = ["create", "--dry-run=server", "--as-group=system:masters", "-f", "-"];
    world.kubectl.run_on(&[&create, user].concat(), &[session])
}

//! What installing is like.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use axum::http::Method;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::kubectl::Outcome;
use crate::objects::{
    ADMISSION, Deletions, WEBHOOKS, collection, configuration, deployment, names, read, replica_sets,
};
use crate::own_overlay::{
    an_overlay_of_ones_own_with_every_component_differs_in_nothing_once_applied,
    an_overlay_with_a_name_prefix_serves_under_its_names,
};
use crate::process::eventually;
use crate::replica::{Replica, runs_as};
use crate::verbs::accepts;
use crate::world::{Engine, NAMESPACE, PATIENCE, RELEASE, World, chart, repository};
use crate::writer::{HOBBYFARM, Request};

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
    an_install_differs_in_nothing_from_what_was_rendered,
    a_changed_setting_rolls_the_pods_and_a_rollback_rolls_them_back,
    an_uninstall_leaves_nothing_and_helm_4_begins_with_the_webhooks,
    what_the_program_keeps_outlives_an_upgrade_and_goes_with_the_release,
    an_upgrade_from_the_chart_before_leaves_no_moment_without_guard,
    an_autoscaler_takes_over_from_as_many_replicas_as_there_are,
    a_second_release_of_the_same_names_is_refused,
    two_releases_guard_the_sessions_of_two_hobbyfarms,
    an_overlay_differs_in_nothing_once_applied_and_leaves_nothing,
    an_overlay_of_ones_own_with_every_component_differs_in_nothing_once_applied,
    an_overlay_with_a_name_prefix_serves_under_its_names,
    helm_test_asks_doctor_in_the_cluster_and_leaves_no_rights_behind,
    an_api_server_tells_what_the_alerts_on_it_ask_for,
    the_objects_on_the_page_about_gitops_are_accepted,
    each_account_may_do_what_the_page_about_rights_says_and_nothing_else,
];

const SOURCES: [&str; 2] = ["--set=certificate.source=cert-manager", "--set=certificate.source=self-managed"];

fn install(world: &World, values: &[&str]) -> String {
    world.helm(&[&["install", RELEASE, &chart()], values].concat()).succeeds().stdout
}

fn upgrade(world: &World, values: &[&str]) {
    world.helm(&[&["upgrade", RELEASE, &chart()], values].concat()).succeeds();
}

fn uninstall(world: &World) {
    world.helm(&["uninstall", RELEASE]).succeeds();
}

const ENGINES: [Engine; 2] = [Engine::Helm3, Engine::Helm4];

async fn the_server_accepts_every_object_of_the_chart(world: &World) {
    world.make_namespace().await;
    let everything = format!("--values={}", repository().join("tests/chart/everything.yaml").display());
    let given = ["--set=certificate.source=secret", "--set=certificate.caBundle=-----BEGIN CERTIFICATE-----"];
    for values in [
        &[][..],
        &SOURCES[1..],
        &given,
        &["--set=metrics.monitor=PodMonitor"],
        &[&everything],
        &[&everything, SOURCES[1]],
    ] {
        let rendered = world.rendered(values);
        let apply = ["apply", "--dry-run=server", "--validate=true", "-f", "-"];
        let outcome = world.kubectl.run_with(&apply, &rendered, "false").succeeds();
        let objects = rendered.lines().filter(|line| line.starts_with("kind: ")).count();
        assert_eq!(outcome.stdout.lines().count(), objects, "{outcome:?}");
        assert!(outcome.stdout.lines().all(|line| line.ends_with("created (server dry run)")), "{outcome:?}");
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

async fn a_changed_setting_rolls_the_pods_and_a_rollback_rolls_them_back(world: &World) {
    world.make_namespace().await;
    let before = world.inventory();
    install(world, &[]);
    let first = replica_sets(world, 1).await;
    let generation = deployment(world).await["metadata"]["generation"].clone();

    upgrade(world, &[]);
    assert_eq!(deployment(world).await["metadata"]["generation"], generation, "nothing changed, nothing rolls");

    upgrade(world, &["--set=mode=warn"]);
    let second = replica_sets(world, 2).await;
    let config =
        |set: &Value| set["spec"]["template"]["spec"]["volumes"][1]["configMap"]["name"].as_str().unwrap().to_owned();
    assert_ne!(config(&second[1]), config(&first[0]));
    let map = read(world, &format!("{}/{}", collection("v1", "configmaps"), config(&second[1]))).await;
    assert!(map["data"]["config.yaml"].as_str().unwrap().contains("mode: warn"), "{map}");

    world.helm(&["rollback", RELEASE, "1"]).succeeds();
    eventually("the first ReplicaSet is the newest again", PATIENCE, async || {
        let sets = replica_sets(world, 2).await;
        (sets[1]["metadata"]["name"] == first[0]["metadata"]["name"]).then_some(())
    })
    .await;
    let maps = names(world, &collection("v1", "configmaps")).await;
    assert!(maps.contains(&config(&first[0])) && !maps.contains(&config(&second[1])), "{maps:?}");
    let diff = world.kubectl.run_with(&["diff", "-f", "-"], &world.rendered(&[]), "false");
    assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{diff:?}");

    uninstall(world);
    world.is_as_it_was(&before).await;
    world.remove_namespace();
}

async fn an_uninstall_leaves_nothing_and_helm_4_begins_with_the_webhooks(world: &World) {
    for engine in ENGINES {
        uninstalls(world, engine).await;
    }
}

async fn uninstalls(world: &World, engine: Engine) {
    world.make_namespace().await;
    let before = world.inventory();
    world.helm_of(engine, &["install", RELEASE, &chart()]).succeeds();
    replica_sets(world, 1).await;
    let mut deployments = Deletions::of(world, &collection("apps/v1", "deployments")).await;
    let mut services = Deletions::of(world, &collection("v1", "services")).await;
    let mut configurations = Vec::new();
    for kind in WEBHOOKS {
        configurations.push(Deletions::of(world, &format!("{ADMISSION}/{kind}")).await);
    }
    world.helm_of(engine, &["uninstall", RELEASE]).succeeds();
    let pods_go = deployments.first_of("session-webhook").await.min(services.first_of("session-webhook").await);
    for mut configuration in configurations {
        let configuration_goes = configuration.first_of("hobbyfarm-session-webhook").await;
        // Helm 3 takes away last what its order does not name. Nothing waits for that: no rule names DELETE.
        assert!(engine == Engine::Helm3 || configuration_goes < pods_go);
    }
    world.is_as_it_was(&before).await;
    world.remove_namespace();
}

async fn what_the_program_keeps_outlives_an_upgrade_and_goes_with_the_release(world: &World) {
    for engine in ENGINES {
        keeps_what_the_program_wrote(world, engine).await;
    }
}

async fn keeps_what_the_program_wrote(world: &World, engine: Engine) {
    world.make_namespace().await;
    let before = world.inventory();
    world.helm_of(engine, &["install", RELEASE, &chart(), SOURCES[1]]).succeeds();
    let mut replica = Replica::start(world).await;
    replica.is_ready().await;
    let lease = collection("coordination.k8s.io/v1", "leases") + "/session-webhook-backfill";
    let secret = collection("v1", "secrets") + "/session-webhook-self-managed";
    eventually("the replica leads", PATIENCE, async || {
        let lease = world.admin.sends(&Request::get(&lease)).await.body;
        lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(drop)
    })
    .await;
    let kept = read(world, &secret).await["data"].clone();
    assert!(kept["tls.crt"].is_string(), "the program uses the Secret that the chart brings");
    let bundles = async || {
        let mut bundles = Vec::new();
        for kind in WEBHOOKS {
            for entry in configuration(world, kind).await["webhooks"].as_array().unwrap() {
                bundles.push(entry["clientConfig"]["caBundle"].clone());
            }
        }
        bundles
    };
    let trusted = bundles().await;
    assert!(trusted.iter().all(Value::is_string), "{trusted:?}");

    // The program must not get the chance to put right what an upgrade breaks.
    replica.end().await;
    world.helm_of(engine, &["upgrade", RELEASE, &chart(), SOURCES[1], "--set=mode=warn"]).succeeds();
    world.helm_of(engine, &["rollback", RELEASE, "1"]).succeeds();
    assert_eq!(read(world, &secret).await["data"], kept);
    assert_eq!(bundles().await, trusted);
    let diff = world.kubectl.run_with(&["diff", "-f", "-"], &world.rendered(&[SOURCES[1]]), "false");
    assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{diff:?}");

    world.helm_of(engine, &["uninstall", RELEASE]).succeeds();
    remove_lease(world);
    world.is_as_it_was(&before).await;
    world.remove_namespace();
}

/// As docs/install.md says: the program makes the Lease, no tool for installing knows it.
fn remove_lease(world: &World) {
    let lease = ["delete", "lease", "session-webhook-backfill", "--ignore-not-found"];
    world.kubectl.run(&[&["--namespace", NAMESPACE], &lease[..]].concat()).succeeds();
}

/// From the chart as it was at f1ae382, with both Helms and both ways to a certificate, and back again.
async fn an_upgrade_from_the_chart_before_leaves_no_moment_without_guard(world: &World) {
    let old = repository().join("tests/fixtures/charts/before-gitops.tgz").display().to_string();
    for (engine, source) in ENGINES.into_iter().zip(SOURCES) {
        world.make_namespace().await;
        let before = world.inventory();
        world.helm_of(engine, &["install", RELEASE, &old, source, "--set=audit.enabled=true"]).succeeds();
        let uids = async || {
            let mut uids = Vec::new();
            for kind in WEBHOOKS {
                uids.push(configuration(world, kind).await["metadata"]["uid"].clone());
            }
            // A Deployment with another selector would have to be made anew.
            uids.push(deployment(world).await["metadata"]["uid"].clone());
            uids
        };
        let first = uids().await;
        let mut deletions = Deletions::of(world, &format!("{ADMISSION}/validatingwebhookconfigurations")).await;
        world.helm_of(engine, &["upgrade", RELEASE, &chart(), source, "--set=audit.enabled=true"]).succeeds();
        assert_eq!(uids().await, first, "{engine:?}: nothing was deleted and made anew");
        let account = read(world, &(collection("v1", "serviceaccounts") + "/session-webhook-audit")).await;
        assert_eq!(account["metadata"]["name"], "session-webhook-audit");
        let users = ["auth", "can-i", "list", "users.hobbyfarm.io", "--as"];
        let webhook = format!("system:serviceaccount:{NAMESPACE}:session-webhook");
        eventually("the serving pods may not list users any more", PATIENCE, async || {
            (world.kubectl.run(&[&users[..], &[&webhook]].concat()).code == Some(1)).then_some(())
        })
        .await;
        let given = [source, "--set=audit.enabled=true"];
        let diff = world.kubectl.run_with(&["diff", "-f", "-"], &world.rendered(&given), "false");
        assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{engine:?}: {diff:?}");
        world.helm_of(engine, &["rollback", RELEASE, "1"]).succeeds();
        world.helm_of(engine, &["rollback", RELEASE, "2"]).succeeds();
        assert_eq!(uids().await, first, "{engine:?}");
        world.helm_of(engine, &["uninstall", RELEASE]).succeeds();
        deletions.first_of("hobbyfarm-session-webhook").await;
        world.is_as_it_was(&before).await;
        world.remove_namespace();
    }
}

async fn an_autoscaler_takes_over_from_as_many_replicas_as_there_are(world: &World) {
    world.make_namespace().await;
    for engine in ENGINES {
        world.helm_of(engine, &["install", RELEASE, &chart(), "--set=replicas=3"]).succeeds();
        let on = ["upgrade", RELEASE, &chart(), "--set=autoscaling.enabled=true"];
        for _ in 0..2 {
            world.helm_of(engine, &on).succeeds();
            assert_eq!(deployment(world).await["spec"]["replicas"], 3, "{engine:?}");
        }
        world.helm_of(engine, &["uninstall", RELEASE]).succeeds();
    }
    world.remove_namespace();
}

/// Two would judge each Session twice. Helm sees that the names are taken.
async fn a_second_release_of_the_same_names_is_refused(world: &World) {
    world.make_namespace().await;
    install(world, &[]);
    let before = world.inventory();
    let outcome = world.helm(&["install", "another", &chart()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("cannot be imported into the current release"), "{outcome:?}");
    world.is_as_it_was(&before).await;
    uninstall(world);
    world.remove_namespace();
}

async fn an_overlay_differs_in_nothing_once_applied_and_leaves_nothing(world: &World) {
    let before = world.inventory();
    for overlay in ["cert-manager", "self-managed", "fail-open"] {
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
fn for_this_server(world: &World, overlay: &str) -> String {
    let folder = world.folder.join(format!("overlay-{overlay}"));
    fs::create_dir_all(&folder).unwrap();
    let manifests = manifests_from(&folder);
    let components: Vec<_> =
        components_for_this_server(world).iter().map(|name| format!("{manifests}/components/{name}")).collect();
    let text = format!("resources: [{manifests}/overlays/{overlay}]\ncomponents: [{}]\n", components.join(", "));
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
    folder.display().to_string()
}

async fn the_objects_on_the_page_about_gitops_are_accepted(world: &World) {
    let page = fs::read_to_string(repository().join("docs/gitops.md")).unwrap();
    let blocks: Vec<_> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 4, "Argo CD, and of Flux a source and two ways to install");
    for block in blocks {
        let mut object: Value = serde_saphyr::from_str(block).unwrap();
        object["metadata"]["namespace"] = Value::from("default");
        let create = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
        world.kubectl.run_on(&create, &[object]).succeeds();
    }
}

async fn each_account_may_do_what_the_page_about_rights_says_and_nothing_else(world: &World) {
    world.make_namespace().await;
    install(world, &[SOURCES[1], "--set=audit.enabled=true,doctor.enabled=true"]);
    eventually("the last binding is in force", PATIENCE, async || {
        rights(world, "session-webhook-doctor").iter().any(|right| right.contains("| secrets |")).then_some(())
    })
    .await;
    let mut table = "| account | may | on | named |\n|---|---|---|---|\n".to_owned();
    let everybody = rights(world, "default");
    for account in ["session-webhook", "session-webhook-audit", "session-webhook-doctor"] {
        for right in rights(world, account).difference(&everybody) {
            writeln!(table, "| `{account}` | {right} |").unwrap();
        }
    }
    uninstall(world);
    world.remove_namespace();
    holds_on_page("docs/rights.md", "rights", &table);
}

/// What an account may do in the webhook's namespace, by the API server's own account: verbs, resources and names.
fn rights(world: &World, account: &str) -> BTreeSet<String> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
    let group = format!("--as-group=system:serviceaccounts:{NAMESPACE}");
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": NAMESPACE},
    });
    let create = ["create", "--output=json", "-f", "-", "--as", &user, &group];
    let groups = ["--as-group=system:serviceaccounts", "--as-group=system:authenticated"];
    let outcome = world.kubectl.run_on(&[&create, &groups[..]].concat(), &[review]).succeeds();
    let review: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let words = |list: &Value| {
        list.as_array().map_or_else(String::new, |words| {
            words.iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(", ")
        })
    };
    let right = |rule: &Value| {
        let group = words(&rule["apiGroups"]);
        let group = if group.is_empty() { String::new() } else { format!(" of {group}") };
        let names = words(&rule["resourceNames"]);
        let names = if names.is_empty() { "of any".to_owned() } else { names };
        format!("{} | {}{group} | {names}", words(&rule["verbs"]), words(&rule["resources"]))
    };
    review["status"]["resourceRules"].as_array().unwrap().iter().map(right).collect()
}

/// Holds the part of a page between two marks against what it should be. With `UPDATE_README=1` the page is renewed instead.
fn holds_on_page(page: &str, name: &str, expected: &str) {
    let path = repository().join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (part, after) = rest.split_once(&format!("<!-- /{name} -->")).unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(path, format!("{before}<!-- {name} -->\n{expected}<!-- /{name} -->{after}")).unwrap();
    } else {
        assert_eq!(part, expected, "{page} says otherwise; UPDATE_README=1 renews it");
    }
}

/// As docs/install.md says.
async fn two_releases_guard_the_sessions_of_two_hobbyfarms(world: &World) {
    const FARMS: [(&str, &str, &str); 2] = [("guard", NAMESPACE, HOBBYFARM), ("second-guard", "second-guard", "other")];
    let before = world.inventory();
    let has_policies = !world.is_before(30);
    for (release, namespace, hobbyfarm) in FARMS {
        let mut values = vec![
            SOURCES[1].to_owned(),
            format!("--set=hobbyfarm.namespace={hobbyfarm},backfill.watchNamespaces={{{hobbyfarm}}}"),
            format!("--set=webhooks.namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name={hobbyfarm}"),
        ];
        if release != "guard" {
            values.push(format!("--set=fullnameOverride={release}"));
        }
        if has_policies {
            values.push("--set=guard=policy-and-webhook".to_owned());
        }
        let chart = chart();
        let arguments = ["install", release, &chart, "--namespace", namespace, "--create-namespace"];
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        world.helm(&[&arguments, &values[..]].concat()).succeeds();
    }
    for kind in WEBHOOKS {
        let found = names(world, &format!("{ADMISSION}/{kind}")).await;
        assert_eq!(found, ["hobbyfarm-session-webhook", "second-guard"]);
        for (name, hobbyfarm) in found.iter().zip([HOBBYFARM, "other"]) {
            let configuration = read(world, &format!("{ADMISSION}/{kind}/{name}")).await;
            for entry in configuration["webhooks"].as_array().unwrap() {
                let label = &entry["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
                assert_eq!(label, hobbyfarm, "{name}");
            }
        }
    }
    if has_policies {
        eventually("both policies are in force", PATIENCE, async || {
            let refused = |namespace| dry_run_of_a_session(world, namespace, &["--as=alice"]).code == Some(1);
            (refused(HOBBYFARM) && refused("other")).then_some(())
        })
        .await;
        for home in [HOBBYFARM, "other"] {
            let account = format!("--as=system:serviceaccount:{home}:hobbyfarm-session");
            for namespace in [HOBBYFARM, "other"] {
                let outcome = dry_run_of_a_session(world, namespace, &[&account, "--as-uid=1"]);
                assert_eq!(outcome.code, Some(i32::from(namespace != home)), "{home} in {namespace}: {outcome:?}");
            }
        }
    }
    for (release, namespace, _) in FARMS {
        world.helm(&["uninstall", release, "--namespace", namespace]).succeeds();
        world.kubectl.run(&["delete", "namespace", namespace, "--timeout=60s"]).succeeds();
    }
    world.is_as_it_was(&before).await;
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

/// This cluster has no kubelet: the test does what the pod says, and tells the API server what came of it.
async fn helm_test_asks_doctor_in_the_cluster_and_leaves_no_rights_behind(world: &World) {
    world.make_namespace().await;
    install(world, &["--set=doctor.wait=1s"]);
    let before = world.inventory();
    let path = collection("v1", "pods") + "/session-webhook-doctor-test";
    for is_sound in [false, true] {
        let mut helm = world.helm_command(&["test", RELEASE, "--timeout=60s"]);
        let helm = helm.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pod = eventually("there is a pod that has not run", PATIENCE, async || {
            let reply = world.admin.sends(&Request::get(&path)).await;
            (reply.code == 200 && reply.body["status"]["phase"] == "Pending").then_some(reply.body)
        })
        .await;
        let phase = if is_sound {
            "Succeeded"
        } else {
            // No pod answers here, which is what the real program has to find, with the rights that it has for this.
            let (code, said) = runs_as(world, &pod).await;
            assert_eq!(code, Some(1), "{said}");
            for part in ["✔ validating-configuration", "✘ endpoints", "→ "] {
                assert!(said.contains(part), "{part}: {said}");
            }
            assert!(!said.contains("may not"), "a right is missing: {said}");
            "Failed"
        };
        let mut ended = pod;
        ended["status"]["phase"] = Value::from(phase);
        accepts(&world.admin, Request::new(Method::PUT, format!("{path}/status"), Some(ended))).await;
        let output = helm.wait_with_output().unwrap();
        assert_eq!(output.status.success(), is_sound, "{}", String::from_utf8_lossy(&output.stderr));
        if !is_sound {
            // Its log stays to be read until the next test.
            let left: Vec<_> = world.inventory().difference(&before).cloned().collect();
            assert_eq!(left, [format!("Pod {NAMESPACE}/session-webhook-doctor-test")]);
        }
    }
    world.is_as_it_was(&before).await;
    uninstall(world);
    world.remove_namespace();
}

/// No pod answers: a person is refused, HobbyFarm passes, and then the policy refuses as well.
async fn an_api_server_tells_what_the_alerts_on_it_ask_for(world: &World) {
    // Older servers count most of it too, but have no policy.
    if world.is_before(30) {
        return;
    }
    world.make_namespace().await;
    let hobbyfarm = format!("--as=system:serviceaccount:{HOBBYFARM}:hobbyfarm-session");
    install(world, &[SOURCES[1]]);
    eventually("people are refused for want of an answer", PATIENCE, async || {
        let outcome = dry_run_of_a_session(world, HOBBYFARM, &["--as=alice"]);
        outcome.stderr.contains("failed calling webhook").then_some(())
    })
    .await;
    let outcome = dry_run_of_a_session(world, HOBBYFARM, &[&hobbyfarm, "--as-uid=1"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    upgrade(world, &[SOURCES[1], "--set=guard=policy-and-webhook"]);
    eventually("people are refused by the policy", PATIENCE, async || {
        let outcome = dry_run_of_a_session(world, HOBBYFARM, &["--as=alice"]);
        outcome.stderr.contains("ManualCreate").then_some(())
    })
    .await;
    let all = world.kubectl.run(&["get", "--raw", "/metrics"]).succeeds().stdout;
    let is_asked_for = |line: &&str| {
        let names = [
            "apiserver_admission_webhook_rejection_count{",
            "apiserver_admission_webhook_fail_open_count{",
            "apiserver_admission_webhook_admission_duration_seconds_bucket{",
            "apiserver_admission_match_condition_exclusions_total{",
            "apiserver_validating_admission_policy_check_total{",
        ];
        names.iter().any(|name| line.starts_with(name)) && line.contains("session-webhook")
    };
    let found: BTreeSet<_> = all.lines().filter(is_asked_for).collect();
    for part in [
        r#"rejection_count{error_type="calling_webhook_error",name="validate.session-webhook.hobbyfarm.io""#,
        r#"fail_open_count{name="mutate.session-webhook.hobbyfarm.io""#,
        r#"fail_open_count{name="validate-hobbyfarm.session-webhook.hobbyfarm.io""#,
        r#"admission_duration_seconds_bucket{name="validate.session-webhook.hobbyfarm.io""#,
        r#"match_condition_exclusions_total{kind="webhook",name="validate-hobbyfarm.session-webhook.hobbyfarm.io""#,
        r#"policy_check_total{enforcement_action="deny",error_type="invalid_error",policy="hobbyfarm-session-webhook""#,
    ] {
        assert!(found.iter().any(|line| line.contains(part)), "{part}: {found:#?}");
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        let lines: String = found.iter().flat_map(|line| [*line, "\n"]).collect();
        let text = format!("# What a kube-apiserver {} tells; UPDATE_FIXTURES=1 writes it.\n{lines}", world.server);
        fs::write(repository().join("tests/fixtures/apiserver/metrics.txt"), text).unwrap();
    }
    uninstall(world);
    world.remove_namespace();
}

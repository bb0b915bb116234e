//! Upgrades, rollbacks, uninstalls, and releases beside one another.

use serde_json::{Value, json};

use crate::objects::{
    ADMISSION, Deletions, WEBHOOKS, collection, configuration, deployment, names, read, replica_sets,
};
use crate::process::eventually;
use crate::replica::Replica;
use crate::scenarios::{ENGINES, SOURCES, dry_run_of_a_session, install, uninstall, upgrade};
use crate::verbs::accepts;
use crate::world::{Engine, NAMESPACE, PATIENCE, RELEASE, World, chart, repository};
use crate::writer::{HOBBYFARM, Request};

pub(crate) async fn a_changed_setting_rolls_the_pods_and_a_rollback_rolls_them_back(world: &World) {
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

pub(crate) async fn an_uninstall_leaves_nothing_and_helm_4_begins_with_the_webhooks(world: &World) {
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

pub(crate) async fn what_the_program_keeps_outlives_an_upgrade_and_goes_with_the_release(world: &World) {
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

/// Waits until the API server says so of the account of the pods that answer it. There need be no users: RBAC goes by names.
async fn serving_pods_may_list_users(world: &World, expected: bool) {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{NAMESPACE}:session-webhook"),
            "resourceAttributes": {"group": "hobbyfarm.io", "resource": "users", "verb": "list"},
        },
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    eventually("the serving pods' rights are those of the chart", PATIENCE, async || {
        let review = accepts(&world.admin, Request::post(path, review.clone())).await.body;
        (review["status"]["allowed"] == expected).then_some(())
    })
    .await;
}

/// From the chart as it was at f1ae382, with both Helms and both ways to a certificate, and back again.
pub(crate) async fn an_upgrade_from_the_chart_before_leaves_no_moment_without_guard(world: &World) {
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
        serving_pods_may_list_users(world, true).await;
        let mut deletions = Deletions::of(world, &format!("{ADMISSION}/validatingwebhookconfigurations")).await;
        world.helm_of(engine, &["upgrade", RELEASE, &chart(), source, "--set=audit.enabled=true"]).succeeds();
        assert_eq!(uids().await, first, "{engine:?}: nothing was deleted and made anew");
        let account = read(world, &(collection("v1", "serviceaccounts") + "/session-webhook-audit")).await;
        assert_eq!(account["metadata"]["name"], "session-webhook-audit");
        serving_pods_may_list_users(world, false).await;
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

pub(crate) async fn an_autoscaler_takes_over_from_as_many_replicas_as_there_are(world: &World) {
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
pub(crate) async fn a_second_release_of_the_same_names_is_refused(world: &World) {
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

/// As docs/install.md says.
pub(crate) async fn two_releases_guard_the_sessions_of_two_hobbyfarms(world: &World) {
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

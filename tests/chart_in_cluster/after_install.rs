//! What is said of an installation afterwards: by `helm test`, by the API server's metrics, by the pages about rights and GitOps.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::process::Stdio;

use axum::http::Method;
use serde_json::{Value, json};

use crate::objects::{collection, read};
use crate::process::eventually;
use crate::replica::runs_as;
use crate::scenarios::{SOURCES, dry_run_of_a_session, install, uninstall, upgrade};
use crate::verbs::accepts;
use crate::world::{NAMESPACE, PATIENCE, RELEASE, World, repository};
use crate::writer::{HOBBYFARM, Request};

pub(crate) async fn the_objects_on_the_page_about_gitops_are_accepted(world: &World) {
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

pub(crate) async fn each_account_may_do_what_the_page_about_rights_says_and_nothing_else(world: &World) {
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

pub(crate) async fn the_service_has_addresses_of_both_families_where_that_is_wanted(world: &World) {
    if world.is_before(23) {
        return;
    }
    world.make_namespace().await;
    let wanted = [SOURCES[1], "--set=service.ipFamilyPolicy=PreferDualStack"];
    install(world, &wanted);
    let service = read(world, &(collection("v1", "services") + "/session-webhook")).await;
    assert_eq!(service["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(service["spec"]["clusterIPs"].as_array().unwrap().len(), 2);
    let diff = world.kubectl.run_with(&["diff", "-f", "-"], &world.rendered(&wanted), "false");
    assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{diff:?}");
    uninstall(world);
    world.remove_namespace();
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

/// No pod answers: a person is refused, HobbyFarm passes, and then the policy refuses as well.
pub(crate) async fn an_api_server_tells_what_the_alerts_on_it_ask_for(world: &World) {
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

/// This cluster has no kubelet: the test does what the pod says, and tells the API server what came of it.
pub(crate) async fn helm_test_asks_doctor_in_the_cluster_and_leaves_no_rights_behind(world: &World) {
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

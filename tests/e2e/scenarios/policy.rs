//! The policy that the API server evaluates by itself: `session-webhook policy`, `manifests/components/policy`.

use std::time::Duration;

use serde_json::{Value, json};

use super::deletion::{FINALIZER, config_map, config_maps, is_dying, reference};
use super::no_answer::metric;
use super::outage::{label, sets_failure_policy, without_webhook};
use crate::process::eventually;
use crate::twin::{self, NAME, with_policy, with_policy_alone};
use crate::verbs::{accepts, becomes, goes, stored, watch_cache_has_caught_up};
use crate::world::World;
use crate::writer::{Reply, Request, Writer};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/components/policy/policy.yaml");
const BREAK_GLASS: &str = "kubernetes-admin";
const PATIENCE: Duration = Duration::from_mins(1);
const CHECKS: &str = "apiserver_validating_admission_policy_check_total";

pub(super) async fn kubectl_says_that_an_old_server_does_not_know_it(world: &World) {
    let applied = world.admin_kubectl.run(&["apply", "-f", FILE]);
    if world.version.is_at_least("1.30") {
        world.admin_kubectl.run(&["delete", "-f", FILE]).succeeds();
        applied.succeeds();
        return;
    }
    assert!(applied.stderr.contains("no matches for kind \"ValidatingAdmissionPolicy\""), "{applied:?}");
}

fn is_refused_by_the_policy(reply: &Reply, rule: &str) -> bool {
    let told = format!("denied request: {rule}: user ");
    (reply.code, &reply.body["reason"]) == (403, &Value::from("Forbidden")) && reply.message().contains(&told)
}

/// What the policy is expected to say of a request in one of the three modes.
struct Expected<'a> {
    world: &'a World,
    mode: &'a str,
}

impl Expected<'_> {
    /// The rule lets everybody pass, silently.
    async fn allows(&self, rule: &str, writer: &Writer, session: &Value, request: Request) -> Value {
        watch_cache_has_caught_up(&self.world.admin, session).await;
        let reply = accepts(writer, request).await;
        assert!(!reply.warnings.iter().any(|warning| warning.contains(NAME)), "{rule}: {reply:?}");
        self.tells(rule, "allow", writer, session).await;
        reply.body
    }

    /// The rule refuses, as the mode has it.
    async fn refuses(&self, rule: &str, writer: &Writer, session: &Value, request: Request) {
        watch_cache_has_caught_up(&self.world.admin, session).await;
        let reply = writer.sends(&request).await;
        let warned = reply.warnings.iter().any(|warning| warning.contains(&format!("{rule}: user ")));
        let as_the_mode_has_it = match self.mode {
            "enforce" => is_refused_by_the_policy(&reply, rule) && !warned,
            "warn" => reply.code < 300 && warned,
            _ => reply.code < 300 && !warned,
        };
        assert!(as_the_mode_has_it, "{}: {rule}: {request:?}: {reply:?}", self.mode);
        if self.mode == "enforce" {
            let name = reply.body["details"]["name"].as_str();
            assert!(name.is_none_or(|name| name == session["metadata"]["name"]), "{reply:?}");
        }
        self.tells(rule, "deny", writer, session).await;
    }

    /// The audit log has what `docs/admission-policy.md` promises.
    async fn tells(&self, rule: &str, decision: &str, writer: &Writer, session: &Value) {
        let told = twin::audit_annotations(self.world, session, &writer.user).await;
        let says = |key: &str| told.get(format!("{NAME}/{key}")).and_then(Value::as_str);
        let mode = Some(self.mode).filter(|mode| *mode != "enforce");
        let break_glass = (rule == "BreakGlass").then_some("true");
        let all = (says("rule"), says("decision"), says("mode"), says("break-glass"));
        assert_eq!(all, (Some(rule), Some(decision), mode, break_glass), "{told}");
        let failure = told.get("validation.policy.admission.k8s.io/validation_failure").and_then(Value::as_str);
        let is_audited = failure.is_some_and(|failure| failure.contains(&format!("{rule}: user ")));
        assert_eq!(is_audited, self.mode == "audit" && decision == "deny", "{told}");
    }
}

/// Each row of the table, by the policy alone: there is no webhook configuration.
async fn decides_each_row(world: &World, mode: &str) {
    let garbage_collector = world.account("kube-system", "generic-garbage-collector").await;
    let impersonator = &world.strangers.iter().find(|(who, _)| *who == "a person in disguise").unwrap().1;
    let admin = &world.admin;
    assert_eq!(admin.user, BREAK_GLASS);
    let options = ["--mode", mode, "--break-glass-user", BREAK_GLASS];
    with_policy_alone(world, &options, async {
        let expected = Expected { world, mode };
        // The one before it knows no break-glass user.
        eventually("this policy is in force", PATIENCE, async || {
            let probe = world.new_session();
            admin.sends(&Request::create(&probe).dry_run()).await;
            let annotations = twin::audit_annotations(world, &probe, &admin.user).await;
            annotations.as_object().unwrap().values().any(|rule| rule == "BreakGlass").then_some(())
        })
        .await;
        let new = world.new_session();
        let session = expected.allows("HobbyFarm", &world.hobbyfarm, &new, Request::create(&new)).await;
        let (disguise, hand) = (world.new_session(), world.new_session());
        expected.refuses("Impersonation", impersonator, &disguise, Request::create(&disguise)).await;
        expected.refuses("ManualCreate", &world.alice, &hand, Request::create(&hand)).await;
        expected.refuses("ManualEdit", &world.alice, &session, label(&session)).await;
        let status = json!({"status": {"end_time": "soon"}});
        expected.refuses("ManualStatusEdit", &world.alice, &session, Request::merge_status(&session, status)).await;
        let same = stored(admin, &session).await;
        expected.allows("NoChange", &world.alice, &session, Request::replace(&same)).await;
        let annotate = Request::merge(&session, json!({"metadata": {"annotations": {"by": "break-glass"}}}));
        expected.allows("BreakGlass", admin, &session, annotate).await;
        let hold = Request::merge(&session, json!({"metadata": {"finalizers": [FINALIZER]}}));
        expected.allows("Housekeeping", &garbage_collector, &session, hold).await;
        let edit = Request::merge(&session, json!({"metadata": {"finalizers": []}, "spec": {"course": "c-9"}}));
        expected.refuses("ManualEdit", &garbage_collector, &session, edit).await;
        let hold = Request::merge(&session, json!({"metadata": {"finalizers": [FINALIZER]}}));
        accepts(&world.hobbyfarm, hold).await;
        // No rule is about DELETE.
        accepts(&world.alice, Request::delete(&session, "Background")).await;
        let relabel = json!({"metadata": {"labels": {"a": mode}, "finalizers": null}});
        if mode == "enforce" {
            expected.refuses("ManualEdit", &world.alice, &session, Request::merge(&session, relabel)).await;
        }
        let release = Request::merge(&session, json!({"metadata": {"finalizers": null}}));
        expected.allows("Release", &world.alice, &session, release).await;
        goes(admin, "the released Session", Request::read(&session)).await;
    })
    .await;
}

pub(super) async fn alone_it_decides_each_row_of_the_table(world: &World) {
    let before = metric(world, (CHECKS, NAME)).await;
    decides_each_row(world, "enforce").await;
    assert!(metric(world, (CHECKS, NAME)).await > before, "the API server counts what it denies");
}

pub(super) async fn alone_it_warns_where_the_mode_says_so(world: &World) {
    decides_each_row(world, "warn").await;
}

pub(super) async fn alone_it_only_tells_the_audit_log_where_the_mode_says_so(world: &World) {
    decides_each_row(world, "audit").await;
}

pub(super) async fn its_status_has_no_warnings_of_types(world: &World) {
    with_policy(world, &[], async {
        let status = twin::status(world).await;
        assert!(status["typeChecking"].is_object(), "{status:#}");
        assert!(status["typeChecking"]["expressionWarnings"].is_null(), "{status:#}");
    })
    .await;
}

/// The webhook repairs, refuses what cannot be read and warns a break-glass writer; the policy refuses people, before it.
pub(super) async fn beside_the_webhook_each_does_its_part(world: &World) {
    with_policy(world, &[], async {
        let session = super::flows::starts(world).await;
        let reply = world.alice.sends(&label(&session)).await;
        assert!(is_refused_by_the_policy(&reply, "ManualEdit"), "{reply:?}");
        let told = twin::audit_annotations(world, &session, "alice").await;
        let asked = |key: &String| key.starts_with("validate") && key.contains(".session-webhook.hobbyfarm.io/");
        assert!(!told.as_object().unwrap().keys().any(asked), "the webhook is asked no more: {told}");
        let unreadable = Request::merge_status(&session, json!({"status": {"end_time": "soon"}}));
        crate::verbs::finds_invalid(&world.hobbyfarm, unreadable, &["status.end_time"]).await;
        let told = twin::audit_annotations(world, &session, &world.hobbyfarm.user).await;
        assert_eq!(told[format!("{NAME}/rule")], "HobbyFarm", "{told}");
        super::scope::assert_decided(&told, "BadTime", "deny");
    })
    .await;
}

/// With every replica gone and a webhook that lets everybody pass meanwhile: people stay refused, and all else goes on.
pub(super) async fn it_refuses_people_while_the_webhook_ignores_failures_and_no_replica_runs(world: &World) {
    let session = super::flows::starts(world).await;
    let dying = super::deletion::session_with(world, &json!({"finalizers": [FINALIZER]})).await;
    let owner = config_map(world, json!({})).await;
    let orphan = super::deletion::session_with(world, &json!({"ownerReferences": reference(&owner)})).await;
    with_policy(world, &[], async {
        accepts(&world.admin, sets_failure_policy("Ignore")).await;
        without_webhook(world, async {
            eventually("the webhook ignores failures", std::time::Duration::from_mins(1), async || {
                let reply = world.alice.sends(&Request::create(&world.new_session()).dry_run()).await;
                is_refused_by_the_policy(&reply, "ManualCreate").then_some(())
            })
            .await;
            for (who, stranger) in &world.strangers {
                let rule = if stranger.user == world.hobbyfarm.user { "Impersonation" } else { "ManualEdit" };
                let reply = stranger.sends(&label(&session)).await;
                assert!(is_refused_by_the_policy(&reply, rule), "{who}: {reply:?}");
            }
            accepts(&world.hobbyfarm, Request::create(&world.new_session())).await;
            accepts(&world.hobbyfarm, label(&session)).await;
            accepts(&world.alice, Request::delete(&dying, "Background")).await;
            accepts(&world.alice, Request::merge(&dying, json!({"metadata": {"finalizers": null}}))).await;
            goes(&world.admin, "the released Session", Request::read(&dying)).await;
            accepts(&world.alice, Request::delete(&session, "Foreground")).await;
            goes(&world.admin, "the Session", Request::read(&session)).await;
            let path = config_maps(Some(&owner["metadata"]["name"]));
            accepts(&world.alice, Request::delete_path(&path, "Orphan")).await;
            goes(&world.admin, "the owner", Request::get(path)).await;
            let left = becomes(&world.admin, "the orphan has no owner", Request::read(&orphan), |object| {
                object["metadata"].get("ownerReferences").is_none()
            });
            assert!(!is_dying(&left.await));
        })
        .await;
    })
    .await;
    accepts(&world.admin, sets_failure_policy("Fail")).await;
}

/// From the first answer on nothing by hand is stored.
pub(super) async fn it_survives_a_restart_of_the_api_server(world: &World) {
    with_policy_alone(world, &[], async {
        world.cluster.restart_api_server().await;
        let session = world.new_session();
        eventually("the policy refuses again", std::time::Duration::from_mins(1), async || {
            let reply = world.alice.sends(&Request::create(&session)).await;
            assert!(reply.code >= 400, "{reply:?}");
            is_refused_by_the_policy(&reply, "ManualCreate").then_some(())
        })
        .await;
        accepts(&world.hobbyfarm, Request::create(&session)).await;
    })
    .await;
}

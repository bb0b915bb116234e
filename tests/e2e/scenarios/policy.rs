//! The door held by the API server itself: `manifests/components/policy`.

use std::time::Duration;

use serde_json::{Value, json};

use super::flows::starts;
use super::outage::{sets_failure_policy, without_webhook};
use crate::process::eventually;
use crate::verbs::{accepts, goes};
use crate::world::World;
use crate::writer::{Reply, Request};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/components/policy/policy.yaml");
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const LIMIT: Duration = Duration::from_mins(1);

fn is_refused_by_the_policy(reply: &Reply, rule: &str) -> bool {
    let told = format!("denied request: {rule}: user ");
    (reply.code, &reply.body["reason"]) == (403, &Value::from("Forbidden")) && reply.message().contains(&told)
}

/// With every pod gone, and a webhook configuration that lets everybody pass meanwhile.
pub(super) async fn it_holds_the_door_where_the_server_knows_it(world: &World) {
    let session = starts(world).await;
    let applied = world.admin_kubectl.run(&["apply", "-f", FILE]);
    if world.admin.sends(&Request::get(POLICIES)).await.code == 404 {
        assert!(applied.stderr.contains("no matches for kind \"ValidatingAdmissionPolicy\""), "{applied:?}");
        return;
    }
    assert_eq!(applied.code, Some(0), "{applied:?}");
    accepts(&world.admin, sets_failure_policy("Ignore")).await;
    without_webhook(world, async {
        let create = Request::create(&world.new_session());
        eventually("the policy refuses", LIMIT, async || {
            is_refused_by_the_policy(&world.alice.sends(&create.clone().dry_run()).await, "ManualCreate").then_some(())
        })
        .await;
        for (who, stranger) in &world.strangers {
            let rule = if stranger.user == world.hobbyfarm.user { "Impersonation" } else { "ManualEdit" };
            let label = Request::merge(&session, json!({"metadata": {"labels": {"by": "hand"}}}));
            let reply = stranger.sends(&label).await;
            assert!(is_refused_by_the_policy(&reply, rule), "{who}: {reply:?}");
        }
        accepts(&world.hobbyfarm, Request::create(&world.new_session())).await;
        accepts(&world.hobbyfarm, Request::merge(&session, json!({"metadata": {"labels": {"by": "hobbyfarm"}}}))).await;
        accepts(&world.alice, Request::delete(&session, "Foreground")).await;
        goes(&world.admin, "the Session", Request::read(&session)).await;
    })
    .await;
    let status = accepts(&world.admin, Request::get(format!("{POLICIES}/hobbyfarm-session-webhook"))).await.body;
    assert!(status["status"]["typeChecking"]["expressionWarnings"].is_null(), "{status:#}");
    assert_eq!(world.admin_kubectl.run(&["delete", "-f", FILE]).code, Some(0));
    accepts(&world.admin, sets_failure_policy("Fail")).await;
}

//! What becomes of writes while no replica answers.

use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};

use super::flows::starts;
use crate::install;
use crate::process::eventually;
use crate::verbs::{accepts, becomes, goes, stored};
use crate::world::World;
use crate::writer::{Reply, Request, Writer};

/// Stops the webhook for as long as the scenario takes, and starts it again however that ends.
pub(super) async fn without_webhook(world: &World, scenario: impl Future<Output = ()>) {
    world.webhook.lock().await.stop();
    let outcome = std::panic::AssertUnwindSafe(scenario).catch_unwind().await;
    world.webhook.lock().await.restart(&[]).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub(super) fn label(session: &Value) -> Request {
    Request::merge(session, json!({"metadata": {"labels": {"outage": "yes"}}}))
}

pub(super) fn is_refused_for_want_of_an_answer(reply: &Reply) -> bool {
    reply.code == 500 && reply.message().contains("session-webhook.hobbyfarm.io")
}

async fn stays_locked_out(writer: &Writer, request: Request) {
    let reply = writer.sends(&request).await;
    assert!(is_refused_for_want_of_an_answer(&reply), "{}: {request:?}: {reply:?}", writer.user);
}

pub(super) async fn people_stay_locked_out(world: &World) {
    let session = starts(world).await;
    without_webhook(world, async {
        for (_, stranger) in &world.strangers {
            stays_locked_out(stranger, Request::create(&world.new_session())).await;
            stays_locked_out(stranger, Request::apply(&world.new_session())).await;
            stays_locked_out(stranger, label(&session)).await;
            let end = json!({"status": {"end_time": ""}});
            let status = if world.form.status_subresource { Request::merge_status } else { Request::merge };
            stays_locked_out(stranger, status(&session, end)).await;
        }
        assert_eq!(stored(&world.admin, &session).await, session);
    })
    .await;
}

pub(super) async fn hobbyfarm_goes_on_where_the_server_knows_match_conditions(world: &World) {
    let session = starts(world).await;
    let goes_on = install::keeps_match_conditions(world).await;
    assert_eq!(goes_on, world.version.is_at_least("1.28"));
    without_webhook(world, async {
        for request in [Request::create(&world.new_session()), label(&session)] {
            let reply = world.hobbyfarm.sends(&request).await;
            if goes_on {
                assert!((200..300).contains(&reply.code), "{reply:?}");
            } else {
                assert!(is_refused_for_want_of_an_answer(&reply), "{reply:?}");
            }
        }
    })
    .await;
    accepts(&world.hobbyfarm, label(&session)).await;
}

pub(super) async fn deleting_goes_on(world: &World) {
    let sessions = [starts(world).await, starts(world).await];
    without_webhook(world, async {
        for (session, writer) in sessions.iter().zip([&world.alice, &world.hobbyfarm]) {
            accepts(writer, Request::delete(session, "Background")).await;
            goes(&world.admin, "the Session", Request::read(session)).await;
        }
        let namespace = format!("/api/v1/namespaces/{}", world.fresh_name());
        let name = namespace.rsplit('/').next().unwrap();
        accepts(&world.alice, Request::post("/api/v1/namespaces", json!({"metadata": {"name": name}}))).await;
        accepts(&world.alice, Request::delete_path(&namespace, "Background")).await;
        goes(&world.admin, "a namespace", Request::get(namespace)).await;
    })
    .await;
}

/// The garbage collector may not update a Session meanwhile; it tries again.
pub(super) async fn what_an_outage_held_up_ends_after_it(world: &World) {
    let session = starts(world).await;
    without_webhook(world, async {
        accepts(&world.alice, Request::delete(&session, "Foreground")).await;
        becomes(&world.admin, "the Session is dying", Request::read(&session), |object| {
            object["metadata"].get("deletionTimestamp").is_some()
        })
        .await;
    })
    .await;
    goes(&world.admin, "the Session", Request::read(&session)).await;
}

/// Of the entry that is for everybody but HobbyFarm.
pub(super) fn sets_failure_policy(policy: &str) -> Request {
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hobbyfarm-session-webhook";
    let change = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": policy}]);
    Request::patch(path.to_owned(), "application/json-patch+json", change)
}

/// The trade that `manifests/components/fail-open` makes.
pub(super) async fn fail_open_lets_people_write(world: &World) {
    let limit = Duration::from_secs(30);
    let session = starts(world).await;
    accepts(&world.admin, sets_failure_policy("Ignore")).await;
    without_webhook(world, async {
        eventually("people write", limit, async || {
            // On a server without matchConditions HobbyFarm's entry has always been open.
            (world.alice.sends(&label(&session)).await.code == 200).then_some(())
        })
        .await;
        accepts(&world.alice, Request::create(&world.new_session())).await;
    })
    .await;
    accepts(&world.admin, sets_failure_policy("Fail")).await;
    without_webhook(world, async {
        let probe = Request::create(&world.new_session()).dry_run();
        eventually("people are locked out again", limit, async || {
            is_refused_for_want_of_an_answer(&world.alice.sends(&probe).await).then_some(())
        })
        .await;
    })
    .await;
}

//! The shipped split on a server that knows `matchConditions`, while no replica answers: in each way in which a replica can fail to.

use futures::future::join_all;
use serde_json::{Value, json};

use super::deletion::{FINALIZER, config_map, config_maps, is_dying, reference, session_with};
use super::flows::starts;
use super::outage::{is_refused_for_want_of_an_answer, label, without_webhook};
use super::scope::annotations;
use crate::stand_in::{Failure, StandIn};
use crate::verbs::{accepts, becomes, goes, stored};
use crate::world::World;
use crate::writer::{Request, Writer};

const PEOPLES_ENTRY: &str = "validate.session-webhook.hobbyfarm.io";
const HOBBYFARMS_ENTRY: &str = "validate-hobbyfarm.session-webhook.hobbyfarm.io";

/// Runs a scenario while the webhook fails to answer in this way.
pub(super) async fn unanswered(world: &World, failure: Failure, scenario: impl Future<Output = ()>) {
    let (address, trusted) = {
        let webhook = world.webhook.lock().await;
        (webhook.address(), webhook.trusted_identity())
    };
    without_webhook(world, async {
        let stand_in = StandIn::start(failure, address, trusted).await;
        scenario.await;
        stand_in.end().await;
    })
    .await;
}

/// One after the other, since each takes the webhook's place.
async fn in_each_way(world: &World, scenario: impl AsyncFn(Failure)) {
    for failure in Failure::ALL {
        unanswered(world, failure, scenario(failure)).await;
    }
}

/// All at once: a call that hangs takes its whole timeout.
async fn all_are_refused(failure: Failure, requests: Vec<(&Writer, Request)>) {
    let replies = requests.iter().map(|(writer, request)| writer.sends(request));
    for (reply, (writer, request)) in join_all(replies).await.iter().zip(&requests) {
        let told = format!("{failure:?}: {} should be refused: {request:?}: {reply:?}", writer.user);
        assert!(is_refused_for_want_of_an_answer(reply), "{told}");
        assert!(reply.message().contains(&format!("failed calling webhook \"{PEOPLES_ENTRY}\"")), "{told}");
    }
}

/// An impersonator of HobbyFarm is a person: there is no uid.
pub(super) async fn people_are_refused(world: &World) {
    let session = starts(world).await;
    in_each_way(world, async |failure| {
        let end = json!({"status": {"end_time": ""}});
        let mut requests = Vec::new();
        for (_, stranger) in &world.strangers {
            requests.push((stranger, Request::create(&world.new_session())));
            requests.push((stranger, label(&session)));
            requests.push((stranger, Request::merge_status(&session, end.clone())));
        }
        all_are_refused(failure, requests).await;
    })
    .await;
    assert_eq!(stored(&world.admin, &session).await, session);
}

pub(super) async fn hobbyfarm_creates_writes_status_and_keeps_alive(world: &World) {
    in_each_way(world, async |failure| {
        let session = accepts(&world.hobbyfarm, Request::create(&world.new_session())).await.body;
        let times = ["2030-01-01T00:00:00Z", "2030-01-01T00:05:00Z"].map(|at| world.form.time(at.parse().unwrap()));
        let status = world.form.status(false, "", true, false, times.each_ref().map(String::as_str));
        accepts(&world.hobbyfarm, Request::merge_status(&session, json!({"status": status}))).await;
        let later = world.form.time("2030-01-01T00:10:00Z".parse().unwrap());
        accepts(&world.hobbyfarm, Request::merge_status(&session, json!({"status": {"end_time": later}}))).await;
        assert_eq!(stored(&world.admin, &session).await["status"]["end_time"], later, "{failure:?}");
    })
    .await;
}

/// Deletes of all kinds, and what the controllers do after them.
pub(super) async fn what_is_deleted_goes_and_garbage_is_collected(world: &World) {
    for failure in Failure::ALL {
        let foreground = starts(world).await;
        let owned = config_map(world, json!({"ownerReferences": reference(&foreground)})).await;
        let (orphaning, owner) = (config_map(world, json!({})).await, config_map(world, json!({})).await);
        let left_behind = session_with(world, &json!({"ownerReferences": reference(&orphaning)})).await;
        let dependent = session_with(world, &json!({"ownerReferences": reference(&owner)})).await;
        let background = starts(world).await;
        let elsewhere = world.fresh_name();
        let namespace = format!("/api/v1/namespaces/{elsewhere}");
        accepts(&world.alice, Request::post("/api/v1/namespaces", json!({"metadata": {"name": elsewhere}}))).await;
        let mut session = world.new_session();
        session["metadata"]["namespace"] = json!(elsewhere);
        accepts(&world.hobbyfarm, Request::create(&session)).await;

        unanswered(world, failure, async {
            let path = |object: &Value| config_maps(Some(&object["metadata"]["name"]));
            accepts(&world.alice, Request::delete(&background, "Background")).await;
            accepts(&world.alice, Request::delete(&foreground, "Foreground")).await;
            accepts(&world.alice, Request::delete_path(path(&orphaning), "Orphan")).await;
            accepts(&world.alice, Request::delete_path(path(&owner), "Foreground")).await;
            accepts(&world.alice, Request::delete_path(&namespace, "Background")).await;
            let what = |what: &str| format!("{failure:?}: {what}");
            goes(&world.admin, &what("the Session"), Request::read(&background)).await;
            goes(&world.admin, &what("a Session in the foreground"), Request::read(&foreground)).await;
            goes(&world.admin, &what("what that owned"), Request::get(path(&owned))).await;
            goes(&world.admin, &what("the owner that orphans"), Request::get(path(&orphaning))).await;
            goes(&world.admin, &what("the owner"), Request::get(path(&owner))).await;
            goes(&world.admin, &what("a Session with its owner"), Request::read(&dependent)).await;
            goes(&world.admin, &what("the namespace"), Request::get(&namespace)).await;
            let orphaned = what("the orphan has no owner");
            let left = becomes(&world.admin, &orphaned, Request::read(&left_behind), |object| {
                object["metadata"].get("ownerReferences").is_none()
            });
            assert!(!is_dying(&left.await));
        })
        .await;
    }
}

/// As `docs/concepts.md` says.
pub(super) async fn a_person_who_takes_a_finalizer_off_waits(world: &World) {
    let session = session_with(world, &json!({"finalizers": [FINALIZER]})).await;
    let release = Request::merge(&session, json!({"metadata": {"finalizers": null}}));
    in_each_way(world, async |failure| {
        accepts(&world.alice, Request::delete(&session, "Background")).await;
        all_are_refused(failure, vec![(&world.alice, release.clone())]).await;
    })
    .await;
    accepts(&world.alice, release).await;
    goes(&world.admin, "the released Session", Request::read(&session)).await;
}

/// What the API server itself says of the calls that failed.
pub(super) async fn the_api_server_tells_in_its_audit_log_and_metrics(world: &World) {
    let open = [("apiserver_admission_webhook_fail_open_count", HOBBYFARMS_ENTRY)];
    let rejected = [("apiserver_admission_webhook_rejection_count", PEOPLES_ENTRY)];
    let before = [metric(world, open[0]).await, metric(world, rejected[0]).await];
    let session = world.new_session();
    unanswered(world, Failure::Absent, async {
        accepts(&world.hobbyfarm, Request::create(&session)).await;
        all_are_refused(Failure::Absent, vec![(&world.alice, label(&session))]).await;
    })
    .await;
    assert_eq!([metric(world, open[0]).await, metric(world, rejected[0]).await], [before[0] + 1, before[1] + 1]);
    let told = annotations(world, &session, &world.hobbyfarm.user).await;
    let failed_open = told.as_object().unwrap().iter().any(|(key, value)| {
        key.starts_with("failed-open.validating.webhook.admission.k8s.io/") && value == HOBBYFARMS_ENTRY
    });
    assert!(failed_open, "{told}");
}

/// The sum of a counter of the API server over all that it tells of one webhook.
pub(super) async fn metric(world: &World, (name, webhook): (&str, &str)) -> u64 {
    let text = accepts(&world.admin, Request::get("/metrics")).await.body;
    let label = format!("=\"{webhook}\"");
    text.as_str()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(&label))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

//! What becomes of Sessions that Velero restores, as docs/backup.md says. The requests are those of its `pkg/restore/restore.go`
//! (at d30d389b5, May 2026): a create without status, on request a PUT of the status, and a patch of `managedFields`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::flows::{assert_ends_after, assert_is_between, creates, starts, writes_status};
use super::scope::{annotations, assert_decided};
use crate::backfilling::{self, Replica};
use crate::install::VELERO;
use crate::session::Dialect;
use crate::verbs::{accepts, becomes, goes, rejects, stored};
use crate::world::World;
use crate::writer::{Reply, Request, Writer};

const TIMEOUT: SignedDuration = SignedDuration::from_mins(5);

/// What was answered to a restore of one Session.
struct Restore {
    created: Reply,
    /// Only where the status was to be restored.
    status: Option<Reply>,
    managed_fields: Reply,
}

async fn velero(world: &World) -> Writer {
    world.account(VELERO, VELERO).await
}

/// A Session that ended hours ago, as a backup holds it: what a GET tells, which is gone from the cluster afterwards.
async fn backup(world: &World) -> Value {
    let session = creates(world).await;
    let [start, end] = [7, 2].map(|hours| world.form.time(Timestamp::now() - SignedDuration::from_hours(hours)));
    writes_status(world, &session, |status| *status = world.form.status(false, "", true, false, [&start, &end])).await;
    let backup = stored(&velero(world).await, &session).await;
    assert_eq!(backup["status"]["end_time"], json!(end), "or its times would be those of a new one");
    delete(world, &backup).await;
    backup
}

async fn delete(world: &World, session: &Value) {
    accepts(&world.admin, Request::delete(session, "Background")).await;
    goes(&world.admin, "the Session", Request::read(session)).await;
}

/// The object as Velero sends it first.
fn to_create(backup: &Value) -> Value {
    let mut object = backup.clone();
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| {
        !matches!(
            key.as_str(),
            "generateName"
                | "selfLink"
                | "uid"
                | "resourceVersion"
                | "generation"
                | "creationTimestamp"
                | "deletionTimestamp"
                | "deletionGracePeriodSeconds"
                | "ownerReferences"
        )
    });
    metadata["labels"]["velero.io/backup-name"] = json!("nightly");
    metadata["labels"]["velero.io/restore-name"] = json!("nightly-20261126");
    object
}

async fn restore(velero: &Writer, backup: &Value, with_status: bool) -> Restore {
    let mut object = to_create(backup);
    let created = accepts(velero, Request::create(&object)).await;
    let mut status = None;
    if with_status {
        object["status"] = backup["status"].clone();
        object["metadata"]["resourceVersion"] = created.body["metadata"]["resourceVersion"].clone();
        status = Some(velero.sends(&Request::replace_status(&object)).await);
    }
    let fields = json!({"metadata": {"managedFields": backup["metadata"]["managedFields"]}});
    let managed_fields = accepts(velero, Request::merge(backup, fields)).await;
    Restore { created, status, managed_fields }
}

/// Lets Velero write, as the page says.
async fn break_glass(world: &World, velero: &Writer) {
    world.webhook.lock().await.restart(&["--break-glass-user", &velero.user]).await;
}

async fn assert_is_let_pass_with_a_word(world: &World, velero: &Writer, backup: &Value, reply: &Reply) {
    assert!(reply.warnings.iter().any(|warning| warning.contains("break-glass")), "{reply:?}");
    assert_decided(&annotations(world, backup, &velero.user).await, "BreakGlass", "allow");
}

/// Spec, labels and name are those of the backup.
fn assert_is_the_same(object: &Value, backup: &Value) {
    assert_eq!(object["spec"], backup["spec"]);
    assert_eq!(object["metadata"]["labels"], to_create(backup)["metadata"]["labels"]);
}

/// The times of a Session that begins now.
fn assert_begins_now(world: &World, object: &Value, before: Timestamp) {
    let before = Timestamp::from_second(before.as_second()).unwrap();
    assert_is_between(world, world.form.parse_time(&object["status"]["start_time"]), before);
    assert_ends_after(world, &object["status"], before, TIMEOUT);
}

pub(super) async fn velero_is_refused_like_anybody_else(world: &World) {
    let velero = velero(world).await;
    let backup = backup(world).await;
    rejects(&velero, Request::create(&to_create(&backup))).await;
    assert_decided(&annotations(world, &backup, &velero.user).await, "ManualCreate", "deny");
    assert_eq!(world.admin.sends(&Request::read(&backup)).await.code, 404);

    // With `--existing-resource-policy update` it patches what is there already.
    let there = starts(world).await;
    let labels = json!({"metadata": {"labels": {"velero.io/backup-name": "nightly"}}});
    rejects(&velero, Request::merge(&there, labels)).await;
    assert_decided(&annotations(world, &there, &velero.user).await, "ManualEdit", "deny");
}

pub(super) async fn as_break_glass_a_status_comes_back_where_it_is_a_subresource_and_is_made_anew_elsewhere(
    world: &World,
) {
    let velero = velero(world).await;
    let backup = backup(world).await;
    break_glass(world, &velero).await;
    let before = Timestamp::now();
    let restore = restore(&velero, &backup, true).await;
    assert_is_let_pass_with_a_word(world, &velero, &backup, &restore.created).await;
    assert_is_let_pass_with_a_word(world, &velero, &backup, &restore.managed_fields).await;
    let object = stored(&world.admin, &backup).await;
    assert_is_the_same(&object, &backup);
    let reply = restore.status.unwrap();
    if world.form.status_subresource {
        assert_eq!(reply.code, 200, "{reply:?}");
        assert_eq!(object["status"], backup["status"], "as it was, though its end has passed");
    } else {
        // There is no such path. Velero tells a warning and goes on.
        assert_eq!(reply.code, 404, "{reply:?}");
        assert_begins_now(world, &object, before);
    }
    world.webhook.lock().await.restart(&[]).await;
    rejects(&velero, Request::merge(&backup, json!({"metadata": {"labels": {"a": "b"}}}))).await;
}

pub(super) async fn as_break_glass_a_session_without_its_status_is_given_times(world: &World) {
    let velero = velero(world).await;
    let backup = backup(world).await;
    break_glass(world, &velero).await;
    let before = Timestamp::now();
    let restore = restore(&velero, &backup, false).await;
    assert_is_let_pass_with_a_word(world, &velero, &backup, &restore.created).await;
    world.webhook.lock().await.restart(&[]).await;
    let mut object = stored(&world.admin, &backup).await;
    assert_is_the_same(&object, &backup);
    if world.form.status_subresource {
        assert_eq!(object.get("status"), None, "the API server drops what /mutate adds");
        if world.form.dialect == Dialect::Documented {
            return; // what the backfill does in each dialect is said in `backfill`, and takes it ten seconds
        }
        backfilling::prepare(world).await;
        let mut replica = Replica::start(world, "backfill-after-restore", &[]).await;
        replica.leads().await;
        let has_end = |object: &Value| object["status"]["end_time"].is_string();
        object = becomes(&world.admin, "the Session is given times", Request::read(&backup), has_end).await;
        let created: Timestamp = object["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(world.form.parse_time(&object["status"]["start_time"]), created, "when it was restored");
    }
    assert_begins_now(world, &object, before);
    assert_ne!(object["status"]["end_time"], backup["status"]["end_time"]);
}

//! What the webhook puts right in HobbyFarm's writes, and what it cannot.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::flows::{assert_ends_after, assert_is_between, creates, starts, status_write, writes_status};
use crate::session::Dialect;
use crate::verbs::{accepts, finds_invalid, stored};
use crate::world::World;
use crate::writer::Request;

const TIMEOUT: SignedDuration = SignedDuration::from_mins(5);

/// Where status is a subresource, no write to the Session itself can set it; the first write of status can.
pub(super) async fn a_session_without_status_is_filled_in(world: &World) {
    let form = world.form;
    for status in [None, Some(json!({})), Some(form.zero_status())] {
        if form.status_subresource && status.is_none() {
            continue; // there would be no write of status
        }
        let mut session = world.new_session();
        if let Some(status) = &status {
            session["status"] = status.clone();
        }
        let before = Timestamp::now();
        let created = accepts(&world.hobbyfarm, Request::create(&session)).await.body;
        let mut kept = stored(&world.admin, &created).await;
        if form.status_subresource {
            assert_eq!(kept.get("status"), None, "{form}: {status:?}");
            let mut object = kept.clone();
            if let Some(status) = &status {
                object["status"] = status.clone();
            }
            accepts(&world.hobbyfarm, Request::replace_status(&object)).await;
            kept = stored(&world.admin, &created).await;
        }
        assert_is_filled_in(world, &kept, &format!("{status:?}"), before);
    }
}

fn assert_is_filled_in(world: &World, kept: &Value, sent: &str, before: Timestamp) {
    let form = world.form;
    let status = &kept["status"];
    let start = form.parse_time(&status["start_time"]);
    assert_is_between(world, start, Timestamp::from_second(before.as_second()).unwrap());
    if form.status_subresource {
        let created: Timestamp = kept["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(start, created, "{form}: {sent}");
    }
    assert_ends_after(world, status, before, TIMEOUT);
    // an explicit `active: false` stays, a missing one is the opposite of `finished`
    let active = !sent.contains("active");
    let times = ["start_time", "end_time"].map(|key| status[key].as_str().unwrap());
    assert_eq!(*status, form.status(false, "", active, false, times), "{form}: {sent}");
}

/// HobbyFarm writes that when the pause duration is malformed.
pub(super) async fn a_pause_without_a_time_is_given_one(world: &World) {
    let form = world.form;
    let session = starts(world).await;
    let before = Timestamp::now();
    writes_status(world, &session, |status| status["paused"] = form.flag(true)).await;
    let status = &stored(&world.admin, &session).await["status"];
    let pause = form.parse_time(&status[form.pause_key()]);
    let meaning = match form.dialect {
        Dialect::Documented => SignedDuration::ZERO,
        Dialect::Gargantua => SignedDuration::from_hours(2),
    };
    assert_is_between(world, pause - meaning, before);
    assert_eq!(status["paused"], form.flag(true));
}

pub(super) async fn a_resumed_session_keeps_no_pause_time(world: &World) {
    let form = world.form;
    let session = starts(world).await;
    let pause = form.time(Timestamp::now());
    writes_status(world, &session, |status| {
        status["paused"] = form.flag(true);
        status[form.pause_key()] = json!(pause);
    })
    .await;
    writes_status(world, &session, |status| status["paused"] = form.flag(false)).await;
    assert_eq!(stored(&world.admin, &session).await["status"][form.pause_key()], "");
}

pub(super) async fn a_finished_session_is_not_active(world: &World) {
    let form = world.form;
    let session = starts(world).await;
    writes_status(world, &session, |status| status["finished"] = form.flag(true)).await;
    let status = &stored(&world.admin, &session).await["status"];
    assert_eq!((&status["finished"], &status["active"]), (&form.flag(true), &form.flag(false)));
}

pub(super) async fn values_of_another_shape_are_put_right_and_the_writer_is_told(world: &World) {
    let form = world.form;
    let session = starts(world).await;
    let reply = writes_status(world, &session, |status| {
        status["active"] = json!("Yes");
        status["paused"] = json!(0);
        status["start_time"] = json!("2026-11-23T10:00:00Z");
        // the other dialect's layout
        status["end_time"] = match form.dialect {
            Dialect::Documented => json!("Mon Nov 23 11:00:00 UTC 2026"),
            Dialect::Gargantua => json!("2026-11-23 11:00:00 +0000 UTC"),
        };
    })
    .await;
    let times = ["2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"].map(|time| form.time(time.parse().unwrap()));
    let expected = form.status(false, "", true, false, times.each_ref().map(String::as_str));
    assert_eq!(stored(&world.admin, &session).await["status"], expected, "{form}");
    for field in ["active", "paused", "start_time", "end_time"] {
        assert!(reply.warnings.iter().any(|warning| warning.contains(field)), "{form}: {field}: {:?}", reply.warnings);
    }
}

pub(super) async fn values_that_nobody_could_read_are_refused_and_named(world: &World) {
    let session = starts(world).await;
    let cases = [
        ("active", json!("perhaps"), "status.active"),
        ("start_time", json!("yesterday"), "status.start_time"),
        ("end_time", json!("tomorrow at noon"), "status.end_time"),
    ];
    for (key, value, field) in cases {
        let mut object = stored(&world.hobbyfarm, &session).await;
        object["status"][key] = value;
        finds_invalid(&world.hobbyfarm, status_write(world, &object), &[field]).await;
    }
    let mut object = stored(&world.hobbyfarm, &session).await;
    object["status"]["start_time"] = json!("yesterday");
    object["status"]["end_time"] = json!("tomorrow");
    let reply =
        finds_invalid(&world.hobbyfarm, status_write(world, &object), &["status.start_time", "status.end_time"]).await;
    assert!(reply.message().contains("session-webhook.hobbyfarm.io"), "{reply:?}");
    assert_eq!(stored(&world.admin, &session).await["status"], session["status"], "nothing of it was stored");
}

/// RFC 6902 cannot add below what is not there, and the API server answers 500 before any webhook; a merge patch can.
pub(super) async fn a_patch_into_a_missing_status_is_repaired_where_it_applies_at_all(world: &World) {
    if !world.form.status_subresource {
        // here no Session is ever without status, as `a_session_without_status_is_filled_in` shows
        let session = creates(world).await;
        assert_ne!(stored(&world.admin, &session).await.get("status"), None);
        return;
    }
    let session = creates(world).await;
    let start = world.form.time(Timestamp::now());
    let add = json!([{"op": "add", "path": "/status/start_time", "value": start}]);
    let reply = world.hobbyfarm.sends(&Request::json_patch_status(&session, add)).await;
    assert!(!(200..300).contains(&reply.code) && !reply.message().contains("session-webhook"), "{reply:?}");

    let before = Timestamp::now();
    accepts(&world.hobbyfarm, Request::merge_status(&session, json!({"status": {"start_time": start}}))).await;
    let status = &stored(&world.admin, &session).await["status"];
    assert_ends_after(world, status, before, TIMEOUT);
    let end = status["end_time"].as_str().unwrap();
    assert_eq!(*status, world.form.status(false, "", true, false, [&start, end]));
}

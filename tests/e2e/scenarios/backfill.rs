//! `serve --backfill`: what becomes of stored Sessions that HobbyFarm cannot work with.

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use session_webhook::cluster::sessions::{Sessions, WriteOutcome};
use session_webhook::core::admission::normalize::Edit;
use session_webhook::core::session::Field;

use crate::backfilling::{Replica, event, events, plant, prepare};
use crate::install::NAMESPACE;
use crate::process::eventually;
use crate::surroundings;
use crate::verbs::{accepts, becomes, stored};
use crate::world::World;
use crate::writer::{HOBBYFARM, Request};

const PATIENCE: Duration = Duration::from_mins(1);
/// The defaulted end lies so far ahead.
const SESSION_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);

/// Waits until both times are there; the end.
async fn is_given_times(world: &World, session: &Value) -> Timestamp {
    let has_times = |object: &Value| {
        ["start_time", "end_time"].iter().all(|key| object["status"][key].as_str().is_some_and(|time| time.len() > 20))
    };
    let object = becomes(&world.hobbyfarm, "the session is given times", Request::read(session), has_times).await;
    let [start, end] = ["start_time", "end_time"].map(|key| world.form.parse_time(&object["status"][key]));
    assert!(start <= end, "{object}");
    end
}

pub(super) async fn a_session_without_times_is_given_them(world: &World) {
    prepare(world).await;
    // Its repairs are counted.
    world.delete_all_sessions().await;
    let session = world.new_session();
    plant(world, std::slice::from_ref(&session)).await;
    let before = Timestamp::now();
    let mut replica = Replica::start(world, "backfill", &[]).await;
    replica.leads().await;

    let end = is_given_times(world, &session).await;
    let ahead = end.duration_since(before);
    assert!(ahead > SESSION_TIMEOUT - SignedDuration::from_secs(2), "{ahead:#}");
    assert!(event(world, &session, "TimesSet").await.contains("status.end_time to "));
    let object = stored(&world.admin, &session).await;
    assert_eq!(object["status"]["active"], world.form.flag(true), "the other repairs of /mutate are made as well");
    assert_eq!(object["spec"], session["spec"]);

    // One that comes while it watches.
    let later = world.new_session();
    plant(world, std::slice::from_ref(&later)).await;
    is_given_times(world, &later).await;
    replica.has_repaired(2).await;
}

pub(super) async fn a_time_that_nobody_can_read_is_replaced_and_told_of(world: &World) {
    prepare(world).await;
    let start = world.form.time(Timestamp::now());
    let planted = |end: &str| {
        let mut session = world.new_session();
        session["status"] = world.form.status(false, "", true, false, [&start, end]);
        session
    };
    let (garbage, empty, sound) = (planted("in 5x"), planted(""), planted(&start));
    plant(world, &[garbage.clone(), empty.clone(), sound.clone()]).await;
    let mut replica = Replica::start(world, "backfill", &[]).await;
    replica.leads().await;

    for session in [&garbage, &empty] {
        is_given_times(world, session).await;
        assert_eq!(stored(&world.admin, session).await["status"]["start_time"], json!(start), "what is sound stays");
    }
    let told = event(world, &garbage, "UnreadableTimeReplaced").await;
    assert!(told.contains("status.end_time \"in 5x\" is no time"), "{told}");
    assert!(event(world, &empty, "TimesSet").await.contains("status.end_time to "));
    assert_eq!(stored(&world.admin, &sound).await["status"]["end_time"], json!(start));
    assert_eq!(events(world, &sound).await, []);
}

pub(super) async fn a_session_that_is_being_deleted_is_left_alone(world: &World) {
    prepare(world).await;
    let (mut dying, alive) = (world.new_session(), world.new_session());
    dying["metadata"]["finalizers"] = json!(["hobbyfarm.io/e2e"]);
    plant(world, &[dying.clone(), alive.clone()]).await;
    accepts(&world.alice, Request::delete(&dying, "Background")).await;
    let version = stored(&world.admin, &dying).await["metadata"]["resourceVersion"].clone();
    let mut replica = Replica::start(world, "backfill", &[]).await;
    replica.leads().await;

    // The other one is as old, and comes behind it.
    is_given_times(world, &alive).await;
    assert_eq!(stored(&world.admin, &dying).await["metadata"]["resourceVersion"], version);
    accepts(&world.alice, Request::merge(&dying, json!({"metadata": {"finalizers": null}}))).await;
}

pub(super) async fn a_time_that_nobody_can_read_stays_where_it_is_wanted_so(world: &World) {
    prepare(world).await;
    let start = world.form.time(Timestamp::now());
    let mut garbage = world.new_session();
    garbage["status"] = world.form.status(false, "", true, false, [&start, "in 5x"]);
    plant(world, std::slice::from_ref(&garbage)).await;
    let mut replica = Replica::start(world, "backfill", &["--backfill-unparsable=false"]).await;
    replica.leads().await;
    let told = event(world, &garbage, "UnreadableTime").await;
    assert!(told.contains("status.end_time \"in 5x\""), "{told}");
    assert_eq!(stored(&world.admin, &garbage).await["status"]["end_time"], json!("in 5x"));
    assert_eq!(replica.metric("backfill_unparsable_times_total{action=\"kept\"}").await, 1);
}

pub(super) async fn the_course_says_how_long_a_session_lives(world: &World) {
    prepare(world).await;
    surroundings::define(world);
    for (resource, name, duration) in
        [("courses", "c-long", "2h30m"), ("courses", "c-malformed", "5x"), ("scenarios", "s-long", "3h")]
    {
        surroundings::add(world, resource, name, json!({"keepalive_duration": duration})).await;
    }
    let session = |course: &str, scenario: &str| {
        let mut session = world.new_session();
        session["spec"]["course"] = json!(course);
        session["spec"]["scenario"] = json!(scenario);
        session
    };
    let (course, scenario) = (session("c-long", "s-long"), session("", "s-long"));
    let (malformed, gone) = (session("c-malformed", "s-long"), session("c-gone", "s-gone"));
    plant(world, &[course.clone(), scenario.clone(), malformed.clone(), gone.clone()]).await;
    let before = Timestamp::now();
    let mut replica = Replica::start(world, "backfill", &[]).await;
    replica.leads().await;
    for (session, expected) in [
        (&course, SignedDuration::from_mins(150)),
        (&scenario, SignedDuration::from_mins(180)),
        (&malformed, SESSION_TIMEOUT),
        (&gone, SESSION_TIMEOUT),
    ] {
        let ahead = is_given_times(world, session).await.duration_since(before);
        let late = ahead - expected;
        assert!(late > SignedDuration::from_secs(-2) && late < SignedDuration::from_mins(2), "{session}: {ahead:#}");
    }
    assert!(event(world, &malformed, "MalformedKeepAlive").await.contains("\"5x\""));
}

/// HobbyFarm's own write, as it makes it: a read, then the whole object, again after a conflict.
async fn hobbyfarm_writes(world: &World, session: &Value, times: [&str; 2]) {
    eventually("HobbyFarm writes", PATIENCE, async || {
        let mut object = stored(&world.hobbyfarm, session).await;
        object["status"] = world.form.status(false, "", true, false, times);
        let put = if world.form.status_subresource { Request::replace_status } else { Request::replace };
        let reply = world.hobbyfarm.sends(&put(&object)).await;
        assert!(matches!(reply.code, 200 | 409), "{reply:?}");
        (reply.code == 200).then_some(())
    })
    .await;
}

pub(super) async fn what_hobbyfarm_writes_at_the_same_moment_stays(world: &World) {
    let count = if world.version.is_newest_tested() { 1000 } else { 200 };
    prepare(world).await;
    let sessions: Vec<_> = (0..count).map(|_| world.new_session()).collect();
    plant(world, &sessions).await;
    let now = Timestamp::now();
    let (start, end) = (world.form.time(now), world.form.time(now + SignedDuration::from_hours(7)));
    let mut replica = Replica::start(world, "backfill", &[]).await;
    replica.leads().await;
    // At the pace of the backfill, so that each comes first for about half of them.
    for (written, chunk) in sessions.chunks(8).enumerate() {
        eventually("the backfill goes on", PATIENCE, async || {
            let repaired = replica.metric("backfill_sessions_total{result=\"repaired\"}").await;
            let is_done = replica.metric("backfill_waiting_sessions").await == 0;
            (is_done || 8 * written as u64 <= repaired + 8).then_some(())
        })
        .await;
        join_all(chunk.iter().map(|session| hobbyfarm_writes(world, session, [&start, &end]))).await;
    }
    eventually("the backfill has seen them all", PATIENCE, async || {
        (replica.metric("backfill_waiting_sessions").await == 0).then_some(())
    })
    .await;
    for session in &sessions {
        assert_eq!(stored(&world.hobbyfarm, session).await["status"]["end_time"], json!(end));
    }
    let repaired = replica.metric("backfill_sessions_total{result=\"repaired\"}").await;
    let outrun = replica.metric("backfill_sessions_total{result=\"outrun\"}").await;
    assert!(repaired > 0, "the two never met");
    assert!(repaired < count, "the two never met");
    println!("       {count} sessions: {repaired} repaired before HobbyFarm wrote, {outrun} times outrun by it");
}

/// The moment between the backfill's read and its write.
pub(super) async fn a_write_that_comes_in_between_is_never_overwritten(world: &World) {
    prepare(world).await;
    let session = world.new_session();
    plant(world, std::slice::from_ref(&session)).await;
    let client = world.account(NAMESPACE, "session-webhook").await.client;
    let sessions = Sessions::discover(&client).await.unwrap().unwrap();
    assert_eq!(sessions.status_subresource, world.form.status_subresource);
    let read = sessions.api(Some(HOBBYFARM)).get(session["metadata"]["name"].as_str().unwrap()).await.unwrap();

    let [start, end] = [1, 7].map(|hours| world.form.time(Timestamp::now() + SignedDuration::from_hours(hours)));
    hobbyfarm_writes(world, &session, [&start, &end]).await;
    let edits = [Edit { field: Field::EndTime, value: json!(start), rewritten: None }];
    let outcome = sessions.write(&read, &edits, true, false).await.unwrap();
    assert!(matches!(outcome, WriteOutcome::Conflict), "{outcome:?}");
    assert_eq!(stored(&world.hobbyfarm, &session).await["status"]["end_time"], json!(end));

    let read = sessions.api(Some(HOBBYFARM)).get(session["metadata"]["name"].as_str().unwrap()).await.unwrap();
    let outcome = sessions.write(&read, &edits, false, true).await.unwrap();
    assert!(matches!(outcome, WriteOutcome::Stored(_)), "a dry run: {outcome:?}");
    assert_eq!(stored(&world.hobbyfarm, &session).await["status"]["end_time"], json!(end));
    let outcome = sessions.write(&read, &edits, false, false).await.unwrap();
    assert!(matches!(outcome, WriteOutcome::Stored(_)), "{outcome:?}");
    assert_eq!(stored(&world.hobbyfarm, &session).await["status"]["end_time"], json!(start));
}

pub(super) async fn another_replica_takes_over_from_one_that_was_killed(world: &World) {
    prepare(world).await;
    let first: Vec<_> = (0..20).map(|_| world.new_session()).collect();
    plant(world, &first).await;
    let mut leader = Replica::start(world, "backfill-leader", &[]).await;
    leader.leads().await;
    let mut follower = Replica::start(world, "backfill-follower", &[]).await;
    for session in &first {
        is_given_times(world, session).await;
    }
    leader.has_repaired(20).await;
    assert_eq!(follower.repaired(), 0, "one acts");
    // SIGKILL
    drop(leader);
    let second: Vec<_> = (0..20).map(|_| world.new_session()).collect();
    plant(world, &second).await;
    follower.leads().await;
    for session in &second {
        is_given_times(world, session).await;
    }
    follower.has_repaired(20).await;
    // Told to stop, it gives the lease back: the next one need not wait for its end.
    let mut third = Replica::start(world, "backfill-third", &[]).await;
    follower.process.terminate();
    eventually("it ends", PATIENCE, async || follower.process.has_ended()).await;
    assert!(follower.process.output().contains("the lease is given back"));
    third.leads().await;
}

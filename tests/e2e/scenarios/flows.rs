//! What HobbyFarm's session service does, request by request.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::session::Dialect;
use crate::verbs::{accepts, goes, stored};
use crate::world::World;
use crate::writer::{HOBBYFARM, Reply, Request, Writer};

/// A live GET, a change, and the whole object back: how HobbyFarm writes status.
pub(super) async fn writes_status(world: &World, session: &Value, change: impl FnOnce(&mut Value)) -> Reply {
    writes_status_as(world, &world.hobbyfarm, session, change).await
}

async fn writes_status_as(world: &World, writer: &Writer, session: &Value, change: impl FnOnce(&mut Value)) -> Reply {
    let mut object = stored(writer, session).await;
    change(&mut object["status"]);
    accepts(writer, status_write(world, &object)).await
}

/// A PUT of status, wherever this form keeps it.
pub(super) fn status_write(world: &World, object: &Value) -> Request {
    if world.form.status_subresource { Request::replace_status(object) } else { Request::replace(object) }
}

/// Creates a Session as HobbyFarm does, with a status in which nothing is set.
pub(super) async fn creates(world: &World) -> Value {
    let mut session = world.new_session();
    session["status"] = world.form.zero_status();
    accepts(&world.hobbyfarm, Request::create(&session)).await.body
}

/// Creates a Session and gives it the status of a running one, which begins now and ends in five minutes.
pub(super) async fn starts(world: &World) -> Value {
    let session = creates(world).await;
    let start = Timestamp::now();
    let times = [start, start + SignedDuration::from_mins(5)].map(|time| world.form.time(time));
    let running = world.form.status(false, "", true, false, times.each_ref().map(String::as_str));
    writes_status(world, &session, |status| *status = running).await.body
}

pub(super) async fn a_session_lives_from_create_to_delete(world: &World) {
    let form = world.form;
    let at = |minutes: i64| form.time(Timestamp::now() + SignedDuration::from_mins(minutes));
    let session = creates(world).await;
    // what the API server stores of the first status is said in `repairs`

    let (start, mut end) = (at(0), at(5));
    let first = form.status(false, "", true, false, [&start, &end]);
    writes_status(world, &session, |status| *status = first.clone()).await;
    assert_eq!(stored(&world.admin, &session).await["status"], first, "{form}: the first status");

    end = at(6);
    let reply = writes_status(world, &session, |status| status["end_time"] = json!(end)).await;
    assert_eq!(reply.warnings, Vec::<String>::new(), "{form}: a keep-alive needs no repair");
    let kept_alive = form.status(false, "", true, false, [&start, &end]);
    assert_eq!(stored(&world.admin, &session).await["status"], kept_alive, "{form}: keep-alive");

    let pause = match form.dialect {
        Dialect::Documented => at(0),
        Dialect::Gargantua => at(5),
    };
    let paused = form.status(true, &pause, true, false, [&start, &end]);
    writes_status(world, &session, |status| *status = paused.clone()).await;
    assert_eq!(stored(&world.admin, &session).await["status"], paused, "{form}: pause");

    let resumed = form.status(false, "", true, false, [&start, &end]);
    writes_status(world, &session, |status| *status = resumed.clone()).await;
    assert_eq!(stored(&world.admin, &session).await["status"], resumed, "{form}: resume");

    let mut object = stored(&world.hobbyfarm, &session).await;
    object["spec"]["scenario"] = json!("s-2");
    accepts(&world.hobbyfarm, Request::replace(&object)).await;
    let reentered = stored(&world.admin, &session).await;
    assert_eq!((&reentered["spec"], &reentered["status"]), (&object["spec"], &resumed), "{form}: the next scenario");

    end = at(0);
    let terminated = form.status(false, "", false, false, [&start, &end]);
    writes_status(world, &session, |status| *status = terminated.clone()).await;
    assert_eq!(stored(&world.admin, &session).await["status"], terminated, "{form}: terminate");

    writes_status(world, &session, |status| status["finished"] = form.flag(true)).await;
    let finished = stored(&world.admin, &session).await;
    assert_eq!(finished["status"], form.status(false, "", false, true, [&start, &end]), "{form}: finish");
    assert_eq!(finished["metadata"]["labels"], session["metadata"]["labels"], "{form}: labels");
    for key in ["start_time", "end_time"] {
        form.parse_time(&finished["status"][key]);
    }

    accepts(&world.hobbyfarm, Request::delete(&session, "Background")).await;
    goes(&world.admin, "the Session", Request::read(&session)).await;
}

/// A malformed keep-alive duration makes HobbyFarm write `active` with an empty `end_time`, which it could never read again.
pub(super) async fn a_first_status_without_an_end_is_given_one(world: &World) {
    let form = world.form;
    let session = creates(world).await;
    let start = form.time(Timestamp::now());
    let before = Timestamp::now();
    let stranded = form.status(false, "", true, false, [&start, ""]);
    writes_status(world, &session, |status| *status = stranded).await;
    let status = &stored(&world.admin, &session).await["status"];
    assert_ends_after(world, status, before, SignedDuration::from_mins(5));
    let end = status["end_time"].as_str().unwrap();
    assert_eq!(*status, form.status(false, "", true, false, [&start, end]), "{form}: all else is as it was sent");

    // and again later, in a keep-alive that has no duration
    let before = Timestamp::now();
    writes_status(world, &session, |status| status["end_time"] = json!("")).await;
    let status = &stored(&world.admin, &session).await["status"];
    assert_ends_after(world, status, before, SignedDuration::from_mins(5));
}

/// The end was set by the webhook: this long after a moment since `before`.
pub(super) fn assert_ends_after(world: &World, status: &Value, before: Timestamp, timeout: SignedDuration) {
    let moment = world.form.parse_time(&status["end_time"]) - timeout;
    assert_is_between(world, moment, before);
}

/// The moment is no earlier than `before`, as far as the dialect tells times apart, and not in the future.
pub(super) fn assert_is_between(world: &World, moment: Timestamp, before: Timestamp) {
    let form = world.form;
    let before = match form.dialect {
        Dialect::Documented => before,
        Dialect::Gargantua => Timestamp::from_second(before.as_second()).unwrap(),
    };
    assert!((before..=Timestamp::now()).contains(&moment), "{form}: {moment} is not between {before} and now");
}

pub(super) async fn each_of_hobbyfarms_accounts_may_write(world: &World) {
    for name in ["hobbyfarm-session", "hobbyfarm-gargantua", "hobbyfarm-user"] {
        let writer = world.account(HOBBYFARM, name).await;
        let session = accepts(&writer, Request::create(&world.new_session())).await.body;
        writes_status_as(world, &writer, &session, |status| *status = world.form.zero_status()).await;
        accepts(&writer, Request::merge(&session, json!({"spec": {"course": "c-2"}}))).await;
        assert_eq!(stored(&world.admin, &session).await["spec"]["course"], "c-2", "{name}");
    }
}

/// HobbyFarm's scheduled-event service writes `finished` as false again.
/// HobbyFarm ends Sessions without a look at their start.
pub(super) async fn an_end_before_the_start_is_let_pass_with_a_warning(world: &World) {
    let session = starts(world).await;
    let early = json!(world.form.time("2001-01-01T00:00:00Z".parse().unwrap()));
    let reply = writes_status(world, &session, |status| status["end_time"] = early.clone()).await;
    assert!(reply.warnings.iter().any(|warning| warning.contains("end_time")), "{}: {:?}", world.form, reply.warnings);
    assert_eq!(stored(&world.admin, &session).await["status"]["end_time"], early);
}

pub(super) async fn a_session_finished_twice_is_let_pass_with_a_warning(world: &World) {
    let form = world.form;
    let session = starts(world).await;
    writes_status(world, &session, |status| status["finished"] = form.flag(true)).await;
    let reply = writes_status(world, &session, |status| status["finished"] = form.flag(false)).await;
    assert!(reply.warnings.iter().any(|warning| warning.contains("finished")), "{form}: {:?}", reply.warnings);
    assert_eq!(stored(&world.admin, &session).await["status"]["finished"], form.flag(false));
}

pub(super) async fn a_stale_write_is_a_conflict_as_ever(world: &World) {
    let stale = starts(world).await;
    writes_status(world, &stale, |status| status["active"] = world.form.flag(false)).await;
    let reply = world.hobbyfarm.sends(&status_write(world, &stale)).await;
    assert_eq!((reply.code, &reply.body["reason"]), (409, &json!("Conflict")), "HobbyFarm retries on it");
}

/// Word for word. The `gargantua` schema knows other types for two of its fields, and says so without our help.
pub(super) async fn the_sample_of_the_documentation_is_accepted_where_its_types_are(world: &World) {
    let sample: Value = serde_saphyr::from_str(SAMPLE).unwrap();
    let create = Request::create(&sample);
    if world.form.dialect == Dialect::Gargantua {
        let reply = world.hobbyfarm.sends(&create).await;
        assert_eq!(reply.code, 422, "{reply:?}");
        assert!(!reply.message().contains("session-webhook"), "{reply:?}");
        return;
    }
    accepts(&world.hobbyfarm, create).await;
    if world.form.status_subresource {
        // what kubectl create leaves out there, HobbyFarm writes next
        let status = sample["status"].clone();
        writes_status(world, &sample, |stored| *stored = status).await;
    }
    let kept = stored(&world.admin, &sample).await;
    assert_eq!((&kept["spec"], &kept["status"]), (&sample["spec"], &sample["status"]), "not a byte is changed");
    for (key, time) in
        [("start_time", "2006-01-02T22:04:05.999999999Z"), ("end_time", "2006-01-03T00:04:05.999999999Z")]
    {
        assert_eq!(world.form.parse_time(&kept["status"][key]), time.parse().unwrap());
    }
}

const SAMPLE: &str = r#"
apiVersion: hobbyfarm.io/v1
kind: Session
metadata:
  name: sample-session
  namespace: hobbyfarm-system
spec:
  scenario: s-lkjsdflkjs
  course: c-lkjsdflkjs
  keep_course_vm: "true"
  user: u-lkjsdflkjs
  vm_claim: vmc-lkjsdflkjsf
  access_code: ac-ljw4s4dsdf
status:
  paused: "false"
  pause_time: ""
  active: "true"
  finished: "false"
  start_time: "2006-01-02 15:04:05.999999999 -0700 MST"
  end_time: "2006-01-02 17:04:05.999999999 -0700 MST"
"#;

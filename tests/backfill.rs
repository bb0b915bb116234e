//! What is planned for a stored Session: the repairs of `/mutate`, where HobbyFarm lacks a time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "this is test code"
)]

mod support;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use session_webhook::core::admission::normalize::Timeouts;
use session_webhook::core::admission::patch::patch;
use session_webhook::core::session::{Field, Session};
use session_webhook::core::settings::Dialect;
use session_webhook::core::stored::backfill::{KeepAlive, RepairPlan, Unparsable, keep_alive, plan_repair};
use support::recorded::now;

const GARGANTUA: &str = "Tue Nov 24 00:10:00 UTC 2026";
const DOCUMENTED: &str = "2026-11-24 00:10:00 +0000 UTC";

fn planned(session: &Value, dialect: Dialect, unparsable: Unparsable) -> RepairPlan {
    let raw = to_raw_value(session).unwrap();
    let timeouts = Timeouts { session: SignedDuration::from_mins(5), pause: SignedDuration::from_hours(2) };
    plan_repair(&Session::read(&raw).unwrap(), dialect, timeouts, unparsable, now().into())
}

fn repaired(session: &Value, plan: &RepairPlan) -> Value {
    let mut repaired = session.clone();
    json_patch::patch(&mut repaired, &patch(&plan.edits, plan.status_is_missing)).unwrap();
    repaired
}

fn gargantua(status: Value) -> Value {
    json!({"metadata": {"creationTimestamp": "2026-11-24T00:09:59Z"}, "spec": {}, "status": status})
}

fn status(end: Value) -> Value {
    json!({"paused": false, "paused_time": "", "active": true, "finished": false, "start_time": GARGANTUA, "end_time": end})
}

#[rstest]
#[case::both_times(status(json!(GARGANTUA)))]
#[case::an_end_that_is_over(status(json!("Mon Jan  2 15:04:05 UTC 2006")))]
#[case::flags_that_are_missing(json!({"start_time": GARGANTUA, "end_time": GARGANTUA}))]
#[case::no_object(json!("active"))]
fn a_session_that_has_its_times_is_left_alone(#[case] status: Value) {
    assert_eq!(planned(&gargantua(status), Dialect::Gargantua, Unparsable::Replace), RepairPlan::default());
}

#[test]
fn a_session_that_is_being_deleted_is_left_alone() {
    let mut session = gargantua(Value::Null);
    session["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:20:00Z");
    assert_eq!(planned(&session, Dialect::Gargantua, Unparsable::Replace), RepairPlan::default());
}

#[rstest]
#[case::no_status(Value::Null)]
#[case::empty_status(json!({}))]
#[case::empty_end(status(json!("")))]
#[case::no_end(status(Value::Null))]
#[case::other_layout(status(json!("2026-11-24T00:15:00Z")))]
#[case::layout_of_the_other_dialect(status(json!(DOCUMENTED)))]
fn a_session_without_a_usable_time_is_given_one(#[case] status: Value) {
    for unparsable in [Unparsable::Keep, Unparsable::Replace] {
        let session = gargantua(status.clone());
        let plan = planned(&session, Dialect::Gargantua, unparsable);
        assert_eq!(plan.unparsable, []);
        let repaired = repaired(&session, &plan);
        assert_eq!(planned(&repaired, Dialect::Gargantua, unparsable), RepairPlan::default(), "{repaired}");
        assert_eq!(repaired["status"]["active"], json!(true));
    }
}

#[test]
fn a_paused_session_without_a_pause_time_is_given_one() {
    let mut session = gargantua(status(json!(GARGANTUA)));
    session["status"]["paused"] = json!(true);
    let plan = planned(&session, Dialect::Gargantua, Unparsable::Keep);
    let fields: Vec<_> = plan.edits.iter().map(|edit| edit.field).collect();
    assert_eq!(fields, [Field::PausedTime]);
}

#[test]
fn a_finished_session_ends_now() {
    let session = gargantua(json!({"finished": true, "end_time": "", "start_time": GARGANTUA}));
    let repaired = repaired(&session, &planned(&session, Dialect::Gargantua, Unparsable::Keep));
    assert_eq!(repaired["status"]["end_time"], json!("Tue Nov 24 00:30:00 UTC 2026"));
    assert_eq!(repaired["status"]["active"], json!(false));
}

#[test]
fn a_time_that_nobody_can_read_is_replaced_or_kept_and_named_in_any_case() {
    let session = gargantua(status(json!("in 5x")));
    let named = vec![(Field::EndTime, "\"in 5x\"".to_owned())];
    let kept = planned(&session, Dialect::Gargantua, Unparsable::Keep);
    assert_eq!((kept.edits, kept.unparsable), (vec![], named.clone()));
    let replaced = planned(&session, Dialect::Gargantua, Unparsable::Replace);
    assert_eq!(replaced.unparsable, named);
    assert_eq!(repaired(&session, &replaced)["status"]["end_time"], json!("Tue Nov 24 00:35:00 UTC 2026"));
}

#[test]
fn a_number_in_place_of_a_time_is_replaced() {
    let session = gargantua(status(json!(1_764_000_000)));
    let plan = planned(&session, Dialect::Gargantua, Unparsable::Replace);
    assert_eq!(plan.unparsable, [(Field::EndTime, "1764000000".to_owned())]);
    assert_eq!(repaired(&session, &plan)["status"]["end_time"], json!("Tue Nov 24 00:35:00 UTC 2026"));
}

#[rstest]
#[case::neither(None, None, KeepAlive::Unset)]
#[case::empty(Some(""), Some(""), KeepAlive::Unset)]
#[case::course_first(Some("1h"), Some("2h"), KeepAlive::Lasts(SignedDuration::from_hours(1)))]
#[case::scenario(Some(""), Some("2h"), KeepAlive::Lasts(SignedDuration::from_hours(2)))]
#[case::malformed(Some("5x"), Some("2h"), KeepAlive::Malformed("\"5x\"".to_owned()))]
#[case::not_above_zero(Some("-5m"), None, KeepAlive::Malformed("\"-5m\"".to_owned()))]
fn the_course_says_how_long_before_the_scenario(
    #[case] course: Option<&str>,
    #[case] scenario: Option<&str>,
    #[case] expected: KeepAlive,
) {
    assert_eq!(keep_alive(course, scenario), expected);
}

fn value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "",
        "true",
        "no",
        "x",
        " ",
        GARGANTUA,
        DOCUMENTED,
        "2026-11-24T00:15:00Z",
        "9999-12-31T23:59:59-23:00",
    ]);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        word.prop_map(Value::from),
        Just(json!([])),
        Just(json!({}))
    ]
}

proptest! {
    #[test]
    fn what_was_repaired_needs_no_other_repair(
        values in prop::collection::vec(value(), 7),
        documented in any::<bool>(),
        seconds in 0..4_000_000_000_i64,
    ) {
        let keys = ["paused", "active", "finished", "start_time", "end_time", "pause_time", "paused_time"];
        let status: serde_json::Map<_, _> = keys.iter().map(ToString::to_string).zip(values).collect();
        let mut session = gargantua(status.into());
        session["metadata"]["creationTimestamp"] = json!(Timestamp::from_second(seconds).unwrap().to_string());
        let dialect = if documented { Dialect::Documented } else { Dialect::Gargantua };
        let plan = planned(&session, dialect, Unparsable::Replace);
        let repaired = repaired(&session, &plan);
        prop_assert_eq!(planned(&repaired, dialect, Unparsable::Replace), RepairPlan::default(), "{}", repaired);
    }
}

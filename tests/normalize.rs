//! Repairs and defaults of `/mutate`, field by field, in both dialects.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "this is test code")]

mod support;

use rstest::rstest;
use serde_json::{Value, json};
use session_webhook::core::admission::review::Webhook;
use session_webhook::core::settings::{Dialect, Settings};
use support::recorded::{decide, shipped};

use Dialect::{Documented, Gargantua};

const HOBBYFARM: &str = "system:serviceaccount:hobbyfarm-system:hobbyfarm-session";

fn create(status: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r-1", "operation": "CREATE", "name": "s1", "namespace": "hobbyfarm-system",
            "resource": {"group": "hobbyfarm.io", "version": "v1", "resource": "sessions"},
            "userInfo": {"username": HOBBYFARM, "uid": "some-uid"},
            "object": {"metadata": {"name": "s1"}, "spec": {}, "status": status},
        },
    })
}

fn settings(dialect: Dialect) -> Settings {
    Settings { dialect: Some(dialect), ..shipped() }
}

/// A status with nothing to repair.
fn sound(dialect: Dialect) -> Value {
    match dialect {
        Documented => json!({
            "paused": "false", "active": "true", "finished": "false", "pause_time": "",
            "start_time": "2026-11-24 00:00:00 +0000 UTC", "end_time": "2026-11-24 00:35:00 +0000 UTC",
        }),
        Gargantua => json!({
            "paused": false, "active": true, "finished": false, "paused_time": "",
            "start_time": "Tue Nov 24 00:00:00 UTC 2026", "end_time": "Tue Nov 24 00:35:00 UTC 2026",
        }),
    }
}

/// The sound status with these fields put in, after its repair; and the warnings.
fn repaired(dialect: Dialect, fields: &Value) -> (Value, Vec<String>) {
    let mut status = sound(dialect);
    for (key, value) in fields.as_object().unwrap() {
        status[key] = value.clone();
    }
    let decision = decide(&settings(dialect), Webhook::Mutate, &create(&status));
    for edit in &decision.edits {
        status[edit.field.key()] = edit.value.clone();
    }
    (status, decision.warnings)
}

#[rstest]
#[case(Documented)]
#[case(Gargantua)]
fn a_sound_status_is_left_alone(#[case] dialect: Dialect) {
    assert_eq!(repaired(dialect, &json!({})), (sound(dialect), Vec::new()));
}

#[rstest]
fn a_flag_is_read_however_it_is_written(
    #[values(json!(true), json!(1), json!(1.0), json!("1"), json!("t"), json!("TRUE"), json!(" Yes "), json!("y"), json!("On"))]
    yes: Value,
) {
    assert_eq!(repaired(Documented, &json!({"active": yes})).0["active"], json!("true"));
    assert_eq!(repaired(Gargantua, &json!({"active": yes})).0["active"], json!(true));
}

#[rstest]
fn a_flag_that_says_no_is_read_however_it_is_written(
    #[values(json!(false), json!(0), json!("0"), json!("f"), json!("False"), json!("\tno"), json!("N"), json!("OFF"))]
    no: Value,
) {
    assert_eq!(repaired(Documented, &json!({"active": no})).0["active"], json!("false"));
    assert_eq!(repaired(Gargantua, &json!({"active": no})).0["active"], json!(false));
}

#[rstest]
fn what_is_no_flag_is_left_alone(
    #[values(json!(2), json!(-1), json!("maybe"), json!([]), json!({}), json!("truee"))] value: Value,
) {
    let (status, warnings) = repaired(Gargantua, &json!({"paused": value}));
    assert_eq!((status["paused"].clone(), warnings.len()), (value, 0));
}

#[rstest]
fn flags_that_say_nothing_get_their_defaults(#[values(Value::Null, json!(""), json!("  "))] nothing: Value) {
    let fields = json!({"paused": nothing, "active": nothing, "finished": nothing});
    let (status, warnings) = repaired(Gargantua, &fields);
    assert_eq!(
        (&status["paused"], &status["active"], &status["finished"]),
        (&json!(false), &json!(true), &json!(false))
    );
    assert_eq!(warnings.len(), 0, "a default is no rewrite");
}

#[test]
fn a_finished_session_is_not_active() {
    let (status, warnings) = repaired(Gargantua, &json!({"finished": "yes", "active": true}));
    assert_eq!((&status["finished"], &status["active"]), (&json!(true), &json!(false)));
    assert_eq!(warnings, ["status.finished: \"yes\" rewritten to true", "status.active: true rewritten to false"]);
    let (status, _) = repaired(Documented, &json!({"finished": "true", "active": null}));
    assert_eq!(status["active"], json!("false"));
}

#[test]
fn active_is_left_alone_while_nobody_can_tell_whether_the_session_is_finished() {
    let (status, _) = repaired(Gargantua, &json!({"finished": "perhaps", "active": null}));
    assert_eq!(status["active"], Value::Null);
}

#[rstest]
#[case::rfc3339("2026-11-24T00:40:00Z", "2026-11-24 00:40:00 +0000 UTC", "Tue Nov 24 00:40:00 UTC 2026")]
#[case::fraction("2026-11-24T00:40:00.120Z", "2026-11-24 00:40:00.12 +0000 UTC", "Tue Nov 24 00:40:00 UTC 2026")]
#[case::offset("2026-11-24T02:40:00+02:00", "2026-11-24 00:40:00 +0000 UTC", "Tue Nov 24 00:40:00 UTC 2026")]
#[case::ansic("Tue Nov 24 00:40:00 2026", "2026-11-24 00:40:00 +0000 UTC", "Tue Nov 24 00:40:00 UTC 2026")]
#[case::rfc1123("Tue, 24 Nov 2026 00:40:00 GMT", "2026-11-24 00:40:00 +0000 UTC", "Tue Nov 24 00:40:00 UTC 2026")]
#[case::rfc1123z("Tue, 24 Nov 2026 01:40:00 +0100", "2026-11-24 00:40:00 +0000 UTC", "Tue Nov 24 00:40:00 UTC 2026")]
#[case::monotonic(
    "2026-11-24 00:40:00.5 +0000 UTC m=+0.123",
    "2026-11-24 00:40:00.5 +0000 UTC",
    "Tue Nov 24 00:40:00 UTC 2026"
)]
#[case::blanks(" 2026-11-24T00:40:00Z\n", "2026-11-24 00:40:00 +0000 UTC", "Tue Nov 24 00:40:00 UTC 2026")]
#[case::day_is_padded("2026-12-04T00:40:00Z", "2026-12-04 00:40:00 +0000 UTC", "Fri Dec  4 00:40:00 UTC 2026")]
fn a_time_in_another_layout_is_rewritten(#[case] time: &str, #[case] documented: &str, #[case] gargantua: &str) {
    for (dialect, expected) in [(Documented, documented), (Gargantua, gargantua)] {
        let (status, warnings) = repaired(dialect, &json!({"end_time": time}));
        assert_eq!(status["end_time"], json!(expected));
        assert_eq!(warnings.len(), 1);
    }
}

#[rstest]
#[case::weekday_contradicts_the_date(Gargantua, "Sun Nov 24 00:40:00 UTC 2026")]
#[case::letter_case(Gargantua, "tue nov 24 00:40:00 UTC 2026")]
#[case::day_in_two_digits(Gargantua, "Fri Dec 04 00:40:00 UTC 2026")]
#[case::fraction(Gargantua, "Tue Nov 24 00:40:00.5 UTC 2026")]
#[case::zone(Gargantua, "Tue Nov 24 00:40:00 CET 2026")]
#[case::hours_from_greenwich(Gargantua, "Tue Nov 24 08:40:00 GMT+3 2026")]
#[case::trailing_zeros(Documented, "2026-11-24 00:40:00.500000000 +0000 UTC")]
#[case::offset_and_zone(Documented, "2026-11-24 00:40:00 -0700 MST")]
#[case::offset_contradicts_the_zone(Documented, "2026-11-24 00:40:00 -0700 CET")]
fn a_time_that_hobbyfarm_reads_is_left_byte_for_byte(#[case] dialect: Dialect, #[case] time: &str) {
    let (status, warnings) = repaired(dialect, &json!({"end_time": time}));
    assert_eq!((status["end_time"].clone(), warnings.len()), (json!(time), 0));
}

#[rstest]
fn a_time_that_cannot_be_read_is_left_alone(
    #[values(
        json!("soon"),
        json!(5),
        json!(true),
        json!("2016-12-31T23:59:60Z"),
        json!("12026-01-01T00:00:00Z"),
        json!("0000-01-01T00:00:00+14:00"),
        json!("9999-12-31T23:00:00-14:00")
    )]
    time: Value,
) {
    for dialect in [Documented, Gargantua] {
        let (status, warnings) = repaired(dialect, &json!({"end_time": time}));
        assert_eq!((&status["end_time"], warnings.len()), (&time, 0));
    }
}

#[rstest]
#[case::unix_date(Documented, "Tue Nov 24 08:40:00 CET 2026")]
#[case::rfc1123(Documented, "Tue, 24 Nov 2026 08:40:00 EST")]
#[case::rfc1123_in_the_other_dialect(Gargantua, "Tue, 24 Nov 2026 08:40:00 EST")]
#[case::summer_time(Gargantua, "Tue, 24 Nov 2026 08:40:00 CEST")]
fn a_time_whose_zone_tells_no_offset_is_left_byte_for_byte(#[case] dialect: Dialect, #[case] time: &str) {
    let (status, warnings) = repaired(dialect, &json!({"start_time": time, "end_time": time}));
    assert_eq!((&status["start_time"], &status["end_time"], warnings.len()), (&json!(time), &json!(time), 0));
}

#[rstest]
#[case::nepal(Gargantua, "Wed Mar  4 17:50:00 +0545 2026", "Wed Mar  4 12:05:00 UTC 2026")]
#[case::brazil(Gargantua, "Wed Mar  4 17:50:00 -03 2026", "Wed Mar  4 20:50:00 UTC 2026")]
#[case::afghanistan(Gargantua, "Wed Mar  4 17:50:00 +0430 2026", "Wed Mar  4 13:20:00 UTC 2026")]
#[case::nepal_twice(Documented, "2026-03-04 17:50:00.5 +0545 +0545", "2026-03-04 12:05:00.5 +0000 UTC")]
#[case::the_other_dialect(Documented, "Wed Mar  4 17:50:00 +0545 2026", "2026-03-04 12:05:00 +0000 UTC")]
#[case::few_minutes(Gargantua, "Wed, 04 Mar 2026 17:50:00 +0001", "Wed Mar  4 17:49:00 UTC 2026")]
#[case::few_minutes_west(Gargantua, "Wed, 04 Mar 2026 17:50:00 -0023", "Wed Mar  4 18:13:00 UTC 2026")]
fn a_numeric_zone_is_repaired_to_utc(#[case] dialect: Dialect, #[case] time: &str, #[case] expected: &str) {
    let (status, warnings) = repaired(dialect, &json!({"end_time": time}));
    assert_eq!((&status["end_time"], warnings.len()), (&json!(expected), 1));
}

#[test]
fn the_other_dialects_time_is_rewritten_with_its_zone_taken_as_go_takes_it() {
    let (status, _) = repaired(Documented, &json!({"end_time": "Tue Nov 24 08:40:00 GMT+3 2026"}));
    assert_eq!(status["end_time"], json!("2026-11-24 08:40:00 +0000 UTC"));
    let (status, _) = repaired(Gargantua, &json!({"end_time": "2026-11-24 08:40:00.9 -0700 MST"}));
    assert_eq!(status["end_time"], json!("Tue Nov 24 15:40:00 UTC 2026"));
}

#[rstest]
#[case::not_paused(json!({"paused": false, "paused_time": "Tue Nov 24 00:40:00 UTC 2026"}), json!(""))]
#[case::not_paused_and_nonsense(json!({"paused": false, "paused_time": 7}), json!(""))]
#[case::paused_and_missing(json!({"paused": true, "paused_time": null}), json!("Tue Nov 24 02:30:00 UTC 2026"))]
#[case::paused_and_empty(json!({"paused": true, "paused_time": ""}), json!("Tue Nov 24 02:30:00 UTC 2026"))]
#[case::paused_and_given(json!({"paused": true, "paused_time": "2026-11-24T00:40:00Z"}), json!("Tue Nov 24 00:40:00 UTC 2026"))]
fn the_pause_runs_out_some_time_ahead(#[case] fields: Value, #[case] expected: Value) {
    assert_eq!(repaired(Gargantua, &fields).0["paused_time"], expected);
}

#[test]
fn the_documented_pause_time_is_now() {
    let (status, _) = repaired(Documented, &json!({"paused": "true"}));
    assert_eq!(status["pause_time"], json!("2026-11-24 00:30:00.25 +0000 UTC"));
}

#[rstest]
#[case::running(json!({"start_time": null, "end_time": null}), "Tue Nov 24 00:30:00 UTC 2026", "Tue Nov 24 00:35:00 UTC 2026")]
#[case::finished(json!({"start_time": "", "end_time": "", "finished": true}), "Tue Nov 24 00:30:00 UTC 2026", "Tue Nov 24 00:30:00 UTC 2026")]
#[case::start_ahead(json!({"start_time": "Tue Nov 24 09:00:00 UTC 2026", "end_time": ""}), "Tue Nov 24 09:00:00 UTC 2026", "Tue Nov 24 00:35:00 UTC 2026")]
#[case::start_in_2099(json!({"start_time": "Thu Nov 26 09:00:00 UTC 2099", "end_time": null}), "Thu Nov 26 09:00:00 UTC 2099", "Tue Nov 24 00:35:00 UTC 2026")]
#[case::start_ahead_and_finished(json!({"start_time": "2099-11-26T09:00:00Z", "end_time": "", "finished": true}), "Thu Nov 26 09:00:00 UTC 2099", "Tue Nov 24 00:30:00 UTC 2026")]
#[case::end_behind(json!({"start_time": "", "end_time": "Mon Nov 23 09:00:00 UTC 2026"}), "Mon Nov 23 09:00:00 UTC 2026", "Mon Nov 23 09:00:00 UTC 2026")]
#[case::start_unreadable(json!({"start_time": "soon", "end_time": ""}), "soon", "Tue Nov 24 00:35:00 UTC 2026")]
fn missing_times_get_their_defaults(#[case] fields: Value, #[case] start: &str, #[case] end: &str) {
    let (status, _) = repaired(Gargantua, &fields);
    assert_eq!((&status["start_time"], &status["end_time"]), (&json!(start), &json!(end)));
}

#[test]
fn a_session_starts_when_it_was_created() {
    let mut review = create(&json!({}));
    review["request"]["object"]["metadata"]["creationTimestamp"] = json!("2026-11-24T00:20:00Z");
    let decision = decide(&settings(Gargantua), Webhook::Mutate, &review);
    let start = decision.edits.iter().find(|edit| edit.field.key() == "start_time").unwrap();
    assert_eq!(start.value, json!("Tue Nov 24 00:20:00 UTC 2026"));
}

#[test]
fn a_status_that_is_no_object_is_left_alone() {
    for status in [json!("running"), json!([]), json!(5)] {
        assert!(decide(&settings(Gargantua), Webhook::Mutate, &create(&status)).edits.is_empty());
    }
}

#[test]
fn a_missing_status_becomes_an_object_first() {
    for status in [Value::Null, json!({})] {
        let decision = decide(&settings(Gargantua), Webhook::Mutate, &create(&status));
        assert_eq!((decision.status_is_missing, decision.edits.len()), (status.is_null(), 6));
    }
}

mod the_dialect {
    use super::*;

    fn detected(spec: &Value, status: &Value, old: Option<Value>) -> Dialect {
        let mut review = create(status);
        review["request"]["object"]["spec"] = spec.clone();
        if let Some(old) = old {
            review["request"]["operation"] = json!("UPDATE");
            review["request"]["oldObject"] = old;
        }
        let edits = decide(&shipped(), Webhook::Mutate, &review).edits;
        let end = edits.iter().find(|edit| edit.field.key() == "end_time").unwrap();
        if end.value.as_str().unwrap().starts_with("2026") { Documented } else { Gargantua }
    }

    #[rstest]
    #[case::claim_list(json!({"vm_claim": []}), json!({"active": "true"}), Gargantua)]
    #[case::claim_text(json!({"vm_claim": ""}), json!({"active": true}), Documented)]
    #[case::keep_flag(json!({"vm_claim": null, "keep_course_vm": false}), json!({}), Gargantua)]
    #[case::keep_text(json!({"keep_course_vm": ""}), json!({}), Documented)]
    #[case::status_flag(json!({}), json!({"paused": null, "finished": false}), Gargantua)]
    #[case::status_text(json!({}), json!({"active": "true", "paused_time": ""}), Documented)]
    #[case::pause_key(json!({}), json!({"paused_time": ""}), Gargantua)]
    #[case::null_pause_key(json!({}), json!({"paused_time": null, "pause_time": ""}), Documented)]
    #[case::both_pause_keys(json!({}), json!({"paused_time": "", "pause_time": ""}), Gargantua)]
    #[case::layout_of_a_start(json!({}), json!({"start_time": "Tue Nov 24 00:00:00 UTC 2026"}), Gargantua)]
    #[case::layout_with_an_abbreviation(json!({}), json!({"start_time": "Tue Nov 24 00:00:00 CET 2026"}), Gargantua)]
    #[case::documented_layout(json!({}), json!({"start_time": "2026-11-24 00:00:00 +0000 UTC"}), Documented)]
    #[case::documented_layout_with_clock_reading(json!({}), json!({"start_time": "2026-11-24 00:00:00 +0000 UTC m=+0.5"}), Documented)]
    #[case::a_flag_goes_before_a_layout(json!({}), json!({"active": "true", "start_time": "Tue Nov 24 00:00:00 UTC 2026"}), Documented)]
    #[case::layout_of_neither(json!({}), json!({"start_time": "2026-11-24T00:00:00Z"}), Gargantua)]
    #[case::nothing(json!({}), json!({}), Gargantua)]
    fn follows_from_types_and_names(#[case] spec: Value, #[case] status: Value, #[case] expected: Dialect) {
        assert_eq!(detected(&spec, &status, None), expected);
    }

    #[rstest]
    #[case::stored(json!({"start_time": "2026-11-24T00:00:00Z"}), json!({"start_time": "2026-11-24 00:00:00 +0000 UTC"}), Documented)]
    #[case::stored_goes_first(json!({"start_time": "Tue Nov 24 00:00:00 UTC 2026"}), json!({"start_time": "2026-11-24 00:00:00 +0000 UTC"}), Documented)]
    #[case::sent(json!({"start_time": "2026-11-24 00:00:00 +0000 UTC"}), json!({"start_time": ""}), Documented)]
    fn follows_from_the_layout_of_a_stored_or_sent_time(
        #[case] sent: Value,
        #[case] stored: Value,
        #[case] expected: Dialect,
    ) {
        assert_eq!(detected(&json!({}), &sent, Some(json!({"spec": {}, "status": stored}))), expected);
    }

    #[test]
    fn follows_from_the_stored_object_where_there_is_one() {
        let old = json!({"spec": {"vm_claim": ["vmc-1"]}});
        assert_eq!(detected(&json!({"vm_claim": "vmc-1"}), &json!({"active": "true"}), Some(old)), Gargantua);
    }
}

mod an_update {
    use super::*;

    fn update(object: &Value, old: &Value) -> Value {
        let mut review = create(&Value::Null);
        review["request"]["operation"] = json!("UPDATE");
        review["request"]["object"] = object.clone();
        review["request"]["oldObject"] = old.clone();
        review
    }

    fn is_repaired(object: &Value, old: &Value) -> bool {
        !decide(&shipped(), Webhook::Mutate, &update(object, old)).edits.is_empty()
    }

    #[test]
    fn of_metadata_alone_is_not_repaired() {
        let old = json!({"metadata": {"name": "s1"}, "spec": {"user": "u"}, "status": {"end_time": ""}});
        let mut object = old.clone();
        object["metadata"]["labels"] = json!({"a": "b"});
        assert!(!is_repaired(&old, &old));
        assert!(!is_repaired(&object, &old));
        object["spec"]["user"] = json!("v");
        assert!(is_repaired(&object, &old));
    }

    #[test]
    fn of_a_session_that_is_being_deleted_is_not_repaired() {
        let old = json!({"metadata": {"name": "s1", "deletionTimestamp": "2026-11-24T00:00:00Z"}, "status": {"end_time": ""}});
        let mut object = old.clone();
        object["status"]["active"] = json!("true");
        assert!(!is_repaired(&object, &old));
    }
}

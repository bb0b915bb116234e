//! Times of a Session of which the end is before the start.

use rstest::rstest;
use serde_json::{Value, json};

use super::{OWN, STRICT, case, review, with};

#[rstest]
#[case::finish(&[])]
#[case::keep_alive(&[("/object/status/active", json!(true)), ("/object/status/finished", json!(false)), ("/object/status/end_time", json!("Tue Nov 24 00:25:00 UTC 2026"))])]
#[case::pause(&[("/object/status/finished", json!(false)), ("/object/status/active", json!(true)), ("/object/status/paused", json!(true)), ("/object/status/paused_time", json!("Tue Nov 24 02:00:00 UTC 2026"))])]
#[case::new_scenario(&[("/object/status/finished", json!(false)), ("/object/status/active", json!(true)), ("/object/spec/scenario", json!("t"))])]
fn of_before_stops_nothing(#[case] changes: &[(&str, Value)]) {
    let answer = review(&[], with(case("finish-refused.json"), changes).to_string());
    assert_eq!((answer.code, &answer.response["allowed"]), (0, &json!(true)), "{}", answer.told);
    assert!(!answer.told.contains("EndBeforeStart") && !answer.told.contains("is before"), "{}", answer.told);
}

#[rstest]
#[case::a_foreign_start(&[])]
#[case::a_missing_end(&[("/oldObject/status/end_time", json!("")), ("/object/status/end_time", json!("Tue Nov 24 12:05:00 UTC 2026"))])]
#[case::an_unreadable_end(&[("/oldObject/status/end_time", json!("soon")), ("/object/status/end_time", json!("Tue Nov 24 12:05:00 UTC 2026"))])]
#[case::a_start_in_2099(&[("/object/status/start_time", json!("Tue Nov 24 09:00:00 UTC 2099")), ("/oldObject/status/start_time", json!("2099-11-24T09:00:00Z"))])]
fn is_repaired_by_the_webhooks_own_backfill(#[case] changes: &[(&str, Value)]) {
    let config = tempfile::NamedTempFile::new().unwrap();
    // As in a cluster, and where everybody else is refused: what is stored has to be repaired, or it is never reclaimed.
    for text in ["", STRICT] {
        std::fs::write(config.path(), text).unwrap();
        let arguments = ["--own-service-account", OWN, "--config", config.path().to_str().unwrap()];
        let answer = review(&arguments, with(case("backfill-bad-pair.json"), changes).to_string());
        assert_eq!((answer.code, &answer.response["allowed"]), (0, &json!(true)), "{}", answer.told);
    }
}

/// What becomes of a pair, from what is stored to what HobbyFarm writes; `None` where nothing is stored.
const SOUND: Option<[&str; 2]> = Some(["Tue Nov 24 00:00:00 UTC 2026", "Tue Nov 24 00:20:00 UTC 2026"]);
const SOUND_ELSEWHERE: Option<[&str; 2]> = Some(["2026-11-24T01:00:00+01:00", "Mon, 23 Nov 2026 23:50:00 -0030"]);
const NONE: Option<[&str; 2]> = Some(["Tue Nov 24 00:00:00 UTC 2026", ""]);
const NO_TIME: Option<[&str; 2]> = Some(["Tue Nov 24 00:00:00 UTC 2026", "soon"]);

#[rstest]
#[case::a_sound_one(SOUND, ["Tue Nov 24 00:30:00 UTC 2026", "Tue Nov 24 00:20:00 UTC 2026"])]
#[case::none(NONE, ["Tue Nov 24 00:30:00 UTC 2026", "Tue Nov 24 00:20:00 UTC 2026"])]
#[case::no_time(NO_TIME, ["Tue Nov 24 00:30:00 UTC 2026", "Tue Nov 24 00:20:00 UTC 2026"])]
#[case::nothing_stored(None, ["Tue Nov 24 00:30:00 UTC 2026", "Tue Nov 24 00:20:00 UTC 2026"])]
#[case::a_sound_one_by_zones_in_numbers(SOUND, ["Tue Nov 24 06:00:00 +0545 2026", "Mon Nov 23 21:10:00 -03 2026"])]
#[case::a_sound_one_by_a_small_zone(SOUND, ["Tue Nov 24 00:00:00 UTC 2026", "Tue, 24 Nov 2026 00:20:00 +0030"])]
#[case::a_sound_one_across_layouts(SOUND, ["2026-11-24T00:30:00Z", "2026-11-24 00:20:00.5 +0000 UTC"])]
#[case::a_sound_one_of_other_layouts(SOUND_ELSEWHERE, ["Tue Nov 24 00:00:00 UTC 2026", "Mon Nov 23 23:59:59 UTC 2026"])]
#[case::one_that_reads_like_the_other_way_round(SOUND, ["Tue Nov 24 00:00:00 -01 2026", "Tue Nov 24 00:30:00 UTC 2026"])]
fn that_replaces(#[case] old: Option<[&str; 2]>, #[case] new: [&str; 2]) {
    let paths = |object: &str| ["start_time", "end_time"].map(|key| format!("/{object}/status/{key}"));
    let (stored, written) = (paths("oldObject"), paths("object"));
    let mut changes: Vec<(&str, Value)> = Vec::new();
    match old {
        Some(old) => changes.extend(stored.iter().zip(old).map(|(path, time)| (&**path, json!(time)))),
        None => changes.extend([("/oldObject", Value::Null), ("/operation", json!("CREATE"))]),
    }
    changes.extend(written.iter().zip(new).map(|(path, time)| (&**path, json!(time))));
    let body = with(case("finish-refused.json"), &changes).to_string();
    let answer = review(&[], body.clone());
    assert_eq!(answer.code, 0, "{}", answer.told);
    assert!(answer.response["auditAnnotations"]["invariants"].as_str().unwrap().contains("EndBeforeStart"));
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), STRICT).unwrap();
    let answer = review(&["--config", config.path().to_str().unwrap()], body);
    assert_eq!((answer.code, &answer.response["status"]["code"]), (1, &json!(422)), "{}", answer.told);
    assert!(answer.told.contains("status.end_time: is before"), "{}", answer.told);
}

/// Nothing is said of a pair that reads as if it were odd, or of which nobody can tell.
#[rstest]
#[case::by_zones_in_numbers(["Tue Nov 24 06:00:00 +0545 2026", "Tue Nov 24 00:20:00 UTC 2026"])]
#[case::by_a_zone_of_two_digits(["Tue Nov 24 00:00:00 UTC 2026", "Mon Nov 23 21:10:00 -03 2026"])]
#[case::by_a_small_zone(["Tue Nov 24 00:00:00 UTC 2026", "Mon, 23 Nov 2026 23:50:00 -0030"])]
#[case::across_layouts(["2026-11-24T01:15:00+01:00", "2026-11-24 00:20:00.5 +0000 UTC"])]
#[case::by_less_than_a_second(["2026-11-24T00:20:00.9Z", "Tue Nov 24 00:20:00 UTC 2026"])]
#[case::of_an_uncertain_zone(["Tue Nov 24 00:30:00 CET 2026", "Tue Nov 24 00:20:00 UTC 2026"])]
fn that_is_none_is_no_reason_for_anything(#[case] times: [&str; 2]) {
    let [start, end] = times;
    let changes = [
        ("/oldObject/status/start_time", json!(start)),
        ("/oldObject/status/end_time", json!("")),
        ("/object/status/start_time", json!(start)),
        ("/object/status/end_time", json!(end)),
    ];
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), STRICT).unwrap();
    let body = with(case("finish-refused.json"), &changes).to_string();
    let answer = review(&["--config", config.path().to_str().unwrap()], body);
    assert_eq!((answer.code, &answer.response["allowed"]), (0, &json!(true)), "{}", answer.told);
    assert!(!answer.told.contains("EndBeforeStart") && !answer.told.contains("is before"), "{}", answer.told);
}

//! Times whose zone is no UTC.

use rstest::rstest;
use serde_json::{Value, json};

use super::{Answer, HOBBYFARM, path, review};

fn update(new: &str, old: &str, more: &[&str]) -> Answer {
    let (new, old) = (path(new), path(old));
    let arguments = [
        "--session",
        new.to_str().unwrap(),
        "--old",
        old.to_str().unwrap(),
        "--subresource",
        "status",
        "--as",
        HOBBYFARM,
    ];
    review(&[&arguments[..], more].concat(), "")
}

#[test]
fn that_tells_no_offset_is_no_reason_for_anything() {
    let answer = update("tz-est.yaml", "tz-old.yaml", &[]);
    answer.is_allowed_without_a_word();
    assert_eq!(answer.patch(), []);
}

#[rstest]
#[case("CET")]
#[case("CEST")]
#[case("IST")]
#[case("AEDT")]
fn of_any_other_name_is_none_either(#[case] zone: &str) {
    let text = std::fs::read_to_string(path("tz-est.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new.yaml");
    // The start as well: a start whose instant is uncertain has not moved.
    std::fs::write(&new, text.replace("EST", zone).replace("12:00:00 UTC", &format!("12:00:00 {zone}"))).unwrap();
    update(new.to_str().unwrap(), "tz-old.yaml", &[]).is_allowed_without_a_word();
}

/// The answer to a write of a Session of this file with other times, over one that has none.
fn update_with(new: &str, times: [&str; 2], more: &[&str]) -> Answer {
    let mut session: Value = serde_saphyr::from_str(&std::fs::read_to_string(path(new)).unwrap()).unwrap();
    for (key, time) in ["start_time", "end_time"].into_iter().zip(times).filter(|(_, time)| !time.is_empty()) {
        session["status"][key] = json!(time);
    }
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new.yaml");
    std::fs::write(&new, session.to_string()).unwrap();
    update(new.to_str().unwrap(), "tz-0545-old.yaml", more)
}

#[rstest]
#[case::as_it_is(["", ""])]
#[case::of_two_digits(["Wed Mar  4 17:00:00 +05 2026", "Wed Mar  4 17:05:00 +05 2026"])]
#[case::west_of_greenwich(["Wed Mar  4 09:00:00 -03 2026", "Wed Mar  4 08:35:00 -0330 2026"])]
#[case::another_day(["Thu Mar  5 02:00:00 +14 2026", "Tue Mar  3 23:35:00 -1230 2026"])]
#[case::less_than_an_hour(["Wed, 04 Mar 2026 12:30:00 +0030", "Wed, 04 Mar 2026 11:50:00 -0015"])]
#[case::with_a_colon(["2026-03-04T17:45:00+05:45", "2026-03-04T09:05:00.25-03:00"])]
#[case::gos_own_words(["2026-03-04 17:45:00 +0545 +0545", "2026-03-04 09:05:00 -0300 -03 m=+0.5"])]
fn in_numbers_is_repaired_to_utc(#[case] times: [&str; 2]) {
    let answer = update_with("tz-0545.yaml", times, &["--dialect", "gargantua"]);
    assert_eq!((answer.code, &answer.response["allowed"]), (0, &json!(true)), "{}", answer.told);
    assert_eq!(answer.patched("/status/start_time"), json!("Wed Mar  4 12:00:00 UTC 2026"));
    assert_eq!(answer.patched("/status/end_time"), json!("Wed Mar  4 12:05:00 UTC 2026"));
}

#[rstest]
#[case::as_it_is(["", ""])]
#[case::of_four_digits(["2026-03-04 17:45:00 +0545 +0545", "2026-03-04 08:35:00.5 -0330 -0330"])]
#[case::in_the_other_dialects_layout(["Wed Mar  4 09:00:00 -03 2026", "Wed Mar  4 17:50:00.5 +0545 2026"])]
#[case::less_than_an_hour(["Wed, 04 Mar 2026 12:30:00 +0030", "Wed, 04 Mar 2026 11:50:00.5 -0015"])]
#[case::with_a_colon(["2026-03-04T17:45:00+05:45", "2026-03-04T09:05:00.5-03:00"])]
fn in_numbers_is_repaired_to_utc_in_the_documented_dialect(#[case] times: [&str; 2]) {
    let answer = update_with("tz-0545-documented.yaml", times, &["--dialect", "documented"]);
    assert_eq!((answer.code, &answer.response["allowed"]), (0, &json!(true)), "{}", answer.told);
    assert_eq!(answer.patched("/status/start_time"), json!("2026-03-04 12:00:00 +0000 UTC"));
    assert_eq!(answer.patched("/status/end_time"), json!("2026-03-04 12:05:00.5 +0000 UTC"));
}

/// Go reads them as they stand: nothing is to be repaired.
#[rstest]
#[case::west_of_greenwich(["2026-03-04 09:00:00 -0300 -03", "2026-03-04 09:05:00.5 -0300 -03"])]
#[case::east_of_it(["2026-03-04 17:00:00 +0500 +05", "2026-03-04 17:05:00 +0500 +05"])]
#[case::a_name_beside_the_numbers(["2026-03-04 13:00:00 +0100 CET", "2026-03-04 13:05:00 +0100 CET"])]
fn that_go_reads_in_numbers_stays_byte_for_byte(#[case] times: [&str; 2]) {
    let answer = update_with("tz-0545-documented.yaml", times, &["--dialect", "documented"]);
    answer.is_allowed_without_a_word();
    assert_eq!(answer.patch(), []);
}

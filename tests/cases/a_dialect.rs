//! The dialect of a write that says little about it.

use rstest::rstest;
use serde_json::{Value, json};

use super::{case, review, with};

const BREAK_GLASS: [&str; 4] = ["--break-glass-user", "root", "--webhook", "mutate"];

#[rstest]
#[case::by_the_layout_of_a_sent_time(&[])]
#[case::by_the_layout_of_a_stored_time(&[("/object/status", json!({"end_time": ""})), ("/oldObject/status", json!({"start_time": "Tue Nov 24 00:00:00 CET 2026"}))])]
#[case::by_an_uncertain_time(&[("/object/status", json!({"end_time": "Tue Nov 24 01:00:00 EST 2026"}))])]
#[case::by_nothing_at_all(&[("/object/status", json!({"end_time": ""}))])]
#[case::by_a_time_in_neither_layout(&[("/object/status", json!({"end_time": "2026-11-24T01:00:00Z"}))])]
fn is_gargantua(#[case] changes: &[(&str, Value)]) {
    let answer = review(&BREAK_GLASS, with(case("dialect-fallback.json"), changes).to_string());
    assert_eq!(answer.patched("/status/paused"), json!(false));
    assert_eq!(answer.patched("/status/active"), json!(true));
    assert_eq!(answer.patched("/status/paused_time"), json!(""));
    assert_eq!(answer.patched("/status/start_time"), json!("Tue Nov 24 00:00:00 UTC 2026"));
}

#[rstest]
#[case::by_the_layout_of_a_sent_time(&[("/object/status", json!({"end_time": "2026-11-24 01:00:00 +0000 UTC"}))])]
#[case::by_the_layout_of_a_stored_time(&[("/object/status", json!({"end_time": ""})), ("/oldObject/status", json!({"start_time": "2026-11-24 00:00:00 +0000 UTC m=+0.1"}))])]
#[case::by_a_time_whose_zone_is_in_numbers(&[("/object/status", json!({"end_time": "2026-11-23 22:00:00 -0300 -03"}))])]
#[case::by_the_type_of_a_flag(&[("/object/status", json!({"paused": "no", "end_time": "Tue Nov 24 01:00:00 UTC 2026"}))])]
#[case::by_the_name_of_the_pause_time(&[("/object/status", json!({"pause_time": "x", "end_time": "Tue Nov 24 01:00:00 UTC 2026"}))])]
#[case::by_the_type_of_a_stored_claim(&[("/oldObject/spec/vm_claim", json!("v1"))])]
#[case::by_the_type_of_a_stored_wish_to_keep_machines(&[("/oldObject/spec/keep_course_vm", json!("false"))])]
fn is_documented(#[case] changes: &[(&str, Value)]) {
    let answer = review(&BREAK_GLASS, with(case("dialect-fallback.json"), changes).to_string());
    assert_eq!(answer.patched("/status/paused"), json!("false"));
}

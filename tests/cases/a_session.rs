//! Whole Sessions: of any depth, of the future, of another version.

use rstest::rstest;
use serde_json::{Value, json};

use super::{case, review, with};

#[rstest]
#[case::a_list(200, "[", "]")]
#[case::an_object(2_000, "{\"a\":", "}")]
#[case::deep(100_000, "[", "]")]
#[case::by_turns(2_000, "[{\"a\":", "}]")]
fn what_the_server_reads_at_any_depth_so_does_review(#[case] depth: usize, #[case] open: &str, #[case] close: &str) {
    let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let changes = [("/object/spec/deep", json!("NESTED")), ("/object/status/active", json!("no"))];
    let body = with(case("finish-refused.json"), &changes).to_string().replace("\"NESTED\"", &nested);
    let answer = review(&[], body);
    assert_eq!(
        (answer.code, &answer.response["allowed"]),
        (0, &json!(true)),
        "{}",
        &answer.told[..answer.told.len().min(500)]
    );
    assert_eq!(answer.patched("/status/active"), json!(false));
}

#[rstest]
#[case::in_2099("Thu Nov 26 09:00:00 UTC 2099")]
#[case::tomorrow("2026-11-25T12:00:00Z")]
#[case::in_no_known_layout("soon")]
#[case::by_its_zone("Tue Nov 24 12:00:00 -03 2026")]
#[case::of_an_uncertain_zone("Wed Nov 25 12:00:00 CET 2026")]
fn a_start_in_the_future_keeps_no_machine_for_good(#[case] start: &str) {
    let changes = [
        (
            "/object/status",
            json!({"paused": false, "active": true, "finished": false, "paused_time": "", "start_time": start, "end_time": ""}),
        ),
        ("/oldObject/status", json!({})),
    ];
    let answer = review(&["--webhook", "mutate"], with(case("finish-refused.json"), &changes).to_string());
    assert_eq!(answer.patched("/status/end_time"), json!("Tue Nov 24 12:05:00 UTC 2026"));
}

#[rstest]
#[case::a_create("v4alpha1", Some("CREATE"))]
#[case::an_update("v4alpha1", None)]
#[case::a_create_of_a_later_one("v10", Some("CREATE"))]
#[case::an_update_of_an_earlier_one("v1beta1", None)]
fn a_session_of_another_version_is_not_touched(#[case] version: &str, #[case] operation: Option<&str>) {
    let object = json!({
        "apiVersion": format!("hobbyfarm.io/{version}"), "kind": "Session", "metadata": {"name": "s4", "uid": "u"},
        "spec": {"user": "u1", "accessCode": "SECRETCODE"}, "status": {"conditions": [], "machineClaim": "m"},
    });
    let mut changes =
        vec![("/object", object.clone()), ("/resource/version", json!(version)), ("/kind/version", json!(version))];
    let mut old = object;
    old["status"]["machineClaim"] = json!("n");
    changes.push(("/oldObject", old));
    if let Some(operation) = operation {
        changes.extend([("/operation", json!(operation)), ("/oldObject", Value::Null)]);
    }
    let body = with(case("finish-refused.json"), &changes);
    let answer = review(&[], body.to_string());
    answer.is_allowed_without_a_word();
    assert_eq!(answer.patch(), []);
    let answer = review(&[], with(body, &[("/userInfo/username", json!("alice"))]).to_string());
    assert_eq!((answer.code, &answer.response["status"]["code"]), (1, &json!(403)));
}

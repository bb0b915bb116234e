//! What is told: short, complete, and nothing that is secret.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};

use super::{STRICT, case, review, with};

#[rstest]
#[case::metadata("/object/metadata", json!("abc, expected SECRETCODE"))]
#[case::with_the_parsers_words_twice("/object/metadata", json!("x, expected a, expected SECRETCODE"))]
#[case::an_object("/object", json!("SECRETCODE, expected SECRETCODE"))]
#[case::an_operation("/operation", json!("SECRETCODE, expected one of SECRETCODE"))]
#[case::a_name("/name", json!(["SECRETCODE"]))]
#[case::a_user("/userInfo", json!("SECRETCODE, expected SECRETCODE"))]
fn repeats_nothing_of_what_cannot_be_read(#[case] pointer: &str, #[case] value: Value) {
    let answer = review(&[], with(case("leak.json"), &[(pointer, value)]).to_string());
    assert_eq!(answer.code, 2);
    assert!(!answer.told.contains("SECRET") && !answer.told.contains("abc"), "{}", answer.told);
}

#[rstest]
#[case::another_kind("kind", json!("SECRETCODE"))]
#[case::another_version("apiVersion", json!("SECRETCODE/v1"))]
#[case::a_kind_that_is_no_text("kind", json!(["SECRETCODE"]))]
#[case::a_version_that_is_no_text("apiVersion", json!({"SECRETCODE": 1}))]
#[case::a_request_that_is_none("request", json!("SECRETCODE, expected SECRETCODE"))]
#[case::a_list_for_a_request("request", json!(["SECRETCODE"]))]
fn repeats_nothing_of_another_document(#[case] key: &str, #[case] value: Value) {
    let mut body = case("leak.json");
    body[key] = value;
    let answer = review(&[], body.to_string());
    assert!(answer.code == 2 && !answer.told.contains("SECRET"), "{}", answer.told);
}

#[rstest]
#[case::lists_that_do_not_end("spec:\n  access_code: SECRETCODE\n  user: [u\nstatus: {\n")]
#[case::a_tab("spec:\n\taccess_code: SECRETCODE\n")]
#[case::a_key_given_twice("spec: {access_code: SECRETCODE}\nspec: {access_code: SECRETCODE}\n")]
#[case::an_alias_of_nothing("spec:\n  access_code: *SECRETCODE\n")]
#[case::a_quote_that_does_not_end("spec:\n  access_code: \"SECRETCODE\n")]
#[case::a_text_alone("SECRETCODE")]
fn repeats_nothing_of_a_session_that_is_no_yaml(#[case] text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let answer = review(&["--session", file.path().to_str().unwrap(), "--as", "alice"], "");
    assert!(answer.code == 2 && !answer.told.contains("SECRET"), "{}", answer.told);
    let answer = review(&[], text);
    assert!(answer.code == 2 && !answer.told.contains("SECRET"), "{}", answer.told);
}

#[rstest]
#[case::as_it_is(&[])]
#[case::wide_characters(&[("/namespace", json!("李".repeat(300)))])]
#[case::what_is_escaped(&[("/name", json!("%".repeat(300)))])]
#[case::no_namespace(&[("/namespace", json!(""))])]
fn is_short_and_its_causes_complete(#[case] changes: &[(&str, Value)]) {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), STRICT).unwrap();
    let body = with(case("long-message.json"), changes).to_string();
    let answer = review(&["--config", config.path().to_str().unwrap(), "--webhook", "validate"], body);
    let message = answer.response["status"]["message"].as_str().unwrap();
    assert!(message.chars().count() < 500, "{}: {message}", message.chars().count());
    let causes = answer.response["status"]["details"]["causes"].as_array().unwrap();
    let fields: BTreeSet<_> = causes.iter().map(|cause| cause["field"].as_str().unwrap()).collect();
    let expected = BTreeSet::from([
        "spec.user",
        "status.active",
        "status.end_time",
        "status.finished",
        "status.paused",
        "status.paused_time",
        "status.start_time",
    ]);
    assert_eq!(fields, expected);
    for cause in causes {
        assert_eq!(
            answer.told.matches(cause["message"].as_str().unwrap()).count(),
            causes.iter().filter(|other| other["message"] == cause["message"]).count(),
            "{}",
            answer.told
        );
    }
}

#[rstest]
#[case("system:serviceaccount:hobbyfarm-system:default")]
#[case("alice")]
fn about_a_writer_is_short_whatever_the_names(#[case] user: &str) {
    let user = user.to_owned() + &"%\u{202e}".repeat(200);
    for changes in [vec![], vec![("/subResource", json!("status"))], vec![("/name", json!("\u{202e}".repeat(300)))]] {
        let body = with(with(case("long-message.json"), &[("/userInfo/username", json!(user))]), &changes);
        let accounts: Vec<_> = (0..2000)
            .flat_map(|n| ["--service-account".to_owned(), format!("{}/{}{n}", "n".repeat(63), "a".repeat(240))])
            .collect();
        let accounts: Vec<_> = accounts.iter().map(String::as_str).collect();
        let message = review(&accounts, body.to_string()).response["status"]["message"].clone();
        assert!(message.as_str().unwrap().chars().count() < 500, "{message}");
    }
}

#[rstest]
#[case::as_status(&[("/namespace", Value::Null)], "of Session \"ss-1\":")]
#[case::as_a_whole(&[("/namespace", Value::Null), ("/subResource", Value::Null)], "Session \"ss-1\":")]
#[case::an_empty_one(&[("/namespace", json!(""))], "of Session \"ss-1\":")]
#[case::a_create(&[("/namespace", Value::Null), ("/operation", json!("CREATE")), ("/subResource", Value::Null)], "may not create Session \"ss-1\":")]
#[case::a_generated_name(&[("/namespace", Value::Null), ("/operation", json!("CREATE")), ("/subResource", Value::Null), ("/name", json!(""))], "may not create Session \"(generated name)\":")]
fn names_a_session_without_a_namespace_by_its_name(#[case] changes: &[(&str, Value)], #[case] expected: &str) {
    let body = with(with(case("finish-refused.json"), &[("/userInfo/username", json!("alice"))]), changes);
    let message = review(&[], body.to_string()).response["status"]["message"].clone();
    let message = message.as_str().unwrap();
    assert!(message.contains(expected) && !message.contains("\"/"), "{message}");
}

#[rstest]
#[case::a_word(&[("/object/status/active", json!("yes"))])]
#[case::a_number(&[("/object/status/active", json!(1))])]
#[case::a_time(&[("/object/status/end_time", json!("2026-11-24T12:05:00Z"))])]
#[case::without_the_subresource(&[("/object/status/active", json!("yes")), ("/subResource", Value::Null)])]
fn of_a_repair_claims_nothing_about_what_is_stored(#[case] changes: &[(&str, Value)]) {
    for operation in [&[("/operation", json!("CREATE")), ("/oldObject", Value::Null)][..], &[]] {
        let body = with(with(case("finish-refused.json"), changes), operation);
        let answer = review(&["--webhook", "mutate"], body.to_string());
        let warnings = answer.response["warnings"].to_string();
        assert!(warnings.contains("rewritten to") && !warnings.contains("stored"), "{warnings}");
    }
}

//! Inputs that were decided wrongly once, each of which stands for its kind, through `session-webhook review`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

use std::path::PathBuf;

use assert_cmd::Command;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use serde_json::{Value, json};

const HOBBYFARM: &str = "system:serviceaccount:hobbyfarm-system:hobbyfarm-session";
const OWN: &str = "hobbyfarm-session-webhook/session-webhook";
const STRICT: &str = "invariants: deny\n";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases").join(name)
}

fn case(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// The answer to a review: exit code, `response`, and what a person is told.
struct Answer {
    code: i32,
    response: Value,
    told: String,
}

fn review(arguments: &[&str], stdin: impl Into<Vec<u8>>) -> Answer {
    let mut command = Command::cargo_bin("session-webhook").unwrap();
    command.env_clear().args(["review", "--now", "2026-11-24T12:00:00Z"]).args(arguments).write_stdin(stdin.into());
    let output = command.output().unwrap();
    let response =
        serde_json::from_slice::<Value>(&output.stdout).map_or(Value::Null, |review| review["response"].clone());
    Answer { code: output.status.code().unwrap(), response, told: String::from_utf8(output.stderr).unwrap() }
}

impl Answer {
    #[track_caller]
    fn is_allowed_without_a_word(&self) {
        assert_eq!((self.code, &self.response["allowed"]), (0, &json!(true)), "{}", self.told);
        assert_eq!(self.response.get("warnings"), None, "{}", self.told);
    }

    /// The new values by their paths.
    fn patch(&self) -> Vec<(String, Value)> {
        let Some(patch) = self.response["patch"].as_str() else { return Vec::new() };
        let operations: Vec<Value> = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
        operations.iter().map(|op| (op["path"].as_str().unwrap().to_owned(), op["value"].clone())).collect()
    }

    fn patched(&self, path: &str) -> Value {
        self.patch().into_iter().find(|(key, _)| key == path).unwrap_or_else(|| panic!("no {path}: {}", self.told)).1
    }
}

/// A review with these values put in, by their pointers in `request`.
fn with(mut review: Value, values: &[(&str, Value)]) -> Value {
    for (pointer, value) in values {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        review["request"].pointer_mut(parent).unwrap()[key] = value.clone();
    }
    review
}

mod an_odd_pair {
    use super::*;

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
        let answer = review(&["--own-service-account", OWN], with(case("backfill-bad-pair.json"), changes).to_string());
        assert_eq!((answer.code, &answer.response["allowed"]), (0, &json!(true)), "{}", answer.told);
    }

    #[rstest]
    #[case::a_sound_one("Tue Nov 24 00:00:00 UTC 2026", "Tue Nov 24 00:20:00 UTC 2026")]
    #[case::none("Tue Nov 24 00:00:00 UTC 2026", "")]
    fn that_replaces(#[case] start: &str, #[case] end: &str) {
        let times = [("/start_time", start), ("/end_time", end)];
        let old = times.map(|(key, value)| (format!("/oldObject/status{key}"), json!(value)));
        let mut changes: Vec<_> = old.iter().map(|(path, value)| (&**path, value.clone())).collect();
        changes.push(("/object/status/start_time", json!("Tue Nov 24 00:30:00 UTC 2026")));
        let body = with(case("finish-refused.json"), &changes).to_string();
        let answer = review(&[], body.clone());
        assert_eq!(answer.code, 0, "{}", answer.told);
        assert!(answer.response["auditAnnotations"]["invariants"].as_str().unwrap().contains("EndBeforeStart"));
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), STRICT).unwrap();
        let answer = review(&["--config", config.path().to_str().unwrap()], body);
        assert_eq!((answer.code, &answer.response["status"]["code"]), (1, &json!(422)), "{}", answer.told);
    }
}

mod a_dialect {
    use super::*;

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
    fn is_documented(#[case] changes: &[(&str, Value)]) {
        let answer = review(&BREAK_GLASS, with(case("dialect-fallback.json"), changes).to_string());
        assert_eq!(answer.patched("/status/paused"), json!("false"));
    }
}

mod a_zone {
    use super::*;

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

    #[test]
    fn in_numbers_is_repaired_to_utc() {
        let answer = update("tz-0545.yaml", "tz-0545-old.yaml", &[]);
        assert_eq!((answer.code, &answer.response["allowed"]), (0, &json!(true)), "{}", answer.told);
        assert_eq!(answer.patched("/status/start_time"), json!("Wed Mar  4 12:00:00 UTC 2026"));
        assert_eq!(answer.patched("/status/end_time"), json!("Wed Mar  4 12:05:00 UTC 2026"));
    }

    #[test]
    fn in_numbers_is_repaired_to_utc_in_the_documented_dialect() {
        let answer = update("tz-0545-documented.yaml", "tz-0545-old.yaml", &["--dialect", "documented"]);
        assert_eq!((answer.code, &answer.response["allowed"]), (0, &json!(true)), "{}", answer.told);
        assert_eq!(answer.patched("/status/start_time"), json!("2026-03-04 12:00:00 +0000 UTC"));
        assert_eq!(answer.patched("/status/end_time"), json!("2026-03-04 12:05:00.5 +0000 UTC"));
    }
}

mod a_text {
    use super::*;

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
    fn repeats_nothing_of_another_document(#[case] key: &str, #[case] value: Value) {
        let mut body = case("leak.json");
        body[key] = value;
        let answer = review(&[], body.to_string());
        assert!(answer.code == 2 && !answer.told.contains("SECRET"), "{}", answer.told);
    }

    #[test]
    fn repeats_nothing_of_a_session_that_is_no_yaml() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "spec:\n  access_code: SECRETCODE\n  user: [u\nstatus: {\n").unwrap();
        let answer = review(&["--session", file.path().to_str().unwrap(), "--as", "alice"], "");
        assert!(answer.code == 2 && !answer.told.contains("SECRET"), "{}", answer.told);
        let answer = review(&[], std::fs::read(file.path()).unwrap());
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
        let mut fields: Vec<_> = causes.iter().map(|cause| cause["field"].as_str().unwrap()).collect();
        fields.sort_unstable();
        fields.dedup();
        let expected = [
            "spec.user",
            "status.active",
            "status.end_time",
            "status.finished",
            "status.paused",
            "status.paused_time",
            "status.start_time",
        ];
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
        for changes in [vec![], vec![("/subResource", json!("status"))], vec![("/name", json!("\u{202e}".repeat(300)))]]
        {
            let body = with(with(case("long-message.json"), &[("/userInfo/username", json!(user))]), &changes);
            let accounts: Vec<_> = (0..2000)
                .flat_map(|n| ["--service-account".to_owned(), format!("{}/{}{n}", "n".repeat(63), "a".repeat(240))])
                .collect();
            let accounts: Vec<_> = accounts.iter().map(String::as_str).collect();
            let message = review(&accounts, body.to_string()).response["status"]["message"].clone();
            assert!(message.as_str().unwrap().chars().count() < 500, "{message}");
        }
    }

    #[test]
    fn names_a_session_without_a_namespace_by_its_name() {
        let body =
            with(case("finish-refused.json"), &[("/userInfo/username", json!("alice")), ("/namespace", Value::Null)]);
        let message = review(&[], body.to_string()).response["status"]["message"].clone();
        assert!(message.as_str().unwrap().contains("of Session \"ss-1\":"), "{message}");
    }

    #[test]
    fn of_a_repair_claims_nothing_about_what_is_stored() {
        let values =
            [("/operation", json!("CREATE")), ("/oldObject", Value::Null), ("/object/status/active", json!("yes"))];
        let answer = review(&["--webhook", "mutate"], with(case("finish-refused.json"), &values).to_string());
        let warnings = answer.response["warnings"].to_string();
        assert!(warnings.contains("rewritten to") && !warnings.contains("stored"), "{warnings}");
    }
}

mod a_change {
    use super::*;

    #[rstest]
    #[case::as_it_is("1.7976931348623157e308", "1.7976931348623158e308")]
    #[case::a_long_fraction("0.1", "0.10000000000000000555")]
    #[case::a_large_integer("9007199254740993.0", "9007199254740992.0")]
    #[case::beyond_a_double("1e400", "2e400")]
    fn of_a_number_is_one_however_it_rounds(#[case] new: &str, #[case] old: &str) {
        let text = std::fs::read_to_string(path("num.json")).unwrap();
        let parts: Vec<_> = text.split("1.7976931348623157e308").collect();
        let [before, between, after] = parts[..] else { panic!("{text}") };
        let answer = review(&[], format!("{before}{new}{between}{old}{after}"));
        assert_eq!(answer.response["auditAnnotations"]["rule"], "ManualEdit", "{}", answer.told);
    }

    #[test]
    fn that_is_none_is_allowed() {
        let text = std::fs::read_to_string(path("num.json")).unwrap();
        assert_eq!(review(&[], text).response["auditAnnotations"]["rule"], "NoChange");
    }
}

#[rstest]
#[case::a_list(200, "[", "]")]
#[case::an_object(2_000, "{\"a\":", "}")]
#[case::deep(100_000, "[", "]")]
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
#[case::a_create(Some("CREATE"))]
#[case::an_update(None)]
fn a_session_of_another_version_is_not_touched(#[case] operation: Option<&str>) {
    let object = json!({
        "apiVersion": "hobbyfarm.io/v4alpha1", "kind": "Session", "metadata": {"name": "s4", "uid": "u"},
        "spec": {"user": "u1", "accessCode": "SECRETCODE"}, "status": {"conditions": [], "machineClaim": "m"},
    });
    let mut changes = vec![
        ("/object", object.clone()),
        ("/resource/version", json!("v4alpha1")),
        ("/kind/version", json!("v4alpha1")),
    ];
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

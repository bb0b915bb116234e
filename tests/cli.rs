//! The program as a person at a terminal uses it: `review`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

mod support;

use std::path::PathBuf;

use assert_cmd::Command;
use rstest::rstest;
use serde_json::{Value, json};
use session_webhook::core::admission::review::Webhook;
use tempfile::TempDir;

const SESSION: &str = "
apiVersion: hobbyfarm.io/v1
kind: Session
metadata: {name: s1, namespace: hobbyfarm-system}
spec: {user: u-1, vm_claim: [vmc-1], keep_course_vm: false}
status: {paused: false, active: yes, finished: false, paused_time: '', start_time: '2026-11-24T10:00:00Z', end_time: ''}
";
const HOBBYFARM: &str = "system:serviceaccount:hobbyfarm-system:hobbyfarm-session";

fn review() -> Command {
    let mut command = Command::cargo_bin("session-webhook").unwrap();
    command.env_clear().args(["review", "--now", "2026-11-24T12:00:00Z"]);
    command
}

fn recorded(scenario: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/admission/gargantua-status/{scenario}.json"))
}

/// Runs it and gives exit code, the responses on standard output, and standard error.
fn run(command: &mut Command) -> (i32, Vec<Value>, String) {
    let output = command.output().unwrap();
    let responses = serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect();
    (output.status.code().unwrap(), responses, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_recorded_review_is_answered() {
    let (code, responses, told) = run(review().arg(recorded("02-create-by-alice.validating")));
    assert_eq!((code, responses.len()), (1, 1));
    assert_eq!(responses[0]["response"]["status"]["reason"], json!("Forbidden"));
    assert!(told.contains("denied") && told.contains("ManualCreate") && told.contains("\"alice\""), "{told}");
    assert!(!told.contains('\u{1b}'), "colour on no terminal");
}

#[test]
fn standard_input_is_read_without_a_file() {
    let body = std::fs::read(recorded("61-status-keepalive-put-by-session-service.validating")).unwrap();
    let (code, responses, _) = run(review().write_stdin(body));
    assert_eq!((code, &responses[0]["response"]["allowed"]), (0, &json!(true)));
}

#[test]
fn one_webhook_alone_can_be_asked() {
    let request = recorded("15-create-client-go.mutating");
    let (_, responses, _) = run(review().arg(&request).args(["--webhook", "mutate"]));
    assert_eq!(responses[0]["response"]["patchType"], json!("JSONPatch"));
    let (_, responses, _) = run(review().arg(&request).args(["--webhook", "validate"]));
    assert_eq!(responses[0]["response"].get("patch"), None);
}

#[test]
fn several_reviews_are_answered_one_after_the_other() {
    let read = |scenario| std::fs::read_to_string(recorded(scenario)).unwrap();
    let (denied, allowed) = (read("02-create-by-alice.validating"), read("80-delete-by-alice.validating"));
    let (code, responses, _) = run(review().write_stdin(format!("{allowed}\n{denied}{allowed}")));
    assert_eq!((code, responses.len()), (1, 3));
    let yaml = format!("---\n{allowed}\n---\n{denied}\n");
    let (code, responses, _) = run(review().write_stdin(yaml));
    assert_eq!((code, responses.len()), (1, 2));
}

#[test]
fn every_recorded_review_gets_the_rule_and_verdict_of_the_policy() {
    let requests = support::recorded::recorded();
    let stream: Vec<u8> = requests.iter().flat_map(|request| request.body.clone()).collect();
    let accounts =
        ["session", "gargantua", "user"].map(|name| format!("--service-account=hobbyfarm-system/hobbyfarm-{name}"));
    let (code, responses, told) = run(review().args(["--webhook", "validate"]).args(accounts).write_stdin(stream));
    assert_eq!((code, responses.len()), (1, requests.len()), "{told}");
    for (request, response) in requests.iter().zip(&responses) {
        let decision = support::recorded::decide(&support::recorded::shipped(), Webhook::Validate, &request.json());
        let answered = &response["response"]["auditAnnotations"];
        let expected = (json!(decision.rule.name()), json!(decision.name()));
        assert_eq!((&answered["rule"], &answered["decision"]), (&expected.0, &expected.1), "{}", request.scenario);
    }
}

#[test]
fn what_stands_behind_an_unreadable_review_is_answered_all_the_same() {
    let good = std::fs::read_to_string(recorded("80-delete-by-alice.validating")).unwrap();
    let (code, responses, told) = run(review().write_stdin(format!("{{\"kind\":\"Pod\"}}\n{good}")));
    assert_eq!((code, responses.len()), (2, 1));
    assert!(told.contains("review 1") && told.contains("AdmissionReview"), "{told}");
}

#[rstest]
#[case::empty("", "empty")]
#[case::broken_json("{\"kind\":", "EOF")]
#[case::some_text("hello", "AdmissionReview")]
#[case::old_version(
    "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1beta1\"}",
    "admission.k8s.io/v1"
)]
#[case::no_request("{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\"}", "no request")]
fn unreadable_input_says_what_is_wrong(#[case] input: &str, #[case] expected: &str) {
    let (code, responses, told) = run(review().write_stdin(input.to_owned()));
    assert_eq!((code, responses.len()), (2, 0), "{told}");
    assert!(told.contains(expected) && told.contains("standard input"), "{told}");
}

#[test]
fn a_missing_file_is_named() {
    let (code, _, told) = run(review().arg("no-such-file.json"));
    assert_eq!(code, 2);
    assert!(told.contains("no-such-file.json"), "{told}");
}

/// A folder with `session.yaml`, and `old.yaml` with another end time.
fn sessions() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("session.yaml"), SESSION).unwrap();
    std::fs::write(folder.path().join("pod.yaml"), "kind: Pod").unwrap();
    std::fs::write(
        folder.path().join("old.yaml"),
        SESSION.replace("end_time: ''", "end_time: 'Tue Nov 24 11:00:00 UTC 2026'"),
    )
    .unwrap();
    folder
}

#[rstest]
#[case::human(&["--as", "alice"], 1, "ManualCreate")]
#[case::human_updates(&["--as", "alice", "--old", "old.yaml"], 1, "ManualEdit")]
#[case::human_updates_status(&["--as", "alice", "--old", "old.yaml", "--subresource", "status"], 1, "ManualStatusEdit")]
#[case::no_change(&["--as", "alice", "--old", "session.yaml"], 0, "NoChange")]
#[case::hobbyfarm(&["--as", HOBBYFARM], 0, "HobbyFarm")]
#[case::impersonated(&["--as", HOBBYFARM, "--impersonated"], 1, "Impersonation")]
#[case::break_glass(&["--as", "alice", "--as-group", "sre", "--break-glass-group", "sre"], 0, "BreakGlass")]
#[case::mode_warn(&["--as", "alice", "--mode", "warn"], 0, "ManualCreate")]
fn an_admin_can_ask_whether_somebody_may_write(#[case] arguments: &[&str], #[case] code: i32, #[case] rule: &str) {
    let folder = sessions();
    let (actual, responses, told) =
        run(review().current_dir(folder.path()).args(["--session", "session.yaml"]).args(arguments));
    assert_eq!(actual, code, "{told}");
    assert_eq!(responses[0]["response"]["auditAnnotations"]["rule"], json!(rule));
}

#[test]
fn repairs_are_shown_as_a_diff_of_the_status() {
    let folder = sessions();
    let (_, _, told) = run(review().current_dir(folder.path()).args(["--session", "session.yaml", "--as", HOBBYFARM]));
    assert!(told.contains(r#"-   "end_time": "","#), "{told}");
    assert!(told.contains(r#"+   "end_time": "Tue Nov 24 12:05:00 UTC 2026","#), "{told}");
    assert!(told.contains(r#"+   "start_time": "Tue Nov 24 10:00:00 UTC 2026""#), "{told}");
    assert!(told.contains("warning") && told.contains("status.start_time"), "{told}");
}

#[rstest]
#[case::no_user(&["--session", "session.yaml"], "--as")]
#[case::no_session(&["--as", "alice"], "--session")]
#[case::file_and_session(&["x.json", "--session", "session.yaml", "--as", "alice"], "--session")]
#[case::update_of_nothing(&["--session", "session.yaml", "--as", "alice", "--operation", "UPDATE"], "--old")]
#[case::create_over_something(&["--session", "session.yaml", "--as", "alice", "--operation", "CREATE", "--old", "old.yaml"], "--old")]
#[case::status_of_nothing(&["--session", "session.yaml", "--as", "alice", "--subresource", "status"], "--old")]
#[case::other_subresource(&["--session", "session.yaml", "--as", "a", "--old", "old.yaml", "--subresource", "scale"], "status")]
#[case::other_operation(&["--session", "session.yaml", "--as", "alice", "--operation", "DELETE"], "CREATE")]
#[case::missing_session(&["--session", "gone.yaml", "--as", "alice"], "gone.yaml")]
#[case::no_session_at_all(&["--session", "pod.yaml", "--as", "alice"], "expected one Session")]
#[case::bad_clock(&["--now", "yesterday"], "--now")]
#[case::bad_webhook(&["--webhook", "both"], "mutate")]
#[case::bad_account(&["--service-account", "hobby*/x"], "--service-account")]
fn bad_usage_names_the_flag_and_the_way_out(#[case] arguments: &[&str], #[case] named: &str) {
    let folder = sessions();
    let mut command = Command::cargo_bin("session-webhook").unwrap();
    let (code, responses, told) =
        run(command.env_clear().current_dir(folder.path()).arg("review").args(arguments).write_stdin(""));
    assert_eq!((code, responses.len()), (2, 0), "{told}");
    assert!(told.contains(named), "{told}");
}

#[test]
fn the_help_teaches_with_examples() {
    for arguments in [vec!["--help"], vec!["review", "--help"], vec!["serve", "--help"], vec!["doctor", "--help"]] {
        let mut command = Command::cargo_bin("session-webhook").unwrap();
        let output = command.args(&arguments).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && help.contains("Examples:"), "{arguments:?}: {help}");
    }
}

/// Without a cluster there is nothing to judge: neither good nor bad.
#[rstest]
#[case::no_credentials(&[], "KUBECONFIG")]
#[case::no_such_context(&["--context", "nowhere"], "nowhere")]
#[case::no_such_output(&["--output", "yaml"], "--output")]
#[case::no_name(&["--namespace", "Not_A_Name"], "--namespace")]
fn doctor_says_why_it_could_not_look(#[case] arguments: &[&str], #[case] named: &str) {
    let folder = TempDir::new().unwrap();
    let mut command = Command::cargo_bin("session-webhook").unwrap();
    command.env_clear().env("HOME", folder.path()).env("KUBECONFIG", folder.path().join("none"));
    let (code, told, error) = run(command.arg("doctor").args(arguments));
    assert_eq!((code, told), (2, Vec::new()), "{error}");
    assert!(error.contains(named), "{error}");
}

#[test]
fn doctor_says_that_the_api_server_does_not_answer() {
    let folder = TempDir::new().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": format!("https://127.0.0.1:{port}")}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    });
    let file = folder.path().join("config");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = Command::cargo_bin("session-webhook").unwrap();
    let (code, told, error) = run(command.env_clear().env("KUBECONFIG", file).arg("doctor"));
    assert_eq!((code, told), (2, Vec::new()), "{error}");
    assert!(error.contains("cannot ask the API server"), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = sessions();
    let session = folder.path().join("session.yaml");
    let program = assert_cmd::cargo::cargo_bin("session-webhook");
    let script = format!(
        "'{0}' review --session '{1}' --as alice | head -c 0; echo ${{PIPESTATUS[0]}}; '{0}' completions bash | head -c 0; echo ${{PIPESTATUS[0]}}",
        program.display(),
        session.display()
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n0\n", "{told}");
    assert!(!told.contains("error") && !told.contains("panic"), "{told}");
}

/// A terminal would act upon them; `\u{9b}` begins a command to some.
#[test]
fn what_a_terminal_acts_upon_is_escaped_in_the_diff() {
    let text = std::fs::read(recorded("61-status-keepalive-put-by-session-service.mutating")).unwrap();
    let mut odd: Value = serde_json::from_slice(&text).unwrap();
    let status = &mut odd["request"]["object"]["status"];
    (status["active"], status["note"]) = (json!("yes"), json!("100% \"Zoë\" C:\\ \u{9b}31m\u{202e}evil"));
    let (code, _, told) = run(review().write_stdin(odd.to_string()));
    assert_eq!(code, 0, "{told}");
    assert!(!told.contains(['\u{9b}', '\u{202e}']), "{told}");
    assert!(told.contains(r#""note": "100% \"Zoë\" C:\\ \u{9b}31m\u{202e}evil""#), "{told}");
}

#[rstest]
#[case::help(&["--help"])]
#[case::version(&["--version"])]
#[case::script(&["completions", "bash"])]
fn a_full_disk_is_an_error(#[case] arguments: &[&str]) {
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("session-webhook"));
    let output = command.env_clear().args(arguments).stdout(full).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("standard output"), "{told}");
}

#[test]
fn an_unreadable_object_is_not_repeated() {
    let request = r#"{"uid":"1","operation":"CREATE","resource":{"group":"hobbyfarm.io","version":"v1","resource":"sessions"},"object":"ac-secret"}"#;
    let review_text = format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{request}}}"#);
    let (code, _, told) = run(review().write_stdin(review_text));
    assert_eq!(code, 2);
    assert!(told.contains("request.object") && !told.contains("ac-secret"), "{told}");
    assert_eq!(told.matches("expected a JSON object").count(), 1, "{told}");
}

//! Nothing leaks: no output, log line, metric or Event repeats an access code, a token, a kubeconfig's line, a plugin's argument, a
//! proxy's password or an object, whatever goes wrong, at any level of the log.

use rstest::rstest;

use crate::api_server::{ApiServer, Kind, MARKER};
use crate::faults::Fault;
use crate::program::{Ended, Serving, kubeconfig_text, run, run_with};

fn assert_discreet(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(MARKER));
    assert_eq!(line, None, "{what}");
}

fn assert_all_discreet(what: &str, ended: &Ended) {
    assert_discreet(what, &ended.stdout);
    assert_discreet(what, &ended.stderr);
}

#[rstest]
#[case::well(None)]
#[case::half_a_list(Some((Kind::List, Fault::TruncatedObject)))]
#[case::half_a_session(Some((Kind::Get, Fault::TruncatedObject)))]
#[case::half_a_patch(Some((Kind::Patch, Fault::TruncatedObject)))]
#[case::half_a_discovery(Some((Kind::Resources, Fault::TruncatedObject)))]
#[case::half_a_reference(Some((Kind::References, Fault::TruncatedObject)))]
#[case::half_a_configuration(Some((Kind::Configuration, Fault::TruncatedObject)))]
#[case::half_a_lease(Some((Kind::LeaseGet, Fault::TruncatedObject)))]
#[case::half_an_event(Some((Kind::Event, Fault::TruncatedObject)))]
#[tokio::test(flavor = "multi_thread")]
async fn commands_and_the_log_at_its_most_talkative_are_discreet(#[case] fault: Option<(Kind, Fault)>) {
    let server = ApiServer::start(fault).await;
    for command in ["audit", "audit --output yaml", "doctor", "doctor --output json", "audit --fix --yes"] {
        assert_all_discreet(command, &run(&server, command).await);
    }
    let server = ApiServer::start(fault).await;
    let options = "--backfill --backfill-after 0s --audit-interval 1s --log-level trace";
    let serving = Serving::start(&server, options).unwrap();
    let asked = fault.map_or(Kind::Event, |(kind, _)| kind);
    if asked != Kind::Configuration {
        server.is_asked(asked, 1).await.unwrap();
    }
    let metrics = serving.get("/metrics").unwrap();
    server.heal();
    serving.becomes("repaired", |_| server.is_repaired()).await.unwrap();
    let (_, log) = serving.stop();
    assert!(log.contains("\"session repaired\""), "{log}");
    for (what, text) in [("metrics", metrics), ("log", log), ("events", server.events())] {
        assert_discreet(what, &text);
    }
}

#[rstest]
#[case::malformed_line("apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user: {token: \"m4rk3r\"\ncontexts: [\n".to_owned())]
#[case::plugin_that_fails(kubeconfig_text(
    ([127, 0, 0, 1], 1).into(),
    "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: ['-c', 'echo m4rk3r >&2; exit 3']}",
    "",
))]
#[case::plugin_that_prints_nonsense(kubeconfig_text(
    ([127, 0, 0, 1], 1).into(),
    "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: ['-c', 'echo \"m4rk3r: [\"']}",
    "",
))]
#[case::proxy_that_is_away(kubeconfig_text(([127, 0, 0, 1], 1).into(), "token: m4rk3r", ", proxy-url: 'http://user:m4rk3r@127.0.0.1:1'"))]
#[case::proxy_of_no_kind(kubeconfig_text(([127, 0, 0, 1], 1).into(), "token: m4rk3r", ", proxy-url: 'ftp://user:m4rk3r@proxy'"))]
#[case::token_of_two_lines(kubeconfig_text(([127, 0, 0, 1], 1).into(), "token: \"m4rk3r\\nm4rk3r\"", ""))]
fn credentials_that_cannot_be_used_are_not_quoted(#[case] kubeconfig: String) {
    for command in ["audit", "audit --fix --yes", "doctor"] {
        let ended = run_with(&kubeconfig, &format!("{command} --request-timeout 1s"), "");
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(!ended.stderr.is_empty());
        // What a plugin itself says on standard error is the plugin's.
        let own: Vec<_> = ended.stderr.lines().filter(|line| line.trim() != MARKER).collect();
        assert_discreet(command, &own.join("\n"));
        assert_discreet(command, &ended.stdout);
    }
}

#[test]
fn reviews_and_policies_are_discreet() {
    let review =
        |body: &str| format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{body}}}"#);
    let object = format!(
        r#"{{"metadata":{{"name":"s"}},"spec":{{"access_code":"{MARKER}","user":"u"}},"status":{{"paused":"{MARKER}"}}}}"#
    );
    let request = format!(
        r#"{{"uid":"1","operation":"CREATE","resource":{{"group":"hobbyfarm.io","version":"v1","resource":"sessions"}},
        "userInfo":{{"username":"alice"}},"object":{object}}}"#
    );
    let inputs = [
        review(&request),
        review(&format!(r#"{{"uid":"1","operation":"{MARKER}"}}"#)),
        review(&format!(r#""{MARKER}""#)),
        format!("{{\"spec\": \"{MARKER}\""),
        format!("spec: [{MARKER}"),
    ];
    for input in inputs {
        let ended = run_with("", "review INPUT", &input);
        assert!(matches!(ended.code, Some(1 | 2)), "{}{}", ended.stdout, ended.stderr);
        assert_all_discreet(&input, &ended);
    }
    let ended = run_with("", "policy --config INPUT", &format!("mode: enforce\nservice-account: [\"{MARKER}"));
    assert_eq!(ended.code, Some(2));
    assert_all_discreet("policy", &ended);
}

//! The operator's machine: files and plugins mean what they mean to kubectl.

use rstest::rstest;
use tempfile::TempDir;

use crate::api_server::ApiServer;
use crate::program::{Ended, Serving, audit_with, kubeconfig_text, run_with};

pub(crate) async fn blocking(run: impl FnOnce() -> Ended + Send + 'static) -> Ended {
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The audit finds the one Session without times.
pub(crate) fn assert_audited(ended: &Ended) {
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("MissingTime"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_list_that_is_missing_is_passed_over() {
    let (server, folder) = (ApiServer::start(None).await, TempDir::new().unwrap());
    let valid = folder.path().join("valid").display().to_string();
    std::fs::write(&valid, kubeconfig_text(server.address, "token: a", "")).unwrap();
    assert_audited(&blocking(move || audit_with(&[("KUBECONFIG", &format!("/missing:{valid}"))])).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_may_end_in_a_line_end() {
    let (server, folder) = (ApiServer::start(None).await, TempDir::new().unwrap());
    let token = folder.path().join("token").display().to_string();
    std::fs::write(&token, "abc\n").unwrap();
    let text = kubeconfig_text(server.address, &format!("tokenFile: {token}"), "");
    assert_audited(&blocking(move || run_with(&text, "audit", "")).await);
    assert_eq!(server.authorization(), "Bearer abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_a_password_are_shown() {
    let server = ApiServer::start(None).await;
    let text = kubeconfig_text(server.address, "username: alice, password: secret", "");
    assert_audited(&blocking(move || run_with(&text, "audit", "")).await);
    assert_eq!(server.authorization(), "Basic YWxpY2U6c2VjcmV0");
}

#[rstest]
#[case::no_scheme("127.0.0.1:6443", "expected https://HOST:PORT")]
#[case::nonsense("ftp://127.0.0.1", "expected https://HOST:PORT")]
fn an_address_without_a_scheme_is_told(#[case] server: &str, #[case] expected: &str) {
    let text = kubeconfig_text(([127, 0, 0, 1], 1).into(), "token: a", "").replace("http://127.0.0.1:1", server);
    let ended = run_with(&text, "audit", "");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains(expected) && ended.stderr.contains(server), "{}", ended.stderr);
}

/// The token is refused in the middle of its life, or its life is over, and the plugin has another one.
#[rstest]
#[case::refused("")]
#[case::expired(r#",\"expirationTimestamp\":\"2026-01-01T00:00:00Z\""#)]
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_run_again_when_its_token_is_of_no_use(#[case] life: &str) {
    let (server, folder) = (ApiServer::start(None).await, TempDir::new().unwrap());
    let token = folder.path().join("token");
    std::fs::write(&token, "first").unwrap();
    let script = format!(
        r#"printf "{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"%s\"{life}}}}}" "$(cat {})""#,
        token.display()
    );
    let exec = format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: ['-c', '{script}']}}"
    );
    let serving = Serving::start_as(&kubeconfig_text(server.address, &exec, ""), "--audit-interval 1s").unwrap();
    let audited = |metrics: &str| metrics.contains("\nsession_webhook_audit_sessions 1\n");
    serving.becomes("audited", audited).await.unwrap();
    assert_eq!(server.authorization(), "Bearer first");
    std::fs::write(&token, "second").unwrap();
    if life.is_empty() {
        server.accept("second");
    }
    serving.becomes("shown the other token", |_| server.authorization() == "Bearer second").await.unwrap();
    serving.becomes("audited again", audited).await.unwrap();
}

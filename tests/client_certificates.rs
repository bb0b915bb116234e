//! With `--client-ca` only those are answered whose certificate is by it and has a name that is answered.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;

use rcgen::KeyPair;
use rstest::rstest;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use session_webhook::metrics::RefusalLabels;
use session_webhook::server::tls::{Pair, TlsVersion};
use support::certificates::{ALIVE, Authority, Secret};
use support::client::{Client, client_config};
use support::test_server::TestServer;
use support::{eventually, review};
use tempfile::TempDir;

/// A server that asks for certificates by an authority.
struct Guarded {
    server: TestServer,
    clients: Authority,
    file: PathBuf,
    authority: Authority,
    secret: Secret,
    _directory: TempDir,
}

impl Guarded {
    fn start(names: &[&str]) -> Self {
        let (authority, clients) = (Authority::new(), Authority::new());
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("ca.crt");
        fs::write(&file, clients.pem()).unwrap();
        let secret = Secret::new(&authority.issue("a", ALIVE));
        let server = TestServer::following(&authority, &secret, |config| {
            config.handshake.client_ca = Some(file.clone());
            config.handshake.client_names = names.iter().map(ToString::to_string).collect();
        });
        Self { server, clients, file, authority, secret, _directory: directory }
    }

    /// The answer to a client with this certificate; none where the handshake fails.
    fn answer(&self, identity: Option<&Pair>, version: &'static SupportedProtocolVersion) -> Option<String> {
        let config = client_config(&self.server.authority, identity, &[version]);
        let mut client = Client::connect_as(self.server.listeners.webhook, config).ok()?;
        // In TLS 1.3 a client learns with the answer whether its certificate was taken.
        client.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
        client.response().ok()
    }
}

fn identity(authority: &Authority, names: &[&str]) -> Pair {
    authority.issue_for(names, ALIVE, &KeyPair::generate().unwrap())
}

#[rstest]
#[case::none(|_: &Authority| None)]
#[case::by_another_authority(|_: &Authority| Some(identity(&Authority::new(), &["apiserver"])))]
#[case::expired(|a: &Authority| Some(a.issue("apiserver", 2020..2021)))]
#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_certificate_no_handshake_succeeds(
    #[case] identity: fn(&Authority) -> Option<Pair>,
    #[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion,
) {
    let guarded = Guarded::start(&[]);
    assert_eq!(guarded.answer(identity(&guarded.clients).as_ref(), version), None);
    eventually("it is counted", || guarded.server.closed("client-certificate") == 1).await;
}

#[rstest]
#[case::any_name(&[], &["whoever"], "404")]
#[case::common_name(&["other", "apiserver"], &["apiserver"], "404")]
#[case::alternative_name(&["apiserver.example"], &["x", "apiserver.example"], "404")]
#[case::another_name(&["apiserver"], &["apiserver.example", "kubelet"], "403")]
#[case::the_beginning_of_a_name(&["apiserver"], &["apiserver2"], "403")]
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_by_its_names(
    #[case] allowed: &[&str],
    #[case] names: &[&str],
    #[case] code: &str,
    #[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion,
) {
    let guarded = Guarded::start(allowed);
    let pair = identity(&guarded.clients, names);
    let answer = guarded.answer(Some(&pair), version).unwrap();
    assert_eq!(answer.split(' ').nth(1), Some(code), "{answer}");
    let labels = RefusalLabels { code: 403, reason: "unknown-client" };
    assert_eq!(guarded.server.metrics.refused.get_or_create(&labels).get(), u64::from(code == "403"));

    let config = client_config(&guarded.server.authority, Some(&pair), &[version]);
    let mut client = Client::connect_as(guarded.server.listeners.webhook, config).unwrap();
    let reviewed = client.post("/mutate", review().to_string().as_bytes());
    assert_eq!(reviewed.split(' ').nth(1), Some(if code == "403" { "403" } else { "200" }), "{reviewed}");
}

/// Unread bytes would reset the connection, and the reason be lost on the way.
#[tokio::test(flavor = "multi_thread")]
async fn the_reason_reaches_a_client_of_another_name_although_its_body_is_large() {
    let guarded = Guarded::start(&["apiserver"]);
    let pair = identity(&guarded.clients, &["kubelet"]);
    for _ in 0..10 {
        let config = client_config(&guarded.server.authority, Some(&pair), &[&TLS13]);
        let mut client = Client::connect_as(guarded.server.listeners.webhook, config).unwrap();
        let answer = client.post("/validate", &vec![b' '; 300_000]);
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_can_be_rotated_with_an_overlap_and_a_broken_file_changes_nothing() {
    let mut guarded = Guarded::start(&[]);
    let (old, next) = (identity(&guarded.clients, &["a"]), Authority::new());
    let new = identity(&next, &["a"]);
    assert_eq!(guarded.answer(Some(&new), &TLS13), None);

    fs::write(&guarded.file, [guarded.clients.pem(), next.pem()].concat()).unwrap();
    guarded.server.wait_for(|status| status.loads == 2).await;
    assert!(guarded.answer(Some(&old), &TLS13).is_some() && guarded.answer(Some(&new), &TLS13).is_some());

    fs::write(&guarded.file, "").unwrap();
    guarded.server.wait_for(|status| status.error.is_some()).await;
    assert_eq!(guarded.server.loads("bad-client-ca"), 1);
    assert!(guarded.answer(Some(&old), &TLS13).is_some());

    fs::write(&guarded.file, next.pem()).unwrap();
    guarded.server.wait_for(|status| status.loads == 3).await;
    assert_eq!(guarded.answer(Some(&old), &TLS13), None);
    assert!(guarded.answer(Some(&new), &TLS13).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pair_and_authorities_the_good_part_is_taken() {
    let mut guarded = Guarded::start(&[]);
    let (old, next) = (identity(&guarded.clients, &["a"]), Authority::new());

    // Not even with a broken pair beside it is a withdrawn authority trusted.
    guarded.secret.swap(&Pair { key: Vec::new(), ..guarded.authority.issue("broken", ALIVE) });
    guarded.server.wait_for(|status| status.error.is_some()).await;
    fs::write(&guarded.file, next.pem()).unwrap();
    guarded.server.wait_for(|status| status.loads == 2).await;
    assert_eq!(guarded.answer(Some(&old), &TLS13), None);
    let new = identity(&next, &["a"]);
    assert!(guarded.answer(Some(&new), &TLS13).is_some());

    // Nor does a broken file of authorities keep a renewed pair from being served.
    fs::write(&guarded.file, "-----BEGIN CERTIFICATE-----").unwrap();
    guarded.secret.swap(&guarded.authority.issue("renewed.example", ALIVE));
    guarded.server.wait_for(|status| status.certificate.names.contains(&"renewed.example".to_owned())).await;
    guarded.server.wait_for(|status| status.error.as_ref().is_some_and(|e| e.reason() == "bad-client-ca")).await;
    assert!(guarded.answer(Some(&new), &TLS13).is_some());
    assert_eq!(guarded.answer(Some(&old), &TLS13), None);
    assert_eq!((guarded.server.loads("bad-key"), guarded.server.loads("bad-client-ca")), (1, 1));
}

#[rstest]
#[case(TlsVersion::V1_2, &TLS12, true)]
#[case(TlsVersion::V1_2, &TLS13, true)]
#[case(TlsVersion::V1_3, &TLS12, false)]
#[case(TlsVersion::V1_3, &TLS13, true)]
#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_version_of_tls_is_kept(
    #[case] least: TlsVersion,
    #[case] version: &'static SupportedProtocolVersion,
    #[case] accepted: bool,
) {
    let server = TestServer::start(|config| config.handshake.min_version = least);
    let config = client_config(&server.authority, None, &[version]);
    let answer = Client::connect_as(server.listeners.webhook, config)
        .map(|mut client| client.post("/mutate", review().to_string().as_bytes()));
    assert_eq!(answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), accepted);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_another_authority_is_counted(
    #[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion,
) {
    let server = TestServer::start(|_| {});
    let config = client_config(&Authority::new().der(), None, &[version]);
    assert!(Client::connect_as(server.listeners.webhook, config).is_err());
    eventually("it is counted", || server.closed("distrusted") == 1).await;
}

//! The serving certificate follows its files, and the last good pair stays when they are not usable.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use rcgen::{ExtendedKeyUsagePurpose, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use rstest::rstest;
use session_webhook::server::tls::{CertificateError, Handshake, Pair, self_signed};
use session_webhook::server::{Config, Server, ServerError, TlsSource, clock};
use support::certificates::{ALIVE, Authority, Secret, unwrapped};
use support::client::Client;
use support::config;
use support::test_server::{POLL, TestServer};
use tokio::sync::mpsc;

/// The certificate of a new handshake, as PEM would have it.
fn served(server: &TestServer) -> Vec<u8> {
    server.connect().certificate()
}

fn der(pair: &Pair) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(&pair.certificate).unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_swapped_twice_is_followed_twice() {
    let authority = Authority::new();
    let pairs = ["one", "two", "three"].map(|name| authority.issue(name, ALIVE));
    let secret = Secret::new(&pairs[0]);
    let mut server = TestServer::following(&authority, &secret, |_| {});
    assert_eq!(served(&server), der(&pairs[0]));
    for (loads, pair) in (2..).zip(&pairs[1..]) {
        secret.swap(pair);
        server.wait_for(|status| status.loads == loads).await;
        assert_eq!(served(&server), der(pair));
    }
    assert_eq!(server.loads("loaded"), 3);
    assert!(server.status.borrow().certificate.names.contains(&"three".to_owned()));
}

/// The certificate of one pair, the key of another.
fn mismatched(authority: &Authority) -> Pair {
    Pair { key: authority.issue("b", ALIVE).key, ..authority.issue("a", ALIVE) }
}

/// Valid, but not for what clients call the server.
fn of_another_name(authority: &Authority) -> Pair {
    authority.issue_for(&["elsewhere.example"], ALIVE, &KeyPair::generate().unwrap())
}

fn half_a_key(authority: &Authority) -> Pair {
    let mut pair = authority.issue("a", ALIVE);
    pair.key.truncate(pair.key.len() / 2);
    pair
}

fn cut_in_the_middle(authority: &Authority) -> Pair {
    let mut pair = authority.issue("a", ALIVE);
    pair.certificate.truncate(pair.certificate.len() / 2);
    pair
}

/// A certificate as people made them long ago: its common name alone says what it is for.
fn without_alternative_names(authority: &Authority) -> Pair {
    authority
        .issue_changed(&["localhost"], ALIVE, &KeyPair::generate().unwrap(), |params| params.subject_alt_names.clear())
}

fn for_clients(authority: &Authority) -> Pair {
    authority.issue_changed(&["localhost"], ALIVE, &KeyPair::generate().unwrap(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    })
}

fn root_before_leaf(authority: &Authority) -> Pair {
    let pair = authority.issue("a", ALIVE);
    Pair { certificate: [authority.pem().as_bytes(), &pair.certificate].concat(), ..pair }
}

fn with_key(authority: &Authority, key: &str) -> Pair {
    Pair { key: key.as_bytes().to_vec(), ..authority.issue("a", ALIVE) }
}

/// By `openssl pkcs8 -topk8`.
const ENCRYPTED_PKCS8: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiq+QMB8jTf/AICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEIwJCtMlo8oKA+HbOxcIDCIEgZAB
ianaH2CHf9pGku+pz80BowtT1E6ttyqP45nrTcNHOYmZtTu1HT+1bYiNJbDuQIJW
MDzfdx9jIXk4Uu7j0wjglqdlknYUwx0+L6C7YLljisHWkd4p1zM9wWUvYivEJF5O
qaPMKHEinVUpdsNswi7Ek0kLqGgJbP4+XRwyU5ZLt1/cPsVjqYkwbHEKvTr1nJc=
-----END ENCRYPTED PRIVATE KEY-----
";

/// By `openssl ec -aes256`.
const ENCRYPTED_SEC1: &str = "\
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,A0580CF0F46E9B0EE107E2F1B1F07F42

+1kNj8L8T16jRBzmSPGPxpaaPR2Dt2s3mzuAK6bscV7fBmrsIWyRrqvvj8p2tsVz
0KkJoh5DiO8R369DtHD9MW/gU1UsY0+5fg81/VPQ1spzpwlxrrGcsbumXcrIJ0rn
44pes/EFOfvOd3ny9zOR1tjAVVBHtW5nKiYecARBa1g=
-----END EC PRIVATE KEY-----
";

/// Clients call the server `localhost`.
fn expect_localhost(config: &mut Config) {
    config.handshake.names = vec!["localhost".try_into().unwrap()];
}

#[rstest]
#[case::mismatched("mismatch", mismatched)]
#[case::broken_certificate("bad-certificate", cut_in_the_middle)]
#[case::empty_certificate("bad-certificate", |a: &Authority| Pair { certificate: Vec::new(), ..a.issue("a", ALIVE) })]
#[case::empty_key("bad-key", |a: &Authority| Pair { key: Vec::new(), ..a.issue("a", ALIVE) })]
#[case::certificate_as_key("bad-key", |a: &Authority| { let pair = a.issue("a", ALIVE); Pair { key: pair.certificate.clone(), ..pair } })]
#[case::too_large("too-large", |a: &Authority| Pair { key: vec![b'\n'; (1 << 20) + 1], ..a.issue("a", ALIVE) })]
#[case::half_a_key("bad-key", half_a_key)]
#[case::encrypted_key("encrypted-key", |a: &Authority| with_key(a, ENCRYPTED_PKCS8))]
#[case::encrypted_key_of_old("encrypted-key", |a: &Authority| with_key(a, ENCRYPTED_SEC1))]
#[case::root_before_leaf("wrong-order", root_before_leaf)]
#[case::without_alternative_names("no-alternative-name", without_alternative_names)]
#[case::for_clients("not-for-servers", for_clients)]
#[case::wrong_name("wrong-name", of_another_name)]
#[case::expired("expired", |a: &Authority| a.issue("a", 2020..2021))]
#[case::not_yet_valid("not-yet-valid", |a: &Authority| a.issue("a", 2199..2200))]
#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_pair_is_kept_out_and_counted_once(
    #[case] reason: &'static str,
    #[case] bad: fn(&Authority) -> Pair,
) {
    let authority = Authority::new();
    let good = authority.issue("good", ALIVE);
    let secret = Secret::new(&good);
    let mut server = TestServer::following(&authority, &secret, expect_localhost);

    secret.swap(&bad(&authority));
    server.wait_for(|status| status.error.as_ref().is_some_and(|error| error.reason() == reason)).await;
    assert_eq!(served(&server), der(&good));
    let ready = Client::plain(server.listeners.ops).unwrap().get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("not served"), "{ready}");

    let better = authority.issue("better", ALIVE);
    secret.swap(&better);
    server.wait_for(|status| status.loads == 2 && status.error.is_none()).await;
    assert_eq!(served(&server), der(&better));
    assert_eq!(server.loads(reason), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_vanish_leave_the_last_good_pair() {
    let authority = Authority::new();
    let good = authority.issue("good", ALIVE);
    let secret = Secret::new(&good);
    let mut server = TestServer::following(&authority, &secret, |_| {});
    drop(secret);
    server.wait_for(|status| matches!(status.error, Some(CertificateError::Unreadable { .. }))).await;
    assert_eq!(served(&server), der(&good));
}

fn rsa(authority: &Authority) -> Pair {
    authority.issue_for(&["localhost"], ALIVE, &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap())
}

fn without_an_end(authority: &Authority) -> Pair {
    authority.issue_changed(&["localhost"], ALIVE, &KeyPair::generate().unwrap(), |params| {
        params.not_after = date_time_ymd(9999, 12, 31);
    })
}

fn for_servers_and_clients(authority: &Authority) -> Pair {
    authority.issue_changed(&["localhost"], ALIVE, &KeyPair::generate().unwrap(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    })
}

fn below_an_intermediate(authority: &Authority) -> Pair {
    let intermediate = authority.intermediate();
    let mut pair = intermediate.issue("a", ALIVE);
    pair.certificate.extend(intermediate.pem().into_bytes());
    pair
}

#[rstest]
#[case::ec_pkcs8(|a: &Authority| a.issue("a", ALIVE))]
#[case::ec_sec1(|a: &Authority| unwrapped(a.issue("a", ALIVE), "EC PRIVATE KEY"))]
#[case::rsa_pkcs8(rsa)]
#[case::rsa_pkcs1(|a: &Authority| unwrapped(rsa(a), "RSA PRIVATE KEY"))]
#[case::chain(below_an_intermediate)]
#[case::without_an_end(without_an_end)]
#[case::for_servers_and_clients(for_servers_and_clients)]
#[tokio::test(flavor = "multi_thread")]
async fn what_issuers_write_is_served(#[case] pair: fn(&Authority) -> Pair) {
    let authority = Authority::new();
    let secret = Secret::new(&authority.issue("first", ALIVE));
    let mut server = TestServer::following(&authority, &secret, expect_localhost);
    let pair = pair(&authority);
    secret.swap(&pair);
    server.wait_for(|status| status.loads == 2).await;
    // The client verifies up to the root, which is all that it trusts.
    assert_eq!(served(&server), der(&pair));
}

#[rstest]
#[case::exact("hook.ns.svc", &["hook.ns.svc"], true)]
#[case::wildcard("hook.ns.svc", &["*.ns.svc"], true)]
#[case::wildcard_of_another_level("hook.ns.svc", &["*.svc"], false)]
#[case::common_name_alone("hook.ns.svc", &["127.0.0.1"], false)]
#[case::address("127.0.0.1", &["127.0.0.1"], true)]
#[tokio::test]
async fn a_name_is_covered_as_clients_see_it(
    #[case] wanted: &'static str,
    #[case] names: &[&str],
    #[case] covered: bool,
) {
    let pair = Authority::new().issue_for(names, ALIVE, &KeyPair::generate().unwrap());
    let handshake = Handshake { names: vec![wanted.try_into().unwrap()], ..Handshake::default() };
    match Server::bind(Config { handshake, ..config(TlsSource::Fixed(pair)) }) {
        Ok(_) => assert!(covered),
        Err(error) => assert!(!covered && error.to_string().contains("--tls-name"), "{error}"),
    }
}

#[tokio::test]
async fn a_server_without_a_usable_pair_does_not_start() {
    let authority = Authority::new();
    let secret = Secret::new(&mismatched(&authority));
    let Err(error) = Server::bind(config(TlsSource::Files(secret.files(), POLL))) else { panic!("it started") };
    assert!(matches!(error, ServerError::Certificate(CertificateError::Mismatch)), "{error}");
    let text = error.to_string();
    for word in ["--tls-cert", "--tls-key", "--tls self-signed"] {
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_pair_is_trusted_by_its_authority_alone() {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let made = self_signed(&["webhook.example".to_owned(), "192.0.2.1".to_owned()], clock()).unwrap();
    let server = Server::bind(config(TlsSource::Fixed(made.pair))).unwrap();
    let listeners = server.listeners();
    let names = server.tls_status().borrow().certificate.names.clone();
    assert_eq!(names, ["localhost", "127.0.0.1", "::1", "webhook.example", "192.0.2.1"]);
    let (_stop, stopped) = mpsc::channel(1);
    tokio::spawn(server.run(stopped));

    let authority = CertificateDer::from_pem_slice(made.authority.as_bytes()).unwrap();
    let answer = Client::connect(listeners.webhook, &authority).unwrap().post("/mutate", b"{}");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(Client::connect(listeners.webhook, &Authority::new().der()).is_err());
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_the_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(TlsSource::Fixed(Authority::new().issue("a", ALIVE)));
    config.listeners.ops = taken.local_addr().unwrap();
    let Err(error) = Server::bind(config) else { panic!("it started") };
    let text = error.to_string();
    assert!(text.contains("--ops-listen") && text.contains(&taken.local_addr().unwrap().to_string()), "{text}");
}

//! Pairs that are handed over while the server runs: what `--tls self-managed` serves by.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::sync::Arc;

use rstest::rstest;
use session_webhook::server::tls::{CertificateError, Handshake, Pair, ServingCertificate, TlsStatus, TlsStore};
use session_webhook::server::{Limits, Server, TlsSource};
use support::certificates::{ALIVE, Authority};
use support::client::{Client, client_config};
use support::test_server::POLL;
use support::{PATIENCE, app, config, metrics};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

async fn wait_for(status: &mut watch::Receiver<TlsStatus>, condition: impl FnMut(&TlsStatus) -> bool) {
    tokio::time::timeout(PATIENCE, status.wait_for(condition)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_served_at_once_and_ready_when_it_is_trusted() {
    let authority = Authority::new();
    let distrusted =
        |pair: &Pair| ServingCertificate { pair: pair.clone(), distrust: Some("nobody trusts it".to_owned()) };
    let [first, second] = ["first", "second"].map(|name| authority.issue(name, ALIVE));
    let (offers, offered) = watch::channel(distrusted(&first));
    let metrics = metrics();
    let app = app(Limits::default(), &metrics);
    let server = Server::bind_app(config(TlsSource::Received(offered)), app, Arc::clone(&metrics)).unwrap();
    let (_stop, stopped) = mpsc::channel(1);
    let (listeners, mut status) = (server.listeners(), server.tls_status());
    tokio::spawn(server.run(stopped));
    let ready = || Client::plain(listeners.ops).unwrap().get("/readyz");
    assert!(ready().starts_with("HTTP/1.1 503") && ready().contains("nobody trusts it"), "{}", ready());

    offers.send_replace(distrusted(&second));
    wait_for(&mut status, |status| status.loads == 2).await;
    assert!(ready().starts_with("HTTP/1.1 503"), "{}", ready());
    offers.send_replace(ServingCertificate { pair: second.clone(), distrust: None });
    wait_for(&mut status, |status| status.distrust.is_none()).await;
    assert!(ready().starts_with("HTTP/1.1 200") && ready().contains("second"), "{}", ready());

    // An expired one is kept out, whoever offers it; the end of the offers changes nothing.
    offers.send_replace(ServingCertificate { pair: authority.issue("third", 2020..2021), distrust: None });
    wait_for(&mut status, |status| status.error.is_some()).await;
    drop(offers);
    assert!(ready().starts_with("HTTP/1.1 200") && ready().contains("second"), "{}", ready());
    assert_eq!(status.borrow().loads, 2);
}

/// And the other way round: the next poll of a file knows nothing of a pair that was handed over.
#[tokio::test(flavor = "multi_thread")]
async fn why_a_pair_is_not_served_is_told_until_another_is() {
    let [authority, clients] = [Authority::new(), Authority::new()];
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("ca.crt");
    fs::write(&file, clients.pem()).unwrap();
    let serving = |pair| ServingCertificate { pair, distrust: None };
    let (pairs, receiver) = watch::channel(serving(authority.issue("first", ALIVE)));
    let handshake = Handshake { client_ca: Some(file.clone()), ..Handshake::default() };
    let store = TlsStore::from_receiver(receiver, handshake, metrics()).unwrap();
    let mut status = store.status();
    tokio::spawn(store.follow(POLL));
    let why = |status: &TlsStatus| status.error.as_ref().map(CertificateError::reason);

    pairs.send_replace(serving(authority.issue("expired", 2020..2021)));
    wait_for(&mut status, |status| why(status) == Some("expired")).await;
    for loads in 2..=3 {
        fs::write(&file, Authority::new().pem()).unwrap();
        wait_for(&mut status, |status| status.loads == loads).await;
        assert_eq!(why(&status.borrow()), Some("expired"));
    }
    fs::write(&file, "-----BEGIN CERTIFICATE-----").unwrap();
    pairs.send_replace(serving(authority.issue("second", ALIVE)));
    wait_for(&mut status, |status| why(status) == Some("bad-client-ca")).await;
    pairs.send_replace(serving(authority.issue("third", ALIVE)));
    wait_for(&mut status, |status| status.certificate.names.contains(&"third".to_owned())).await;
    assert_eq!(why(&status.borrow()), Some("bad-client-ca"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn authorities_of_clients_are_read_again_whoever_gives_the_pair(#[values(false, true)] received: bool) {
    let [authority, old, next] = [Authority::new(), Authority::new(), Authority::new()];
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("ca.crt");
    fs::write(&file, old.pem()).unwrap();
    let pair = authority.issue("a", ALIVE);
    let (_certificates, receiver) = watch::channel(ServingCertificate { pair: pair.clone(), distrust: None });
    let mut config = config(if received { TlsSource::Received(receiver) } else { TlsSource::Fixed(pair) });
    config.handshake.client_ca = Some(file.clone());
    let server = Server::bind(config).unwrap();
    // The first poll is at once.
    fs::write(&file, next.pem()).unwrap();
    let (_stop, stopped) = mpsc::channel(1);
    let (listeners, mut status) = (server.listeners(), server.tls_status());
    tokio::spawn(server.run(stopped));
    wait_for(&mut status, |status| status.loads == 2).await;
    let is_answered = |clients: &Authority| {
        let config = client_config(&authority.der(), Some(&clients.issue("client", ALIVE)), rustls::ALL_VERSIONS);
        Client::connect_as(listeners.webhook, config).unwrap().try_get("/").is_ok()
    };
    assert!(is_answered(&next) && !is_answered(&old));
}

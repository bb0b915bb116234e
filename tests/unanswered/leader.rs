//! What a leader does and tells when something around it breaks.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::api_server::{ApiServer, Kind};
use crate::faults::Fault;
use crate::program::{Serving, start};

const OPTIONS: &str = "--backfill --backfill-after 0s";

/// A leader of a quiet cluster, once it watches.
async fn leader(server: &ApiServer) -> Serving {
    let serving = Serving::start(server, OPTIONS).unwrap();
    serving.becomes("repaired", |_| server.is_repaired()).await.unwrap();
    server.is_asked(Kind::Watch, 1).await.unwrap();
    serving
}

fn lines(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_renew_says_that_it_leads_no_more() {
    let server = ApiServer::start(None).await;
    let serving = leader(&server).await;
    server.fail(Kind::LeaseGet, Fault::NoAnswer);
    let told = serving.logs("not leading any more", 1).await;
    let leading = |value: u32| format!("\nsession_webhook_backfill_leading {value}\n");
    let leads_no_more = serving.becomes("it leads no more", |metrics| metrics.contains(&leading(0))).await;
    server.heal();
    let again = serving.becomes("it leads again", |metrics| metrics.contains(&leading(1))).await;
    let (_, log) = serving.stop();
    assert!(told.is_ok() && leads_no_more.is_ok() && again.is_ok(), "{log}");
    let outage = (lines(&log, "cannot reach the lease"), lines(&log, "the lease is reached again"));
    assert_eq!(outage, (1, 1), "{log}");
}

/// No Session changes, so the watch that has begun again has nothing to tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_breaks_is_told_and_so_is_that_it_goes_on() {
    let server = ApiServer::start(None).await;
    let serving = leader(&server).await;
    for times in 1..=2 {
        server.fail(Kind::Watch, Fault::Reset);
        server.break_watches();
        let asked = server.is_asked_again(Kind::Watch).await;
        server.heal();
        let goes_on = serving.logs("looking after stored sessions again", times).await;
        assert!(asked.is_ok() && goes_on.is_ok(), "{goes_on:?}\n{}", serving.log());
    }
    let (_, log) = serving.stop();
    assert_eq!(lines(&log, "cannot look after stored sessions"), 2, "{log}");
}

/// A gateway that cuts streams, say. In order, and without an event, it is no failure after which a backoff would count.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_ends_at_once_is_not_begun_again_at_once() {
    let server = ApiServer::start(None).await;
    let serving = leader(&server).await;
    server.fail(Kind::Watch, Fault::Nothing);
    server.break_watches();
    server.is_asked_again(Kind::Watch).await.unwrap();
    let began = Instant::now();
    server.is_asked(Kind::Watch, server.times_asked(Kind::Watch) + 3).await.unwrap();
    // However slow the machine is, it takes no less.
    assert!(began.elapsed() > Duration::from_millis(1900), "{:?}", began.elapsed());
    serving.stop();
}

/// The shipped interval is longer than the time without progress after which the Lease is given up.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_broke_off_is_made_again_before_it_counts_as_stalled() {
    let server = ApiServer::start(Some((Kind::List, Fault::Reset))).await;
    let serving = Serving::start(&server, "--audit-interval 5m").unwrap();
    server.is_asked(Kind::List, 1).await.unwrap();
    server.heal();
    let audited =
        serving.becomes("it is audited", |metrics| metrics.contains("\nsession_webhook_audit_sessions 1\n")).await;
    let metrics = serving.get("/metrics").unwrap();
    let (_, log) = serving.stop();
    assert!(audited.is_ok() && !metrics.contains("session_webhook_controller_restarts_total{"), "{audited:?}\n{log}");
}

/// Else a second process beside the first could take the Lease from it, and never serve.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_before_the_ports_are_bound() {
    let (server, folder) = (ApiServer::start(None).await, TempDir::new().unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let options = format!("serve --tls self-signed --listen {address} --ops-listen 127.0.0.1:0 {OPTIONS}");
    let mut child = start(&server, &folder, &options);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(server.is_never_asked());
}

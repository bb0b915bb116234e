//! What the program does when the API server does not answer, or answers anything but what it should: each command against each
//! fault of each kind of request. It ends or goes on within its bound, says so once, loses nothing, and claims nothing that did
//! not happen.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

mod api_server;
#[allow(dead_code, unreachable_pub, reason = "one test uses a part of it")]
#[path = "../support/certificates.rs"]
mod certificates;
mod credentials;
mod faults;
mod leader;
mod marker;
mod messages;
mod odd_sessions;
mod program;
mod proxies;
mod signals;
mod stored;
mod tls;

use api_server::{ApiServer, Kind};
use faults::Fault;
use futures::stream::{self, StreamExt};
use program::{Ended, Serving, run};

/// Cells at the same time: they wait most of the time.
const CONCURRENCY: usize = 12;

/// Checks each fault of each of these kinds of requests, and shows all cells that are not as they should be.
async fn table<F: Future<Output = Result<(), String>>>(kinds: &[Kind], cell: impl Fn(Kind, Fault) -> F) {
    let cells: Vec<_> = kinds.iter().flat_map(|kind| Fault::ALL.map(|fault| (*kind, fault))).collect();
    let all = cells.len();
    let failures: Vec<String> = stream::iter(cells)
        .map(|(kind, fault)| {
            let done = cell(kind, fault);
            async move { done.await.err().map(|error| format!("{kind:?} {fault:?}: {error}")) }
        })
        .buffer_unordered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(failures.is_empty(), "{} of {all} cells:\n{}", failures.len(), failures.join("\n"));
}

fn check(condition: bool, what: &str, ended: &Ended) -> Result<(), String> {
    if condition {
        Ok(())
    } else {
        Err(format!("{what}: exit code {:?}\n{}\n{}", ended.code, ended.stdout, ended.stderr))
    }
}

fn errors(ended: &Ended) -> usize {
    ended.stderr.lines().filter(|line| line.starts_with("error:")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_ends_and_says_why() {
    table(&[Kind::Groups, Kind::Resources, Kind::References, Kind::List], async |kind, fault| {
        let server = ApiServer::start(Some((kind, fault))).await;
        let ended = run(&server, "audit").await;
        let partly = kind == Kind::References && fault == Fault::Forbidden;
        let fine = fault == Fault::OldObject;
        let code = if partly || fine { 1 } else { 2 };
        check(ended.code == Some(code), "expected another exit code", &ended)?;
        let told = usize::from(!fine);
        check(if partly { errors(&ended) >= 1 } else { errors(&ended) == told }, "not told once", &ended)
    })
    .await;
}

/// What is not there, says a 404 alone.
#[tokio::test(flavor = "multi_thread")]
async fn audit_calls_nothing_dangling_that_may_be_there() {
    table(&[Kind::Confirm], async |kind, fault| {
        if fault == Fault::OldObject {
            return Ok(());
        }
        let server = ApiServer::start(Some((kind, fault))).await;
        let ended = run(&server, "audit --output json").await;
        check(matches!(ended.code, Some(1 | 2)), "expected exit code 1 or 2", &ended)?;
        check(!ended.stdout.contains("DanglingReference"), "a reference is called dangling", &ended)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_fix_tells_what_happened_and_no_more() {
    table(&[Kind::Get, Kind::Patch], async |kind, fault| {
        let server = ApiServer::start(Some((kind, fault))).await;
        let ended = run(&server, "audit --fix --yes --output json").await;
        let is_read_alone = kind == Kind::Get && fault == Fault::OldObject;
        check(matches!(ended.code, Some(1 | 2)), "expected exit code 1 or 2", &ended)?;
        let claims = ended.stdout.contains("\"repaired\"");
        check(claims == server.is_repaired(), "claims another thing than is stored", &ended)?;
        check(claims == is_read_alone, "repaired, or not, against expectation", &ended)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_ends_and_says_why() {
    table(&[Kind::Version, Kind::Configuration, Kind::Secret, Kind::Other], async |kind, fault| {
        let server = ApiServer::start(Some((kind, fault))).await;
        for command in ["doctor", "doctor --wait 1s"] {
            let ended = run(&server, command).await;
            check(matches!(ended.code, Some(1 | 2)), "expected exit code 1 or 2", &ended)?;
            check(!(ended.stdout.is_empty() && ended.stderr.is_empty()), "nothing is told", &ended)?;
        }
        Ok(())
    })
    .await;
}

/// Not what a proxy says, line by line, in the midst of the report.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_calls_a_page_of_a_proxy_what_it_is() {
    for kind in [Kind::Configuration, Kind::Other] {
        let server = ApiServer::start(Some((kind, Fault::GatewayPage))).await;
        let ended = run(&server, "doctor").await;
        let told = "answer 502 is a page of HTML: something else than an API server answers";
        assert!(ended.stdout.contains(told) && !ended.stdout.contains('<'), "{kind:?}\n{}", ended.stdout);
    }
}

/// Whatever happens, the server lives, the log stays short, and once the fault is gone the Session gets its times.
async fn recovers(
    options: &str,
    kind: Kind,
    fault: Fault,
    done: impl Fn(&ApiServer, &str) -> bool,
) -> Result<(), String> {
    let server = ApiServer::start(Some((kind, fault))).await;
    let serving = Serving::start(&server, options)?;
    let result = async {
        // kube gives a watch up that says nothing for five minutes.
        let is_silent = kind == Kind::Watch && matches!(fault, Fault::HalfAnAnswer | Fault::SlowBody);
        server
            .is_asked(kind, if is_silent { 1 } else { 2 })
            .await
            .map_err(|()| format!("{kind:?} was never asked for twice"))?;
        serving.get("/livez")?;
        server.heal();
        serving.becomes("the work is done", |metrics| done(&server, metrics)).await
    }
    .await;
    let (code, log) = serving.stop();
    result.map_err(|error| format!("{error}\n{log}"))?;
    if code != Some(0) {
        return Err(format!("exit code {code:?}\n{log}"));
    }
    let lines = log.lines().filter(|line| line.contains("\"ERROR\"") || line.contains("\"WARN\"")).count();
    if lines > 12 { Err(format!("{lines} lines about one fault\n{log}")) } else { Ok(()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backfill_goes_on_and_loses_nothing() {
    let kinds = [Kind::Resources, Kind::List, Kind::Watch, Kind::Get, Kind::Patch, Kind::LeaseGet, Kind::LeaseWrite];
    table(&kinds, async |kind, fault| {
        if fault == Fault::OldObject && kind != Kind::Patch {
            return Ok(());
        }
        recovers("--backfill --backfill-after 0s", kind, fault, |server, _| server.is_repaired()).await
    })
    .await;
}

/// However many wait, that nobody answers is one fault.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_wait_for_an_answer_are_told_of_once() {
    for kind in [Kind::Get, Kind::Patch] {
        let server = ApiServer::start(Some((kind, Fault::Reset))).await;
        server.store_sessions(20);
        let serving = Serving::start(&server, "--backfill --backfill-after 0s").unwrap();
        let asked = server.is_asked(kind, 42).await;
        server.heal();
        let repaired = serving.becomes("they are repaired", |_| server.is_repaired()).await;
        let (_, log) = serving.stop();
        assert!(asked.is_ok() && repaired.is_ok(), "{kind:?}\n{log}");
        let told = |text: &str| log.lines().filter(|line| line.contains(text)).count();
        assert_eq!((told("trying again"), told("sessions are repaired again")), (1, 1), "{kind:?}\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_of_a_server_goes_on() {
    table(&[Kind::Groups, Kind::References, Kind::List], async |kind, fault| {
        if fault == Fault::OldObject {
            return Ok(());
        }
        let done = |_: &ApiServer, metrics: &str| metrics.contains("\nsession_webhook_audit_sessions 1\n");
        recovers("--audit-interval 1s", kind, fault, done).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_managed_as_soon_as_the_api_server_answers() {
    table(&[Kind::Configuration, Kind::Secret], async |kind, fault| {
        if fault == Fault::OldObject {
            return Ok(());
        }
        recovers("--tls self-managed", kind, fault, |server, _| server.has_bundles()).await
    })
    .await;
}

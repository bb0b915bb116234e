//! Sessions that are odd, and a definition that changes while it is worked with.

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use crate::api_server::{ApiServer, Kind};
use crate::faults::Fault;
use crate::program::{Serving, run};
use crate::stored::WrongTypes;

const BACKFILL: &str = "--backfill --backfill-after 0s";

/// `serde_json` reads 127 levels, an API server stores more of them.
fn nests_deep(session: &mut Value) {
    session["spec"]["x"] = (0..140).fold(json!([]), |inner, _| json!([inner]));
}

async fn is_repaired(server: &ApiServer, options: &str) {
    let serving = Serving::start(server, options).unwrap();
    let repaired = serving.becomes("all are repaired", |_| server.is_repaired()).await;
    let (_, log) = serving.stop();
    assert!(repaired.is_ok(), "{repaired:?}\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_nests_deep_ends_no_backfill_and_no_audit() {
    let server = ApiServer::start(None).await;
    server.store_session("deep", nests_deep);
    let ended = run(&server, "audit --output json").await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["sessions"], 2, "{report}");
    is_repaired(&server, BACKFILL).await;
}

/// By the API server's clock it was made in the future: it is there, so it is as old as it is watched.
#[rstest]
#[case::clocks_an_hour_apart(SignedDuration::from_hours(1))]
#[case::years_apart(SignedDuration::from_hours(3 * 365 * 24))]
#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_future_is_repaired_when_it_was_there_long_enough(#[case] ahead: SignedDuration) {
    let server = ApiServer::start(None).await;
    let made = Timestamp::now() + ahead;
    server.store_session("future", |session| session["metadata"]["creationTimestamp"] = json!(format!("{made:.0}")));
    is_repaired(&server, "--backfill --backfill-after 1s").await;
}

/// Or it would get five minutes instead of the Course's hours, and nobody would come back to it.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_whose_course_cannot_be_read_waits_for_it(
    #[values((Fault::InternalError, "session not repaired"), (Fault::Reset, "no answer about sessions"))] (fault, told): (Fault, &str),
) {
    let server = ApiServer::start(Some((Kind::Confirm, fault))).await;
    server.store_session("of-a-course", |session| session["spec"]["course"] = json!("c1"));
    let serving = Serving::start(&server, BACKFILL).unwrap();
    let waits = serving.logs(told, 1).await;
    let is_repaired = server.is_repaired();
    server.heal();
    let repaired = serving.becomes("all are repaired", |_| server.is_repaired()).await;
    let (_, log) = serving.stop();
    assert!(waits.is_ok() && !is_repaired && repaired.is_ok(), "{log}");
}

/// Nor is the right to read it missed: it is the five minutes then.
#[tokio::test(flavor = "multi_thread")]
async fn one_whose_course_may_not_be_read_is_repaired_without() {
    let server = ApiServer::start(Some((Kind::Confirm, Fault::Forbidden))).await;
    server.store_session("of-a-course", |session| session["spec"]["course"] = json!("c1"));
    is_repaired(&server, BACKFILL).await;
}

/// Its status subresource `exists` up to the first write.
async fn server_whose_definition_changes(exists: bool) -> ApiServer {
    let server = ApiServer::start(None).await;
    server.define_status_subresource(exists);
    server.change_definition_at_next_write();
    server
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_status_subresource_may_come_and_go_while_it_leads(#[values(false, true)] exists: bool) {
    let server = server_whose_definition_changes(exists).await;
    is_repaired(&server, BACKFILL).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_status_subresource_may_come_and_go_before_audit_fix_writes(#[values(false, true)] exists: bool) {
    let server = server_whose_definition_changes(exists).await;
    let ended = run(&server, "audit --fix --yes --output json").await;
    assert!(ended.stdout.contains(r#""result": "repaired""#), "{}\n{}", ended.stdout, ended.stderr);
    assert!(server.is_repaired(), "{}", ended.stdout);
}

/// Kubernetes 1.20 publishes the types of a new definition some seconds after it goes by them.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn types_that_are_published_late_are_gone_by_once_they_are(
    #[values(WrongTypes::Refused, WrongTypes::Dropped)] wrong_types: WrongTypes,
) {
    let server = ApiServer::start(None).await;
    server.publish_outdated_types(wrong_types);
    is_repaired(&server, BACKFILL).await;
    assert!(server.has_flags_of_hobbyfarm());
    let server = ApiServer::start(None).await;
    server.publish_outdated_types(wrong_types);
    let ended = run(&server, "audit --fix --yes --output json").await;
    assert!(ended.stdout.contains(r#""result": "repaired""#), "{}\n{}", ended.stdout, ended.stderr);
    assert!(server.is_repaired() && server.has_flags_of_hobbyfarm(), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_goes_before_audit_fix_writes_is_called_gone() {
    let server = ApiServer::start(Some((Kind::Get, Fault::Gone))).await;
    let ended = run(&server, "audit --fix --yes --output json").await;
    assert!(ended.stdout.contains(r#""result": "gone""#), "{}\n{}", ended.stdout, ended.stderr);
}

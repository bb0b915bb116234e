//! What an audit says about stored Sessions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "this is test code"
)]

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use session_webhook::core::session::Session;
use session_webhook::core::settings::Settings;
use session_webhook::core::stored::audit::{Audit, Reference, ReferencedObjects};
use session_webhook::core::stored::finding::{FindingKind, SessionFinding, Severity};

fn now() -> Timestamp {
    "2026-11-24T00:15:00Z".parse().unwrap()
}

const STARTED: &str = "Tue Nov 24 00:00:00 UTC 2026";
const AHEAD: &str = "Tue Nov 24 00:19:00 UTC 2026";
const JUST_OVER: &str = "Tue Nov 24 00:14:00 UTC 2026";
const LONG_OVER: &str = "Tue Nov 24 00:01:00 UTC 2026";
const AFTER: SignedDuration = SignedDuration::from_secs(30);

fn surroundings() -> ReferencedObjects {
    let mut surroundings = ReferencedObjects::default();
    surroundings.add(Reference::User, "ns", "u-1".to_owned(), None);
    surroundings.add(Reference::Course, "ns", "c-1".to_owned(), Some(String::new()));
    surroundings.add(Reference::Course, "ns", "c-long".to_owned(), Some("8h".to_owned()));
    surroundings.add(Reference::Course, "ns", "c-bad".to_owned(), Some("5x".to_owned()));
    surroundings.add(Reference::Scenario, "ns", "s-1".to_owned(), None);
    surroundings.add(Reference::VirtualMachineClaim, "ns", "vmc-1".to_owned(), None);
    surroundings
}

fn gargantua() -> Value {
    json!({
        "metadata": {"name": "s", "namespace": "ns", "creationTimestamp": "2026-11-24T00:00:00Z"},
        "spec": {"user": "u-1", "course": "c-1", "scenario": "s-1", "vm_claim": ["vmc-1"], "keep_course_vm": false},
        "status": {
            "paused": false, "paused_time": "", "active": true, "finished": false,
            "start_time": STARTED, "end_time": AHEAD,
        },
    })
}

fn documented() -> Value {
    json!({
        "metadata": {"name": "s", "namespace": "ns", "creationTimestamp": "2026-11-24T00:00:00Z"},
        "spec": {"user": "u-1", "course": "c-1", "scenario": "s-1", "vm_claim": "vmc-1", "keep_course_vm": "false"},
        "status": {
            "paused": "false", "pause_time": "", "active": "true", "finished": "false",
            "start_time": "2026-11-24 00:00:00 +0000 UTC", "end_time": "2026-11-24 00:19:00 +0000 UTC",
        },
    })
}

/// With the values at these paths replaced.
fn with(mut session: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        let (parent, key) = path.rsplit_once('/').unwrap();
        session.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    session
}

fn audited(sessions: &[Value]) -> Vec<SessionFinding> {
    let (settings, surroundings) = (Settings::default(), surroundings());
    let mut audit = Audit::new(&settings, AFTER, surroundings, now().into());
    let mut found = Vec::new();
    for session in sessions {
        let raw = to_raw_value(session).unwrap();
        found.extend(audit.judge(&Session::read(&raw).unwrap()));
    }
    found.extend(audit.duplicates());
    found
}

/// A kind without a row would be one that no Session shows.
#[test]
fn every_kind_of_finding_has_its_row() {
    let rows = include_str!("audit.rs");
    for kind in FindingKind::ALL {
        assert!(rows.contains(&format!("FindingKind::{kind}")), "{kind} has no row in tests/audit.rs");
    }
}

/// Kind and field of each finding.
fn kinds(sessions: &[Value]) -> Vec<(FindingKind, String)> {
    audited(sessions).into_iter().map(|found| (found.finding.kind, found.finding.field)).collect()
}

#[rstest]
#[case::gargantua(gargantua())]
#[case::documented(documented())]
#[case::just_over(with(gargantua(), &[("/status/end_time", json!(JUST_OVER))]))]
#[case::over_by_less_than_the_keep_alive_of_its_course(
    with(gargantua(), &[("/status/end_time", json!(LONG_OVER)), ("/spec/course", json!("c-long"))])
)]
#[case::finished(with(gargantua(), &[
    ("/status/end_time", json!(LONG_OVER)), ("/status/finished", json!(true)), ("/status/active", json!(false)),
    ("/spec/vm_claim", json!(["gone"])), ("/spec/user", json!("gone")),
]))]
#[case::paused_for_longer(with(gargantua(), &[
    ("/status/end_time", json!(LONG_OVER)), ("/status/paused", json!(true)), ("/status/paused_time", json!(AHEAD)),
]))]
#[case::documented_and_paused_a_while_ago(with(documented(), &[
    ("/status/end_time", json!("2026-11-24 00:01:00 +0000 UTC")), ("/status/paused", json!("true")),
    ("/status/pause_time", json!("2026-11-24 00:00:30 +0000 UTC")),
]))]
#[case::just_created(with(gargantua(), &[
    ("/status", Value::Null), ("/metadata/creationTimestamp", json!("2026-11-24T00:14:45Z")),
]))]
#[case::being_deleted(with(gargantua(), &[
    ("/status", Value::Null), ("/metadata/deletionTimestamp", json!("2026-11-24T00:14:45Z")),
]))]
#[case::without_names(with(gargantua(), &[
    ("/spec/course", json!("")), ("/spec/scenario", Value::Null), ("/spec/vm_claim", json!([])),
]))]
fn a_sound_session_is_not_found(#[case] session: Value) {
    assert_eq!(audited(&[session]), []);
}

#[rstest]
#[case::no_end("/status/end_time", json!(""), FindingKind::MissingTime, "status.end_time")]
#[case::null_end("/status/end_time", Value::Null, FindingKind::MissingTime, "status.end_time")]
#[case::no_start("/status/start_time", json!(""), FindingKind::MissingTime, "status.start_time")]
#[case::garbage("/status/end_time", json!("in 5x"), FindingKind::BadTime, "status.end_time")]
#[case::number("/status/end_time", json!(5), FindingKind::BadTime, "status.end_time")]
#[case::rfc3339("/status/end_time", json!("2026-11-24T00:19:00Z"), FindingKind::ForeignTime, "status.end_time")]
#[case::over("/status/end_time", json!(LONG_OVER), FindingKind::Expired, "status.end_time")]
#[case::no_object("/status", json!("active"), FindingKind::BadStatus, "status")]
#[case::no_boolean("/status/paused", json!("maybe"), FindingKind::BadFlag, "status.paused")]
#[case::start_after_end(
    "/status/start_time", json!("Tue Nov 24 00:30:00 UTC 2026"), FindingKind::EndBeforeStart, "status.end_time"
)]
#[case::string_for_boolean("/status/active", json!("true"), FindingKind::NotNormalized, "status.active")]
#[case::missing_flag("/status/active", Value::Null, FindingKind::NotNormalized, "status.active")]
#[case::pause_time_that_is_left("/status/paused_time", json!(AHEAD), FindingKind::NotNormalized, "status.paused_time")]
#[case::paused_without_a_time("/status/paused", json!(true), FindingKind::MissingTime, "status.paused_time")]
#[case::user_gone("/spec/user", json!("gone"), FindingKind::DanglingReference, "spec.user")]
#[case::course_gone("/spec/course", json!("gone"), FindingKind::DanglingReference, "spec.course")]
#[case::scenario_gone("/spec/scenario", json!("gone"), FindingKind::DanglingReference, "spec.scenario")]
#[case::claim_gone("/spec/vm_claim", json!(["vmc-1", "gone"]), FindingKind::DanglingReference, "spec.vm_claim")]
#[case::malformed_keep_alive("/spec/course", json!("c-bad"), FindingKind::MalformedKeepAlive, "spec.course")]
fn each_fault_is_found_and_nothing_else(
    #[case] path: &str,
    #[case] value: Value,
    #[case] kind: FindingKind,
    #[case] field: &str,
) {
    assert_eq!(kinds(&[with(gargantua(), &[(path, value)])]), [(kind, field.to_owned())]);
}

#[test]
fn a_session_without_status_lacks_both_times() {
    let found = audited(&[with(gargantua(), &[("/status", Value::Null)])]);
    let told: Vec<_> = found.iter().map(|found| (found.finding.severity(), found.finding.field.as_str())).collect();
    assert_eq!(told, [(Severity::Warning, "status.start_time"), (Severity::Error, "status.end_time")]);
}

#[test]
fn a_time_in_the_layout_of_the_other_dialect_is_foreign() {
    let session = with(documented(), &[("/status/end_time", json!(AHEAD))]);
    assert_eq!(kinds(&[session]), [(FindingKind::ForeignTime, "status.end_time".to_owned())]);
}

#[test]
fn a_hand_edit_is_told_with_its_tool_and_fields() {
    let managed = json!([{
        "manager": "kubectl-edit", "operation": "Update", "time": "2026-11-24T00:05:00Z",
        "fieldsV1": {"f:status": {"f:end_time": {}}},
    }]);
    let found = audited(&[with(gargantua(), &[("/metadata/managedFields", managed)])]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].finding.kind, FindingKind::HandEdit);
    assert_eq!(found[0].finding.field, "status.end_time");
    assert_eq!(found[0].finding.value, "kubectl-edit at 2026-11-24T00:05:00Z");
}

#[test]
fn of_several_active_sessions_of_a_user_on_a_scenario_the_older_ones_are_duplicates() {
    let named = |name: &str, minute: u8, changes: &[(&str, Value)]| {
        let created = format!("2026-11-24T00:0{minute}:00Z");
        let session = with(gargantua(), changes);
        with(session, &[("/metadata/name", json!(name)), ("/metadata/creationTimestamp", json!(created))])
    };
    let found = audited(&[
        named("newest", 3, &[]),
        named("oldest", 1, &[]),
        named("older", 2, &[]),
        named("other-scenario", 4, &[("/spec/scenario", Value::Null)]),
        named("inactive", 0, &[("/status/active", json!(false))]),
        named("over", 0, &[("/status/end_time", json!(JUST_OVER))]),
    ]);
    let duplicates: Vec<_> = found.iter().map(|found| (found.finding.kind, found.name.as_str())).collect();
    assert_eq!(duplicates, [(FindingKind::Duplicate, "oldest"), (FindingKind::Duplicate, "older")]);
    assert!(found[0].finding.value.contains("newest"), "{found:?}");

    let found = audited(&[named("b", 1, &[]), named("a", 1, &[])]);
    let duplicates: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(duplicates, ["a"], "created in the same second");
}

#[test]
fn what_could_not_be_looked_at_is_taken_to_exist() {
    let (settings, surroundings) = (Settings::default(), ReferencedObjects::default());
    let mut audit = Audit::new(&settings, AFTER, surroundings, now().into());
    let raw = to_raw_value(&gargantua()).unwrap();
    assert_eq!(audit.judge(&Session::read(&raw).unwrap()), []);
}

#[test]
fn nothing_of_an_access_code_is_told() {
    let spec = json!({"access_code": "ac-secret", "user": "gone", "vm_claim": ["gone"], "keep_course_vm": true});
    let found = audited(&[with(gargantua(), &[("/spec", spec), ("/status/end_time", json!(5))])]);
    assert_eq!(found.len(), 3);
    assert!(!format!("{found:?}").contains("ac-secret"));
}

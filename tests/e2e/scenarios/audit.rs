//! `audit`: what is found among many Sessions, and nothing besides.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::auditing::{audit, audit_command};
use crate::backfilling::{Replica, plant, prepare};
use crate::install::NAMESPACE;
use crate::process::eventually;
use crate::session::Dialect;
use crate::surroundings;
use crate::verbs::{accepts, stored};
use crate::world::World;
use crate::writer::{HOBBYFARM, Request, sessions_path};

const PATIENCE: std::time::Duration = std::time::Duration::from_mins(2);
/// Sound Sessions among which the faults are to be found, and those where it is tried on a large cluster.
const FEW: usize = 100;
const MANY: usize = 10_000;
/// With one duplicate and four edits by hand there are 50 faults.
const PLANTED: usize = 45;
/// Writes under way at once.
const WRITERS: usize = 32;

/// Sound Sessions: some run, each of another user, the others are over.
fn sound(world: &World, number: usize) -> Value {
    let now = Timestamp::now();
    let times = [-60, 30].map(|minutes| world.form.time(now + SignedDuration::from_mins(minutes)));
    let [start, end] = [&times[0], &times[1]];
    let mut session = world.new_session();
    if number.is_multiple_of(FEW) {
        let user = format!("u-{}", number / FEW % 10);
        session["spec"]["user"] = json!(user);
        session["spec"]["scenario"] = json!(format!("s-{}", number / FEW / 10));
        session["status"] = world.form.status(false, "", true, false, [start, end]);
    } else {
        session["spec"]["vm_claim"] = world.form.session("x")["spec"]["vm_claim"].clone();
        session["status"] = world.form.status(false, "", false, true, [start, start]);
    }
    session
}

/// A running Session of a user of its own, with one fault: its field and the kind of the finding.
fn faults(world: &World) -> Vec<(Value, &'static str, &'static str)> {
    let form = world.form;
    let now = Timestamp::now();
    let minutes = |minutes: i64| form.time(now + SignedDuration::from_mins(minutes));
    let (start, end) = (minutes(-60), minutes(60));
    let sound = || {
        let mut session = world.new_session();
        session["spec"]["scenario"] = Value::from("");
        session["status"] = form.status(false, "", true, false, [&start, &end]);
        session
    };
    let with_status = |key: &str, value: Value| {
        let mut session = sound();
        session["status"][key] = value;
        session
    };
    let with_spec = |key: &str, value: Value| {
        let mut session = sound();
        session["spec"][key] = value;
        session
    };
    let gone = |key: &str| match &form.session("x")["spec"][key] {
        Value::Array(_) => json!(["gone"]),
        _ => json!("gone"),
    };
    let mut faults = vec![
        (with_status("end_time", json!("")), "MissingTime", "status.end_time"),
        (with_status("start_time", json!("")), "MissingTime", "status.start_time"),
        (with_status("paused", form.flag(true)), "MissingTime", "status.PAUSE"),
        (with_status("end_time", json!("in 5x")), "BadTime", "status.end_time"),
        (with_status("end_time", json!("2036-11-24T00:19:00Z")), "ForeignTime", "status.end_time"),
        (with_status("end_time", json!(minutes(-30))), "Expired", "status.end_time"),
        (with_status("start_time", json!(minutes(90))), "EndBeforeStart", "status.end_time"),
        (with_status("finished", form.flag(true)), "NotNormalized", "status.active"),
        (with_status(form.pause_key(), json!(end)), "NotNormalized", "status.PAUSE"),
        (with_spec("user", json!("gone")), "DanglingReference", "spec.user"),
        (with_spec("course", json!("gone")), "DanglingReference", "spec.course"),
        // One of their own, or they would be duplicates of each other as well.
        (with_spec("scenario", json!(world.fresh_name())), "DanglingReference", "spec.scenario"),
        (with_spec("vm_claim", gone("vm_claim")), "DanglingReference", "spec.vm_claim"),
        (with_spec("course", json!("c-malformed")), "MalformedKeepAlive", "spec.course"),
    ];
    if form.dialect == Dialect::Documented {
        // The other dialect's schema knows booleans only.
        faults.push((with_status("paused", json!("maybe")), "BadFlag", "status.paused"));
        faults.push((with_status("active", json!("Yes")), "NotNormalized", "status.active"));
    }
    faults
}

/// Everything that Sessions of these scenarios name.
async fn furnish(world: &World) {
    surroundings::define(world);
    for number in 0..10 {
        surroundings::add(world, "users", &format!("u-{number}"), json!({})).await;
        surroundings::add(world, "scenarios", &format!("s-{number}"), json!({})).await;
    }
    surroundings::add(world, "courses", "c-1", json!({"keepalive_duration": ""})).await;
    surroundings::add(world, "courses", "c-malformed", json!({"keepalive_duration": "5x"})).await;
    surroundings::add(world, "virtualmachineclaims", "vmc-1", json!({})).await;
}

/// As HobbyFarm writes them: with a status subresource in two steps.
async fn write(world: &World, sessions: Vec<Value>) {
    let write = async |session: Value| {
        let created = accepts(&world.hobbyfarm, Request::create(&session)).await.body;
        if world.form.status_subresource {
            let mut whole = created;
            whole["status"] = session["status"].clone();
            accepts(&world.hobbyfarm, Request::replace_status(&whole)).await;
        }
    };
    futures::stream::iter(sessions).map(write).buffer_unordered(WRITERS).collect::<Vec<()>>().await;
}

/// Nothing is left for the scenarios that follow. An API server deletes a collection one after the other.
async fn clear(world: &World) {
    let list = accepts(&world.admin, Request::get(sessions_path(HOBBYFARM))).await.body;
    let delete = async |session: Value| {
        accepts(&world.admin, Request::delete(&session, "Background")).await;
    };
    let sessions = list["items"].as_array().unwrap().clone();
    futures::stream::iter(sessions).map(delete).buffer_unordered(WRITERS).collect::<Vec<()>>().await;
}

/// In the form that takes one write for a Session, among as many as a large HobbyFarm has.
pub(super) async fn each_planted_fault_is_found_and_nothing_else(world: &World) {
    clear(world).await;
    furnish(world).await;
    let is_large =
        world.form.dialect == Dialect::Gargantua && !world.form.status_subresource && world.version.is_newest_tested();
    write(world, (0..if is_large { MANY } else { FEW }).map(|number| sound(world, number)).collect()).await;

    let mut expected = BTreeSet::new();
    let mut planted = Vec::new();
    let mut expect = |session: &Value, kind: &str, field: &str| {
        let name = session["metadata"]["name"].as_str().unwrap().to_owned();
        expected.insert([name, kind.to_owned(), field.replace("PAUSE", world.form.pause_key())]);
    };
    while planted.len() < PLANTED {
        for (session, kind, field) in faults(world).into_iter().take(PLANTED - planted.len()) {
            expect(&session, kind, field);
            planted.push(session);
        }
    }
    // Two of one user on one scenario: the sound one there is needless. The API server tells creations apart by the second, and within
    // one the name decides.
    let running = {
        let mut session = sound(world, 0);
        session["metadata"]["name"] = json!(format!("later-{}", session["metadata"]["name"].as_str().unwrap()));
        session
    };
    write(world, vec![running.clone()]).await;
    let first = accepts(&world.admin, Request::get(sessions_path(HOBBYFARM))).await.body;
    let is_older = |session: &&Value| {
        session["spec"]["user"] == "u-0"
            && session["spec"]["scenario"] == "s-0"
            && session["metadata"]["name"] != running["metadata"]["name"]
    };
    expect(first["items"].as_array().unwrap().iter().find(is_older).unwrap(), "Duplicate", "spec.scenario");
    plant(world, &planted).await;
    for _ in 0..4 {
        let session = {
            let mut session = world.new_session();
            session["spec"]["scenario"] = json!("");
            let times = [-60, 60].map(|minutes| world.form.time(Timestamp::now() + SignedDuration::from_mins(minutes)));
            session["status"] = world.form.status(false, "", true, false, [&times[0], &times[1]]);
            session
        };
        write(world, vec![session.clone()]).await;
        let mut webhook = world.webhook.lock().await;
        webhook.restart(&["--mode", "audit"]).await;
        let edit =
            Request::merge(&session, json!({"spec": {"access_code": "another"}})).with("fieldManager=kubectl-edit");
        accepts(&world.alice, edit).await;
        webhook.restart(&[]).await;
        expect(&session, "HandEdit", "spec.access_code");
    }

    let start = std::time::Instant::now();
    let audited = audit(world, "admin", &[]).await;
    let took = start.elapsed();
    let findings = audited.findings();
    let missed: Vec<_> = expected.difference(&findings).collect();
    let imagined: Vec<_> = findings.difference(&expected).collect();
    assert!(missed.is_empty() && imagined.is_empty(), "missed {missed:?}, imagined {imagined:?}, {}", audited.stderr);
    assert_eq!(audited.code, 1);
    assert_eq!(audited.report["notLookedAt"], json!([]));
    assert!(!audited.report.to_string().contains("ac-secret"));
    println!("       {} sessions, {} faults, {:.1} s", audited.report["sessions"], expected.len(), took.as_secs_f64());
    clear(world).await;
}

pub(super) async fn a_clean_cluster_is_told_to_be_clean_and_one_without_rights_is_not(world: &World) {
    clear(world).await;
    furnish(world).await;
    write(world, vec![sound(world, 0)]).await;
    let audited = audit(world, "admin", &["-n", HOBBYFARM]).await;
    assert_eq!((audited.code, &audited.report["sessions"]), (0, &json!(1)), "{}", audited.stderr);
    assert_eq!(audited.report["findings"], json!([]));

    let (_, _) = world.cluster.person("nobody");
    let audited = audit(world, "nobody", &[]).await;
    assert_eq!(audited.code, 2);
    assert!(audited.stderr.contains("grant `list` on sessions"), "{}", audited.stderr);
}

pub(super) async fn people_are_told_what_a_finding_means_and_how_to_mend_it(world: &World) {
    clear(world).await;
    furnish(world).await;
    let planted: Vec<_> = faults(world).into_iter().map(|(session, ..)| session).take(4).collect();
    plant(world, &planted).await;
    let mut command = audit_command(world, "admin", &[]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("SEVERITY  SESSION "), "{table}");
    let name = planted[0]["metadata"]["name"].as_str().unwrap();
    let row = lines.iter().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{table}"));
    let words: Vec<_> = row.split_whitespace().collect();
    assert_eq!(words, ["error", &format!("{HOBBYFARM}/{name}"), "MissingTime", "status.end_time", "\"\""], "{table}");
    assert!(table.contains("\n3 errors, 1 warning in 4 Sessions\n"), "{table}");
    assert!(table.contains("\nMissingTime: A time that HobbyFarm needs is missing"), "{table}");
    assert!(table.contains("\n  To repair it: run `session-webhook audit --fix`"), "{table}");
    assert!(!table.contains('\u{1b}'), "colour on no terminal: {table}");
}

pub(super) async fn times_are_mended_after_a_dry_run_by_whoever_may_write(world: &World) {
    clear(world).await;
    furnish(world).await;
    let lost = {
        let mut session = world.new_session();
        session["status"] = world.form.status(false, "", true, false, [&world.form.time(Timestamp::now()), ""]);
        session
    };
    plant(world, std::slice::from_ref(&lost)).await;

    let audited = audit(world, "alice", &["--fix"]).await;
    assert_eq!(audited.code, 2);
    assert!(audited.stderr.contains("add --yes"), "{}", audited.stderr);

    let audited = audit(world, "alice", &["--fix", "--yes"]).await;
    assert_eq!((audited.code, &audited.report["fixes"][0]["result"]), (1, &json!("refused")), "{}", audited.stderr);
    assert!(audited.report["fixes"][0]["reason"].as_str().unwrap().contains("only HobbyFarm writes Sessions"));
    assert_eq!(stored(&world.admin, &lost).await["status"]["end_time"], json!(""));

    world.webhook.lock().await.restart(&["--break-glass-user", "alice"]).await;
    let audited = audit(world, "alice", &["--fix", "--yes"]).await;
    world.webhook.lock().await.restart(&[]).await;
    assert_eq!((audited.code, &audited.report["fixes"][0]["result"]), (0, &json!("repaired")), "{}", audited.stderr);
    let end = world.form.parse_time(&stored(&world.admin, &lost).await["status"]["end_time"]);
    assert!(end > Timestamp::now());
    assert_eq!(audit(world, "admin", &[]).await.code, 0);
}

/// Makes the account of `components/audit`, with its rights.
fn grant(world: &World) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/components/audit/rbac.yaml");
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(file).unwrap()).unwrap();
    for subject in objects.iter_mut().filter_map(|object| object.get_mut("subjects")?.as_array_mut()).flatten() {
        subject["namespace"] = json!(NAMESPACE);
    }
    world.admin_kubectl.run_on(&["apply", "-n", NAMESPACE, "-f", "-"], &objects).succeeds();
}

/// Takes them away again: `doctor` would call the webhook's superfluous.
async fn revoke(world: &World) {
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/hobbyfarm-session-webhook-audit";
    accepts(&world.admin, Request::delete_path(path, "Background")).await;
}

pub(super) async fn the_job_may_look_at_everything_and_change_nothing(world: &World) {
    clear(world).await;
    furnish(world).await;
    grant(world);
    let (lost, ..) = faults(world).swap_remove(0);
    plant(world, std::slice::from_ref(&lost)).await;
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(world.cluster.admin_kubeconfig()).unwrap()).unwrap();
    config["users"][0]["user"] = json!({"token": world.token(NAMESPACE, "session-webhook-audit").await});
    std::fs::write(world.folder().join("audit-job.kubeconfig"), config.to_string()).unwrap();
    let audited = audit(world, "audit-job", &[]).await;
    assert_eq!((audited.code, &audited.report["notLookedAt"]), (1, &json!([])), "{}", audited.stderr);
    assert_eq!(audited.report["findings"].as_array().unwrap().len(), 1);
    let audited = audit(world, "audit-job", &["--fix", "--yes"]).await;
    assert_eq!(audited.code, 1);
    assert!(
        audited.report["fixes"][0]["reason"].as_str().unwrap().contains("cannot get resource"),
        "{}",
        audited.report
    );
    revoke(world).await;
}

pub(super) async fn one_replica_tells_the_findings_as_metrics(world: &World) {
    clear(world).await;
    furnish(world).await;
    prepare(world).await;
    grant(world);
    let planted: Vec<_> = faults(world).into_iter().map(|(session, ..)| session).skip(9).take(2).collect();
    plant(world, &planted).await;
    let options = ["--audit-interval", "1s", "--backfill=false", "--backfill-lease", "session-webhook-audit"];
    let account = "session-webhook-audit";
    let mut leader = Replica::start_as(world, account, "auditor", &options).await;
    leader.leads().await;
    let findings = "audit_findings{finding=\"DanglingReference\",severity=\"warning\"}";
    eventually("both are told", PATIENCE, async || (leader.metric(findings).await == 2).then_some(())).await;
    assert_eq!(leader.metric("audit_sessions").await, 2);
    assert_eq!(leader.metric("audit_findings{finding=\"BadTime\",severity=\"error\"}").await, 0);
    let follower = Replica::start_as(world, account, "auditor-in-waiting", &options).await;
    accepts(&world.alice, Request::delete(&planted[0], "Background")).await;
    eventually("one is gone", PATIENCE, async || (leader.metric(findings).await == 1).then_some(())).await;
    assert_eq!(follower.metric("audit_sessions").await, 0, "one tells for all");
    assert_eq!(leader.metric("audit_errors_total").await, 0);
    revoke(world).await;
}

pub(super) async fn what_appears_and_what_goes_is_told_while_it_watches(world: &World) {
    clear(world).await;
    furnish(world).await;
    let mut command = audit_command(world, "admin", &["--watch", "--audit-interval", "100ms", "--output", "json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let mut change = async || {
        let line = tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
        let change: Value = serde_json::from_str(&line).unwrap();
        ["change", "kind", "name"].map(|key| change[key].as_str().unwrap().to_owned())
    };
    let mut session = sound(world, 0);
    session["spec"]["user"] = json!("gone");
    let name = session["metadata"]["name"].as_str().unwrap().to_owned();
    write(world, vec![session.clone()]).await;
    // With a status subresource it may be seen before its status is written.
    let mut seen = change().await;
    while seen[1] == "MissingTime" {
        seen = change().await;
    }
    assert_eq!(seen, ["appeared", "DanglingReference", &name]);
    accepts(&world.alice, Request::delete(&session, "Background")).await;
    let mut seen = change().await;
    while seen[1] != "DanglingReference" {
        seen = change().await;
    }
    assert_eq!(seen, ["gone", "DanglingReference", &name]);
    child.kill().unwrap();
    child.wait().unwrap();
}

//! Everything that HobbyFarm's session service writes, to each kind of Session that may be stored: nothing is refused, and what
//! is stored then HobbyFarm can decode. The sequences are those of `tests/hobbyfarm/sequences.yaml`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::flows::status_write;
use crate::backfilling::plant;
use crate::session::Dialect;
use crate::verbs::{accepts, stored};
use crate::world::World;
use crate::writer::Request;

type Sequences = BTreeMap<String, Vec<Value>>;

fn data() -> Value {
    serde_saphyr::from_str(include_str!("../../hobbyfarm/sequences.yaml")).unwrap()
}

fn sequences(name: &str) -> Sequences {
    serde_json::from_value(data()[name].clone()).unwrap()
}

/// A value as it is written now: see the head of the data.
fn value(value: &Value) -> Value {
    let Some(text) = value.as_str().and_then(|text| text.strip_prefix('@')) else { return value.clone() };
    let (seconds, zone) = text.split_once(' ').unwrap_or((text, "UTC"));
    let east = match zone {
        "CET" => 3600,
        "CEST" => 7200,
        _ => 0,
    };
    let at = Timestamp::now() + SignedDuration::from_secs(seconds.parse::<i64>().unwrap() + east);
    let layout =
        if zone == "rfc3339" { "%Y-%m-%dT%H:%M:%SZ".to_owned() } else { format!("%a %b %e %H:%M:%S {zone} %Y") };
    json!(at.strftime(&layout).to_string())
}

fn values(changes: &Value) -> Map<String, Value> {
    changes.as_object().into_iter().flatten().map(|(key, changed)| (key.clone(), value(changed))).collect()
}

/// A Session that is stored so. HobbyFarm's types have every field.
fn session_of(world: &World, times: &Value) -> Value {
    let mut session = world.new_session();
    if times != &json!({}) {
        session["status"] = world.form.status(false, "", true, false, ["", ""]);
        session["status"].as_object_mut().unwrap().extend(values(times));
    }
    session
}

/// Makes the writes of a sequence. What HobbyFarm's typed client reads of a status that is not there is its zero value.
async fn write(world: &World, what: &str, session: &Value, steps: &[Value]) {
    for step in steps {
        if step.get("delete").is_some() {
            accepts(&world.hobbyfarm, Request::delete(session, "Background")).await;
            return;
        }
        let mut object = stored(&world.hobbyfarm, session).await;
        let mut status = world.form.zero_status();
        let fields = object["status"].as_object().cloned().unwrap_or_default();
        status.as_object_mut().unwrap().extend(fields.into_iter().chain(values(&step["status"])));
        object["status"] = status;
        object["spec"].as_object_mut().unwrap().extend(values(&step["spec"]));
        let request = if step.get("spec").is_some() { Request::replace(&object) } else { status_write(world, &object) };
        let reply = world.hobbyfarm.sends(&request).await;
        assert_eq!(reply.code, 200, "{what}: {step}: {:?}", reply.body);
    }
}

/// As HobbyFarm decodes them, in its own language.
fn decodes(sessions: &[Value]) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hobbyfarm/decode.go");
    let mut go =
        Command::new("go").args(["run", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = go.stdin.take().unwrap();
    for session in sessions {
        writeln!(input, "{session}").unwrap();
    }
    drop(input);
    let output = go.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.contains(&format!("{} Sessions", sessions.len())), "{told}");
}

/// HobbyFarm stores one of the two dialects.
fn is_hobbyfarms(world: &World) -> bool {
    world.form.dialect == Dialect::Gargantua
}

pub(super) async fn nothing_that_it_writes_to_any_kind_of_session_is_refused(world: &World) {
    if !is_hobbyfarms(world) {
        return;
    }
    let kinds: BTreeMap<String, Value> = serde_json::from_value(data()["stored"].clone()).unwrap();
    let mut written = Vec::new();
    for (kind, times) in &kinds {
        for (flow, steps) in sequences("flows") {
            written.push((format!("{kind}: {flow}"), session_of(world, times), steps));
        }
    }
    let sessions: Vec<_> = written.iter().map(|(_, session, _)| session.clone()).collect();
    plant(world, &sessions).await;
    let mut kept = Vec::new();
    for (what, session, steps) in &written {
        write(world, what, session, steps).await;
        let is_ended = steps.iter().any(|step| step.get("delete").is_some());
        // One whose status was not written holds what was planted.
        if !is_ended && steps.iter().all(|step| step["status"].get("end_time").is_some()) {
            kept.push(stored(&world.admin, session).await);
        }
    }
    assert!(kept.len() >= kinds.len());
    decodes(&kept);
    println!("       {} sequences of writes, no refusal", written.len());
}

pub(super) async fn what_was_refused_once_is_not(world: &World) {
    if !is_hobbyfarms(world) {
        return;
    }
    let mut kept = Vec::new();
    for (what, steps) in sequences("refused") {
        let mut session = world.new_session();
        session["status"] = world.form.zero_status();
        accepts(&world.hobbyfarm, Request::create(&session)).await;
        write(world, &what, &session, &steps).await;
        kept.push(stored(&world.admin, &session).await);
    }
    assert_eq!(kept.len(), 8);
    decodes(&kept);
}

/// A status that proves nothing about the dialect, patched by somebody who is no HobbyFarm: the flags that come with it are
/// such as the list can be decoded with.
pub(super) async fn a_patch_without_evidence_leaves_the_list_decodable(world: &World) {
    if !is_hobbyfarms(world) {
        return;
    }
    let mut session = world.new_session();
    session["spec"] = json!({"scenario": "s-1", "course": "c-1", "user": "u-1", "access_code": "ac-secret"});
    accepts(&world.hobbyfarm, Request::create(&session)).await;
    world.webhook.lock().await.restart(&["--break-glass-user", "alice"]).await;
    let end = value(&json!("@300"));
    let patch = json!({"status": {"end_time": end}});
    let request = if world.form.status_subresource {
        Request::merge_status(&session, patch)
    } else {
        Request::merge(&session, patch)
    };
    accepts(&world.alice, request).await;
    world.webhook.lock().await.restart(&[]).await;
    let object = stored(&world.admin, &session).await;
    assert_eq!((&object["status"]["paused"], &object["status"]["end_time"]), (&json!(false), &end));
    decodes(&[object]);
}

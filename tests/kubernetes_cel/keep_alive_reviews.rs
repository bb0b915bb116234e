//! Requests that are nearly keep-alives, and some that are nothing of the kind.

use serde_json::{Value, json};

use crate::reviews::Choices;

const USERS: [&str; 8] = [
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-session",
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-session",
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-session",
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-gargantua",
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-sessions",
    "system:serviceaccount:hobbyfarm-system-evil:hobbyfarm-session",
    "system:kube-controller-manager",
    "alice",
];

/// What is, or is nearly, a time in the layout `time.UnixDate` in UTC.
const TIMES: [&str; 36] = [
    "Thu Nov 26 14:03:16 UTC 2026",
    "Thu Nov 26 14:03:17 UTC 2026",
    "Thu Nov 26 13:53:16 UTC 2026",
    "Thu Nov 26 23:59:59 UTC 2026",
    "Thu Nov 26 00:00:00 UTC 2026",
    "Thu Nov 26 24:00:00 UTC 2026",
    "Thu Nov 26 14:60:00 UTC 2026",
    "Thu Nov 26 14:03:60 UTC 2026",
    "Thu Nov 26 14:03:17 UTC 2027",
    "Thu Nov 26 14:03:17 UTC 2025",
    "Thu Nov 26 14:03:17 UTC 0026",
    "Thu Nov 26 14:03:17 CET 2026",
    "Thu Nov 26 14:03:17 GMT 2026",
    "Thu Nov 26 14:03:17 EST 2026",
    "Thu Nov 26 14:03:17.5 UTC 2026",
    "Thu Nov 26 4:03:17 UTC 2026",
    "thu nov 26 14:03:17 utc 2026",
    "Xxx Nov 26 14:03:17 UTC 2026",
    "Thu Nov 26 1\u{ff14}:03:17 UTC 2026",
    " Thu Nov 26 14:03:17 UTC 2026",
    "Thu Nov 26 14:03:17 UTC 2026\n",
    "Thu Nov  5 09:00:00 UTC 2026",
    "Thu Nov 05 09:00:00 UTC 2026",
    "Thu Nov  0 09:00:00 UTC 2026",
    "Fri Nov 27 00:03:17 UTC 2026",
    "Mon Nov 30 10:00:00 UTC 2026",
    "Tue Nov 31 10:00:00 UTC 2026",
    "Tue Nov 31 11:00:00 UTC 2026",
    "Sat Feb 28 10:00:00 UTC 2026",
    "Sun Feb 29 10:00:00 UTC 2026",
    "Tue Feb 29 10:00:00 UTC 2028",
    "Thu Nov 26 14:03:17 2026",
    "Thu, 26 Nov 2026 14:03:17 UTC",
    "2026-11-26 14:03:17 +0000 UTC",
    "2026-11-26T14:03:17Z",
    "soon",
];

/// A keep-alive as HobbyFarm sends it, but for the fields that nothing here reads.
fn keep_alive() -> Value {
    let session = |end: &str| {
        json!({
            "apiVersion": "hobbyfarm.io/v1",
            "kind": "Session",
            "metadata": {"name": "s1", "namespace": "hobbyfarm-system", "creationTimestamp": "2026-11-26T13:53:16Z"},
            "spec": {"user": "e-1", "course": "c-1", "keep_course_vm": true, "vm_claim": ["vmc-1"]},
            "status": {
                "active": true, "paused": false, "finished": false, "paused_time": "",
                "start_time": "Thu Nov 26 13:53:16 UTC 2026", "end_time": end,
            },
        })
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r-1",
            "kind": {"group": "hobbyfarm.io", "version": "v1", "kind": "Session"},
            "resource": {"group": "hobbyfarm.io", "version": "v1", "resource": "sessions"},
            "subResource": "status",
            "name": "s1",
            "namespace": "hobbyfarm-system",
            "operation": "UPDATE",
            "userInfo": {"username": USERS[0], "uid": "u-1"},
            "object": session(TIMES[1]),
            "oldObject": session(TIMES[0]),
        },
    })
}

fn time(choices: &mut Choices<'_>) -> Value {
    if choices.rarely(8) { odd(choices) } else { json!(choices.one_of(&TIMES)) }
}

/// A value of some other kind.
fn odd(choices: &mut Choices<'_>) -> Value {
    choices.one_of(&[
        Value::Null,
        json!(""),
        json!("true"),
        json!("false"),
        json!(true),
        json!(false),
        json!(0),
        json!(1.5),
        json!([]),
        json!({}),
        json!(["x"]),
        json!({"end_time": "x"}),
    ])
}

/// One change of a Session.
fn change(session: &mut Value, choices: &mut Choices<'_>) {
    let (part, key, value) = match choices.below(14) {
        0..=2 => ("status", "end_time", time(choices)),
        3 | 4 => ("status", "start_time", time(choices)),
        5 => ("status", choices.one_of(&["active", "paused", "finished"]), odd(choices)),
        6 => ("status", "paused_time", time(choices)),
        7 => ("status", "pause_time", time(choices)),
        8 => ("spec", "vm_claim", choices.one_of(&[json!("vmc-1"), json!([]), Value::Null])),
        9 => ("spec", "keep_course_vm", choices.one_of(&[json!("true"), json!(false), Value::Null])),
        10 => ("spec", "user", choices.one_of(&[json!("e-2"), json!(""), Value::Null])),
        11 => ("metadata", "labels", json!({"a": "b"})),
        12 => ("metadata", "deletionTimestamp", json!("2026-11-26T14:00:00Z")),
        _ => ("", choices.one_of(&["status", "spec", "extra"]), odd(choices)),
    };
    let object = if part.is_empty() { Some(&mut *session) } else { session.get_mut(part) };
    let Some(object) = object.and_then(Value::as_object_mut) else { return };
    if choices.rarely(6) {
        drop(object.remove(key));
    } else {
        drop(object.insert(key.to_owned(), value));
    }
}

/// A keep-alive with some changes, most of them in both objects.
pub fn near_miss(choices: &mut Choices<'_>) -> Value {
    let mut review = keep_alive();
    let request = &mut review["request"];
    while choices.rarely(2) {
        let before = choices.0;
        change(&mut request["object"], choices);
        if !choices.rarely(3) {
            // the same change
            change(&mut request["oldObject"], &mut Choices(before));
        }
    }
    if choices.rarely(2) {
        let times = [time(choices), time(choices)];
        for (object, time) in ["oldObject", "object"].into_iter().zip(times) {
            if let Some(status) = request[object].get_mut("status").and_then(Value::as_object_mut) {
                drop(status.insert("end_time".to_owned(), time));
            }
        }
    }
    if choices.rarely(4) {
        request["userInfo"]["username"] = json!(choices.one_of(&USERS));
    }
    if choices.rarely(6) {
        drop(request["userInfo"].as_object_mut().unwrap().remove("uid"));
    }
    match choices.below(16) {
        1 => request["subResource"] = json!(choices.one_of(&["", "Status", "scale"])),
        2 => drop(request.as_object_mut().unwrap().remove("subResource")),
        3 => request["kind"]["version"] = json!(choices.one_of(&["v4alpha1", "v2"])),
        4 => (request["operation"], request["oldObject"]) = (json!("CREATE"), Value::Null),
        _ => {}
    }
    review
}

/// A keep-alive in which something is anything, but for the metadata, which an API server reads before it asks anybody.
pub fn fuzzed(choices: &mut Choices<'_>) -> Value {
    let mut review = keep_alive();
    for object in ["object", "oldObject"] {
        while choices.rarely(2) {
            let path =
                choices.one_of(&["", "/spec", "/status", "/status/start_time", "/status/end_time", "/spec/vm_claim"]);
            let value = any(choices, 3);
            match review["request"][object].pointer_mut(path) {
                Some(place) if !path.is_empty() => *place = value,
                Some(Value::Object(members)) => {
                    drop(members.insert(choices.one_of(&["status", "spec", "x"]).to_owned(), value));
                }
                _ => {}
            }
        }
    }
    if choices.rarely(2) {
        review["request"]["oldObject"] = review["request"]["object"].clone();
    }
    review
}

fn any(choices: &mut Choices<'_>, depth: usize) -> Value {
    let kinds = if depth == 0 { 6 } else { 8 };
    match choices.below(kinds) {
        0 => Value::Null,
        1 => json!(choices.rarely(2)),
        2 => json!(i64::MIN + i64::try_from(choices.below(3)).unwrap()),
        3 => json!(1e300),
        4 => json!(choices.one_of(&TIMES)),
        5 => json!("\u{0}\u{202e}'\\".repeat(choices.below(40))),
        6 => (0..choices.below(4)).map(|_| any(choices, depth - 1)).collect(),
        _ => {
            let keys = ["end_time", "start_time", "active", "paused", "finished", "paused_time", "", "a.b/c"];
            let members = (0..choices.below(8)).map(|_| (choices.one_of(&keys).to_owned(), any(choices, depth - 1)));
            Value::Object(members.collect())
        }
    }
}

/// A keep-alive with a megabyte in each place that is compared or matched.
pub fn large(base: &Value) -> Vec<Value> {
    let text = json!("x".repeat(1 << 20));
    let list: Value = (0..100_000).map(|_| json!("x")).collect();
    let map = Value::Object((0..20_000).map(|number| (format!("key-{number}"), json!(1))).collect());
    let mut all = Vec::new();
    for path in ["/status/end_time", "/status/start_time", "/status/paused_time", "/spec/vm_claim", "/status"] {
        for value in [&text, &list, &map] {
            let mut review = base.clone();
            for object in ["object", "oldObject"] {
                *review["request"][object].pointer_mut(path).unwrap() = value.clone();
            }
            all.push(review);
        }
    }
    // A list of claims is what it may be: then the times decide.
    for review in &mut all {
        if let Some(status) = review["request"]["object"]["status"].as_object_mut() {
            drop(status.insert("end_time".to_owned(), json!("soon")));
        }
    }
    all
}

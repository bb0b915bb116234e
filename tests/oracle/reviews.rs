//! Reviews as an API server could send them, made from a string of choices. Its alphabets are small, so that near misses
//! are common: names that almost match, edits that almost change nothing.

use serde_json::{Map, Value, json};

/// Makes choices from bytes. Where they have run out the first alternative is taken, which is the plainest one, so that
/// a shorter string makes a simpler review.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    pub fn below(&mut self, bound: usize) -> usize {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*byte) % bound
    }

    pub fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// Once in `times`.
    pub fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }
}

const USERS: [&str; 30] = [
    "alice",
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-session",
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-session",
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-user",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:kube-controller-manager",
    "breaker",
    "system:serviceaccount:webhook:own",
    "system:serviceaccount:any:name.with-dots",
    "system:serviceaccount:any:nameXwith-dots",
    "system:serviceaccount:hobbyfarm-system:hobbyfarm-sessions",
    "system:serviceaccount:hobbyfarm-system-evil:hobbyfarm-session",
    "system:serviceaccount:hobbyfarm-system:x:y",
    "system:serviceaccount:hobbyfarm-system:",
    "system:serviceaccount:hobbyfarm-system",
    "system:serviceaccount::hobbyfarm-session",
    "system:serviceaccount:kube-system:",
    "system:serviceaccount:kube-system:a:b",
    "system:serviceaccount:kube-system-2:generic-garbage-collector",
    " system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:generic-garbage-collector\n",
    "x\nsystem:serviceaccount:hobbyfarm-system:hobbyfarm-session",
    "System:serviceaccount:hobbyfarm-system:hobbyfarm-session",
    "system:kube-controller-managers",
    "breakers",
    "Breaker",
    "o'brien\\",
    "system:anonymous",
    "",
];

const GROUPS: [&str; 7] = [
    "system:authenticated",
    "system:serviceaccounts",
    "system:serviceaccounts:hobbyfarm-system",
    "break-glass",
    "break-glass ",
    "break",
    "b'\u{202e}\\",
];

const FINALIZERS: [&str; 4] = ["a", "b", "foregroundDeletion", "orphan"];

/// A whole `AdmissionReview`.
pub fn review(choices: &mut Choices<'_>) -> Value {
    let operation = if choices.rarely(12) {
        choices.one_of(&["DELETE", "CONNECT"])
    } else {
        choices.one_of(&["UPDATE", "UPDATE", "UPDATE", "UPDATE", "UPDATE", "CREATE"])
    };
    let mut old = session(choices);
    let mut object = old.clone();
    if !choices.rarely(3) {
        edit(&mut object, choices);
        while choices.rarely(3) {
            edit(&mut object, choices);
        }
    }
    if choices.rarely(3) {
        change(&mut old, "metadata", "deletionTimestamp", Some(json!("2026-11-24T00:20:00Z")));
        if !choices.rarely(8) {
            change(&mut object, "metadata", "deletionTimestamp", Some(json!("2026-11-24T00:20:00Z")));
        }
    }
    for session in [&mut old, &mut object] {
        sprinkle_nulls(session, choices);
    }
    let mut request = json!({
        "uid": "r-1",
        "kind": {"group": "hobbyfarm.io", "version": "v1", "kind": "Session"},
        "resource": {"group": "hobbyfarm.io", "version": "v1", "resource": "sessions"},
        "name": "s1",
        "namespace": "hobbyfarm-system",
        "operation": operation,
        "userInfo": user(choices),
        "object": if matches!(operation, "CREATE" | "UPDATE") { object } else { Value::Null },
        "oldObject": if matches!(operation, "UPDATE" | "DELETE") { old } else { Value::Null },
        "dryRun": choices.rarely(8),
    });
    let subresource = if choices.rarely(12) {
        Some(choices.one_of(&["scale", "status2", "Status"]))
    } else {
        choices.one_of(&[None, Some("status"), Some("")])
    };
    if let Some(subresource) = subresource {
        request["subResource"] = json!(subresource);
    }
    if choices.rarely(12) {
        let (key, value) = choices.one_of(&[
            ("resource", "sessions2"),
            ("resource", "courses"),
            ("resource", "Sessions"),
            ("group", "example.com"),
            ("group", ""),
            ("group", "x.hobbyfarm.io"),
            ("version", "v4alpha1"),
        ]);
        request["resource"][key] = json!(value);
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
}

fn user(choices: &mut Choices<'_>) -> Value {
    let mut user = Map::new();
    let name = choices.one_of(&USERS);
    // The API server leaves out what is empty; so may a client that speaks to the webhook itself, or it may not.
    if !name.is_empty() || choices.rarely(2) {
        user.insert("username".to_owned(), json!(name));
    }
    if let Some(uid) = choices.one_of(&[Some("u-1"), None, Some(""), Some("u-1")]) {
        user.insert("uid".to_owned(), json!(uid));
    }
    if !choices.rarely(4) {
        let groups: Vec<_> = (0..choices.below(4)).map(|_| choices.one_of(&GROUPS)).collect();
        user.insert("groups".to_owned(), json!(groups));
    }
    if choices.rarely(4) {
        user.insert("extra".to_owned(), json!({"authentication.kubernetes.io/credential-id": ["JTI=1"]}));
    }
    Value::Object(user)
}

fn session(choices: &mut Choices<'_>) -> Value {
    let gargantua = choices.below(2) == 0;
    let mut session = json!({
        "apiVersion": "hobbyfarm.io/v1",
        "kind": "Session",
        "metadata": {
            "name": "s1", "namespace": "hobbyfarm-system", "uid": "u", "resourceVersion": "7", "generation": 1,
            "creationTimestamp": "2026-11-24T00:00:00Z",
            "managedFields": [{"manager": "session-service", "operation": "Update", "fieldsV1": {"f:status": {}}}],
        },
        "spec": if gargantua {
            json!({"user": "u-1", "vm_claim": ["vmc-1"], "keep_course_vm": false, "access_code": "ac-1"})
        } else {
            json!({"user": "u-1", "vm_claim": "vmc-1", "keep_course_vm": "false", "access_code": "ac-1"})
        },
    });
    let finalizers = choices.below(4);
    if finalizers > 0 {
        session["metadata"]["finalizers"] = json!(FINALIZERS[..finalizers]);
    }
    if choices.below(2) == 1 {
        session["metadata"]["ownerReferences"] = json!([owner(choices)]);
    }
    if choices.rarely(3) {
        session["metadata"]["labels"] = json!({"a": "b"});
    }
    if let Some(status) = status(gargantua, choices) {
        session["status"] = status;
    }
    session
}

fn owner(choices: &mut Choices<'_>) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": choices.one_of(&["u-1", "u-2"]), "blockOwnerDeletion": true})
}

/// Mostly sound, so that what HobbyFarm writes passes.
fn status(gargantua: bool, choices: &mut Choices<'_>) -> Option<Value> {
    let flag = |flag: bool| if gargantua { json!(flag) } else { json!(flag.to_string()) };
    let times = if gargantua {
        ["", "Tue Nov 24 00:00:00 UTC 2026", "Tue Nov 24 00:35:00 UTC 2026"]
    } else {
        ["", "2026-11-24 00:00:00.5 +0000 UTC", "2026-11-24 00:35:00 +0000 UTC"]
    };
    let end = if choices.rarely(16) {
        choices.one_of(&["soon", "Tue Nov 23 00:35:00 UTC 2026"])
    } else {
        choices.one_of(&times)
    };
    let whole = json!({
        "paused": flag(false), "active": flag(choices.below(2) == 0), "finished": flag(choices.below(2) == 1),
        if gargantua { "paused_time" } else { "pause_time" }: "",
        "start_time": times[choices.below(2)], "end_time": end,
    });
    choices.one_of(&[Some(whole.clone()), Some(whole.clone()), Some(whole), None, Some(json!({}))])
}

/// One change. Each is a near miss of some rule.
fn edit(session: &mut Value, choices: &mut Choices<'_>) {
    let finalizers: Vec<Value> = session["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    match choices.below(20) {
        0..=5 => {
            let mut changed = finalizers;
            let place = choices.below(changed.len().max(1));
            match choices.below(8) {
                0..=3 if !changed.is_empty() => drop(changed.remove(place)),
                4 => changed.push(json!(choices.one_of(&FINALIZERS))),
                5 if !changed.is_empty() => changed[place] = json!(choices.one_of(&["other", "a"])),
                6 => changed.reverse(),
                _ => changed.clear(),
            }
            // An empty list is left out by the API server's own types, but not by everybody.
            let value = (!changed.is_empty() || choices.rarely(3)).then_some(Value::Array(changed));
            change(session, "metadata", "finalizers", value);
        }
        6 | 7 => {
            let value = (!choices.rarely(3)).then(|| json!([owner(choices)]));
            change(session, "metadata", "ownerReferences", value);
        }
        8 => change(session, "metadata", "resourceVersion", choices.one_of(&[Some(json!("8")), None])),
        9 => change(session, "metadata", "generation", Some(json!(2))),
        10 => {
            change(
                session,
                "metadata",
                "managedFields",
                choices.one_of(&[Some(json!([{"manager": "kubectl"}])), None]),
            );
        }
        11 => change(session, "metadata", "labels", choices.one_of(&[Some(json!({"a": "c"})), Some(json!({})), None])),
        12 => change(session, "metadata", "annotations", Some(json!({"note": "x"}))),
        13 => change(session, "metadata", "creationTimestamp", Some(json!("2026-11-24T00:00:01Z"))),
        14 => change(session, "metadata", "selfLink", Some(json!(""))),
        15 => change(session, "spec", "access_code", choices.one_of(&[Some(json!("ac-2")), None, Some(Value::Null)])),
        16 => change(
            session,
            "spec",
            "vm_claim",
            choices.one_of(&[Some(json!(["vmc-1", "vmc-2"])), Some(json!("vmc-2"))]),
        ),
        17 => change(
            session,
            "status",
            "active",
            choices.one_of(&[Some(json!(false)), Some(json!("true")), None, Some(Value::Null)]),
        ),
        18 => match choices.below(3) {
            0 => session["apiVersion"] = json!("hobbyfarm.io/v2"),
            1 => drop(session.as_object_mut().unwrap().remove("status")),
            _ => session["extra"] = choices.one_of(&[json!({}), json!(1)]),
        },
        _ => change(session, "metadata", "deletionTimestamp", Some(json!("2026-11-24T00:21:00Z"))),
    }
}

/// Sets `part.key`, or takes it away.
fn change(session: &mut Value, part: &str, key: &str, value: Option<Value>) {
    let Some(part) = session.get_mut(part).and_then(Value::as_object_mut) else { return };
    match value {
        Some(value) => drop(part.insert(key.to_owned(), value)),
        None => drop(part.remove(key)),
    }
}

/// Where a field is nullable an API server sends null for what is absent.
fn sprinkle_nulls(session: &mut Value, choices: &mut Choices<'_>) {
    if !choices.rarely(4) {
        return;
    }
    for key in ["finalizers", "ownerReferences", "labels", "deletionTimestamp", "generation"] {
        if choices.rarely(3) && session["metadata"].get(key).is_none() {
            session["metadata"][key] = Value::Null;
        }
    }
    if choices.rarely(3) && session.get("status").is_none() {
        session["status"] = Value::Null;
    }
    if choices.rarely(3) && session.get("extra").is_none() {
        session["extra"] = Value::Null;
    }
}

//! Which of HobbyFarm's writes are spared the call, and that there is nothing to do about any of them.

use std::path::Path;

use serde_json::{Value, json};
use session_webhook::core::admission::decision::Verdict;
use session_webhook::core::admission::review::Webhook;
use session_webhook::core::installation::users;
use session_webhook::core::policy_twin::keep_alive::{CONDITION, expression};
use session_webhook::core::settings::{Dialect, Settings};

use crate::apiserver::ApiServer;
use crate::keep_alive_reviews::{fuzzed, large, near_miss};
use crate::objects::{entries, generated, generated_by};
use crate::recorded::{Recorded, decide, recorded, shipped};

/// The shipped entries that spare keep-alives the call, with that condition alone, as one configuration.
fn sparing_entries() -> Value {
    let mut entries = entries();
    for entry in &mut entries {
        let conditions = entry["matchConditions"].as_array().cloned().unwrap_or_default();
        // The program knows the fields of a validating webhook alone.
        drop(entry.as_object_mut().unwrap().remove("reinvocationPolicy"));
        entry["matchConditions"] = conditions.into_iter().filter(|condition| condition["name"] == CONDITION).collect();
    }
    entries.retain(|entry| entry["matchConditions"] != json!([]));
    let names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mutate.session-webhook.hobbyfarm.io", "validate-hobbyfarm.session-webhook.hobbyfarm.io"]);
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "keep-alives"},
        "webhooks": entries,
    })
}

/// Whether each request is spared the call. None may make the expression fail, or cost more than a call is worth.
fn spared(server: &ApiServer, configuration: &Value, reviews: &[Value]) -> Vec<bool> {
    let mut all = Vec::new();
    for chunk in reviews.chunks(10_000) {
        let answers = server.ask([configuration].into_iter().chain(chunk)).split_off(1);
        for (answer, review) in answers.iter().zip(chunk) {
            let entries = answer["webhooks"].as_array().unwrap();
            for entry in entries {
                assert_eq!(entry["errors"], json!([]), "{review:#}");
                assert!(entry["cost"].as_u64().unwrap() < LIMIT, "{entry}");
            }
            let matches: Vec<_> = entries.iter().map(|entry| entry["matches"] == true).collect();
            assert!(
                matches.iter().all(|matches| *matches == matches_of(entries)),
                "they are one expression\n{review:#}"
            );
            all.push(!matches[0]);
        }
    }
    all
}

fn matches_of(entries: &[Value]) -> bool {
    entries[0]["matches"] == true
}

/// What all match conditions of an entry may cost.
const LIMIT: u64 = 2_500_000;

/// Whether the webhook would do nothing about a request, whichever way the dialect is found.
fn is_left_alone(review: &Value) -> bool {
    let told = Settings { dialect: Some(Dialect::Gargantua), ..shipped() };
    [shipped(), told].iter().all(|settings| {
        [Webhook::Mutate, Webhook::Validate].into_iter().all(|webhook| {
            let decision = decide(settings, webhook, review);
            decision.verdict == Verdict::Allow && decision.edits.is_empty() && decision.warnings.is_empty()
        })
    })
}

/// How many are spared the call.
fn proved(server: &ApiServer, configuration: &Value, reviews: &[Value]) -> usize {
    let spared = spared(server, configuration, reviews);
    let spared: Vec<_> = reviews.iter().zip(spared).filter(|(_, spared)| *spared).map(|(review, _)| review).collect();
    for review in &spared {
        assert!(is_left_alone(review), "{review:#}");
    }
    spared.len()
}

fn fixtures() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keep-alive");
    let read = |number| std::fs::read_to_string(folder.join(format!("{number}.json"))).unwrap();
    (1..=4).map(|number| serde_json::from_str(&read(number)).unwrap()).collect()
}

pub fn recorded_requests(server: &ApiServer) {
    let configuration = sparing_entries();
    assert_eq!(proved(server, &configuration, &fixtures()), 4, "HobbyFarm's own keep-alives");
    let requests: Vec<_> = recorded();
    let reviews: Vec<_> = requests.iter().map(Recorded::json).collect();
    let count = proved(server, &configuration, &reviews);
    let spared = spared(server, &configuration, &reviews);
    let names = requests.iter().zip(spared).filter(|(_, spared)| *spared).map(|(request, _)| request);
    let names: Vec<_> = names.map(|request| format!("{}/{}", request.folder, request.scenario)).collect();
    println!("{count} of {} are spared: {names:?}", reviews.len());
    assert!(names.iter().all(|name| name.contains("keepalive") || name.contains("noop")), "{names:?}");
}

/// The base of the cases below is spared; each change of it is not.
pub fn still_called(server: &ApiServer) {
    let base = fixtures().remove(0);
    let account = |name: &str| json!(format!("system:serviceaccount:{name}"));
    let changes: &[(&str, &[&str], Value)] = &[
        ("garbage", &["object/status/end_time"], json!("soon")),
        ("another zone", &["object/status/end_time"], json!("Thu Nov 26 14:03:17 CET 2026")),
        ("another layout", &["object/status/end_time"], json!("2026-11-26T14:03:17Z")),
        ("the other dialect", &["object/status/end_time"], json!("2026-11-26 14:03:17 +0000 UTC")),
        (
            "no such day",
            &["object/status/end_time", "oldObject/status/end_time"],
            json!("Thu Nov 31 14:03:17 UTC 2026"),
        ),
        ("no such hour", &["object/status/end_time"], json!("Thu Nov 26 24:03:17 UTC 2026")),
        (
            "29 February",
            &["object/status/end_time", "oldObject/status/end_time"],
            json!("Tue Feb 29 14:03:17 UTC 2028"),
        ),
        ("backwards", &["object/status/end_time"], json!("Thu Nov 26 14:03:15 UTC 2026")),
        ("the next day", &["object/status/end_time"], json!("Fri Nov 27 00:00:00 UTC 2026")),
        ("the next year", &["object/status/end_time"], json!("Thu Nov 26 14:03:17 UTC 2027")),
        ("empty", &["object/status/end_time"], json!("")),
        ("null", &["object/status/end_time"], Value::Null),
        ("a number", &["object/status/end_time"], json!(1)),
        ("1 MB", &["object/status/end_time"], json!("x".repeat(1 << 20))),
        ("an end that was not there", &["oldObject/status/end_time"], json!("")),
        ("a start that was not there", &["object/status/start_time", "oldObject/status/start_time"], json!("")),
        (
            "a start in another layout",
            &["object/status/start_time", "oldObject/status/start_time"],
            json!("2026-11-26T13:53:16Z"),
        ),
        ("flags as strings", &["object/status/active", "oldObject/status/active"], json!("true")),
        ("another flag", &["object/status/active"], json!(false)),
        ("another start", &["object/status/start_time"], json!("Thu Nov 26 13:53:17 UTC 2026")),
        ("paused", &["object/status/paused"], json!(true)),
        ("resumed", &["oldObject/status/paused"], json!(true)),
        ("kept alive while paused", &["object/status/paused", "oldObject/status/paused"], json!(true)),
        (
            "a pause time to clear",
            &["object/status/paused_time", "oldObject/status/paused_time"],
            json!("Thu Nov 26 14:03:17 UTC 2026"),
        ),
        ("finished", &["object/status/finished"], json!(true)),
        ("risen again", &["oldObject/status/finished"], json!(true)),
        ("no status", &["object/status"], Value::Null),
        ("the first status", &["oldObject/status"], Value::Null),
        ("a field more", &["object/status/note", "oldObject/status/note"], json!("x")),
        ("another owner", &["object/spec/user"], json!("e-2")),
        ("a claim as a string", &["object/spec/vm_claim", "oldObject/spec/vm_claim"], json!("vmc-1")),
        ("a status that is a string", &["object/status", "oldObject/status"], json!("x")),
        ("a spec that is a list", &["object/spec", "oldObject/spec"], json!([])),
        ("alice", &["userInfo/username"], json!("alice")),
        ("another account", &["userInfo/username"], account("hobbyfarm-system:hobbyfarm-ui")),
        ("another namespace", &["userInfo/username"], account("hobbyfarm-system-evil:hobbyfarm-session")),
        ("the whole object", &["subResource"], json!("")),
        ("another version", &["kind/version"], json!("v4alpha1")),
    ];
    let changed = |(name, paths, value): &(&str, &[&str], Value)| {
        let mut review = base.clone();
        for path in *paths {
            let (parent, key) = path
                .rsplit_once('/')
                .map_or(("/request".to_owned(), *path), |(parent, key)| (format!("/request/{parent}"), key));
            review.pointer_mut(&parent).unwrap()[key] = value.clone();
        }
        ((*name).to_owned(), review)
    };
    let mut cases: Vec<_> = changes.iter().map(changed).collect();
    let mut without = |name: &str, parent: &str, key: &str| {
        let mut review = base.clone();
        drop(review.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key));
        cases.push((name.to_owned(), review));
    };
    without("impersonation without a uid", "/request/userInfo", "uid");
    without("no status at all", "/request/object", "status");
    without("no end", "/request/object/status", "end_time");
    without("a flag less", "/request/object/status", "paused");
    without("no spec", "/request/object", "spec");
    let mut create = base.clone();
    (create["request"]["operation"], create["request"]["oldObject"]) = (json!("CREATE"), Value::Null);
    cases.push(("a create".to_owned(), create));
    let (names, reviews): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    assert_eq!(spared(server, &sparing_entries(), &[base]), [true]);
    for (name, spared) in names.iter().zip(spared(server, &sparing_entries(), &reviews)) {
        assert!(!spared, "{name}");
    }
}

pub fn generated_requests(server: &ApiServer) {
    let configuration = sparing_entries();
    let count = proved(server, &configuration, &generated_by(80_000, near_miss));
    println!("{count} of 80000 near misses are spared");
    assert!(count > 4_000, "only {count} are spared");
    let mut others = generated(21_000);
    // An API server has a name for everybody, and an update has two objects.
    others.retain(|review| review["request"]["userInfo"]["username"].as_str().is_some_and(|name| !name.is_empty()));
    println!("{} of {} others", proved(server, &configuration, &others), others.len());
}

pub fn fuzzed_requests(server: &ApiServer) {
    let configuration = sparing_entries();
    let count = proved(server, &configuration, &generated_by(20_000, fuzzed));
    println!("{count} of 20000 fuzzed requests are spared");
    assert_eq!(proved(server, &configuration, &large(&fixtures()[0])), 0);
}

/// The expression with a mistake in it spares a write that the webhook has something to say about.
pub fn a_mistake_is_found(server: &ApiServer) {
    let reviews = generated_by(20_000, near_miss);
    let users = users(&shipped().service_accounts).unwrap();
    let mistakes = [
        ("object.spec == oldObject.spec", "true"),
        ("type(object.spec.vm_claim) == list", "true"),
        ("has(request.userInfo.uid) && ", ""),
        ("'start_time': object.status.start_time", "'start_time': o.status.start_time"),
        ("times[1] <= times[2]", "true"),
        ("times[2].endsWith(times[1].substring(20))", "true"),
        ("times[2].startsWith(times[1].substring(0, 11))", "true"),
        ("(Apr|Jun|Sep|Nov) ( [1-9]|[12]\\d|30)", "(Apr|Jun|Sep|Nov) ( [1-9]|[12]\\d|3[01])"),
        ("([01]\\d|2[0-3])", "([01]\\d|2[0-4])"),
    ];
    for (text, instead) in mistakes {
        let shipped = expression(&users);
        let mistaken = shipped.replacen(text, instead, 1);
        assert_ne!(shipped, mistaken, "{text}");
        let mut configuration = sparing_entries();
        for entry in configuration["webhooks"].as_array_mut().unwrap() {
            entry["matchConditions"][0]["expression"] = json!(mistaken);
        }
        let spared = spared(server, &configuration, &reviews);
        let wrong = reviews.iter().zip(spared).any(|(review, spared)| spared && !is_left_alone(review));
        assert!(wrong, "{text} -> {instead} was not told");
    }
}

//! What holds for any input.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "this is test code")]

mod support;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use session_webhook::core::admission::decision::Verdict;
use session_webhook::core::admission::patch::patch;
use session_webhook::core::admission::policy::Policy;
use session_webhook::core::admission::response::respond;
use session_webhook::core::admission::review::{Review, Webhook};
use session_webhook::core::admission::rule::Rule;
use session_webhook::core::session::timestamp::{Instant, Layout};
use session_webhook::core::settings::{Dialect, Invariants, Settings};
use support::recorded::{decide, now, shipped};

const OWN_PATHS: [&str; 8] = [
    "/status",
    "/status/paused",
    "/status/active",
    "/status/finished",
    "/status/pause_time",
    "/status/paused_time",
    "/status/start_time",
    "/status/end_time",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

/// Times good and bad, of any type.
fn time() -> impl Strategy<Value = Value> {
    let text = |layout: Layout, seconds: i64, nanoseconds: i32| {
        let instant = Instant::from(Timestamp::new(seconds, nanoseconds).unwrap());
        json!(layout.format(instant).unwrap())
    };
    let written = (prop::sample::select(&Layout::ALL), 0..4_000_000_000_i64, 0..1_000_000_000)
        .prop_map(move |(l, s, n)| text(l, s, n));
    prop_oneof![8 => written, 2 => Just(json!("")), 1 => Just(Value::Null), 1 => Just(json!("Tue Nov 24 00:00:00.7 CET 2026")), 1 => json()]
}

fn flag() -> impl Strategy<Value = Value> {
    let known = prop::sample::select(vec![
        json!(true),
        json!(false),
        json!("true"),
        json!("No"),
        json!(1),
        json!(""),
        Value::Null,
    ]);
    prop_oneof![8 => known, 1 => json()]
}

fn status() -> impl Strategy<Value = Value> {
    let fields = (flag(), flag(), flag(), time(), time(), time(), json()).prop_map(
        |(paused, active, finished, start, end, pause, other)| {
            json!({
                "paused": paused, "active": active, "finished": finished, "start_time": start, "end_time": end,
                "pause_time": pause, "paused_time": pause, "~/other": other,
            })
        },
    );
    prop_oneof![8 => fields, 1 => Just(Value::Null), 1 => json()]
}

fn review(user: &str, object: &Value, old: Option<&Value>) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r-1", "operation": if old.is_some() { "UPDATE" } else { "CREATE" }, "name": "s1", "namespace": "n",
            "resource": {"group": "hobbyfarm.io", "version": "v1", "resource": "sessions"},
            "userInfo": {"username": user, "uid": "some-uid"},
            "object": object, "oldObject": old,
        },
    })
}

const HOBBYFARM: &str = "system:serviceaccount:hobbyfarm-system:hobbyfarm-session";

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_time_reads_as_it_was_written(seconds in -62_167_219_200_i64..253_402_207_200, nanoseconds in 0..1_000_000_000_i64) {
        let instant = Instant::from(Timestamp::new(seconds, 0).unwrap()).plus(SignedDuration::from_nanos(nanoseconds));
        for layout in Layout::ALL {
            let text = layout.format(instant).unwrap();
            let kept = if matches!(layout, Layout::GoString | Layout::GoStringMonotonic) { instant } else { instant.whole_seconds() };
            prop_assert_eq!(layout.parse(&text), Some(kept), "{}", text);
            prop_assert_eq!(layout.format(kept), Some(text));
        }
    }

    #[test]
    fn no_text_makes_a_layout_panic(text in ".*", number in "[-+0-9:., TZGMUC]{0,40}") {
        for layout in Layout::ALL {
            let _ = (layout.parse(&text), layout.parse(&number));
        }
    }

    #[test]
    fn a_patch_applies_touches_only_our_paths_and_leaves_nothing_to_repair(status in status(), spec in json(), gargantua: bool) {
        let dialect = if gargantua { Dialect::Gargantua } else { Dialect::Documented };
        let settings = Settings { dialect: Some(dialect), invariants: Invariants::Off, ..shipped() };
        let mut object = json!({"metadata": {"name": "s1"}, "spec": spec, "status": status});
        let decision = decide(&settings, Webhook::Mutate, &review(HOBBYFARM, &object, None));
        let patch = patch(&decision.edits, decision.status_is_missing);
        for operation in &patch.0 {
            prop_assert!(OWN_PATHS.contains(&operation.path().as_str()), "{}", operation.path());
        }
        let before = object.clone();
        json_patch::patch(&mut object, &patch).unwrap();
        prop_assert_eq!(&object["spec"], &before["spec"]);
        prop_assert_eq!(object.pointer("/status/~0~1other"), before.pointer("/status/~0~1other"));
        prop_assert!(decide(&settings, Webhook::Mutate, &review(HOBBYFARM, &object, None)).edits.is_empty());
        prop_assert!(decision.warnings.iter().all(|warning| warning.chars().count() <= 120 && !warning.contains(['\n', '%'])));
    }

    #[test]
    fn a_start_that_is_made_up_is_never_behind_the_end(
        mut status in status(),
        end in prop_oneof![Just(json!("")), Just(Value::Null), time()],
        gargantua: bool,
    ) {
        let dialect = if gargantua { Dialect::Gargantua } else { Dialect::Documented };
        let settings = Settings { dialect: Some(dialect), ..shipped() };
        prop_assume!(status.is_object());
        status["start_time"] = json!("");
        status["end_time"] = end;
        let mut object = json!({"metadata": {"name": "s1"}, "status": status});
        let decision = decide(&settings, Webhook::Mutate, &review(HOBBYFARM, &object, None));
        json_patch::patch(&mut object, &patch(&decision.edits, decision.status_is_missing)).unwrap();
        let broken = decide(&settings, Webhook::Validate, &review(HOBBYFARM, &object, None)).broken_invariants;
        prop_assert!(!broken.contains(&Rule::EndBeforeStart));
    }

    #[test]
    fn any_object_by_anybody_gets_a_well_formed_answer(
        user in prop_oneof![Just(HOBBYFARM.to_owned()), ".*", "(%|\u{202e}|\\PC|x){0,600}"],
        name in ".*",
        object in json(),
        old in prop::option::of(json()),
    ) {
        let mut review = review(&user, &object, old.as_ref());
        review["request"]["name"] = json!(name);
        let body = review.to_string();
        let review = Review::parse(body.as_bytes()).unwrap();
        for webhook in [Webhook::Mutate, Webhook::Validate] {
            let Ok(decision) = Policy::new(shipped()).decide(webhook, &review, now()) else {
                let unreadable = |object: &Value| !object.is_object() || object.get("metadata").is_some_and(|m| !m.is_object());
                prop_assert!(unreadable(&object) || old.as_ref().is_some_and(unreadable));
                continue;
            };
            let answer: Value = serde_json::from_slice(&respond(&review, &decision)).unwrap();
            prop_assert_eq!(&answer["response"]["uid"], &json!("r-1"));
            if let Verdict::Deny(refusal) = &decision.verdict {
                prop_assert!(refusal.message.chars().count() < 500, "{}", refusal.message);
                prop_assert!(!refusal.message.contains(['%', '\n', '\u{202e}']), "{}", refusal.message);
                prop_assert!(answer["response"]["status"]["code"].is_number() && answer["response"]["status"]["reason"].is_string());
            }
        }
    }

    #[test]
    fn any_bytes_are_a_review_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), value in json()) {
        let _ = Review::parse(&bytes).map_err(|error| error.to_string());
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": value}).to_string();
        if let Ok(review) = Review::parse(body.as_bytes()) {
            for webhook in [Webhook::Mutate, Webhook::Validate] {
                let _ = Policy::new(shipped()).decide(webhook, &review, now()).map(|decision| respond(&review, &decision));
            }
        }
    }
}

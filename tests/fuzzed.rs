//! The functions that `fuzz/` runs for hours, for a while on the stable toolchain: from recorded requests, damaged.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "this is test code")]

#[path = "../fuzz/src/lib.rs"]
mod checked;
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;

use checked::Reached;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::recorded::recorded;

/// What a request is damaged with, beside parts of other requests.
const TOKENS: [&str; 21] = [
    "null",
    "true",
    "0",
    "1e400",
    "-0",
    "\"\"",
    "{}",
    "[]",
    "\"\\u202e\\n\"",
    "\"\\ud800\"",
    "\"\\ud800%\u{202e}\"",
    "\"%s\"",
    "\"CREATE\"",
    "\"status\"",
    "\"yes\"",
    ",",
    "}",
    "\"",
    "\\",
    "\u{0}",
    "\"Tue Nov 24 00:00:00 UTC 2026\"",
];

#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Repeat(Index, Index),
    /// A part of the second request over a part of the first.
    Splice(Index, Index, Index),
    Token(Index, Index),
    /// Some value of the second request, or nothing at all, in place of a value of the first: still JSON.
    Graft(Index, Option<Index>),
    /// Some value becomes this.
    Replace(Index, Value),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    let value = prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!("no"),
        json!(1),
        json!(1.5),
        json!(""),
        json!("%\u{202e}\n"),
        json!("x".repeat(600)),
        json!({}),
        json!([]),
        json!(["a"]),
        json!("system:serviceaccount:hobbyfarm-system:x"),
        json!("Tue Nov 24 00:00:00 CET 2026"),
        json!("2026-11-24T00:00:00.5+24:60"),
        json!("UPDATE"),
    ]);
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Damage::Remove(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        1 => (at(), at(), at()).prop_map(|(from, to, other)| Damage::Splice(from, to, other)),
        2 => (at(), at()).prop_map(|(at, token)| Damage::Token(at, token)),
        6 => (at(), prop::option::of(at())).prop_map(|(at, other)| Damage::Graft(at, other)),
        6 => (at(), value).prop_map(|(at, value)| Damage::Replace(at, value)),
    ]
}

impl Damage {
    fn done_to(&self, body: &mut Vec<u8>, other: &[u8]) {
        let range = |from: &Index, to: &Index, length: usize| {
            let (from, to) = (from.index(length + 1), to.index(length + 1));
            from.min(to)..from.max(to)
        };
        let length = body.len();
        match self {
            Self::Flip(at, bits) if length > 0 => body[at.index(length)] ^= bits,
            Self::Flip(..) => {}
            Self::Cut(at) => body.truncate(at.index(length + 1)),
            Self::Remove(from, to) => drop(body.drain(range(from, to, length))),
            Self::Repeat(from, to) => {
                let range = range(from, to, length);
                let part = body[range.clone()].to_vec();
                body.splice(range.start..range.start, part);
            }
            Self::Splice(from, to, at) => {
                let range = range(from, to, length);
                let from = at.index(other.len() + 1);
                let part = other[from..other.len().min(from + range.len())].to_vec();
                body.splice(range, part);
            }
            Self::Token(at, token) => {
                let at = at.index(length + 1);
                body.splice(at..at, token.get(&TOKENS).bytes());
            }
            Self::Graft(at, from) => {
                let other: Value = serde_json::from_slice(other).unwrap();
                let part = from.as_ref().map(|from| from.get(&places(&other)).clone());
                replace(body, *at, part.map(|place| other.pointer(&place).unwrap().clone()));
            }
            Self::Replace(at, value) => replace(body, *at, Some(value.clone())),
        }
    }
}

/// Puts a value in some place, or takes away what is there. Bytes that are no JSON any more stay as they are.
fn replace(body: &mut Vec<u8>, at: Index, value: Option<Value>) {
    let Ok(mut tree) = serde_json::from_slice::<Value>(body) else { return };
    let place = at.get(&places(&tree)).clone();
    match (value, place.rsplit_once('/')) {
        (Some(value), _) => *tree.pointer_mut(&place).unwrap() = value,
        (None, Some((parent, key))) => {
            if let Some(parent) = tree.pointer_mut(parent).and_then(Value::as_object_mut) {
                parent.remove(key);
            }
        }
        (None, None) => {}
    }
    *body = tree.to_string().into_bytes();
}

/// The JSON pointer of each value in the tree.
fn places(tree: &Value) -> Vec<String> {
    fn walk(value: &Value, place: &str, places: &mut Vec<String>) {
        places.push(place.to_owned());
        let mut enter = |key: &str, inner: &Value| {
            let key = key.replace('~', "~0").replace('/', "~1");
            walk(inner, &format!("{place}/{key}"), places);
        };
        match value {
            Value::Object(members) => members.iter().for_each(|(key, inner)| enter(key, inner)),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, inner)| enter(&index.to_string(), inner)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    walk(tree, "", &mut all);
    all
}

#[test]
fn every_recorded_request_is_answered() {
    for request in recorded() {
        assert_eq!(checked::review(&request.body), Reached::Answer, "{}/{}", request.folder, request.scenario);
    }
}

#[test]
fn damaged_requests_are_answered_or_refused() {
    const CASES: u32 = 10_000;
    let bodies: Vec<Vec<u8>> = recorded().into_iter().map(|request| request.body).collect();
    let reached: RefCell<BTreeMap<Reached, u32>> = RefCell::default();
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&(any::<Index>(), any::<Index>(), vec(damage(), 1..5)), |(one, other, damages)| {
            let mut body = one.get(&bodies).clone();
            for damage in &damages {
                damage.done_to(&mut body, other.get::<Vec<u8>>(&bodies));
            }
            *reached.borrow_mut().entry(checked::review(&body)).or_default() += 1;
            Ok(())
        })
        .unwrap();
    println!("{reached:?}");
    // Damage that leaves nothing to read would test the JSON parser alone.
    for (way, least) in [(Reached::Nothing, CASES / 10), (Reached::Review, CASES / 500), (Reached::Answer, CASES / 5)] {
        let count = reached.borrow().get(&way).copied().unwrap_or_default();
        assert!(count >= least, "{way:?}: {count} of {CASES}");
    }
}

/// Times in every layout, and near misses of them.
const TIMES: [&str; 12] = [
    "Tue Nov 24 00:00:00 UTC 2026",
    "Tue Nov  4 00:00:00.123 CEST 2026",
    "2026-11-24 00:00:00.123456789 +0000 UTC",
    "2026-11-24 00:00:00 -0730 -0730 m=+0.123",
    "Tue Nov 24 00:00:00 2026",
    "Tue, 24 Nov 2026 00:00:00 GMT+3",
    "Tue, 24 Nov 2026 00:00:00 +2460",
    "2026-11-24T00:00:00Z",
    "2026-11-24T00:00:00,5-24:60",
    "9999-12-31T23:59:59-23:00",
    "0000-01-01T00:00:00+23:00",
    "2026-02-29 23:59:60 +0000 UTC",
];

#[test]
fn damaged_times_are_read_as_written_or_not_at_all() {
    let config = ProptestConfig { cases: 50_000, failure_persistence: None, ..ProptestConfig::default() };
    let edit = (any::<Index>(), prop::option::of("[-+0-9:., TZGMUCa-z=\u{e9}]{1,3}"), any::<bool>());
    TestRunner::new(config)
        .run(&(prop::sample::select(&TIMES), vec(edit, 0..4)), |(time, edits)| {
            let mut time = time.as_bytes().to_vec();
            for (at, text, insert) in edits {
                let at = at.index(time.len() + 1);
                let until = if insert { at } else { time.len().min(at + 1) };
                time.splice(at..until, text.unwrap_or_default().into_bytes());
            }
            checked::time(&time);
            Ok(())
        })
        .unwrap();
}

//! Nothing that a client sends ends the process or looks like our own fault.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};
use support::{Answer, default_router, post, review, send};

/// What every field is replaced with, one at a time.
fn odd_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5e300),
        json!(""),
        json!("\u{202e}\u{0}%s%n\u{1b}[31m"),
        json!([]),
        json!([[], {}, null]),
        json!({}),
        json!({ "": { "~/": null } }),
    ]
}

/// JSON pointers of every member and item below `value`.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let pointer = format!("{at}/{key}");
        found.push(pointer.clone());
        pointers(child, &pointer, found);
    }
}

fn swapped(corpus: &mut BTreeSet<Vec<u8>>) {
    let mut found = Vec::new();
    pointers(&review(), "", &mut found);
    for pointer in found {
        for odd in odd_values() {
            let mut review = review();
            *review.pointer_mut(&pointer).unwrap() = odd;
            corpus.insert(review.to_string().into_bytes());
        }
    }
}

fn cut(corpus: &mut BTreeSet<Vec<u8>>) {
    let whole = review().to_string().into_bytes();
    corpus.extend((0..whole.len()).step_by(7).map(|length| whole[..length].to_vec()));
    corpus.extend((0..whole.len()).step_by(53).map(|start| whole[start..].to_vec()));
}

/// Replaces `"subResource":"status"`, a member in the middle, with something that serde cannot write.
fn spliced(member: &[u8]) -> Vec<u8> {
    let text = review().to_string();
    let (before, after) = text.split_once(r#""subResource":"status""#).unwrap();
    [before.as_bytes(), member, after.as_bytes()].concat()
}

fn by_hand(corpus: &mut BTreeSet<Vec<u8>>) {
    let whole = review().to_string().into_bytes();
    let deep = |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    for depth in [100, 127, 128, 129, 1000, 100_000] {
        for nest in [
            deep("[", "]", depth),
            deep(r#"{"a":"#, "", depth),
            format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)),
        ] {
            corpus.insert(nest.clone().into_bytes());
            corpus.insert(spliced(format!(r#""deep":{nest}"#).as_bytes()));
            let mut review = review();
            review["request"]["object"]["status"]["end_time"] = json!("NEST");
            corpus.insert(review.to_string().replace(r#""NEST""#, &nest).into_bytes());
        }
    }
    for member in [
        &b"\"subResource\":\"\xff\xfe\""[..],
        b"\"subResource\":\"\xc3\"",
        b"\"subResource\":\"\xed\xa0\x80\"",
        b"\"subResource\":\"\\ud800\"",
        b"\"subResource\":\"\\u00zz\"",
        b"\"subResource\":\"a\0b\"",
        b"\"subResource\":\"a\nb\"",
        b"\"subResource\":1e999999",
        b"\"subResource\":-0",
        b"\"subResource\":01",
        b"\"subResource\":NaN",
        b"\"subResource\":0x10",
        b"\"subResource\":'status'",
        b"\"subResource\":\"status\",\"subResource\":\"scale\"",
        b"\"uid\":\"one\",\"uid\":\"two\"",
        b"\"object\":null,\"object\":{}",
        b"\"request\":{}",
        b"subResource:\"status\"",
        b"\"subResource\":\"status\",",
        b"// comment\n",
        b"",
    ] {
        corpus.insert(spliced(member));
    }
    corpus.insert(spliced(format!(r#""subResource":{}"#, "9".repeat(100_000)).as_bytes()));
    corpus.insert(spliced(format!(r#""subResource":"{}""#, "x".repeat(1 << 20)).as_bytes()));
    corpus.insert([b"\xef\xbb\xbf", &whole[..]].concat());
    corpus.insert(whole.iter().flat_map(|byte| [*byte, 0]).collect());
    corpus.insert([&whole[..], &whole[..]].concat());
    corpus.insert([b"[", &whole[..], b"]"].concat());
    corpus.insert(vec![0; 1000]);
    corpus.insert(vec![0xff; 1000]);
    for text in
        ["", " ", "null", "0", "\"\"", "[]", "{}", "true", "apiVersion: admission.k8s.io/v1", "<xml/>", "\u{1f980}"]
    {
        corpus.insert(text.as_bytes().to_vec());
    }
}

fn corpus() -> BTreeSet<Vec<u8>> {
    let mut corpus = BTreeSet::new();
    swapped(&mut corpus);
    cut(&mut corpus);
    by_hand(&mut corpus);
    corpus.remove(review().to_string().as_bytes());
    corpus
}

/// 400 with a line of text, or an `AdmissionReview` that the API server can read.
fn assert_sound(body: &[u8], answer: &Answer) {
    let body = String::from_utf8_lossy(body);
    let body = body.chars().take(3000).collect::<String>();
    match answer.status {
        StatusCode::OK => {
            let answer = answer.json();
            assert_eq!(answer["apiVersion"], "admission.k8s.io/v1", "{body}");
            assert_eq!(answer["kind"], "AdmissionReview", "{body}");
            assert!(answer["response"]["allowed"].is_boolean(), "{body}: {answer}");
            assert!(answer["response"]["uid"].is_string(), "{body}: {answer}");
        }
        StatusCode::BAD_REQUEST => {
            let text = answer.text().trim_end();
            assert!(!text.is_empty() && text.chars().count() < 500, "{body}: {text}");
            assert!(!text.chars().any(char::is_control), "{body}: {text:?}");
        }
        other => panic!("{other} for {body}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_malformed_body_gets_a_sound_answer_and_the_next_good_one_is_decided() {
    let corpus = corpus();
    assert!(corpus.len() >= 200, "{} bodies", corpus.len());
    let router = default_router();
    let mut unreadable = 0;
    for body in &corpus {
        for path in ["/mutate", "/validate"] {
            let answer = send(&router, post(path, body.clone())).await;
            assert_sound(body, &answer);
            unreadable += usize::from(answer.status == StatusCode::BAD_REQUEST);
        }
    }
    assert!(unreadable >= 200, "{unreadable} of {} bodies are malformed", corpus.len());
    let answer = send(&router, post("/validate", review().to_string())).await;
    assert_eq!(answer.json()["response"]["uid"], review()["request"]["uid"]);
}

/// serde reads no such string; what stands there is not repeated as it is either.
#[tokio::test]
async fn a_string_that_is_no_unicode_is_not_repeated() {
    let mut review = review();
    review["request"]["object"]["status"]["end_time"] = json!("HERE");
    let text = review.to_string().replace("\"HERE\"", "\"\\ud800%n\u{202e}\"");
    let answer = send(&default_router(), post("/validate", text)).await;
    assert_eq!(answer.json()["response"]["status"]["code"], 422, "{}", answer.text());
    assert!(answer.text().contains("a string that is no Unicode"), "{}", answer.text());
    assert!(!answer.text().contains(['%', '\u{202e}']), "{}", answer.text());
}

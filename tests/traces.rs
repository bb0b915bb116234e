//! Traces of the real program, received as a collector receives them: `cargo test --features traces --test traces`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};

use support::program::Program;
use support::{PATIENCE, review};

/// What a collector got: path, content type, body.
type Received = (String, String, Bytes);

/// A collector on a free port: its address, and what it gets.
fn collector() -> (String, Receiver<Received>) {
    async fn take(State(tell): State<Sender<Received>>, uri: Uri, headers: HeaderMap, body: Bytes) {
        let content_type = headers["content-type"].to_str().unwrap().to_owned();
        drop(tell.send((uri.path().to_owned(), content_type, body)));
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, received) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().fallback(take).with_state(tell)).await.unwrap();
        });
    });
    (address, received)
}

/// One field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message, as the wire has them: `opentelemetry/proto/trace/v1/trace.proto` names the numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            kind => {
                let length = match kind {
                    1 => 8,
                    5 => 4,
                    2 => usize::try_from(varint(&mut bytes)).unwrap(),
                    other => panic!("wire type {other}"),
                };
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(value)
            }
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// All messages at a path of field numbers.
fn at<'a>(bytes: &'a [u8], path: &[u64]) -> Vec<&'a [u8]> {
    path.iter().fold(vec![bytes], |messages, number| {
        let below = messages.into_iter().flat_map(fields);
        below
            .filter_map(|(found, field)| match field {
                Field::Bytes(value) if found == *number => Some(value),
                Field::Bytes(_) | Field::Number(_) => None,
            })
            .collect()
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The attributes of a message whose field of that number they are.
fn attributes(message: &[u8], number: u64) -> BTreeMap<String, String> {
    let read = |pair: &[u8]| {
        let value = at(pair, &[2])[0];
        let value = match fields(value).remove(0) {
            (1, Field::Bytes(value)) => text(value),
            (3, Field::Number(value)) => value.to_string(),
            (kind, _) => panic!("a value of kind {kind}"),
        };
        (text(at(pair, &[1])[0]), value)
    };
    at(message, &[number]).into_iter().map(read).collect()
}

#[derive(Debug)]
struct Span {
    trace: String,
    parent: String,
    name: String,
    attributes: BTreeMap<String, String>,
}

fn spans(body: &[u8]) -> Vec<Span> {
    let one = |span: &[u8], number| at(span, &[number]).first().map(|value| value.to_vec()).unwrap_or_default();
    at(body, &[1, 2, 2])
        .into_iter()
        .map(|span| Span {
            trace: hex(&one(span, 1)),
            parent: hex(&one(span, 4)),
            name: text(&one(span, 5)),
            attributes: attributes(span, 9),
        })
        .collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Posts a review, as a child of that span.
fn ask(program: &Program, path: &str, body: &[u8]) -> String {
    send(program, &format!("POST {path}"), "content-type: application/json", body)
}

/// Sends anything, as a child of that span.
fn send(program: &Program, method_and_target: &str, headers: &str, body: &[u8]) -> String {
    let length = body.len();
    let mut client = program.connect();
    let head = format!(
        "{method_and_target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n\
         content-length: {length}\r\n\r\n"
    );
    client.send(head.as_bytes());
    client.send(body);
    client.response().unwrap()
}

#[test]
fn a_request_is_a_span_below_its_callers_with_the_decision_on_it() {
    let (endpoint, received) = collector();
    let mut program = Program::start_with("--drain-delay 0s", 1024, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let mut denied = review();
    denied["request"]["userInfo"] = json!({"username": "alice"});
    assert!(ask(&program, "/validate", denied.to_string().as_bytes()).contains("\"allowed\":false"));
    assert!(ask(&program, "/mutate", review().to_string().as_bytes()).contains("\"allowed\":true"));
    assert!(ask(&program, "/secrets?alice", b"{}").starts_with("HTTP/1.1 404"));
    program.terminate();
    assert_eq!(program.exit_code(), Some(0));

    // What was measured is sent before the program ends.
    let mut found = Vec::new();
    while found.len() < 3 {
        let (path, content_type, body) = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!((path.as_str(), content_type.as_str()), ("/v1/traces", "application/x-protobuf"));
        let resource = attributes(at(&body, &[1, 1])[0], 1);
        assert_eq!(resource["service.name"], "session-webhook");
        assert!(!String::from_utf8_lossy(&body).contains("alice"), "a name of a user is no attribute");
        found.extend(spans(&body));
    }
    for span in &found {
        assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT), "{span:?}");
    }
    let span = |name: &str| found.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {found:?}"));
    let validate = &span("POST /validate").attributes;
    assert_eq!(validate["session_webhook.rule"], "ManualStatusEdit");
    assert_eq!(validate["session_webhook.decision"], "deny");
    assert_eq!(validate["http.response.status_code"], "200");
    assert_eq!(span("POST /mutate").attributes["session_webhook.rule"], "HobbyFarm");
    assert_eq!(span("POST other").attributes["http.response.status_code"], "404");
}

#[test]
fn without_an_endpoint_nothing_is_traced() {
    let (endpoint, received) = collector();
    let mut program = Program::start_with("--drain-delay 0s", 1024, &[("NO_ENDPOINT", &endpoint)]);
    assert!(ask(&program, "/mutate", review().to_string().as_bytes()).contains("\"allowed\":true"));
    program.terminate();
    assert_eq!(program.exit_code(), Some(0));
    assert!(received.try_recv().is_err());
}

/// What nobody may ever repeat, wherever a client puts it.
const MARKER: &str = "m4rk3r";

/// The review with the marker in each place that a client fills: who writes, on which object, and what is in it.
fn marked_review(user: &str) -> Value {
    let mut review = review();
    let request = &mut review["request"];
    request["userInfo"] = json!({"username": user, "uid": MARKER, "groups": [MARKER], "extra": {MARKER: [MARKER]}});
    for field in ["uid", "name", "namespace"] {
        request[field] = json!(MARKER);
    }
    for object in ["object", "oldObject"] {
        request[object]["metadata"]["labels"] = json!({MARKER: MARKER});
        for field in ["access_code", "user", MARKER] {
            request[object]["spec"][field] = json!(MARKER);
        }
    }
    for field in ["paused", "end_time", "pause_time", MARKER] {
        request["object"]["status"][field] = json!(MARKER);
    }
    review
}

#[test]
fn no_span_repeats_what_a_client_sent() {
    let (endpoint, received) = collector();
    let options = format!("--drain-delay 0s --log-level trace --invariants warn --break-glass-user {MARKER}-admin");
    let mut program = Program::start_with(&options, 1024, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let mut sent = 0;
    let hobbyfarm = "system:serviceaccount:hobbyfarm-system:hobbyfarm-session";
    for user in [hobbyfarm, MARKER, "m4rk3r-admin", "system:serviceaccount:m4rk3r:m4rk3r"] {
        for path in ["/mutate", "/validate", "/validate?m4rk3r=m4rk3r"] {
            let answer = ask(&program, path, marked_review(user).to_string().as_bytes());
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            sent += 1;
        }
    }
    let mut old = marked_review(hobbyfarm);
    old["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let mut unknown = marked_review(hobbyfarm);
    unknown["request"]["operation"] = json!(MARKER);
    let mut another = marked_review(hobbyfarm);
    another["request"]["resource"] = json!({"group": MARKER, "version": MARKER, "resource": MARKER});
    for body in [old, unknown, another, json!({"request": MARKER}), json!(MARKER)] {
        ask(&program, "/validate", body.to_string().as_bytes());
        sent += 1;
    }
    let json = format!("content-type: application/json\r\nx-{MARKER}: {MARKER}\r\nbaggage: {MARKER}={MARKER}");
    let other_type = format!("content-type: text/{MARKER}");
    for (method_and_target, headers) in [
        ("POST /m4rk3r?m4rk3r", &json),
        ("M4RK3R /mutate", &json),
        ("GET /validate?m4rk3r", &json),
        ("POST /validate", &json),
        ("POST /validate", &other_type),
    ] {
        send(&program, method_and_target, headers, format!("{{\"{MARKER}\": {MARKER}").as_bytes());
        sent += 1;
    }
    program.terminate();
    assert_eq!(program.exit_code(), Some(0));

    let mut found = Vec::new();
    while found.len() < sent {
        let (_, _, body) = received.recv_timeout(PATIENCE).unwrap();
        let all = String::from_utf8_lossy(&body).to_lowercase();
        assert!(!all.contains(MARKER), "{:#?}", spans(&body));
        found.extend(spans(&body));
    }
    assert_eq!(found.len(), sent);
    let rules: BTreeSet<_> = found.iter().filter_map(|span| span.attributes.get("session_webhook.rule")).collect();
    let rules: Vec<_> = rules.into_iter().collect();
    assert_eq!(
        rules,
        ["BadFlag", "BreakGlass", "HobbyFarm", "ManualStatusEdit", "NotGuarded"],
        "each way through the policy was taken"
    );
}

/// Requests are answered whether somebody takes their traces or not.
#[test]
fn a_collector_that_is_not_there_stops_nothing() {
    let nobody = "http://127.0.0.1:9";
    let mut program = Program::start_with("--drain-delay 0s", 1024, &[("OTEL_EXPORTER_OTLP_ENDPOINT", nobody)]);
    assert!(ask(&program, "/mutate", review().to_string().as_bytes()).contains("\"allowed\":true"));
    program.terminate();
    assert_eq!(program.exit_code(), Some(0));
}

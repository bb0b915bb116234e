//! What a scenario says: who is accepted, who is refused, what is stored, what comes to an end.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::WatchEvent;
use serde_json::Value;

use crate::process::eventually;
use crate::writer::{Reply, Request, Writer};

/// Longer than the garbage collector ever takes to notice a resource that was added after its start.
const PATIENCE: Duration = Duration::from_mins(2);

/// The request succeeds; what the API server answered.
pub(crate) async fn accepts(writer: &Writer, request: Request) -> Reply {
    let reply = writer.sends(&request).await;
    assert!((200..300).contains(&reply.code), "{} should be accepted: {request:?}\n{reply:?}", writer.user);
    reply
}

/// The webhook refuses the writer: 403, in our words, and nothing of the object in them.
pub(crate) async fn rejects(writer: &Writer, request: Request) -> Reply {
    let reply = writer.sends(&request).await;
    assert_is_our_refusal(writer, &request, &reply);
    reply
}

fn assert_is_our_refusal(writer: &Writer, request: &Request, reply: &Reply) {
    let told = format!("{} should be refused: {request:?}\n{reply:?}", writer.user);
    assert_eq!((reply.code, &reply.body["reason"]), (403, &Value::from("Forbidden")), "{told}");
    // Which of the two validating entries speaks is up to the server: without matchConditions both refuse.
    let (webhook, message) = reply.message().split_once(" denied the request: ").expect(&told);
    assert!(webhook.contains(".session-webhook.hobbyfarm.io\""), "{told}");
    assert!(message.contains(&writer.user), "a refusal names the user: {told}");
    assert!(message.len() < 500 && !message.contains('%') && !message.contains("ac-secret"), "{told}");
    assert_eq!(reply.body["details"]["group"], "hobbyfarm.io", "{told}");
}

/// HobbyFarm's request is refused for what it says: 422, and a cause for each of these fields.
pub(crate) async fn finds_invalid(writer: &Writer, request: Request, fields: &[&str]) -> Reply {
    let reply = writer.sends(&request).await;
    let told = format!("{request:?}\n{reply:?}");
    assert_eq!((reply.code, &reply.body["reason"]), (422, &Value::from("Invalid")), "{told}");
    let causes = reply.body["details"]["causes"].as_array().expect(&told);
    for field in fields {
        // The API server's own schema check, which comes first, names fields of `/status` without `status.`.
        let short = field.trim_start_matches("status.");
        assert!(causes.iter().any(|cause| cause["field"] == *field || cause["field"] == short), "{field}: {told}");
    }
    reply
}

/// The object as it is stored now, and as the API server's watch cache holds it.
pub(crate) async fn stored(reader: &Writer, session: &Value) -> Value {
    watch_cache_has_caught_up(reader, session).await;
    accepts(reader, Request::read(session)).await.body
}

/// An update is judged against what the API server's watch cache holds, and where that was behind once more against what is stored: so the
/// webhooks are called twice. What the client is told is the second judgement, but the audit log keeps the annotations of the first.
pub(crate) async fn watch_cache_has_caught_up(reader: &Writer, session: &Value) {
    eventually("the watch cache has caught up", PATIENCE, async || {
        let stored = reader.sends(&Request::read(session)).await;
        let cached = reader.sends(&Request::read(session).with("resourceVersion=0")).await;
        let version = |reply: &Reply| reply.body["metadata"]["resourceVersion"].clone();
        (version(&stored) == version(&cached)).then_some(())
    })
    .await;
}

/// The object is gone, or goes soon.
pub(crate) async fn goes(reader: &Writer, what: &str, read: Request) {
    follow(reader, &format!("{what} goes"), &read, |object| object.is_none()).await;
}

/// The object soon is as the check wants it; the object then.
pub(crate) async fn becomes(reader: &Writer, what: &str, read: Request, check: impl Fn(&Value) -> bool) -> Value {
    follow(reader, what, &read, |object| object.is_some_and(&check)).await.unwrap()
}

/// Watches an object until it, or its absence, is as the check wants it.
async fn follow(reader: &Writer, what: &str, read: &Request, check: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
    let following = async {
        loop {
            let reply = reader.sends(read).await;
            let mut object = (reply.code == 200).then_some(reply.body);
            if check(object.as_ref()) {
                return object;
            }
            let mut events = watch(reader, read, object.as_ref()).await;
            // A watch may end at any time, or find its start forgotten; then the next look tells.
            while let Some(Ok(event)) = events.next().await {
                object = match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => Some(object),
                    WatchEvent::Deleted(_) => None,
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(_) => break,
                };
                if check(object.as_ref()) {
                    return object;
                }
            }
        }
    };
    let followed = tokio::time::timeout(PATIENCE, following).await;
    followed.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// What happens to the object that this request reads, since it was as it is here.
async fn watch(
    reader: &Writer,
    read: &Request,
    since: Option<&Value>,
) -> BoxStream<'static, kube::Result<WatchEvent<Value>>> {
    let (collection, name) = read.path().rsplit_once('/').unwrap();
    let version = since.and_then(|object| object["metadata"]["resourceVersion"].as_str()).unwrap_or_default();
    let uri = format!(
        "{collection}?watch=true&timeoutSeconds=30&fieldSelector=metadata.name%3D{name}&resourceVersion={version}"
    );
    let request = axum::http::Request::get(uri).body(Vec::new()).unwrap();
    reader.client.request_events(request).await.unwrap().boxed()
}

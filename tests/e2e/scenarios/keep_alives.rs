//! Nearly every write of HobbyFarm is a keep-alive, which an API server of 1.28 lets pass by itself, in the form that
//! HobbyFarm 2 and 3 store. In any other form each is a call.

use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::flows::{creates, status_write, writes_status};
use super::outage::without_webhook;
use crate::session::Dialect;
use crate::verbs::{accepts, stored};
use crate::world::World;
use crate::writer::{Reply, Request, Writer};

/// The entries that HobbyFarm's writes go to, and the paths that they call.
const ENTRIES: [(&str, &str); 2] = [
    ("mutate.session-webhook.hobbyfarm.io", "mutate"),
    ("validate-hobbyfarm.session-webhook.hobbyfarm.io", "validate"),
];

/// How often something happened since the API server began, by its own metrics.
async fn counted(world: &World, metric: &str, entry: &str) -> u64 {
    let text = accepts(&world.admin, Request::get("/metrics")).await.body;
    let label = format!("name=\"{entry}\"");
    let lines = text.as_str().unwrap().lines();
    let of_entry = lines.filter(|line| line.starts_with(&format!("{metric}{{")) && line.contains(&label));
    of_entry.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// For each entry: calls and exclusions by the API server's count, and reviews by the webhook's.
async fn counts(world: &World) -> [[u64; 3]; 2] {
    let mut all = [[0; 3]; 2];
    for (counts, (entry, path)) in all.iter_mut().zip(ENTRIES) {
        *counts = [
            counted(world, "apiserver_admission_webhook_request_total", entry).await,
            counted(world, "apiserver_admission_match_condition_exclusions_total", entry).await,
            world.webhook.lock().await.reviews(path).await,
        ];
    }
    all
}

/// What was counted while something was done.
async fn counted_during(world: &World, done: impl Future<Output = ()>) -> [[u64; 3]; 2] {
    let before = counts(world).await;
    done.await;
    let after = counts(world).await;
    [0, 1].map(|entry| [0, 1, 2].map(|count| after[entry][count] - before[entry][count]))
}

/// A point in time of a day that does not end while this runs.
fn at(world: &World, seconds: i64) -> String {
    let noon: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
    world.form.time(noon + SignedDuration::from_secs(seconds))
}

/// Whether keep-alives are spared the call.
fn are_spared(world: &World) -> bool {
    world.form.dialect == Dialect::Gargantua && world.form.status_subresource
}

/// A Session that HobbyFarm has started.
async fn started(world: &World) -> Value {
    let session = creates(world).await;
    let running = world.form.status(false, "", true, false, [&at(world, 0), &at(world, 300)]);
    writes_status(world, &session, |status| *status = running).await.body
}

pub(super) async fn they_cost_no_call_and_every_other_write_costs_two_as_ever(world: &World) {
    let mut session = Value::Null;
    let called = counted_during(world, async { session = started(world).await }).await;
    assert_eq!(called, [[2, 0, 2]; 2], "create and first status");

    let called = counted_during(world, async {
        for seconds in 301..321 {
            let end = at(world, seconds);
            let reply = writes_status(world, &session, |status| status["end_time"] = json!(end)).await;
            assert_eq!((reply.warnings, &reply.body["status"]["end_time"]), (Vec::new(), &json!(end)));
        }
    })
    .await;
    let expected = if are_spared(world) { [0, 20, 0] } else { [20, 0, 20] };
    assert_eq!(called, [expected; 2], "{}: 20 keep-alives", world.form);

    let called = counted_during(world, async {
        let (until, end) = (at(world, 600), at(world, 330));
        let (form, times) = (world.form, [at(world, 0), end]);
        let times = times.each_ref().map(String::as_str);
        writes_status(world, &session, |status| *status = form.status(true, &until, true, false, times)).await;
        writes_status(world, &session, |status| *status = form.status(false, "", true, false, times)).await;
        writes_status(world, &session, |status| *status = form.status(false, "", false, false, times)).await;
    })
    .await;
    assert_eq!(called, [[3, 0, 3]; 2], "pause, resume and finish");
}

type Change = fn(&World, &mut Value);

/// Writes of a running Session that are nearly keep-alives.
const OTHERS: [(&str, Change); 18] = [
    ("garbage", |_, s| s["status"]["end_time"] = json!("soon")),
    ("another zone", |w, s| s["status"]["end_time"] = json!(at(w, 301).replace("UTC", "CET"))),
    ("another layout", |_, s| s["status"]["end_time"] = json!("2026-11-26T12:05:01Z")),
    ("no such day", |_, s| s["status"]["end_time"] = json!("Thu Nov 31 12:05:01 UTC 2026")),
    ("the next day", |w, s| s["status"]["end_time"] = json!(at(w, 24 * 3600))),
    ("backwards", |w, s| s["status"]["end_time"] = json!(at(w, 299))),
    ("before its start", |w, s| s["status"]["end_time"] = json!(at(w, -1))),
    ("empty", |_, s| s["status"]["end_time"] = json!("")),
    ("no end", |_, s| drop(s["status"].as_object_mut().unwrap().remove("end_time"))),
    ("null", |_, s| s["status"]["end_time"] = Value::Null),
    ("flags as strings", |_, s| s["status"]["active"] = json!("true")),
    ("a flag changed", |_, s| s["status"]["active"] = json!(false)),
    ("a flag less", |_, s| drop(s["status"].as_object_mut().unwrap().remove("paused"))),
    ("another start", |w, s| s["status"]["start_time"] = json!(at(w, 1))),
    ("paused", |w, s| (s["status"]["paused"], s["status"]["paused_time"]) = (json!(true), json!(at(w, 600)))),
    ("finished", |_, s| s["status"]["finished"] = json!(true)),
    ("no status", |_, s| drop(s.as_object_mut().unwrap().remove("status"))),
    ("a label, by status", |w, s| {
        s["metadata"]["labels"]["a"] = json!("b");
        s["status"]["end_time"] = json!(at(w, 299));
    }),
];

pub(super) async fn what_is_no_keep_alive_is_judged_as_ever(world: &World) {
    let session = started(world).await;
    let asked = async |writer: &Writer, request: &Request| {
        let before = world.webhook.lock().await.reviews("mutate").await;
        writer.sends(&request.clone().dry_run()).await;
        world.webhook.lock().await.reviews("mutate").await - before
    };
    let object = stored(&world.hobbyfarm, &session).await;
    let mut keep_alive = object.clone();
    keep_alive["status"]["end_time"] = json!(at(world, 301));
    let keep_alive = status_write(world, &keep_alive);
    let spared = are_spared(world);
    assert_eq!(asked(&world.hobbyfarm, &keep_alive).await, u64::from(!spared), "{}: a keep-alive", world.form);
    for (name, change) in OTHERS.into_iter().filter(|_| spared) {
        let mut object = object.clone();
        change(world, &mut object);
        assert_eq!(asked(&world.hobbyfarm, &status_write(world, &object)).await, 1, "{name}");
    }
    for (who, writer) in &world.strangers {
        assert_eq!(asked(writer, &keep_alive).await, 1, "{who}");
        assert_eq!(writer.sends(&keep_alive).await.code, 403, "{who}");
    }
}

/// The least that an entry which ignores failures can wait is a second; a keep-alive does not even try.
pub(super) async fn an_endpoint_that_hangs_does_not_keep_them_waiting(world: &World) {
    let session = started(world).await;
    without_webhook(world, async {
        let url = world.webhook.lock().await.url("");
        let address: SocketAddr = url.trim_start_matches("https://").parse().unwrap();
        let hanging = TcpListener::bind(address).await.unwrap();
        // What comes in is held and never answered.
        let calls = async |write: &mut (dyn Future<Output = Reply> + Unpin)| {
            let mut held = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    call = hanging.accept() => held.push(call.unwrap()),
                    reply = &mut *write => return (reply, held.len()),
                }
            }
        };
        let (keep_alive, other) = (at(world, 301), at(world, 299));
        let write = writes_status(world, &session, |status| status["end_time"] = json!(keep_alive));
        let (reply, called) = calls(&mut Box::pin(write)).await;
        assert_eq!(reply.body["status"]["end_time"], json!(keep_alive), "HobbyFarm goes on");
        assert_eq!(called == 0, are_spared(world), "{}: {called} calls", world.form);
        let write = writes_status(world, &session, |status| status["end_time"] = json!(other));
        let (reply, called) = calls(&mut Box::pin(write)).await;
        assert_eq!(reply.body["status"]["end_time"], json!(other), "HobbyFarm goes on all the same");
        assert!(called > 0, "this was no keep-alive");
    })
    .await;
}
